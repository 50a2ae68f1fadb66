"""Speaking to one listener: turns, subjects, cuts, guards."""

from dialplan.actions import Say, StartTimer, StopSay, StopTimer
from dialplan.phrases import PhraseKey, phrase
from dialplan.speech import Listener, Speech, Subject
from dialplan.timers import Timers

K = PhraseKey
Action = Say | StopSay | StartTimer | StopTimer


def speaking() -> tuple[Speech, Listener, list[Action]]:
    """Make a listener and somebody who speaks to them."""
    done: list[Action] = []
    return Speech(done.append, Timers(done.append), 60.0), Listener(7), done


def said(done: list[Action]) -> list[PhraseKey]:
    """Name what was said, in order."""
    return [each.key for action in done if isinstance(action, Say) for each in action.phrases]


def test_one_sentence_at_a_time_under_a_guard() -> None:
    """The second waits for the first, and each has a timer for the case that its end is lost."""
    speech, listener, done = speaking()
    speech.tell(listener, Subject.ENTRY, phrase(K.JOINING))
    speech.tell(listener, Subject.START, phrase(K.CONFERENCE_STARTS))
    assert done == [Say(7, 1, (phrase(K.JOINING),)), StartTimer("say:7", 60.0)]
    speech.ended(listener)
    assert speech.go_on(listener)
    assert done[2:] == [
        StopTimer("say:7"),
        Say(7, 2, (phrase(K.CONFERENCE_STARTS),)),
        StartTimer("say:7", 60.0),
    ]
    speech.ended(listener)
    assert not speech.go_on(listener)


def test_of_one_subject_only_the_newest_waits() -> None:
    """Old news is dropped, and the queue is never longer than there are subjects."""
    speech, listener, done = speaking()
    speech.tell(listener, Subject.ENTRY, phrase(K.JOINING))
    for minutes in (10, 5, 1):
        speech.tell(listener, Subject.ENDING, phrase(K.ENDING_SOON, minutes=minutes))
    assert listener.pending == 1
    speech.cut(listener)
    speech.go_on(listener)
    assert done[-2] == Say(7, 2, (phrase(K.ENDING_SOON, minutes=1),))


def test_the_answer_to_a_key_comes_before_what_waits() -> None:
    """It cuts what is being said to that listener, and the news follow."""
    speech, listener, done = speaking()
    speech.tell(listener, Subject.ENTRY, phrase(K.JOINING))
    speech.tell(listener, Subject.HOST, phrase(K.HOST_RETURNED))
    speech.answer(listener, phrase(K.MUTED))
    assert StopSay(7, 1) in done
    assert said(done) == [K.JOINING, K.MUTED]
    speech.ended(listener)
    speech.go_on(listener)
    assert said(done)[-1] is K.HOST_RETURNED


def test_cutting_silence_does_nothing() -> None:
    """There is nothing to stop."""
    speech, listener, done = speaking()
    speech.cut(listener)
    assert done == []


def test_what_waits_can_be_forgotten_by_subject_or_altogether() -> None:
    """One subject, or everything for the last words."""
    speech, listener, _ = speaking()
    for subject in (Subject.ENTRY, Subject.HOST, Subject.WAITING, Subject.ENDING):
        speech.tell(listener, subject, phrase(K.GOODBYE))
    listener.forget(Subject.WAITING)
    assert listener.pending == 2
    listener.forget()
    assert listener.pending == 0
