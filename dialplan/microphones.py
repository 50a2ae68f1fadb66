"""Who is heard: one's own mute, the host's mute, the mode, and telling who speaks unheard.

`dialplan.floor` decides; this changes what it decides from, and tells people. Each of the three
silences belongs to somebody: a caller's own mute is theirs alone, the host's mute and the mode are
the hosts'. Nobody is opened unawares, and nobody is stranded: whoever speaks for two seconds
without being heard is told so, with the key that helps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialplan.floor import Mode, Unheard, Where, unheard
from dialplan.keypad import Command
from dialplan.phrases import PhraseKey, phrase
from dialplan.speech import Subject

if TYPE_CHECKING:
    from dialplan.hands import Hands
    from dialplan.meeting import Meeting
    from dialplan.people import Person
    from dialplan.phrases import Phrase

__all__ = ["UNHEARD_TIMER", "Microphones"]

UNHEARD_TIMER: Final = "unheard"

_K: Final = PhraseKey
_MODES: Final = tuple(Mode)
_MODE_WORDS: Final = {
    Mode.CONVERSATION: _K.MODE_CONVERSATION,
    Mode.QUESTIONS: _K.MODE_QUESTIONS,
    Mode.PRESENTATION: _K.MODE_PRESENTATION,
    Mode.HOSTS_ONLY: _K.MODE_HOSTS_ONLY,
}


class Microphones:
    """Mutes and modes of one conference.

    Args:
        meeting: Whose.
        hands: The line of raised hands.
    """

    def __init__(self, meeting: Meeting, hands: Hands) -> None:
        self._meeting = meeting
        self._hands = hands
        self._warned: dict[int, float] = {}

    # --- one's own -----------------------------------------------------------------------------

    def toggle(self, person: Person) -> None:
        """Mute or open one's own line, and say which; where that does not help, say what does."""
        meeting = self._meeting
        before = self.why(person)
        if before is None:
            person.self_muted = True
            self._sync_told(person, phrase(_K.MUTED), *meeting.key(Command.MUTE, _K.KEY_UNMUTE))
            return
        person.self_muted = False
        if meeting.mode is Mode.QUESTIONS:
            person.opened = True
        why = self.why(person)
        if why is None:
            self._sync_told(person, phrase(_K.UNMUTED))
        else:
            self._sync_told(person, *self.reason(why))

    def _sync_told(self, person: Person, *phrases: Phrase) -> None:
        self._meeting.sync(person)
        self._meeting.answer(person, *phrases)

    def why(self, person: Person) -> Unheard | None:
        """Say why somebody is not heard; outside the room, whether they will be."""
        return unheard(self._meeting.mode, person.standing)

    def reason(self, why: Unheard) -> tuple[Phrase, ...]:
        """Put into words why somebody is not heard, and the key that helps."""
        meeting = self._meeting
        match why:
            case Unheard.OWN:
                return (phrase(_K.MUTED), *meeting.key(Command.MUTE, _K.KEY_UNMUTE))
            case Unheard.QUESTIONS:
                return (phrase(_K.NOT_HEARD), *meeting.key(Command.MUTE, _K.KEY_UNMUTE))
            case Unheard.HOST:
                return (phrase(_K.HOST_MUTED), *meeting.key(Command.HAND, _K.KEY_RAISE_HAND))
            case Unheard.PRESENTATION:
                return (phrase(_K.NOT_HEARD), *meeting.key(Command.HAND, _K.KEY_RAISE_HAND))
            case Unheard.HOSTS_ONLY:
                return (phrase(_K.MODE_HOSTS_ONLY),)

    # --- the hosts' ----------------------------------------------------------------------------

    def next_mode(self, host: Person) -> None:
        """Go to the next mode; everybody is told, and what it means for them."""
        mode = self._meeting.mode
        self.set_mode(_MODES[(_MODES.index(mode) + 1) % len(_MODES)], host)

    def set_mode(self, mode: Mode, by: Person | None = None) -> None:
        """Change the mode; the floor goes back to the hosts, and questions begin closed."""
        meeting = self._meeting
        meeting.mode = mode
        self._hands.withdraw_all()
        for person in meeting.people.values():
            person.opened = False
        meeting.sync_all()
        said, meanings = phrase(_MODE_WORDS[mode]), self._meanings()
        for person in meeting.room:
            if person is by:
                person.forget(Subject.MODE)  # of another host's key, and true no more
                meeting.answer(person, said)
            else:
                meeting.tell(person, Subject.MODE, said, *meanings[self.why(person)])

    def _meanings(self) -> dict[Unheard | None, tuple[Phrase, ...]]:
        """Say what a mode means, once for all who are in the same case: they may be hundreds."""
        return {why: self._meaning(why) for why in (None, *Unheard)}

    def _meaning(self, why: Unheard | None) -> tuple[Phrase, ...]:
        """Say what a mode means for somebody unheard for this reason: which key helps."""
        match why:
            case Unheard.OWN:
                still = phrase(_K.STILL_MUTED)
                return (still, *self._meeting.key(Command.MUTE, _K.KEY_UNMUTE))
            case Unheard.QUESTIONS:
                return self._meeting.key(Command.MUTE, _K.KEY_UNMUTE)
            case Unheard.PRESENTATION:
                return self._meeting.key(Command.HAND, _K.KEY_RAISE_HAND)
            case Unheard.HOST:
                return self.reason(why)
            case _:
                return ()

    def toggle_all(self, host: Person) -> None:
        """Mute everybody but hosts, or lift the host's mute from all."""
        self.mute_all(on=not self._meeting.muted_all, by=host)

    def mute_all(self, *, on: bool, by: Person | None = None) -> None:
        """Set or lift the host's mute for all who are there and all who come."""
        meeting = self._meeting
        meeting.muted_all = on
        for person in meeting.people.values():
            if person.role != "host":
                person.host_muted = on
                if on:
                    self._hands.withdraw(person)
        meeting.sync_all()
        said = phrase(_K.ALL_MUTED if on else _K.ALL_UNMUTED)
        if by is not None:
            by.forget(Subject.MUTES)
            meeting.answer(by, said)
        # What a guest hears of the mode holds this too; a host is told of each by itself.
        meeting.tell_hosts(Subject.MUTES, said, but=by)
        hand, meanings = meeting.key(Command.HAND, _K.KEY_RAISE_HAND), self._meanings()
        for person in meeting.guests:
            words = hand if on else meanings[self.why(person)]
            meeting.tell(person, Subject.MODE, said, *words)

    def mute(self, person: Person, *, on: bool) -> None:
        """Set or lift the host's mute of one who is no host, and tell them."""
        meeting = self._meeting
        person.host_muted = on
        if on:
            self._hands.withdraw(person)
        meeting.sync(person)
        if on:
            meeting.tell(person, Subject.MODE, *self.reason(Unheard.HOST))
        else:
            meeting.tell(
                person, Subject.MODE, phrase(_K.HOST_UNMUTED), *self._meaning(self.why(person))
            )

    def lift(self) -> None:
        """Open the room again when no host is left who could: nobody stays stranded."""
        meeting = self._meeting
        muted = meeting.muted_all or any(p.host_muted for p in meeting.people.values())
        if muted or meeting.mode is not Mode.CONVERSATION:
            meeting.muted_all = False
            for person in meeting.people.values():
                person.host_muted = False
            self.set_mode(Mode.CONVERSATION)

    def came(self, person: Person) -> tuple[Phrase, ...]:
        """Apply the room's state to somebody who comes in, and say what it means for them."""
        if person.role != "host" and self._meeting.muted_all:
            person.host_muted = True
        why = self.why(person)
        return () if why is None else self.reason(why)

    # --- speaking unheard ----------------------------------------------------------------------

    def speaking(self, person: Person, *, talking: bool) -> None:
        """Note that somebody speaks, or has stopped."""
        meeting = self._meeting
        timer = f"{UNHEARD_TIMER}:{person.leg}"
        if not talking:
            meeting.timers.stop(timer)
        elif person.where is Where.ROOM and self.why(person) is not None:
            again_at = self._warned.get(person.leg, float("-inf")) + meeting.times.unheard_again_s
            if meeting.now >= again_at and not meeting.timers.runs(timer):
                meeting.timers.start(timer, meeting.times.unheard_s)

    def unheard(self, person: Person) -> None:
        """Tell somebody who has spoken unheard for a while."""
        why = self.why(person)
        if person.where is Where.ROOM and why is not None:
            self._warned[person.leg] = self._meeting.now
            self._meeting.tell(person, Subject.UNHEARD, *self.reason(why))

    def left(self, person: Person) -> None:
        """Forget somebody who is gone."""
        self._warned.pop(person.leg, None)
        self._meeting.timers.stop(f"{UNHEARD_TIMER}:{person.leg}")
