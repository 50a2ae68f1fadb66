"""Who was called: asked, let in with 1, let go without it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan import actions, events
from dialplan.causes import EndCause
from dialplan.errors import UnexpectedEventError
from dialplan.outgoing_flow import OutgoingFlow, OutgoingState, OutgoingTimes
from dialplan.phrases import PhraseKey

NUMBER = events.NumberInfo(number="+18005550100")


class Callee:
    """A flow that was answered."""

    def __init__(self) -> None:
        self.flow = OutgoingFlow(7, OutgoingTimes(longest_s=600.0))
        self.at = 0.0
        self.said = self.tell(events.Answered(self.at, NUMBER, None))

    def tell(self, event: events.CallEvent) -> list[actions.CallAction]:
        """Tell the flow."""
        return self.flow.handle(event)

    def key(self, digit: str) -> list[actions.CallAction]:
        """Press a key."""
        return self.tell(events.Digit(self.at, digit))

    def timer(self, name: str) -> list[actions.CallAction]:
        """Let a timer run out."""
        return self.tell(events.TimerFired(self.at, name))

    def join(self) -> list[actions.CallAction]:
        """Press 1, and be let in."""
        self.key("1")
        return self.tell(events.JoinAnswered(self.at, events.Joined(waiting=False)))


def keys_of(said: list[actions.CallAction]) -> list[PhraseKey]:
    """Return what is said."""
    return [part.key for each in said if isinstance(each, actions.Play) for part in each.phrases]


def hung_up(said: list[actions.CallAction]) -> EndCause | None:
    """Return why it was hung up."""
    causes = [each.cause for each in said if isinstance(each, actions.HangUp)]
    return causes[0] if causes else None


def test_who_is_called_hears_what_for_and_presses_one() -> None:
    """The question at once; 1 cuts it and asks the conference, as a guest."""
    callee = Callee()
    assert keys_of(callee.said) == [PhraseKey.DIAL_INVITED]
    assert actions.StartTimer("answer", 25.0) in callee.said
    assert actions.StartTimer("longest", 600.0) in callee.said
    said = callee.key("1")
    assert actions.StopPlay(1) in said
    assert said[-1] == actions.Join(7, "guest")
    callee.tell(events.JoinAnswered(0.0, events.Joined(waiting=False)))
    assert callee.flow.state is OutgoingState.IN_CONFERENCE
    assert callee.key("*") == [actions.PassDigit("*")]


def test_other_keys_are_no_consent() -> None:
    """Only 1 is."""
    callee = Callee()
    for digit in "023456789*#":
        assert callee.key(digit) == []
    assert callee.flow.state is OutgoingState.ASKING


def test_the_question_is_asked_again_and_voicemail_is_let_go() -> None:
    """It never presses 1: hung up in time, though the question is still being asked."""
    callee = Callee()
    assert actions.StartTimer("again", 2.0) in callee.tell(events.PromptDone(1.0, 1))
    assert keys_of(callee.timer("again")) == [PhraseKey.DIAL_INVITED]
    said = callee.timer("answer")
    assert hung_up(said) is EndCause.NOT_ACCEPTED
    assert actions.StopPlay(2) in said
    assert callee.flow.state is OutgoingState.ENDED


def test_a_call_ends_when_its_money_does() -> None:
    """Within the conference: it leaves first."""
    callee = Callee()
    callee.join()
    said = callee.timer("longest")
    assert said[0] == actions.Leave()
    assert hung_up(said) is EndCause.TIME_LIMIT


def test_a_conference_that_is_full_says_goodbye() -> None:
    """Whatever the refusal."""
    callee = Callee()
    callee.key("1")
    said = callee.tell(events.JoinAnswered(0.0, events.Full()))
    assert keys_of(said) == [PhraseKey.GOODBYE]
    assert hung_up(callee.tell(events.PromptDone(1.0, 2))) is EndCause.CONFERENCE_ENDED


def test_the_conference_lets_go() -> None:
    """Removed, or at its end: the cause is its own."""
    callee = Callee()
    callee.join()
    assert hung_up(callee.tell(events.Released(0.0, EndCause.REMOVED))) is EndCause.REMOVED


def test_a_telephone_that_rings_is_told_nothing() -> None:
    """The bridge stops before anybody answers."""
    flow = OutgoingFlow(7)
    said = flow.handle(events.CloseRequested(0.0, "shutdown"))
    assert hung_up(said) is EndCause.SHUTDOWN
    assert keys_of(said) == []


@pytest.mark.parametrize("joined", [False, True])
def test_the_bridge_stops(*, joined: bool) -> None:
    """Goodbye, out of the conference first."""
    callee = Callee()
    if joined:
        callee.join()
    said = callee.tell(events.CloseRequested(0.0, "shutdown"))
    assert (actions.Leave() in said) == joined
    assert keys_of(said) == [PhraseKey.GOODBYE]
    assert hung_up(callee.timer("prompt")) is EndCause.SHUTDOWN


def test_who_is_let_in_too_late_is_taken_out_again() -> None:
    """The caller hung up while the conference was asked."""
    callee = Callee()
    callee.key("1")
    assert callee.tell(events.HungUp(0.0, "caller"))[0] == actions.Leave()
    assert callee.tell(events.JoinAnswered(0.0, events.Joined(waiting=False))) == [actions.Leave()]


def test_an_event_before_its_time_changes_nothing() -> None:
    """A key before the answer is a fault of the shell's."""
    flow = OutgoingFlow(7)
    with pytest.raises(UnexpectedEventError):
        flow.handle(events.Digit(0.0, "1"))
    assert flow.state is OutgoingState.NEW


_EVENTS = st.one_of(
    st.sampled_from("0123456789*#").map(lambda digit: events.Digit(0.0, digit)),
    st.sampled_from(["answer", "again", "longest", "prompt", "odd"]).map(
        lambda timer: events.TimerFired(0.0, timer)
    ),
    st.integers(0, 4).map(lambda play: events.PromptDone(0.0, play)),
    st.sampled_from(
        [
            events.MediaStarted(0.0),
            events.JoinAnswered(0.0, events.Joined(waiting=False)),
            events.JoinAnswered(0.0, events.Full()),
            events.Released(0.0, EndCause.REMOVED),
            events.CloseRequested(0.0, "administrator"),
            events.HungUp(0.0, "caller"),
        ]
    ),
)


@given(st.lists(_EVENTS, max_size=40))
def test_nobody_comes_in_without_a_one_and_the_end_comes_once(
    told: list[events.CallEvent],
) -> None:
    """Whatever the order: one `Join` at most, after a 1; one `HangUp` at most, and then silence."""
    callee = Callee()
    pressed = joins = ends = plays = 0
    for event in told:
        try:
            said = callee.tell(event)
        except UnexpectedEventError:
            continue
        asking = callee.flow.state
        pressed += isinstance(event, events.Digit) and event.digit == "1"
        joins += sum(isinstance(each, actions.Join) for each in said)
        assert joins <= min(pressed, 1)
        assert not (ends and any(isinstance(each, actions.Play | actions.Join) for each in said))
        ends += sum(isinstance(each, actions.HangUp) for each in said)
        plays += len(keys_of(said))
        assert ends <= 1
        assert asking is not OutgoingState.NEW
