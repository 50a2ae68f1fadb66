"""What each command of the key map does, and what administrators can do from outside.

A key belongs to its role only, and to a place: who still waits can mute, ask for help, be counted,
change the volume or become host; the rest is for the room. A dialogue that is open owns its
person's keys, so that a command never comes in the middle of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialplan._sentences import count_sentence, keys_sentence
from dialplan.actions import Volume
from dialplan.dialogue import Ending
from dialplan.entrance import Entrance
from dialplan.events import (
    Announced,
    DialOutEnded,
    HostPinChecked,
    LineGuarded,
    MaintenanceDue,
    NameRecorded,
    Speaking,
    Steered,
)
from dialplan.floor import Mode, Where
from dialplan.keypad import Command, Stray, commands_of
from dialplan.lines import Lines
from dialplan.number_dialogues import BecomeHost, DialNumber
from dialplan.people import LOUDNESS_DB
from dialplan.phrases import PhraseKey, phrase
from dialplan.roll_call import RollCall, RollCallHands
from dialplan.speech import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialplan.breakouts import Breakouts
    from dialplan.comings import Comings
    from dialplan.door import Door
    from dialplan.events import DialOutOutcome
    from dialplan.hands import Hands
    from dialplan.meeting import Meeting
    from dialplan.microphones import Microphones
    from dialplan.people import Person
    from dialplan.phrases import Phrase

__all__ = ["ORDERS", "OrderEvent", "RoomCommands"]

OrderEvent = (
    Speaking
    | LineGuarded
    | NameRecorded
    | HostPinChecked
    | DialOutEnded
    | Steered
    | Announced
    | MaintenanceDue
)
ORDERS: Final = (
    Speaking,
    LineGuarded,
    NameRecorded,
    HostPinChecked,
    DialOutEnded,
    Steered,
    Announced,
)
"""What comes to a conference that is neither a key nor somebody's coming or going."""

_K: Final = PhraseKey
_ANYWHERE: Final = frozenset(
    {Command.MUTE, Command.HELP, Command.COUNT, Command.VOLUME, Command.BECOME_HOST}
)
_LOUDNESS: Final = (_K.NORMAL_VOLUME, _K.LOUDER, _K.SOFTER)
_DIAL_OUT_WORDS: Final[dict[DialOutOutcome, PhraseKey]] = {
    "off": _K.DIAL_OFF,
    "refused": _K.DIAL_REFUSED,
    "busy": _K.DIAL_BUSY,
    "no_answer": _K.DIAL_NO_ANSWER,
    "failed": _K.DIAL_FAILED,
}


class RoomCommands:
    """Carries out what people key, and what is ordered from outside.

    Args:
        meeting: Whose.
        hands: Raised hands.
        microphones: Mutes and modes.
        comings: What is heard when somebody comes or goes.
        door: Lock and knocks.
        breakouts: Breakout rooms.
    """

    def __init__(
        self,
        meeting: Meeting,
        hands: Hands,
        microphones: Microphones,
        comings: Comings,
        door: Door,
        breakouts: Breakouts,
    ) -> None:
        self._meeting = meeting
        meeting.dialogue_closed = self._dialogue_closed
        self._hands = hands
        self._microphones = microphones
        self._door = door
        self._breakouts = breakouts
        self._lines = Lines(meeting)
        self._queries = 0
        self._roll_call = RollCallHands(
            mute=lambda person: microphones.mute(person, on=not person.host_muted),
            give_floor=hands.give_floor,
            remove=door.remove,
            promote=lambda person: meeting.promote(person, "host"),
            coach=self._coach,
            command=self._pair,
        )
        self._do: dict[Command, Callable[[Person], None]] = {
            Command.MUTE: microphones.toggle,
            Command.HAND: hands.toggle,
            Command.HELP: self._help,
            Command.COUNT: lambda person: meeting.answer(person, *count_sentence(meeting.census)),
            Command.BECOME_HOST: self._become_host,
            Command.VOLUME: self._volume,
            Command.LOCK: door.toggle,
            Command.MODE: microphones.next_mode,
            Command.SOUNDS: comings.next_sounds,
            Command.RECORD: lambda person: meeting.answer(person, phrase(_K.NO_RECORDING)),
            Command.ROLL_CALL: lambda host: RollCall(meeting, host, self._roll_call).open(),
            Command.TAKE_HAND: hands.take,
            Command.BREAKOUT: breakouts.menu,
            Command.MUTE_ALL: microphones.toggle_all,
            Command.DIAL_OUT: lambda host: DialNumber(meeting, host).open(),
            Command.COACH: self._choose_whom_to_coach,
            Command.END_ALL: lambda host: Ending(meeting, host).open(),
        }

    # --- keys ----------------------------------------------------------------------------------

    def press(self, person: Person, key: str, *, cut: bool) -> None:
        """Take a key that belongs to no dialogue and no question.

        Args:
            person: Who pressed it.
            key: The key.
            cut: It has cut what was being said: then it is not called a stray one.
        """
        pressed = person.keypad.press(self._meeting.now, key, person.role)
        if isinstance(pressed, Command) and self._works(pressed, person):
            self._do[pressed](person)
        elif isinstance(pressed, Command | Stray) and not cut:
            self._meeting.refuse(person)

    def _works(self, command: Command, person: Person) -> bool:
        """Say whether a command does something where this person is."""
        return person.where is Where.ROOM or command in _ANYWHERE

    def _pair(self, person: Person, keys: str) -> None:
        """Take a command's two keys out of a dialogue, but no further dialogue."""
        key = self._meeting.keys.get(keys)
        opens = {Command.BREAKOUT, Command.DIAL_OUT, Command.COACH, Command.END_ALL}
        opens |= {Command.ROLL_CALL, Command.BECOME_HOST}
        if key is None or person.role not in key.roles or key.command in opens:
            self._meeting.refuse(person)
        else:
            self._do[key.command](person)

    def _help(self, person: Person) -> None:
        commands = commands_of(person.role, self._meeting.keys)
        now = [command for command in commands if self._works(command, person)]
        self._meeting.answer(person, *keys_sentence(self._meeting, person, now))

    def _become_host(self, person: Person) -> None:
        self._queries += 1
        BecomeHost(self._meeting, person, self._queries).open()

    def _volume(self, person: Person) -> None:
        self._meeting.answer(person, self._next_volume(person))

    def _next_volume(self, person: Person) -> Phrase:
        """Let somebody hear the others louder, softer, normal in turn; return what it is now."""
        person.loudness = (person.loudness + 1) % len(LOUDNESS_DB)
        self._meeting.do(Volume(person.leg, LOUDNESS_DB[person.loudness]))
        return phrase(_LOUDNESS[person.loudness])

    def dialogue_timer(self, person: Person) -> None:
        """Let somebody's dialogue go on after its wait."""
        if person.dialogue is not None:
            person.dialogue.timer()

    def _dialogue_closed(self, person: Person) -> None:
        """Put the questions that had to wait."""
        if person.role == "host":
            self._door.go_on(person)

    # --- speaking to one alone -----------------------------------------------------------------

    def _choose_whom_to_coach(self, host: Person) -> None:
        if host.whispers_to is not None:
            self.end_coaching(host)
        else:
            RollCall(self._meeting, host, self._roll_call, choosing=True).open()

    def _coach(self, host: Person, person: Person) -> None:
        host.whispers_to = person.leg
        self._meeting.sync(host)
        keys = self._meeting.key(Command.COACH, _K.KEY_END_COACH)
        self._meeting.answer(host, phrase(_K.COACHING), *keys)

    def end_coaching(self, host: Person, *why: Phrase) -> None:
        """Let everybody hear a host again."""
        host.whispers_to = None
        self._meeting.sync(host)
        words = (*why, phrase(_K.COACH_ENDED))
        if why:
            self._meeting.tell(host, Subject.TURN, *words)
        else:
            self._meeting.answer(host, *words)

    # --- from outside --------------------------------------------------------------------------

    def take(self, event: OrderEvent) -> None:  # noqa: C901 - one arm an event
        """Take what is no key; about somebody who is gone it means nothing any more."""
        if isinstance(event, Steered):
            self.steer(event)
            return
        if isinstance(event, MaintenanceDue):
            self._warn_of_maintenance(event)
            return
        if isinstance(event, Announced):
            self._announce(event)
            return
        person = self._meeting.people.get(event.leg)
        if person is None:
            return
        match event:
            case Speaking(talking=talking):
                self._microphones.speaking(person, talking=talking)
            case LineGuarded(guard=guard, action=action):
                self._lines.guarded(person, guard, action)
            case NameRecorded(seconds=seconds):
                if isinstance(person.dialogue, Entrance):
                    person.dialogue.recorded(seconds)
            case HostPinChecked(query=query, outcome=outcome):
                dialogue = person.dialogue
                if isinstance(dialogue, BecomeHost) and dialogue.query == query:
                    dialogue.checked(outcome)
            case DialOutEnded(outcome=result):
                self._meeting.tell(person, Subject.TURN, phrase(_DIAL_OUT_WORDS[result]))

    def _announce(self, event: Announced) -> None:
        """Say what an administrator has to say, in place of what of theirs still waits."""
        people = self._meeting.people
        listeners = self._meeting.room if event.leg is None else [people.get(event.leg)]
        for person in listeners:
            if person is not None:
                self._meeting.tell(person, Subject.ANNOUNCEMENT, *event.phrases)

    def _warn_of_maintenance(self, event: MaintenanceDue) -> None:
        """Warn the hosts that the service stops after this conference, or everybody at the last."""
        meeting = self._meeting
        if event.everybody and event.minutes is not None:
            meeting.tell_room(Subject.ENDING, phrase(_K.ENDING_SOON, minutes=event.minutes))
            return
        words = [phrase(_K.MAINTENANCE_BEGINS)]
        if event.minutes is not None:
            words.append(phrase(_K.MAINTENANCE_WITHIN, minutes=event.minutes))
        for person in meeting.staying:
            if person.role == "host" and event.leg in {None, person.leg}:
                meeting.tell(person, Subject.MAINTENANCE, *words)

    def steer(self, event: Steered) -> None:  # noqa: C901 - one arm an order
        """Carry out what an administrator ordered; what makes no sense now does nothing."""
        if event.leg is None:
            self._steer_room(event)
            return
        person = self._meeting.people.get(event.leg)
        if person is None or person.where is Where.PARTING:
            return
        guest_in_room = person.where is Where.ROOM and person.role != "host"
        match event.order:
            case "remove":
                self._door.remove(person)
            case "promote" if person.role != "host" and person.where is not Where.ENTRANCE:
                self._meeting.promote(person, "administrator")
            case "admit" if person.where is Where.KNOCKING:
                self._door.admit(person)
            case "refuse" if person.where is Where.KNOCKING:
                self._door.refuse(person)
            case "volume" if person.where is Where.ROOM:
                self._meeting.tell(person, Subject.VOLUME, self._next_volume(person))
            case "mute" if guest_in_room and self._meeting.hosts:
                self._microphones.mute(person, on=True)
            case "unmute" if guest_in_room:
                self._microphones.mute(person, on=False)
            case "give_floor" if guest_in_room and self._meeting.mode is not Mode.HOSTS_ONLY:
                self._hands.give_floor(person)
            case _:
                pass

    def _steer_room(self, event: Steered) -> None:
        match event.order:
            # What only a host could lift is not done to a room without one.
            case "mute_all" if self._meeting.hosts:
                self._microphones.mute_all(on=True)
            case "unmute_all":
                self._microphones.mute_all(on=False)
            case "lock" if self._meeting.hosts:
                self._door.lock(on=True)
            case "unlock":
                self._door.lock(on=False)
            case "mode" if self._meeting.hosts and event.mode in tuple(Mode):
                self._microphones.set_mode(Mode(event.mode))
            case "recall":
                self._breakouts.recall()
            case _:
                pass
