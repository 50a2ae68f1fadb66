"""What all rules of one conference share: its people, the room's state, and how people are told.

`Conference` has the states; the door, hands, hosting, breakouts and the dialogues of single people
are parts of their own that work on one `Meeting`. Nothing here decides anything: it keeps, finds,
places and tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from dialplan.actions import ConferenceAction, Music, Place
from dialplan.floor import Masks, Mode, Where, unheard
from dialplan.keypad import KEY_MAP, Command, KeyMap
from dialplan.people import Census, Person, PersonView, census
from dialplan.phrases import Phrase, PhraseKey, phrase
from dialplan.speech import Speech, Subject
from dialplan.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dialplan.actions import Promotion
    from dialplan.rules import ConferenceRules

__all__ = ["ConferenceTimes", "ConferenceView", "Meeting", "Sounds"]

Sounds = Literal["chime", "name", "off"]
"""What is heard when somebody comes or goes; `*8` goes from one to the next in this order."""


class ConferenceTimes(Struct, frozen=True):
    """Times of the conference that no administrator sets.

    Attributes:
        still_s: Between reminders to those who wait, s.
        chime_s: Least time between two tones in the room, and the time in which several who come
            or go are told of as one, s.
        warnings_s: How long before the end of its length the room is told, s; a warning is left
            out of a conference that is not at least twice as long.
        prompt_guard_s: Longest prompt; then its end is taken for granted, s.
        unheard_s: How long somebody speaks unheard before they are told, s.
        unheard_again_s: How long after that before they are told again, s.
        name_s: Longest spoken name, s.
        knock_again_s: Between two reminders of somebody who knocks, s.
        answer_s: How long after a question its answer counts, s.
        dialogue_s: How long a dialogue waits for a key before it closes, s.
        next_s: How long the roll call waits after a name before it goes on, s.
        alone_s: How long somebody is alone before they are told and hear music, s.
        end_s: How long the end for all can be taken back, s.
        recall_s: How long before breakout rooms close people are warned, s.
        back_s: How long somebody who dropped has their place kept, s.
    """

    still_s: float = 120.0
    chime_s: float = 3.0
    warnings_s: tuple[float, ...] = (600.0, 60.0)
    prompt_guard_s: float = 60.0
    unheard_s: float = 2.0
    unheard_again_s: float = 60.0
    name_s: float = 6.0
    knock_again_s: float = 60.0
    answer_s: float = 15.0
    dialogue_s: float = 20.0
    next_s: float = 3.0
    alone_s: float = 60.0
    end_s: float = 5.0
    recall_s: float = 60.0
    back_s: float = 300.0


class ConferenceView(Struct, frozen=True):
    """The room as others may know it.

    Attributes:
        mode: Who may speak.
        locked: Whether newcomers have to knock.
        muted_all: Whether hosts have muted everybody, later joiners too.
        sounds: What is heard when somebody comes or goes.
        breakouts: How many breakout rooms are open, 0 for none.
        hands: Legs with a raised hand, first in line first.
    """

    mode: Mode
    locked: bool
    muted_all: bool
    sounds: Sounds
    breakouts: int
    hands: tuple[int, ...]


class Meeting:
    """People and state of one conference.

    Args:
        rules: As configured.
        times: Times that no administrator sets.
        keys: The key map.
    """

    dismiss: Callable[..., None]
    """Tells a person last words and lets them go: (person, cause, *phrases)."""
    promote: Callable[[Person, Promotion], None]
    """Makes a person host."""
    end_for_all: Callable[[], None]
    """Ends the conference, by a host's word."""
    dialogue_closed: Callable[[Person], None]
    """Goes on with what had to wait for a person's dialogue."""

    def __init__(
        self, rules: ConferenceRules, times: ConferenceTimes, keys: KeyMap = KEY_MAP
    ) -> None:
        self.rules = rules
        self.times = times
        self.keys = keys
        self.people: dict[int, Person] = {}
        self.actions: list[ConferenceAction] = []
        self.timers = Timers(self.do)
        self.speech = Speech(self.do, self.timers, times.prompt_guard_s)
        self.mode = Mode.CONVERSATION
        self.locked = False
        self.muted_all = False
        self.sounds: Sounds = "chime" if rules.chimes else "off"
        self.breakouts = 0
        self.now = 0.0
        self._sequences = {key.command: pair for pair, key in reversed(list(keys.items()))}

    def do(self, action: ConferenceAction) -> None:
        """Take an action, to be carried out in order."""
        self.actions.append(action)

    # --- who is there --------------------------------------------------------------------------

    @property
    def census(self) -> Census:
        """How many people there are; those who are being told goodbye count nowhere."""
        return census(self.people.values(), self.mode)

    def at(self, where: Where) -> list[Person]:
        """List who is in a place, in the order of coming in."""
        return [person for person in self.people.values() if person.where is where]

    @property
    def room(self) -> list[Person]:
        """Who is in the room or one of its breakout rooms."""
        return self.at(Where.ROOM)

    @property
    def room_size(self) -> int:
        """How many are in the room."""
        return len(self.room)

    @property
    def hosts(self) -> list[Person]:
        """Hosts in the room."""
        return [person for person in self.room if person.role == "host"]

    @property
    def guests(self) -> list[Person]:
        """Everybody in the room who is no host."""
        return [person for person in self.room if person.role != "host"]

    @property
    def staying(self) -> list[Person]:
        """Everybody but who is being told goodbye."""
        return [p for p in self.people.values() if p.where is not Where.PARTING]

    @property
    def hands(self) -> list[Person]:
        """Who has a hand raised, first in line first."""
        raised = [person for person in self.room if person.hand is not None]
        return sorted(raised, key=lambda person: (person.hand or 0.0, person.ordinal))

    def views(self) -> Iterator[PersonView]:
        """Describe everybody, in the order of coming in."""
        places = {person.leg: place for place, person in enumerate(self.hands, 1)}
        for person in self.people.values():
            yield person.view(self.mode, places.get(person.leg))

    def view(self) -> ConferenceView:
        """Describe the room."""
        return ConferenceView(
            mode=self.mode,
            locked=self.locked,
            muted_all=self.muted_all,
            sounds=self.sounds,
            breakouts=self.breakouts,
            hands=tuple(person.leg for person in self.hands),
        )

    # --- places --------------------------------------------------------------------------------

    def sync(self, person: Person) -> None:
        """Send a person's masks where they have changed."""
        now: Masks = person.masks(self.mode)
        if now != person.sent_masks:
            person.sent_masks = now
            self.do(
                Place(person.leg, now.in_room, now.speaks, now.hears, now.group, now.whispers_to)
            )

    def sync_all(self) -> None:
        """Send everybody's masks where they have changed: one change for all comes at once."""
        for person in self.people.values():
            self.sync(person)

    def music(self, person: Person, *, on: bool) -> None:
        """Start or stop somebody's music."""
        if person.music is not on:
            person.music = on
            self.do(Music(person.leg, on))

    def is_heard(self, person: Person) -> bool:
        """Say whether somebody in the room is heard."""
        return unheard(self.mode, person.standing) is None

    # --- what is said --------------------------------------------------------------------------

    def key(self, command: Command, key: PhraseKey) -> tuple[Phrase, ...]:
        """Say which keys do something: nothing where the key map has no keys for it."""
        keys = self._sequences.get(command)
        return () if keys is None else (phrase(key, keys=keys),)

    def tell(self, person: Person, subject: Subject, *phrases: Phrase) -> None:
        """Tell one person when their turn comes."""
        if phrases and person.where is not Where.PARTING:
            self.speech.tell(person, subject, *phrases)

    def tell_room(self, subject: Subject, *phrases: Phrase, but: Person | None = None) -> None:
        """Tell everybody in the room, each in their own language and when their turn comes."""
        for person in self.room:
            if person is not but:
                self.speech.tell(person, subject, *phrases)

    def tell_hosts(self, subject: Subject, *phrases: Phrase, but: Person | None = None) -> None:
        """Tell every host in the room."""
        for person in self.hosts:
            if person is not but:
                self.speech.tell(person, subject, *phrases)

    def answer(self, person: Person, *phrases: Phrase) -> None:
        """Say what a key of this person did, before anything that waits."""
        self.speech.answer(person, *phrases)

    def refuse(self, person: Person) -> None:
        """Sound the short tone of a key that does nothing here."""
        if person.play is None:
            self.speech.tell(person, Subject.TONE, phrase(PhraseKey.TONE_BEEP))
