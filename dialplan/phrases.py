"""What the bridge can say: every phrase that the dial plan uses, with its arguments.

The call flow and the conference never handle sound. They name phrases; `dialplan.prompts` turns a
phrase into clips in the listener's language, and holds for each language exactly the keys of
`CATALOGUE` (a test there compares the two). The English text here is the reference: translations
follow its sense, and where it has two forms parted by `|` the first is for one, the second for
any other count (zero included).

Arguments by kind:

======== ======================= ===========================================================
kind     Python type             spoken as
======== ======================= ===========================================================
count    int, 0 to 999,999       a number, agreeing with its noun by the language's rule
minutes  int, 1 to 1,440         a number of minutes, or of hours and minutes
time     str `"HH:MM"`, 24 h     a time of day
date     str `"YYYY-MM-DD"`      weekday, day and month
digits   str of `0-9*#`          digit by digit, in groups
======== ======================= ===========================================================

Tones are phrases too, so that a prompt can hold one; they have no text and no language.
"""

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from dialplan.errors import PhraseError

__all__ = [
    "CATALOGUE",
    "GREETINGS",
    "ArgumentKind",
    "Phrase",
    "PhraseKey",
    "PhraseSpec",
    "greeting_phrase",
    "phrase",
]

_ARGUMENT_TYPES: dict[str, type] = {
    "count": int,
    "minutes": int,
    "time": str,
    "date": str,
    "digits": str,
}

ArgumentKind = Literal["count", "minutes", "time", "date", "digits"]


class PhraseKey(StrEnum):
    """Key of one phrase in the prompt catalogue; the value is the key as it is written there."""

    # Greeting and PIN entry.
    WELCOME = "welcome"
    WELCOME_SHORT = "welcome_short"
    ENTER_PIN = "enter_pin"
    ENTER_PIN_AGAIN = "enter_pin_again"
    ENTER_PIN_HELP = "enter_pin_help"
    START_OVER = "start_over"
    PIN_GO_ON = "pin_go_on"
    PIN_MISTYPED = "pin_mistyped"
    PIN_NOT_RECOGNISED = "pin_not_recognised"
    TOO_MANY_TRIES = "too_many_tries"
    NO_PIN_HEARD = "no_pin_heard"
    CONNECTING = "connecting"
    TECHNICAL_PROBLEM = "technical_problem"
    # Said only after a right PIN.
    CONFERENCE_FULL = "conference_full"
    CONFERENCE_CLOSED = "conference_closed"
    OPENS_TODAY = "opens_today"
    OPENS_TOMORROW = "opens_tomorrow"
    OPENS_ON = "opens_on"
    CONFERENCE_OVER = "conference_over"
    SERVICE_MAINTENANCE = "service_maintenance"
    # Joining and waiting.
    JOINING = "joining"
    FIRST_IN = "first_in"
    OTHERS_HERE = "others_here"
    WAITING_FOR_HOST = "waiting_for_host"
    WAITING_FOR_SECOND = "waiting_for_second"
    STILL_WAITING = "still_waiting"
    HOST_DID_NOT_COME = "host_did_not_come"
    NOBODY_CAME = "nobody_came"
    CONFERENCE_STARTS = "conference_starts"
    PEOPLE_WAITED = "people_waited"
    # The end.
    HOST_LEFT = "host_left"
    HOST_RETURNED = "host_returned"
    ENDING_SOON = "ending_soon"
    MAINTENANCE_BEGINS = "maintenance_begins"
    MAINTENANCE_WITHIN = "maintenance_within"
    TIME_IS_UP = "time_is_up"
    CONFERENCE_ENDED = "conference_ended"
    SERVICE_STOPS = "service_stops"
    GOODBYE = "goodbye"
    # Keys in the conference.
    MUTED = "muted"
    UNMUTED = "unmuted"
    COUNT_SPEAKERS = "count_speakers"
    COUNT_LISTENERS = "count_listeners"
    COUNT_WAITING = "count_waiting"
    KEYS_ARE = "keys_are"
    KEY_MUTE = "key_mute"
    KEY_UNMUTE = "key_unmute"
    KEY_COUNT = "key_count"
    KEY_HELP = "key_help"
    # Tones.
    TONE_ENTER = "tone_enter"
    TONE_EXIT = "tone_exit"
    TONE_BEEP = "tone_beep"


class PhraseSpec(Struct, frozen=True):
    """What a catalogue must hold for one key.

    Attributes:
        english: Reference text; `{name}` marks an argument, `|` parts the singular form from the
            plural one. Empty for a tone.
        arguments: Name and kind of each argument, in the order in which they are spoken.
    """

    english: str
    arguments: tuple[tuple[str, ArgumentKind], ...] = ()

    @property
    def is_tone(self) -> bool:
        """Whether this is a sound without words, the same in every language."""
        return not self.english


_COUNT: tuple[tuple[str, ArgumentKind], ...] = (("count", "count"),)
_MINUTES: tuple[tuple[str, ArgumentKind], ...] = (("minutes", "minutes"),)
_TIME: tuple[tuple[str, ArgumentKind], ...] = (("time", "time"),)
_DATE_TIME: tuple[tuple[str, ArgumentKind], ...] = (("date", "date"), ("time", "time"))

_K = PhraseKey

CATALOGUE: dict[PhraseKey, PhraseSpec] = {
    _K.WELCOME: PhraseSpec("Welcome to the conference service."),
    _K.WELCOME_SHORT: PhraseSpec("Welcome."),
    _K.ENTER_PIN: PhraseSpec("Please enter your PIN."),
    _K.ENTER_PIN_AGAIN: PhraseSpec("Please enter your PIN again."),
    _K.ENTER_PIN_HELP: PhraseSpec(
        "Please enter the PIN from your invitation, using the keys of your telephone. "
        "To start over, press star."
    ),
    _K.START_OVER: PhraseSpec("Starting over. Please enter your PIN."),
    _K.PIN_GO_ON: PhraseSpec(
        "Your PIN is not complete yet. Please enter the rest of it, or press star to start over."
    ),
    _K.PIN_MISTYPED: PhraseSpec("A digit of that PIN was mistyped."),
    _K.PIN_NOT_RECOGNISED: PhraseSpec("That PIN was not recognised."),
    _K.TOO_MANY_TRIES: PhraseSpec("Please check your PIN with your host, and call again."),
    _K.NO_PIN_HEARD: PhraseSpec("No PIN was entered. Please call again when you have it at hand."),
    _K.CONNECTING: PhraseSpec("One moment. If you have a host PIN, please enter it now."),
    _K.TECHNICAL_PROBLEM: PhraseSpec(
        "Sorry, there is a technical problem. Please call again in a few minutes."
    ),
    _K.CONFERENCE_FULL: PhraseSpec("The conference is full. Please call again later."),
    _K.CONFERENCE_CLOSED: PhraseSpec("The conference is not open yet."),
    _K.OPENS_TODAY: PhraseSpec("Please call again today at {time}.", _TIME),
    _K.OPENS_TOMORROW: PhraseSpec("Please call again tomorrow at {time}.", _TIME),
    _K.OPENS_ON: PhraseSpec("Please call again on {date}, at {time}.", _DATE_TIME),
    _K.CONFERENCE_OVER: PhraseSpec("The conference is over."),
    _K.SERVICE_MAINTENANCE: PhraseSpec(
        "The conference service is in maintenance. Please call again later."
    ),
    _K.JOINING: PhraseSpec("You are joining the conference."),
    _K.FIRST_IN: PhraseSpec("You are the first."),
    _K.OTHERS_HERE: PhraseSpec(
        "There is one other person in the conference."
        "|There are {count} other people in the conference.",
        _COUNT,
    ),
    _K.WAITING_FOR_HOST: PhraseSpec(
        "The host has not arrived yet. Please hold: the conference starts when the host arrives."
    ),
    _K.WAITING_FOR_SECOND: PhraseSpec("Please hold until somebody else arrives."),
    _K.STILL_WAITING: PhraseSpec("Thank you for waiting. Please hold on."),
    _K.HOST_DID_NOT_COME: PhraseSpec("The host has not arrived. Please call again later."),
    _K.NOBODY_CAME: PhraseSpec("Nobody else has arrived. Please call again later."),
    _K.CONFERENCE_STARTS: PhraseSpec("The conference is starting now."),
    _K.PEOPLE_WAITED: PhraseSpec(
        "One person was waiting for you.|{count} people were waiting for you.", _COUNT
    ),
    _K.HOST_LEFT: PhraseSpec(
        "The host has left. The conference ends in one minute unless the host returns."
        "|The host has left. The conference ends in {minutes} minutes unless the host returns.",
        _MINUTES,
    ),
    _K.HOST_RETURNED: PhraseSpec("The host is back. The conference goes on."),
    _K.ENDING_SOON: PhraseSpec(
        "The conference ends in one minute.|The conference ends in {minutes} minutes.", _MINUTES
    ),
    _K.MAINTENANCE_BEGINS: PhraseSpec(
        "The conference service goes into maintenance after this conference. "
        "Whoever drops out can call back. No other conference can start."
    ),
    _K.MAINTENANCE_WITHIN: PhraseSpec(
        "The service stops in one minute at the latest."
        "|The service stops in {minutes} minutes at the latest.",
        _MINUTES,
    ),
    _K.TIME_IS_UP: PhraseSpec("The time of this conference is up."),
    _K.CONFERENCE_ENDED: PhraseSpec("The conference has ended."),
    _K.SERVICE_STOPS: PhraseSpec("The conference service is closing down for maintenance."),
    _K.GOODBYE: PhraseSpec("Goodbye."),
    _K.MUTED: PhraseSpec("You are muted."),
    _K.UNMUTED: PhraseSpec("You can be heard again."),
    _K.COUNT_SPEAKERS: PhraseSpec("There is one speaker.|There are {count} speakers.", _COUNT),
    _K.COUNT_LISTENERS: PhraseSpec("One listener.|{count} listeners.", _COUNT),
    _K.COUNT_WAITING: PhraseSpec("One person is waiting.|{count} people are waiting.", _COUNT),
    _K.KEYS_ARE: PhraseSpec("These are your keys."),
    _K.KEY_MUTE: PhraseSpec("To mute yourself, press star six."),
    _K.KEY_UNMUTE: PhraseSpec("To be heard again, press star six."),
    _K.KEY_COUNT: PhraseSpec("To hear how many people are here, press star, then hash."),
    _K.KEY_HELP: PhraseSpec("To hear this again, press star four."),
    _K.TONE_ENTER: PhraseSpec(""),
    _K.TONE_EXIT: PhraseSpec(""),
    _K.TONE_BEEP: PhraseSpec(""),
}

GREETINGS: dict[str, PhraseKey | None] = {
    "standard": PhraseKey.WELCOME,
    "short": PhraseKey.WELCOME_SHORT,
    "none": None,
}
"""Greetings that a number may be given (`number add --greeting`), and what each one says."""


class Phrase(Struct, frozen=True):
    """One phrase to be said, arguments filled in.

    Attributes:
        key: Which phrase.
        arguments: Name and value of each argument, in the order of its `PhraseSpec`.
    """

    key: PhraseKey
    arguments: tuple[tuple[str, int | str], ...] = ()


def phrase(key: PhraseKey, **arguments: int | str) -> Phrase:
    """Make a phrase, its arguments checked against the catalogue.

    Args:
        key: Which phrase.
        **arguments: Its arguments by name, typed as the table at the top of this module says.

    Returns:
        The phrase, its arguments in catalogue order.

    Raises:
        PhraseError: An argument is missing, unknown or of the wrong type.
    """
    spec = CATALOGUE[key].arguments
    if {name for name, _ in spec} != arguments.keys():
        raise PhraseError(
            f"phrase {key.value!r} takes the arguments {[name for name, _ in spec]}, "
            f"got {sorted(arguments)}"
        )
    for name, kind in spec:
        if not isinstance(arguments[name], _ARGUMENT_TYPES[kind]):
            raise PhraseError(
                f"phrase {key.value!r}: argument {name!r} is of kind {kind!r} and takes "
                f"{_ARGUMENT_TYPES[kind].__name__}, got {type(arguments[name]).__name__}"
            )
    return Phrase(key, tuple((name, arguments[name]) for name, _ in spec))


def greeting_phrase(greeting: str | None) -> Phrase | None:
    """Find what a number's greeting says.

    Args:
        greeting: A key of `GREETINGS`; None means `"standard"`.

    Returns:
        The phrase, or None where the number has no greeting. A name that `GREETINGS` lacks is
        taken for `"standard"`: the setting is checked when it is written, and a caller is not
        turned away for a row written by another version.
    """
    key = GREETINGS.get("standard" if greeting is None else greeting, PhraseKey.WELCOME)
    return None if key is None else Phrase(key)
