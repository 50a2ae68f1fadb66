"""What control remembers of a leg, and what it hands on of it."""

from typing import cast

import numpy as np

from bridge.held_legs import ADDED_UP, HeldLeg
from bridge.media.messages import (
    BeginTrace,
    ChangeLeg,
    Command,
    DigitInfo,
    EndTrace,
    LegGiven,
    LegMedia,
    LegStatistics,
    OpenLeg,
    Place,
    Play,
    SetVolume,
    StopPlay,
)
from bridge.media.page import Records
from bridge.media.ports import MediaPair, open_pair
from bridge.posts import Busy, Post

KIND = np.dtype(
    [
        (f"{player}.{name}", "<i8")
        for player in ("foreground", "background")
        for name in ("play", "clip", "left")
    ]
)
MEDIA = LegMedia(codec="PCMU", payload_type=0)
NO_PAIR = cast("MediaPair", None)


def held(pair: MediaPair = NO_PAIR) -> HeldLeg:
    """Return a leg."""
    opened = OpenLeg(leg=1, media=MEDIA, ssrc=77, cname="c")
    return HeldLeg(opened=opened, sockets=pair, post=Post(0, Busy(0.7)))


def records(*values: int, leg: int = 1) -> Records:
    """Return a page with one leg: play, clip and what is left, of foreground and background."""
    record = np.zeros(1, KIND)
    record[0] = tuple(values)
    return Records(5.0, {leg: record[0]})


def test_all_that_a_successor_must_know_is_handed_on() -> None:
    """Sockets, media, place, volume, prompts in their order, music, trace."""
    pair = open_pair("127.0.0.1", 20000, 29999)
    leg = held(pair)
    media = LegMedia(codec="PCMA", payload_type=8)
    prompts = [Play(play=play, clips=[(0, 800)], leg=1) for play in (3, 4, 5)]
    music = Play(play=9, clips=[(0, 800)], leg=1, loop=True)
    place = Place(leg=1, room=6, speaks=False)
    volume = SetVolume(leg=1, gain_db=6.0)
    said: list[Command] = [ChangeLeg(1, media), place, volume, *prompts, music, BeginTrace(1)]
    for command in said:
        assert leg.remember(command)
    leg.forget_play(4)
    handed = leg.handed()
    assert handed.opened == OpenLeg(leg=1, media=media, ssrc=77, cname="c")
    assert (handed.place, handed.volume_db) == (place, 6.0)
    assert handed.plays == [prompts[0], prompts[2], music]
    assert (handed.traced, handed.descriptors, handed.record) == (True, 2, b"")
    assert leg.descriptors == (pair.rtp.fileno(), pair.rtcp.fileno())
    leg.remember(EndTrace(1))
    assert not leg.handed().traced
    pair.close()


def test_a_digit_is_no_state_and_has_to_be_said_again() -> None:
    """Whoever brings the leg to another process does."""
    assert not held().remember(DigitInfo(leg=1, digit="5"))


def test_prompts_and_music_go_on_where_they_were() -> None:
    """By the record: which clip, and what is left of it."""
    pair = open_pair("127.0.0.1", 20000, 29999)
    leg = held(pair)
    clips = [(0, 700), (-1, 300), (2000, 900)]
    leg.remember(Play(play=3, clips=clips, leg=1))
    leg.remember(Play(play=9, clips=clips, leg=1, loop=True))
    leg.died(records(3, 1, 250, 9, 2, 900))
    assert leg.over() == []
    assert [(play.play, play.skip) for play in leg.handed().plays] == [(3, 750), (9, 1000)]
    pair.close()


def test_what_had_been_said_is_not_said_again() -> None:
    """The dead process was at the third prompt: who waits for the first two is told."""
    pair = open_pair("127.0.0.1", 20000, 29999)
    leg = held(pair)
    for play in (3, 4, 5, 6):
        leg.remember(Play(play=play, clips=[(0, 800)], leg=1))
    leg.died(records(5, 0, 160, 0, 0, 0))
    assert [(event.play, event.completed) for event in leg.over()] == [(3, True), (4, True)]
    assert [(play.play, play.skip) for play in leg.handed().plays] == [(5, 640), (6, 0)]
    pair.close()


def test_a_play_that_was_stopped_as_its_process_died_is_over() -> None:
    """It is not begun again, and whoever waits for it is told once."""
    leg = held()
    for play in (3, 4, 5):
        leg.remember(Play(play=play, clips=[(0, 800)], leg=1))
    leg.remember(Play(play=9, clips=[(0, 800)], leg=1, loop=True))
    leg.remember(StopPlay(leg=1, play=4))
    leg.remember(StopPlay(leg=1, play=9))
    leg.forget_play(4)  # that word still came
    leg.died(records(0, 0, 0, 0, 0, 0))
    assert [(event.play, event.completed) for event in leg.over()] == [(9, False)]
    assert list(leg.foreground) == [3, 5]
    leg.remember(StopPlay(leg=1))
    assert {event.play for event in leg.over()} == {3, 5}
    assert leg.over() == []


def test_a_leg_without_a_record_gets_another_source_and_keeps_its_counters() -> None:
    """Where its sequence stood is not known: a leap of a known source would be distrusted."""
    leg = held()
    leg.latest = LegStatistics(leg=1, packets_rx=100, lost=2, jitter_ms=9.0, dtmf_method="info")
    leg.died(Records.none())
    assert leg.opened.ssrc != 77
    assert leg.opened.former_ssrc == 77
    total = leg.total(LegStatistics(leg=1, packets_rx=10, jitter_ms=1.0))
    assert (total.packets_rx, total.lost, total.jitter_ms) == (110, 2, 1.0)
    assert total.dtmf_method == "info"


def test_a_leg_that_died_on_its_way_goes_on_from_what_was_handed_over() -> None:
    """The process it was handed to left records, but had not come to open it."""
    leg = held()
    leg.latest = LegStatistics(leg=1, packets_rx=100)
    leg.given(LegGiven(leg=1, record=b"x" * KIND.itemsize, at=3.0), KIND)
    leg.died(records(0, 0, 0, 0, 0, 0, leg=2))
    assert leg.opened.ssrc == 77
    assert leg.record is not None
    assert leg.at == 3.0


def test_a_leg_that_no_process_had_yet_is_opened_as_it_was_to_be() -> None:
    """Nothing was sent: nothing has to go on."""
    leg = held()
    leg.died(records(0, 0, 0, 0, 0, 0, leg=2))
    assert leg.opened.ssrc == 77


def test_counters_of_a_leg_with_a_record_are_not_added_twice() -> None:
    """The next process has counted on from them."""
    leg = held()
    leg.latest = LegStatistics(leg=1, packets_rx=100, dtmf_method="rfc4733")
    leg.died(records(0, 0, 0, 0, 0, 0))
    total = leg.total(LegStatistics(leg=1, packets_rx=110))
    assert (total.packets_rx, total.dtmf_method) == (110, "rfc4733")


def test_a_record_of_another_version_is_not_read() -> None:
    """The leg is opened as if there were none."""
    leg = held()
    leg.given(LegGiven(leg=1, record=b"x" * KIND.itemsize, at=3.0), KIND)
    assert leg.record is not None
    assert leg.at == 3.0
    leg.given(LegGiven(leg=1, record=b"x", at=3.0), KIND)
    assert leg.record is None


def test_what_was_worst_in_any_process_is_the_worst() -> None:
    """Counts add up; the worst is the worse of the two, and a rating that of the last one."""
    assert "bursts" in ADDED_UP
    assert not {"leg", "jitter_ms", "mos", "r_factor", "playout_ms"} & set(ADDED_UP)
    leg = held()
    leg.latest = LegStatistics(
        leg=1, bursts=3, mos=2.0, mos_worst=1.5, jitter_ms_worst=9.0, rtt_ms_worst=80.0
    )
    leg.died(Records.none())
    total = leg.total(LegStatistics(leg=1, bursts=2, mos=4.4, mos_worst=4.3, jitter_ms_worst=12.0))
    assert (total.bursts, total.mos, total.mos_worst) == (5, 4.4, 1.5)
    assert (total.jitter_ms_worst, total.rtt_ms_worst) == (12.0, 80.0)
