"""The door: who may come in at once, who knocks, who is known from before.

A guest knocks where the conference is locked, where it has a waiting room, or where somebody with
the same asserted number and the same PIN was removed: an office behind one number, or withheld
numbers, are neither locked out nor let slip. Hosts never knock. Every host in the room is asked,
one question at a time; an answer counts for the question just put to that host, and only if no
other host has decided it since.

Who dropped and calls back within five minutes has their place: mute, hand and all, once. They are
known by an asserted number of which no other leg was there, and are not known if they were removed.
What they may do never comes from there, only from the PIN they entered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from dialplan.causes import EndCause
from dialplan.floor import Where
from dialplan.phrases import PhraseKey, phrase
from dialplan.speech import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialplan.meeting import Meeting
    from dialplan.people import Person
    from dialplan.phrases import Phrase

__all__ = ["ANSWER_TIMER", "KNOCK_TIMER", "Door", "KeptPlace"]

KNOCK_TIMER: Final = "knock"
ANSWER_TIMER: Final = "answer"

_K: Final = PhraseKey
_ADMIT: Final = "1"
_REFUSE: Final = "2"


class KeptPlace(Struct, frozen=True):
    """What somebody who dropped left behind.

    Attributes:
        until: How long it is kept, monotonic, s.
        self_muted: They had muted their own line.
        host_muted: A host had muted them.
        opened: They had opened themselves for questions.
        hand: When their hand was raised, None where it was down.
        group: Their breakout room.
    """

    until: float
    self_muted: bool
    host_muted: bool
    opened: bool
    hand: float | None
    group: int


class Door:
    """Lock, knocks, and who is known.

    Args:
        meeting: Whose.
        let_in: Lets somebody in who was admitted.
    """

    def __init__(self, meeting: Meeting, let_in: Callable[[Person], None]) -> None:
        self._meeting = meeting
        self._let_in = let_in
        self._removed: set[tuple[str | None, str]] = set()
        self._places: dict[str, KeptPlace] = {}
        self._asked: dict[int, int] = {}
        self._unasked: dict[int, list[int]] = {}
        self._decided: dict[int, tuple[float, PhraseKey]] = {}

    # --- lock ----------------------------------------------------------------------------------

    def toggle(self, host: Person) -> None:
        """Lock or unlock, and say which to every host."""
        on = not self._meeting.locked
        self.lock(on=on, by=host)
        self._meeting.answer(host, phrase(_K.LOCKED if on else _K.UNLOCKED))

    def lock(self, *, on: bool, by: Person | None = None) -> None:
        """Lock or unlock; whom only the lock kept out comes in, and hosts are told who do not know.

        Args:
            on: Whether newcomers have to knock.
            by: The host whose key it was.
        """
        meeting = self._meeting
        if by is not None:
            by.forget(Subject.LOCK)
        if meeting.locked is not on:
            meeting.tell_hosts(Subject.LOCK, phrase(_K.LOCKED if on else _K.UNLOCKED), but=by)
        meeting.locked = on
        if not on:
            self.look_again()

    def look_again(self) -> None:
        """Let in who need not knock any longer."""
        for person in self._meeting.at(Where.KNOCKING):
            if not self._must_knock(person):
                self.admit(person)

    def no_host_left(self) -> None:
        """Unlock: nobody is left who could open."""
        if self._meeting.locked:
            self.lock(on=False)

    # --- coming --------------------------------------------------------------------------------

    def keeps_out(self, person: Person) -> bool:
        """Say whether somebody has to knock, and let them if they do not come back to a place."""
        return person.role != "host" and not self.has_place(person) and self._must_knock(person)

    def _must_knock(self, person: Person) -> bool:
        meeting = self._meeting
        return meeting.locked or meeting.rules.waiting_room or self._was_removed(person)

    def _was_removed(self, person: Person) -> bool:
        return (person.caller, person.pin) in self._removed

    def knock(self, person: Person) -> None:
        """Let somebody wait with music, and ask the hosts."""
        meeting = self._meeting
        person.where = Where.KNOCKING
        meeting.sync(person)
        meeting.music(person, on=True)
        locked = (phrase(_K.LOCKED),) if meeting.locked else ()
        meeting.tell(person, Subject.ENTRY, *locked, phrase(_K.KNOCK_SENT))
        meeting.timers.start(f"wait:{person.leg}", meeting.rules.wait_limit_s)
        self._ask_all(person.leg)
        if not meeting.timers.runs(KNOCK_TIMER):
            meeting.timers.start(KNOCK_TIMER, meeting.times.knock_again_s)

    def host_came(self, host: Person) -> None:
        """Ask a host who has come about everybody who knocks."""
        for person in self._meeting.at(Where.KNOCKING):
            self._queue(host, person.leg)
        self.go_on(host)

    def remind(self) -> None:
        """Ask the hosts again about those whom nobody has answered."""
        meeting = self._meeting
        knocking = meeting.at(Where.KNOCKING)
        for person in knocking:
            self._ask_all(person.leg)
        if knocking:
            meeting.timers.start(KNOCK_TIMER, meeting.times.knock_again_s)

    # --- questions -----------------------------------------------------------------------------

    def _ask_all(self, knocker: int) -> None:
        for host in self._meeting.hosts:
            self._queue(host, knocker)
            self.go_on(host)

    def _queue(self, host: Person, knocker: int) -> None:
        waiting = self._unasked.setdefault(host.leg, [])
        if knocker not in waiting and self._asked.get(host.leg) != knocker:
            waiting.append(knocker)

    def go_on(self, host: Person) -> None:
        """Put the next question to a host who has no dialogue open and no question."""
        meeting = self._meeting
        if host.dialogue is not None or host.leg in self._asked or host.where is not Where.ROOM:
            return
        waiting = self._unasked.get(host.leg, [])
        while waiting:
            knocker = meeting.people.get(waiting.pop(0))
            if knocker is not None and knocker.where is Where.KNOCKING:
                self._asked[host.leg] = knocker.leg
                self._decided.pop(host.leg, None)
                words = (*self._question(knocker), phrase(_K.KNOCK_KEYS))
                meeting.tell(host, Subject.QUESTION, *words)
                meeting.timers.start(f"{ANSWER_TIMER}:{host.leg}", meeting.times.prompt_guard_s)
                return

    def _question(self, knocker: Person) -> tuple[Phrase, ...]:
        if self._was_removed(knocker):
            return (phrase(_K.KNOCK_REMOVED),)
        if knocker.named:
            return (phrase(_K.KNOCK_NAMED, name=knocker.leg),)
        return (phrase(_K.KNOCK),)

    def asked(self, host: Person) -> None:
        """Note that a host has heard a question: from now on the time for an answer counts."""
        if host.leg in self._asked:
            meeting = self._meeting
            meeting.timers.start(f"{ANSWER_TIMER}:{host.leg}", meeting.times.answer_s)

    def unanswered(self, host: Person) -> None:
        """Take a question back that a host has left alone; it comes again with the reminder."""
        self._asked.pop(host.leg, None)
        host.forget(Subject.QUESTION)
        self.go_on(host)

    def takes(self, host: Person, key: str) -> bool:
        """Take a key as the answer to the question just put to this host.

        Args:
            host: Who pressed it; what they were hearing has been cut by it.
            key: The key.

        Returns:
            Whether it was one.
        """
        if key not in (_ADMIT, _REFUSE):
            return False
        leg = self._asked.get(host.leg)
        if leg is None:
            return self._too_late(host)
        if host.awaits(Subject.QUESTION):
            return False  # it has not been said yet
        knocker = self._meeting.people.get(leg)
        self._close_question(host)
        if knocker is None:  # gone, while this host was where no question is settled
            return self._too_late(host)
        if key == _ADMIT:
            self._meeting.answer(host, phrase(_K.KNOCK_ADMITTED))
            self.admit(knocker)
        else:
            self._meeting.answer(host, phrase(_K.KNOCK_REFUSED))
            self.refuse(knocker)
        self.go_on(host)
        return True

    def _too_late(self, host: Person) -> bool:
        """Say what has become of a question that was settled while this host was hearing it."""
        at, word = self._decided.pop(host.leg, (float("-inf"), _K.KNOCK_DECIDED))
        if self._meeting.now - at > self._meeting.times.answer_s:
            return False
        self._meeting.answer(host, phrase(word))
        return True

    def _close_question(self, host: Person) -> None:
        self._asked.pop(host.leg, None)
        host.forget(Subject.QUESTION)
        self._meeting.timers.stop(f"{ANSWER_TIMER}:{host.leg}")

    def _settle(self, knocker: int, word: PhraseKey = _K.KNOCK_DECIDED) -> None:
        """Take every question about somebody back, and remember to whom it was just put."""
        for host in self._meeting.hosts:
            if self._asked.get(host.leg) == knocker:
                heard = not host.awaits(Subject.QUESTION) or host.subject is Subject.QUESTION
                self._close_question(host)
                if heard:
                    self._decided[host.leg] = (self._meeting.now, word)
                self.go_on(host)

    def admit(self, knocker: Person) -> None:
        """Let somebody in, by a host's or an administrator's word."""
        self._removed.discard((knocker.caller, knocker.pin))
        self._meeting.timers.stop(f"wait:{knocker.leg}")
        self._let_in(knocker)
        self._settle(knocker.leg)

    def refuse(self, knocker: Person) -> None:
        """Turn somebody away."""
        self._meeting.dismiss(knocker, EndCause.NOT_ADMITTED, phrase(_K.NOT_ADMITTED))
        self._settle(knocker.leg)

    # --- who is known --------------------------------------------------------------------------

    def remove(self, person: Person) -> None:
        """Send somebody out; coming back, they knock."""
        self._removed.add((person.caller, person.pin))
        self._meeting.dismiss(person, EndCause.REMOVED, phrase(_K.REMOVED))

    def left(self, person: Person) -> None:
        """Forget somebody who is gone, but for the place of one who dropped."""
        meeting = self._meeting
        if person.where is Where.KNOCKING:
            self._settle(person.leg, _K.ROLL_GONE)
        self._asked.pop(person.leg, None)
        self._unasked.pop(person.leg, None)
        self._decided.pop(person.leg, None)
        meeting.timers.stop(f"{ANSWER_TIMER}:{person.leg}")
        alone = sum(other.caller == person.caller for other in meeting.people.values()) == 0
        if person.where is Where.ROOM and person.caller is not None and alone:
            self._places[person.caller] = KeptPlace(
                until=meeting.now + meeting.times.back_s,
                self_muted=person.self_muted,
                host_muted=person.host_muted,
                opened=person.opened,
                hand=person.hand,
                group=person.group,
            )

    def has_place(self, person: Person) -> bool:
        """Say whether somebody comes back to a place that was kept."""
        kept = self._places.get(person.caller or "")
        return (
            kept is not None and kept.until >= self._meeting.now and not self._was_removed(person)
        )

    def give_place_back(self, person: Person) -> KeptPlace | None:
        """Give somebody their place back, once; the role stays that of the PIN."""
        if not self.has_place(person):
            return None
        kept = self._places.pop(person.caller or "")
        person.self_muted = kept.self_muted
        person.host_muted = kept.host_muted and person.role != "host"
        person.opened = kept.opened
        person.group = kept.group if kept.group <= self._meeting.breakouts else 0
        return kept
