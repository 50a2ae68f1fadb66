"""The call flow, told as callers' stories."""

from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from dialplan.actions import CheckPin, HangUp, Join, Leave, PassDigit, Play
from dialplan.call_flow import CallFlow, FlowState
from dialplan.causes import EndCause, Refusal
from dialplan.errors import UnexpectedEventError
from dialplan.events import (
    Answered,
    CallEvent,
    Closed,
    CloseRequested,
    Digit,
    Ended,
    Full,
    HungUp,
    InMaintenance,
    JoinAnswered,
    Joined,
    JoinFailed,
    JoinOutcome,
    MediaStarted,
    NumberInfo,
    PinChecked,
    PinFound,
    PinResult,
    PinRevoked,
    PinThrottled,
    PinUnavailable,
    PinUnknown,
    PromptDone,
    Released,
    TimerFired,
)
from dialplan.phrases import PhraseKey
from dialplan.pins import check_digit, generate
from tests.dialplan.driver import CallDriver

K = PhraseKey
PIN = generate(Random(1), 9)
MISTYPED = PIN[:-1] + str((int(PIN[-1]) + 1) % 10)
FOUND = PinFound(7, "guest")
REFUSALS: tuple[PinResult, ...] = (PinUnknown(), PinRevoked(), PinThrottled())
PINLESS = NumberInfo("1000", pinless_conference=7)


def in_conference() -> CallDriver:
    """Bring a caller into a conference."""
    return CallDriver().answer().press(PIN).found(FOUND).joined(Joined(waiting=False))


# --- the greeting ------------------------------------------------------------------------------


def test_greeting_comes_400_ms_after_the_path_is_cut_through() -> None:
    """Between 300 and 500 ms after ACK or the first RTP, and not before."""
    call = CallDriver()
    call.send(Answered(call.clock.now, call.number))
    call.wait(2.0)
    assert call.playing is None
    call.send(MediaStarted(call.clock.now))
    call.wait(0.3)
    assert call.playing is None
    call.send(MediaStarted(call.clock.now))
    call.wait(0.2)
    assert call.heard == [K.WELCOME, K.ENTER_PIN]


def test_greeting_comes_even_if_neither_ack_nor_rtp_does() -> None:
    """A path that never reports is greeted after a few seconds."""
    call = CallDriver()
    call.send(Answered(call.clock.now, call.number))
    call.wait(5.0)
    assert call.heard == [K.WELCOME, K.ENTER_PIN]
    call.send(MediaStarted(call.clock.now))
    assert call.flow.state is FlowState.COLLECTING


@pytest.mark.parametrize(
    ("greeting", "said"),
    [("short", [K.WELCOME_SHORT, K.ENTER_PIN]), ("none", [K.ENTER_PIN])],
)
def test_a_number_has_its_own_greeting(greeting: str, said: list[PhraseKey]) -> None:
    """The number dialled decides how callers are greeted."""
    assert CallDriver(NumberInfo("1000", greeting=greeting)).answer().heard == said


def test_a_digit_cuts_the_greeting() -> None:
    """Barge-in: the first digit stops the prompt and counts."""
    call = CallDriver().answer().press(PIN[0])
    assert call.playing is None
    call.press(PIN[1:])
    assert call.asked is not None
    assert call.asked.pin == PIN


@pytest.mark.parametrize("keys", ["*", "#", "*#*#", "A", "#D"])
def test_lone_keys_do_not_cut_the_greeting(keys: str) -> None:
    """A stray `*` or `#` changes nothing."""
    call = CallDriver().answer().press(keys)
    assert call.heard == [K.WELCOME, K.ENTER_PIN]
    assert call.playing is not None


@pytest.mark.parametrize("cut_through", [False, True])
def test_digits_before_the_greeting_count(*, cut_through: bool) -> None:
    """Who dials on from memory is not asked for what is keyed already."""
    call = CallDriver()
    call.send(Answered(call.clock.now, call.number))
    if cut_through:
        call.send(MediaStarted(call.clock.now))
    call.press("*#" + PIN, gap_s=0.05)
    assert call.asked is not None
    assert call.heard == []


# --- the PIN -----------------------------------------------------------------------------------


def test_a_right_pin_opens_the_door_at_its_last_digit() -> None:
    """Complete at its length: no `#`, no timer, no wait."""
    call = CallDriver().answer().press(PIN)
    assert [check.pin for check in call.checks] == [PIN]
    call.found(FOUND)
    assert call.join == Join(7, "guest")
    call.joined(Joined(waiting=False))
    assert call.flow.state is FlowState.IN_CONFERENCE
    assert call.flow.conference == 7


def test_the_role_comes_from_the_pin() -> None:
    """A host PIN makes a host; a single-use code brings its name."""
    call = CallDriver().answer().press(PIN).found(PinFound(7, "host", "Ada"))
    assert call.join is not None
    assert (call.join.role, call.join.name) == ("host", "Ada")


def test_one_hash_after_the_pin_is_swallowed_on_both_sides_of_the_door() -> None:
    """`#` out of habit never becomes the first key of a command."""
    call = CallDriver().answer().press(PIN).found(FOUND).joined(Joined(waiting=False))
    call.press("#").wait(3.0).press("*#")
    assert call.passed == "*#"


def test_a_hash_while_the_pin_is_looked_up_is_swallowed() -> None:
    """The look-up's speed does not decide what `#` means."""
    call = CallDriver().answer().press(PIN + "#").found(FOUND).joined(Joined(waiting=False))
    call.press("#")
    assert call.passed == "#"


def test_star_starts_over() -> None:
    """What was keyed is forgotten, and the caller is told so."""
    call = CallDriver().answer().press("12*")
    assert call.heard[-1] is K.START_OVER
    call.press(PIN)
    assert call.checks[0].pin == PIN


def test_a_mistyped_pin_is_told_without_a_look_up() -> None:
    """A wrong check digit is a slip, known at once."""
    call = CallDriver().answer().press(MISTYPED)
    assert call.heard[-2:] == [K.PIN_MISTYPED, K.ENTER_PIN_AGAIN]
    assert call.checks == []
    assert call.refusals == [Refusal.PIN_MISTYPED]


def test_hash_too_early_is_mistyped() -> None:
    """A PIN that lacks digits is a slip, too."""
    call = CallDriver().answer().press(PIN[:5] + "#")
    assert call.heard[-2] is K.PIN_MISTYPED


@pytest.mark.parametrize("result", REFUSALS)
@pytest.mark.parametrize("answered_after_s", [0.0, 0.3, 0.99])
def test_every_check_valid_refusal_sounds_and_lasts_the_same(
    result: PinResult, answered_after_s: float
) -> None:
    """Unknown, revoked and throttled cannot be told apart by words or time."""
    call = CallDriver().answer().press(PIN)
    call.wait(answered_after_s).found(result).wait(0.999 - answered_after_s)
    assert call.heard[-1] is K.ENTER_PIN
    call.wait(0.002)
    assert call.heard[-2:] == [K.PIN_NOT_RECOGNISED, K.ENTER_PIN_AGAIN]


@pytest.mark.parametrize("result", [*REFUSALS, FOUND])
def test_the_guess_limits_delay_right_and_wrong_alike(result: PinResult) -> None:
    """The delay counts from the last digit and holds for every answer."""
    call = CallDriver().answer().press(PIN).wait(0.5).found(result, delay_s=3.0)
    call.wait(2.4)
    assert call.flow.state is FlowState.HOLDING
    call.wait(0.2)
    assert call.flow.state is not FlowState.HOLDING


def test_refusals_are_recorded_with_their_true_reason() -> None:
    """The record tells apart what the caller cannot."""
    call = CallDriver().answer()
    for result in REFUSALS:
        call.press(PIN).found(result).wait(2.0)
    assert call.refusals == [Refusal.PIN_UNKNOWN, Refusal.PIN_REVOKED, Refusal.PIN_THROTTLED]


def test_three_refusals_end_the_call() -> None:
    """Too many tries: said, goodbye, hang up."""
    call = CallDriver().answer()
    for _ in range(3):
        call.press(PIN).found(PinUnknown()).wait(1.5)
    assert call.heard[-3:] == [K.PIN_NOT_RECOGNISED, K.TOO_MANY_TRIES, K.GOODBYE]
    call.press("1*#").hear_out()
    assert call.hung_up is EndCause.TOO_MANY_TRIES


def test_five_slips_end_the_call() -> None:
    """Slips are forgiven longer than wrong PINs, but not for ever."""
    call = CallDriver().answer()
    for _ in range(5):
        assert call.hung_up is None
        call.press(MISTYPED).wait(2.0)
    call.hear_out()
    assert call.hung_up is EndCause.TOO_MANY_TRIES
    assert call.refusals == [Refusal.PIN_MISTYPED] * 5


def test_a_slip_then_the_right_pin() -> None:
    """After a slip everything is as before."""
    call = CallDriver().answer().press(MISTYPED).wait(1.5).press(PIN)
    call.found(FOUND).joined(Joined(waiting=False))
    assert call.flow.state is FlowState.IN_CONFERENCE


@pytest.mark.parametrize("gap_s", [0.05, 0.3, 0.9])
def test_two_hundred_digits_are_one_slip(gap_s: float) -> None:
    """A keypad gone mad costs one try, and the caller hears what is wrong."""
    call = CallDriver().answer().press((MISTYPED * 25)[:200], gap_s=gap_s)
    assert call.refusals == [Refusal.PIN_MISTYPED]
    assert call.heard[2:4] == [K.PIN_MISTYPED, K.ENTER_PIN_AGAIN]


def test_a_digit_too_many_is_no_key_press_in_the_conference() -> None:
    """Digits that run on from a right PIN are forgotten."""
    call = CallDriver().answer().press(PIN).found(FOUND).joined(Joined(waiting=False))
    call.press("33").wait(1.5).press("*6")
    assert call.passed == "*6"


def test_a_look_up_that_fails_is_not_the_callers_fault() -> None:
    """A database that does not answer: an apology, not a refusal of the PIN."""
    call = CallDriver().answer().press(PIN).found(PinUnavailable())
    assert call.heard[-2:] == [K.TECHNICAL_PROBLEM, K.GOODBYE]
    assert call.refusals == [Refusal.TECHNICAL]


def test_an_answer_to_an_earlier_look_up_decides_nothing() -> None:
    """A second answer to the first PIN does not let the second one in."""
    call = CallDriver().answer().press(PIN).found(PinUnknown()).wait(1.5).press(PIN)
    call.send(PinChecked(call.clock.now, call.checks[0].query, FOUND))
    assert call.flow.state is FlowState.CHECKING
    call.found(PinUnknown()).wait(1.5)
    assert call.joins == []


def test_a_look_up_that_never_answers_ends_politely() -> None:
    """The wait has an end, and a late answer changes nothing."""
    call = CallDriver().answer().press(PIN).wait(15.0)
    assert call.heard[-2:] == [K.TECHNICAL_PROBLEM, K.GOODBYE]
    call.found(FOUND).hear_out()
    assert call.hung_up is EndCause.TECHNICAL
    assert call.joins == []


# --- silence -----------------------------------------------------------------------------------


def test_a_caller_who_keys_nothing_is_reminded_then_let_go() -> None:
    """For about two minutes of silence the bridge asks again, ever more seldom; then goodbye."""
    call = CallDriver().answer()
    start = call.clock.now
    reminders = 0
    while call.flow.state is FlowState.COLLECTING:
        call.hear_out(5.0)
        while call.playing is None:
            call.wait(1.0)
        reminders += call.heard[-1] is K.ENTER_PIN_HELP
    assert reminders == 5
    assert 120.0 < call.clock.now - start < 240.0
    assert call.heard[-2:] == [K.NO_PIN_HEARD, K.GOODBYE]
    call.hear_out()
    assert call.hung_up is EndCause.NO_PIN
    assert call.refusals == [Refusal.NO_PIN]


def test_a_pause_within_the_pin_is_patience_not_failure() -> None:
    """Who has to turn the page is helped on, and keeps the digits keyed so far."""
    call = CallDriver().answer().press(PIN[:4]).wait(11.0)
    assert call.heard[-1] is K.PIN_GO_ON
    call.press(PIN[4:])
    assert call.checks[0].pin == PIN


def test_who_keys_slowly_gets_in() -> None:
    """A digit every fifteen seconds is progress: each one earns the same patience again."""
    call = CallDriver().answer().press(PIN, gap_s=15.0)
    assert set(call.heard[2:]) == {K.PIN_GO_ON}
    assert call.checks[0].pin == PIN


def test_a_pin_left_unfinished_ends_like_silence() -> None:
    """Half a PIN does not hold the line for ever."""
    call = CallDriver().answer().press(PIN[:4])
    while call.flow.state is FlowState.COLLECTING:
        if call.playing is not None:
            call.hear_out()
        else:
            call.wait(1.0)
    assert K.START_OVER in call.heard
    assert call.heard[-2:] == [K.NO_PIN_HEARD, K.GOODBYE]


def test_a_keypad_that_never_rests_ends_too() -> None:
    """Starting over again and again ends after a quarter of an hour."""
    call = CallDriver().answer()
    while call.flow.state is FlowState.COLLECTING:
        call.press("1*", gap_s=5.0)
    assert call.clock.now < 100.0 + 920.0
    call.hear_out()
    assert call.hung_up is EndCause.NO_PIN


def test_a_prompt_whose_end_is_never_told_does_not_hold_the_call() -> None:
    """A lost report of a prompt's end is made up for by its guard."""
    call = CallDriver().answer().wait(60.0)
    assert call.playing is None
    call.wait(8.0)
    assert call.heard[-1] is K.ENTER_PIN_HELP


# --- the conference's answer -------------------------------------------------------------------


def test_full_is_said_after_a_right_pin() -> None:
    """Capacity is spoken, recorded, and ends the call."""
    call = CallDriver().answer().press(PIN).found(FOUND).joined(Full())
    assert call.heard[-2:] == [K.CONFERENCE_FULL, K.GOODBYE]
    call.hear_out()
    assert call.hung_up is EndCause.FULL
    assert call.refusals == [Refusal.FULL]


def test_closed_says_when_to_call_back() -> None:
    """Outside its hours the conference names its opening time."""
    now = datetime(2026, 3, 2, 7, 0, tzinfo=ZoneInfo("Europe/Stockholm"))
    call = CallDriver().answer().press(PIN).found(FOUND)
    call.joined(Closed(now, now + timedelta(hours=2)))
    assert call.playing is not None
    assert call.heard[-3:] == [K.CONFERENCE_CLOSED, K.OPENS_TODAY, K.GOODBYE]
    assert call.playing.phrases[1].arguments == (("time", "09:00"),)
    call.hear_out()
    assert call.hung_up is EndCause.CLOSED


@pytest.mark.parametrize(
    ("outcome", "said", "cause"),
    [
        (Ended(), K.CONFERENCE_ENDED, EndCause.CONFERENCE_ENDED),
        (InMaintenance(), K.SERVICE_MAINTENANCE, EndCause.MAINTENANCE),
        (JoinFailed(), K.TECHNICAL_PROBLEM, EndCause.TECHNICAL),
    ],
)
def test_other_answers_end_politely(outcome: JoinOutcome, said: PhraseKey, cause: EndCause) -> None:
    """Whatever the conference answers, the caller hears why."""
    call = CallDriver().answer().press(PIN).found(FOUND).joined(outcome)
    assert call.heard[-2:] == [said, K.GOODBYE]
    call.hear_out()
    assert call.hung_up is cause


def test_last_words_are_not_cut_by_keys() -> None:
    """Goodbye is heard to its end, or to the end of its guard."""
    call = CallDriver().answer().press(PIN).found(FOUND).joined(Full()).press("123*#")
    assert call.playing is not None
    call.wait(60.0)
    assert call.hung_up is EndCause.FULL


def test_a_conference_that_never_answers_is_given_up() -> None:
    """The wait has an end; should it answer after all, it is told to forget the caller."""
    call = CallDriver().answer().press(PIN).found(FOUND).wait(15.0)
    assert call.left == 1
    assert call.heard[-2:] == [K.TECHNICAL_PROBLEM, K.GOODBYE]
    assert call.send(JoinAnswered(call.clock.now, Joined(waiting=False))) == [Leave()]
    call.hear_out()
    assert call.hung_up is EndCause.TECHNICAL


def test_the_conference_lets_go_and_the_call_ends() -> None:
    """Released: nothing more is said here."""
    call = in_conference()
    actions = call.send(Released(call.clock.now, EndCause.TIME_LIMIT))
    assert actions == [HangUp(EndCause.TIME_LIMIT)]


# --- entry without a PIN -----------------------------------------------------------------------


def test_an_asserted_caller_enters_without_a_pin_as_guest() -> None:
    """Opt-in: greeting, a moment for a host to key a PIN, and in."""
    call = CallDriver(PINLESS, caller_key="k1").answer()
    assert call.heard == [K.WELCOME, K.CONNECTING]
    call.hear_out()
    assert call.join == Join(7, "guest", pinless=True)


def test_a_host_keys_a_pin_where_none_is_needed() -> None:
    """The host's PIN still makes a host."""
    call = CallDriver(PINLESS, caller_key="k1").answer().press(PIN)
    call.found(PinFound(7, "host"))
    assert call.joins == [Join(7, "host")]


@pytest.mark.parametrize("caller_key", [None])
def test_a_claimed_number_is_no_ground_for_a_right(caller_key: str | None) -> None:
    """Callers whom no trunk asserts key their PIN."""
    call = CallDriver(PINLESS, caller_key=caller_key).answer()
    assert call.heard == [K.WELCOME, K.ENTER_PIN]
    call.hear_out()
    assert call.joins == []


# --- hanging up and closing --------------------------------------------------------------------


def _stages() -> list[CallDriver]:
    """Bring a call to every state there is."""
    new, cutting, settling = CallDriver(), CallDriver(), CallDriver()
    for call in (cutting, settling):
        call.send(Answered(call.clock.now, call.number))
    settling.send(MediaStarted(settling.clock.now))
    ended = CallDriver().answer().hang_up()
    return [
        new,
        cutting,
        settling,
        CallDriver().answer(),
        CallDriver().answer().press(PIN),
        CallDriver().answer().press(PIN).found(PinUnknown()),
        CallDriver().answer().press(PIN).found(FOUND),
        in_conference(),
        CallDriver().answer().press(PIN).found(FOUND).joined(Full()),
        ended,
    ]


def test_the_stages_are_all_the_states() -> None:
    """The tests below see every state."""
    assert [call.flow.state for call in _stages()] == list(FlowState)


@pytest.mark.parametrize("stage", range(len(FlowState)))
def test_hang_up_at_every_step(stage: int) -> None:
    """Hanging up leaves no prompt, no timer and no place in a conference behind."""
    call = _stages()[stage].hang_up()
    assert call.flow.state is FlowState.ENDED
    assert call.hung_up is None
    in_or_on_the_way = {FlowState.JOINING, FlowState.IN_CONFERENCE}
    assert call.left == (_stages()[stage].flow.state in in_or_on_the_way)


@pytest.mark.parametrize("keys", range(len(PIN) + 1))
def test_hang_up_after_every_digit(keys: int) -> None:
    """At each digit of the PIN the caller may be gone."""
    call = CallDriver().answer().press(PIN[:keys]).hang_up()
    assert call.flow.state is FlowState.ENDED


@pytest.mark.parametrize("stage", range(len(FlowState)))
@pytest.mark.parametrize("reason", ["shutdown", "administrator"])
def test_the_bridge_closes_at_every_step(stage: int, reason: str) -> None:
    """A closing bridge says goodbye where somebody may hear it, and ends every call."""
    call = _stages()[stage]
    before = call.flow.state
    call.send(
        CloseRequested(call.clock.now, "shutdown" if reason == "shutdown" else "administrator")
    )
    if before in {FlowState.NEW, FlowState.CUTTING_THROUGH}:
        assert call.heard == []
    elif before is not FlowState.ENDED:
        assert call.heard[-1] is K.GOODBYE
        call.hear_out()
    assert call.flow.state is FlowState.ENDED
    assert (call.hung_up is None) is (before is FlowState.ENDED)


# --- the table ---------------------------------------------------------------------------------

_EVENTS: tuple[CallEvent, ...] = (
    Answered(200.0, NumberInfo("1000")),
    MediaStarted(200.0),
    Digit(200.0, "*"),
    PromptDone(200.0, 999),
    TimerFired(200.0, "no such timer"),
    PinChecked(200.0, 999, PinUnknown()),
    JoinAnswered(200.0, Ended()),
    Released(200.0, EndCause.ADMINISTRATOR),
    HungUp(200.0),
)


@pytest.mark.parametrize("stage", range(len(FlowState)))
@pytest.mark.parametrize("event", _EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_in_the_table_or_changes_nothing(stage: int, event: CallEvent) -> None:
    """What a state does not know raises, and the call goes on as if nothing had come."""
    call = _stages()[stage]
    before = (call.flow.state, call.flow.timers, call.flow.playing)
    if type(event) in CallFlow._TABLE[call.flow.state]:
        call.flow.handle(event)
        return
    with pytest.raises(UnexpectedEventError) as caught:
        call.flow.handle(event)
    assert (call.flow.state, call.flow.timers, call.flow.playing) == before
    assert caught.value.state == before[0].name
    assert caught.value.event == type(event).__name__


def test_answered_twice_is_an_error() -> None:
    """A call is answered once."""
    with pytest.raises(UnexpectedEventError, match="Answered in state COLLECTING"):
        CallDriver().answer().flow.handle(Answered(200.0, NumberInfo("1000")))


def test_nothing_shows_digits() -> None:
    """No repr of event or action holds a digit that was keyed."""
    call = CallFlow()
    call.handle(Answered(0.0, NumberInfo("1000")))
    body = "29876543"
    pin = body + check_digit(body)
    shown = "".join(
        repr(event) + repr(call.handle(event)) for event in (Digit(1.0, digit) for digit in pin)
    )
    assert "CheckPin(query=1)" in shown
    assert pin not in shown.replace(" ", "")
    assert "Digit(at=1.0)" in shown
    assert repr(PassDigit("7")) == "PassDigit()"
    assert "Ada" not in repr(PinFound(1, "guest", "Ada")) + repr(Join(1, "guest", "Ada"))
    assert isinstance(CheckPin(1, pin), CheckPin)


def test_a_prompt_says_whether_a_key_will_cut_it() -> None:
    """Requests can be cut, last words cannot."""
    call = CallDriver().answer()
    assert isinstance(call.playing, Play)
    assert call.playing.barge_in
    call.send(CloseRequested(call.clock.now, "shutdown"))
    assert not call.playing.barge_in
