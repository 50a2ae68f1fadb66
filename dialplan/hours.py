"""Opening hours: whether a conference lets somebody in now, and what a closed one says."""

from datetime import UTC, datetime, timedelta
from typing import Final

from dialplan.events import Closed
from dialplan.phrases import Phrase, PhraseKey, phrase
from dialplan.rules import ConferenceRules, Role

__all__ = ["closed_for", "closed_phrases"]

_TOMORROW: Final = 1


def closed_for(
    rules: ConferenceRules, role: Role, wall: datetime, *, running: bool
) -> Closed | None:
    """Say whether a conference's hours keep somebody out.

    Args:
        rules: Of the conference.
        role: Of the caller; hosts are let in earlier than guests.
        wall: The moment, aware.
        running: Whether the conference runs; then its closing time keeps nobody out.

    Returns:
        What to tell the caller; None if it is open.
    """
    window = rules.window
    if window is None:
        return None
    early_s = rules.host_early_s if role == "host" else rules.guest_early_s
    now = wall.astimezone(window.opens.tzinfo)
    # Compared in UTC: times of one zone are compared by their clock hands, wrong by an hour in the
    # nights when the clocks change.
    moment = wall.astimezone(UTC)
    if moment < window.opens.astimezone(UTC) - timedelta(seconds=early_s):
        return Closed(now=now, opens_at=window.opens)
    if window.closes is not None and moment >= window.closes.astimezone(UTC) and not running:
        return Closed(now=now, opens_at=None)
    return None


def closed_phrases(outcome: Closed) -> tuple[Phrase, ...]:
    """Say that a conference is closed and when it opens.

    Args:
        outcome: As the conference answered.

    Returns:
        Phrases, the time of day in the conference's time zone.
    """
    if outcome.opens_at is None:
        return (phrase(PhraseKey.CONFERENCE_OVER),)
    days = (outcome.opens_at.date() - outcome.now.date()).days
    time = outcome.opens_at.strftime("%H:%M")
    if days == 0:
        opening = phrase(PhraseKey.OPENS_TODAY, time=time)
    elif days == _TOMORROW:
        opening = phrase(PhraseKey.OPENS_TOMORROW, time=time)
    else:
        date = outcome.opens_at.date().isoformat()
        opening = phrase(PhraseKey.OPENS_ON, date=date, time=time)
    return (phrase(PhraseKey.CONFERENCE_CLOSED), opening)
