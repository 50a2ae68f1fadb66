"""The lobby: waiting for the start of a conference, and whether there is room for one more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialplan.causes import EndCause
from dialplan.floor import Where
from dialplan.phrases import PhraseKey, phrase
from dialplan.speech import Subject

if TYPE_CHECKING:
    from dialplan.meeting import Meeting
    from dialplan.people import Person
    from dialplan.rules import Role

__all__ = ["STILL_TIMER", "WAIT_TIMER", "Lobby"]

STILL_TIMER: Final = "still"
WAIT_TIMER: Final = "wait"

_K: Final = PhraseKey


class Lobby:
    """Those who wait until a conference starts.

    Args:
        meeting: Whose.
    """

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting

    def is_full(self, role: Role) -> bool:
        """Say whether nobody of this role fits in; who is being told goodbye takes no place."""
        staying = self._meeting.staying
        # Where nothing starts without a host, those who wait must not keep the host out.
        kept = max(self._meeting.rules.host_places, int(self._meeting.rules.start == "on_host"))
        hosts = len([person for person in staying if person.role == "host"])
        for_hosts = 0 if role == "host" else max(0, kept - hosts)
        return len(staying) + for_hosts >= self._meeting.rules.capacity

    def let_wait(self, person: Person) -> None:
        """Let somebody wait for the start, alone with music, and say for what."""
        meeting = self._meeting
        meeting.sync(person)
        meeting.music(person, on=True)
        first = len(meeting.at(Where.WAITING)) == 1
        reason = (
            _K.WAITING_FOR_HOST if self._meeting.rules.start == "on_host" else _K.WAITING_FOR_SECOND
        )
        words = (phrase(_K.FIRST_IN),) if first else ()
        meeting.tell(person, Subject.ENTRY, *words, phrase(reason))
        person.gives_up_at = meeting.now + self._meeting.rules.wait_limit_s
        meeting.timers.start(f"{WAIT_TIMER}:{person.leg}", self._meeting.rules.wait_limit_s)
        if not meeting.timers.runs(STILL_TIMER):
            meeting.timers.start(STILL_TIMER, meeting.times.still_s)

    def may_start(self) -> bool:
        """Say whether those who wait may be put together."""
        present = self._meeting.at(Where.WAITING)
        if self._meeting.rules.start == "on_host":
            return any(person.role == "host" for person in present)
        return len(present) >= (2 if self._meeting.rules.start == "on_second" else 1)

    def waited_in_vain(self, person: Person) -> None:
        """Tell somebody who has waited long enough, and let them go."""
        dismiss = self._meeting.dismiss
        if person.where is Where.KNOCKING:
            dismiss(person, EndCause.NOT_ADMITTED, phrase(_K.KNOCK_UNANSWERED))
        elif self._meeting.rules.start == "on_host":
            dismiss(person, EndCause.HOST_NEVER_CAME, phrase(_K.HOST_DID_NOT_COME))
        else:
            dismiss(person, EndCause.NOBODY_CAME, phrase(_K.NOBODY_CAME))
        if not self._meeting.at(Where.WAITING):
            self._meeting.timers.stop(STILL_TIMER)

    def remind(self) -> None:
        """Thank those who wait for waiting."""
        meeting = self._meeting
        for person in meeting.at(Where.WAITING):
            # "Please hold on" just before "call again later" would be a mockery.
            if person.gives_up_at - meeting.now < meeting.times.still_s / 2:
                continue
            meeting.tell(person, Subject.WAITING, phrase(_K.STILL_WAITING))
        meeting.timers.start(STILL_TIMER, meeting.times.still_s)
