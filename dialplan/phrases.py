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
number   int, 0 to 999,999       a number by itself, as of a room
minutes  int, 1 to 1,440         a number of minutes, or of hours and minutes
time     str `"HH:MM"`, 24 h     a time of day
date     str `"YYYY-MM-DD"`      weekday, day and month
digits   str of `0-9*#`          digit by digit, in groups
name     int, a leg              the name that its caller has spoken, a recording of this call
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
    "number": int,
    "minutes": int,
    "time": str,
    "date": str,
    "digits": str,
    "name": int,
}

ArgumentKind = Literal["count", "number", "minutes", "time", "date", "digits", "name"]


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
    # What a host or the mode lets one do.
    STILL_MUTED = "still_muted"
    HOST_MUTED = "host_muted"
    HOST_UNMUTED = "host_unmuted"
    ALL_MUTED = "all_muted"
    ALL_UNMUTED = "all_unmuted"
    NOT_HEARD = "not_heard"
    MODE_CONVERSATION = "mode_conversation"
    MODE_QUESTIONS = "mode_questions"
    MODE_PRESENTATION = "mode_presentation"
    MODE_HOSTS_ONLY = "mode_hosts_only"
    NOW_HOST = "now_host"
    REMOVED = "removed"
    NO_RECORDING = "no_recording"
    LOUDER = "louder"
    SOFTER = "softer"
    NORMAL_VOLUME = "normal_volume"
    ALONE = "alone"
    # Hands and the floor.
    HAND_RAISED = "hand_raised"
    HAND_LOWERED = "hand_lowered"
    NO_HANDS = "no_hands"
    YOUR_TURN = "your_turn"
    YOUR_TURN_MUTED = "your_turn_muted"
    NEXT_HAS_FLOOR = "next_has_floor"
    # The door.
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    KNOCK_SENT = "knock_sent"
    KNOCK = "knock"
    KNOCK_REMOVED = "knock_removed"
    KNOCK_KEYS = "knock_keys"
    KNOCK_ADMITTED = "knock_admitted"
    KNOCK_REFUSED = "knock_refused"
    KNOCK_DECIDED = "knock_decided"
    NOT_ADMITTED = "not_admitted"
    KNOCK_UNANSWERED = "knock_unanswered"
    SOUNDS_CHIME = "sounds_chime"
    SOUNDS_NAME = "sounds_name"
    SOUNDS_OFF = "sounds_off"
    # Names.
    NAME_ASK = "name_ask"
    NAME_AGAIN = "name_again"
    NAME_NEEDED = "name_needed"
    # Dialogues of one person with the keypad.
    HOST_PIN_ENTER = "host_pin_enter"
    ROLL_NOBODY = "roll_nobody"
    ROLL_END = "roll_end"
    ROLL_KEYS = "roll_keys"
    ROLL_IS_HOST = "roll_is_host"
    ROLL_IS_MUTED = "roll_is_muted"
    ROLL_HAND = "roll_hand"
    ROLL_UNMUTED = "roll_unmuted"
    ROLL_FLOOR = "roll_floor"
    ROLL_GONE = "roll_gone"
    CONFIRM_REMOVE = "confirm_remove"
    CONFIRM_HOST = "confirm_host"
    ROLL_REMOVED = "roll_removed"
    ROLL_NOW_HOST = "roll_now_host"
    COACH_KEYS = "coach_keys"
    COACHING = "coaching"
    COACH_ENDED = "coach_ended"
    END_WARNING = "end_warning"
    END_TAKE_BACK = "end_take_back"
    END_WITHDRAWN = "end_withdrawn"
    DIALOGUE_OVER = "dialogue_over"
    # Breakout rooms.
    BREAKOUT_HOW_MANY = "breakout_how_many"
    BREAKOUT_HOW = "breakout_how"
    BREAKOUT_OPEN = "breakout_open"
    BREAKOUT_MENU = "breakout_menu"
    BREAKOUT_RECALL = "breakout_recall"
    BREAKOUT_BACK = "breakout_back"
    BREAKOUT_MAIN = "breakout_main"
    # Dialling out.
    DIAL_ENTER = "dial_enter"
    DIAL_CALLING = "dial_calling"
    DIAL_REFUSED = "dial_refused"
    DIAL_OFF = "dial_off"
    DIAL_BUSY = "dial_busy"
    DIAL_NO_ANSWER = "dial_no_answer"
    DIAL_FAILED = "dial_failed"
    DIAL_INVITED = "dial_invited"
    # With names, numbers and counts.
    KEY_RAISE_HAND = "key_raise_hand"
    KEY_LOWER_HAND = "key_lower_hand"
    KEY_BECOME_HOST = "key_become_host"
    KEY_VOLUME = "key_volume"
    KEY_LOCK = "key_lock"
    KEY_UNLOCK = "key_unlock"
    KEY_MODE = "key_mode"
    KEY_SOUNDS = "key_sounds"
    KEY_ROLL_CALL = "key_roll_call"
    KEY_TAKE_HAND = "key_take_hand"
    KEY_BREAKOUT = "key_breakout"
    KEY_MUTE_ALL = "key_mute_all"
    KEY_UNMUTE_ALL = "key_unmute_all"
    KEY_DIAL_OUT = "key_dial_out"
    KEY_COACH = "key_coach"
    KEY_END_COACH = "key_end_coach"
    KEY_END_ALL = "key_end_all"
    HAS_FLOOR = "has_floor"
    KNOCK_NAMED = "knock_named"
    JOINED_NAME = "joined_name"
    LEFT_NAME = "left_name"
    CALLER_NAME = "caller_name"
    CALLER_NUMBER = "caller_number"
    BREAKOUT_ROOM = "breakout_room"
    BREAKOUT_CHOOSE = "breakout_choose"
    HAND_PLACE = "hand_place"
    HANDS_UP = "hands_up"
    JOINED_COUNT = "joined_count"
    LEFT_COUNT = "left_count"
    # Lines that disturb.
    TOO_LOUD = "too_loud"
    TOO_LOUD_MUTED = "too_loud_muted"
    SOUND_MUTED = "sound_muted"
    OTHER_TOO_LOUD = "other_too_loud"
    OTHER_MUTED = "other_muted"
    LINE_HEARD = "line_heard"
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
_KEYS: tuple[tuple[str, ArgumentKind], ...] = (("keys", "digits"),)
_NAME: tuple[tuple[str, ArgumentKind], ...] = (("name", "name"),)
_NUMBER: tuple[tuple[str, ArgumentKind], ...] = (("number", "number"),)
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
    _K.KEY_MUTE: PhraseSpec("To mute yourself, press {keys}.", _KEYS),
    _K.KEY_UNMUTE: PhraseSpec("To be heard again, press {keys}.", _KEYS),
    _K.KEY_COUNT: PhraseSpec("To hear how many people are here, press {keys}.", _KEYS),
    _K.KEY_HELP: PhraseSpec("To hear your keys, press {keys}.", _KEYS),
    _K.STILL_MUTED: PhraseSpec("You are still muted."),
    _K.HOST_MUTED: PhraseSpec("The host has muted you."),
    _K.HOST_UNMUTED: PhraseSpec("The host has lifted your mute."),
    _K.ALL_MUTED: PhraseSpec("The host has muted everybody."),
    _K.ALL_UNMUTED: PhraseSpec("The host has lifted the mute from everybody."),
    _K.NOT_HEARD: PhraseSpec("You cannot be heard at the moment."),
    _K.MODE_CONVERSATION: PhraseSpec("Everybody can speak now."),
    _K.MODE_QUESTIONS: PhraseSpec(
        "Questions and answers. Callers are muted until they wish to speak."
    ),
    _K.MODE_PRESENTATION: PhraseSpec(
        "Presentation. Callers can be heard when the host gives them the floor."
    ),
    _K.MODE_HOSTS_ONLY: PhraseSpec("Only hosts can be heard now."),
    _K.NOW_HOST: PhraseSpec("You are now a host."),
    _K.REMOVED: PhraseSpec("The host has removed you from the conference."),
    _K.NO_RECORDING: PhraseSpec("Recording is not available."),
    _K.LOUDER: PhraseSpec("Louder."),
    _K.SOFTER: PhraseSpec("Softer."),
    _K.NORMAL_VOLUME: PhraseSpec("Normal volume."),
    _K.ALONE: PhraseSpec("You are the only one in the conference."),
    _K.HAND_RAISED: PhraseSpec("Your hand is raised."),
    _K.HAND_LOWERED: PhraseSpec("Your hand is lowered."),
    _K.NO_HANDS: PhraseSpec("No hand is raised."),
    _K.YOUR_TURN: PhraseSpec("It is your turn to speak. You can be heard now."),
    _K.YOUR_TURN_MUTED: PhraseSpec("It is your turn to speak."),
    _K.NEXT_HAS_FLOOR: PhraseSpec("The next caller has the floor."),
    _K.LOCKED: PhraseSpec("The conference is locked."),
    _K.UNLOCKED: PhraseSpec("The conference is unlocked."),
    _K.KNOCK_SENT: PhraseSpec("The host has been told that you are waiting. Please hold."),
    _K.KNOCK: PhraseSpec("Somebody would like to come in."),
    _K.KNOCK_REMOVED: PhraseSpec("Somebody who was removed would like to come back."),
    _K.KNOCK_KEYS: PhraseSpec("To admit, press one. To refuse, press two."),
    _K.KNOCK_ADMITTED: PhraseSpec("Admitted."),
    _K.KNOCK_REFUSED: PhraseSpec("Refused."),
    _K.KNOCK_DECIDED: PhraseSpec("Another host has decided already."),
    _K.NOT_ADMITTED: PhraseSpec("The host has not let you in."),
    _K.KNOCK_UNANSWERED: PhraseSpec("The host has not answered. Please call again later."),
    _K.SOUNDS_CHIME: PhraseSpec("A tone sounds when somebody comes or goes."),
    _K.SOUNDS_NAME: PhraseSpec("Names are said when somebody comes or goes."),
    _K.SOUNDS_OFF: PhraseSpec("Nothing is heard when somebody comes or goes."),
    _K.NAME_ASK: PhraseSpec("After the tone, please say your name, then press hash."),
    _K.NAME_AGAIN: PhraseSpec("No name was heard."),
    _K.NAME_NEEDED: PhraseSpec("A name is needed to join this conference."),
    _K.HOST_PIN_ENTER: PhraseSpec("Please enter the host PIN."),
    _K.ROLL_NOBODY: PhraseSpec("There is nobody else here."),
    _K.ROLL_END: PhraseSpec("That was everybody."),
    _K.ROLL_KEYS: PhraseSpec(
        "After each name: one, to mute or unmute. Two, to give the floor. Three, to remove. "
        "Four, to make a host. Five, to speak to that caller alone. Hash, for the next. "
        "Star, to stop."
    ),
    _K.ROLL_IS_HOST: PhraseSpec("Host."),
    _K.ROLL_IS_MUTED: PhraseSpec("Muted."),
    _K.ROLL_HAND: PhraseSpec("Hand raised."),
    _K.ROLL_UNMUTED: PhraseSpec("Mute lifted."),
    _K.ROLL_FLOOR: PhraseSpec("Has the floor."),
    _K.ROLL_GONE: PhraseSpec("That caller has left."),
    _K.CONFIRM_REMOVE: PhraseSpec("To remove this caller, press one."),
    _K.CONFIRM_HOST: PhraseSpec("To make this caller a host, press one."),
    _K.ROLL_REMOVED: PhraseSpec("Removed."),
    _K.ROLL_NOW_HOST: PhraseSpec("Is now a host."),
    _K.COACH_KEYS: PhraseSpec("After the name of the caller that you wish to speak to, press one."),
    _K.COACHING: PhraseSpec("That caller alone hears you now."),
    _K.COACH_ENDED: PhraseSpec("Everybody can hear you again."),
    _K.END_WARNING: PhraseSpec("The conference ends in a few seconds."),
    _K.END_TAKE_BACK: PhraseSpec("To take this back, press star."),
    _K.END_WITHDRAWN: PhraseSpec("The conference goes on."),
    _K.DIALOGUE_OVER: PhraseSpec("Cancelled."),
    _K.BREAKOUT_HOW_MANY: PhraseSpec("How many rooms? Please press a key from two to nine."),
    _K.BREAKOUT_HOW: PhraseSpec(
        "To spread everybody evenly, press one. To let people choose, press two."
    ),
    _K.BREAKOUT_OPEN: PhraseSpec("The breakout rooms are open."),
    _K.BREAKOUT_MENU: PhraseSpec(
        "To call everybody back, press one. To visit the next room, press two."
    ),
    _K.BREAKOUT_RECALL: PhraseSpec("The breakout rooms close in one minute."),
    _K.BREAKOUT_BACK: PhraseSpec("You are all back in the conference."),
    _K.BREAKOUT_MAIN: PhraseSpec("You are in the main room."),
    _K.DIAL_ENTER: PhraseSpec("Please enter the number with its country code, then press hash."),
    _K.DIAL_CALLING: PhraseSpec("Calling."),
    _K.DIAL_REFUSED: PhraseSpec("That number cannot be called from here."),
    _K.DIAL_OFF: PhraseSpec("Calling out is not allowed here."),
    _K.DIAL_BUSY: PhraseSpec("The line is busy."),
    _K.DIAL_NO_ANSWER: PhraseSpec("Nobody has answered."),
    _K.DIAL_FAILED: PhraseSpec("The call could not be put through."),
    _K.DIAL_INVITED: PhraseSpec("You are invited to a telephone conference. To join, press one."),
    _K.KEY_RAISE_HAND: PhraseSpec("To raise your hand, press {keys}.", _KEYS),
    _K.KEY_LOWER_HAND: PhraseSpec("To lower your hand, press {keys}.", _KEYS),
    _K.KEY_BECOME_HOST: PhraseSpec("To become a host, press {keys}.", _KEYS),
    _K.KEY_VOLUME: PhraseSpec("To change the volume, press {keys}.", _KEYS),
    _K.KEY_LOCK: PhraseSpec("To lock the conference, press {keys}.", _KEYS),
    _K.KEY_UNLOCK: PhraseSpec("To unlock the conference, press {keys}.", _KEYS),
    _K.KEY_MODE: PhraseSpec("To change who can speak, press {keys}.", _KEYS),
    _K.KEY_SOUNDS: PhraseSpec(
        "To change what is heard when somebody comes or goes, press {keys}.", _KEYS
    ),
    _K.KEY_ROLL_CALL: PhraseSpec("For a roll call, press {keys}.", _KEYS),
    _K.KEY_TAKE_HAND: PhraseSpec("To take the next raised hand, press {keys}.", _KEYS),
    _K.KEY_BREAKOUT: PhraseSpec("For breakout rooms, press {keys}.", _KEYS),
    _K.KEY_MUTE_ALL: PhraseSpec("To mute everybody but hosts, press {keys}.", _KEYS),
    _K.KEY_UNMUTE_ALL: PhraseSpec("To lift the mute from everybody, press {keys}.", _KEYS),
    _K.KEY_DIAL_OUT: PhraseSpec("To call somebody, press {keys}.", _KEYS),
    _K.KEY_COACH: PhraseSpec("To speak to one caller alone, press {keys}.", _KEYS),
    _K.KEY_END_COACH: PhraseSpec("To be heard by everybody again, press {keys}.", _KEYS),
    _K.KEY_END_ALL: PhraseSpec("To end the conference for everybody, press {keys}.", _KEYS),
    _K.HAS_FLOOR: PhraseSpec("{name} has the floor.", _NAME),
    _K.KNOCK_NAMED: PhraseSpec("{name} would like to come in.", _NAME),
    _K.JOINED_NAME: PhraseSpec("{name} has joined.", _NAME),
    _K.LEFT_NAME: PhraseSpec("{name} has left.", _NAME),
    _K.CALLER_NAME: PhraseSpec("{name}.", _NAME),
    _K.CALLER_NUMBER: PhraseSpec("Caller {number}.", _NUMBER),
    _K.BREAKOUT_ROOM: PhraseSpec("You are in room {number}.", _NUMBER),
    _K.BREAKOUT_CHOOSE: PhraseSpec(
        "Please press the number of the room you wish to join, from one to {number}.", _NUMBER
    ),
    _K.HAND_PLACE: PhraseSpec("You are first in line.|You are number {count} in line.", _COUNT),
    _K.HANDS_UP: PhraseSpec("One hand is raised.|{count} hands are raised.", _COUNT),
    _K.JOINED_COUNT: PhraseSpec("One person has joined.|{count} people have joined.", _COUNT),
    _K.LEFT_COUNT: PhraseSpec("One person has left.|{count} people have left.", _COUNT),
    _K.TOO_LOUD: PhraseSpec("Your line is very loud. It has been turned down."),
    _K.TOO_LOUD_MUTED: PhraseSpec(
        "Your line is too loud and is muted. You can be heard again when it is quieter."
    ),
    _K.SOUND_MUTED: PhraseSpec(
        "There is music or noise on your line, and it is muted. Just speak to be heard again."
    ),
    _K.OTHER_TOO_LOUD: PhraseSpec("A line that is very loud has been turned down."),
    _K.OTHER_MUTED: PhraseSpec("A line that disturbed the conference is muted."),
    _K.LINE_HEARD: PhraseSpec("Your line can be heard again."),
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
