"""Ticks as a whole: the streams to the legs, what is told, what a fault does, what grows."""

import ast
import contextlib
import inspect
import time
import tracemalloc
from pathlib import Path

import msgspec
import numpy as np
import pytest

import bridge.media.tick
from bridge.media._rows import Rows
from bridge.media.counters import Counters
from bridge.media.messages import (
    BeginTrace,
    ChangeLeg,
    CloseLeg,
    DigitPressed,
    EndTrace,
    EngineError,
    EngineStatistics,
    Event,
    FirstMedia,
    Heartbeat,
    LegClosed,
    LegMedia,
    LegStatistics,
    MediaQuiet,
    MediaResumed,
    Place,
    Play,
    PlayFinished,
    Statistics,
    TalkSpurt,
    Traced,
)
from bridge.media.state import State
from tests.media.engine import Engine, find, loud, still
from tests.support import g711
from tests.support.signals import dtmf_tones


def test_a_leg_with_ten_milliseconds_gets_two_packets_a_tick() -> None:
    """Their time stamps are 80 apart, sequence numbers run on, and the sound is whole."""
    with Engine() as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1, tx_ptime_ms=10)
        engine.run()
        said = loud(4, 8)
        engine.run(8, lambda number: engine.feed(1, speaker.say(said[number])))
        engine.run(3)
        packets = engine.sent(2)
        assert {len(packet.payload) for packet in packets} == {80}
        assert np.diff([packet.timestamp for packet in packets]).tolist() == [80] * (
            len(packets) - 1
        )
        assert np.diff([packet.sequence for packet in packets]).tolist() == [1] * (len(packets) - 1)
        heard = g711.decode(b"".join(packet.payload for packet in packets), 0)
        assert find(heard, said.reshape(-1)) >= 0


def test_the_stream_to_a_leg_begins_where_asked_with_one_marker() -> None:
    """First packet marked, then none; 160 a packet; the SSRC is the one given."""
    with Engine() as engine:
        engine.open(9)
        engine.run(5)
        packets = engine.sent(9)
        assert [packet.sequence for packet in packets] == [7, 8, 9, 10, 11]
        assert [packet.timestamp for packet in packets] == [800 + 160 * k for k in range(5)]
        assert [packet.marker for packet in packets] == [True, False, False, False, False]
        assert {packet.ssrc for packet in packets} == {9}


def test_first_media_and_talk_spurts_are_told() -> None:
    """The first packet is told once, speech at its beginning and its end."""
    with Engine() as engine:
        speaker = engine.open(1, room=1)
        engine.run()
        engine.run(10, lambda number: engine.feed(1, speaker.say(loud(number)[0])))
        quiet = np.zeros(160, np.int16)
        engine.run(30, lambda _: engine.feed(1, speaker.say(quiet)))
        assert [event.leg for event in engine.told(FirstMedia)] == [1]
        assert [event.talking for event in engine.told(TalkSpurt)] == [True, False]


def test_a_quiet_leg_is_told_every_ten_seconds_until_it_resumes() -> None:
    """Silence is not absence: told after ten and twenty seconds, and when packets come again."""
    with Engine() as engine:
        speaker = engine.open(1)
        engine.run()
        for later in (11.0, 1.0, 9.0):
            engine.state.presence.last[engine.row(1)] -= later
            engine.run(50)
        quiet = engine.told(MediaQuiet)
        assert [event.seconds // 10 for event in quiet] == [1, 2]
        engine.feed(1, speaker.audio(still()))
        engine.run(51)
        assert len(engine.told(MediaResumed)) == 1


@pytest.mark.parametrize(("held", "told"), [(False, [1, 2]), (True, [1])])
def test_a_refresh_of_the_session_is_no_media_but_a_resume_begins_anew(
    held: bool,  # noqa: FBT001 - a parameter of the test
    told: list[int],
) -> None:
    """A re-INVITE in a long silence does not hide it; only who was on hold is given time."""
    media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=("192.0.2.1", 4000))
    with Engine() as engine:
        engine.open(1)
        engine.run()
        if held:
            engine.command(ChangeLeg(leg=1, media=msgspec.structs.replace(media, rx=False)))
        for later in (11.0, 10.0):
            engine.state.presence.last[engine.row(1)] -= later
            if later == 10.0:
                engine.command(ChangeLeg(leg=1, media=media))
            engine.run(51)
        assert [event.seconds // 10 for event in engine.told(MediaQuiet)] == told
        assert engine.told(MediaResumed) == []


def test_a_leg_that_is_taken_out_of_its_room_while_it_talks_is_told() -> None:
    """The end of its talk spurt comes with that, not never."""
    with Engine() as engine:
        speaker = engine.open(1, room=1)
        engine.run()
        engine.run(10, lambda number: engine.feed(1, speaker.say(loud(number)[0])))
        engine.command(Place(leg=1, room=None))
        engine.run(2, lambda number: engine.feed(1, speaker.say(loud(number)[0])))
        assert [event.talking for event in engine.told(TalkSpurt)] == [True, False]


def test_who_speaks_unheard_is_told_of_and_neither_heard_nor_counted_as_talk() -> None:
    """A muted talker is to be told so; the room hears nothing, and the record no talk."""
    with Engine() as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1)
        engine.command(Place(leg=1, room=1, speaks=False))
        engine.run()
        engine.run(30, lambda number: engine.feed(1, speaker.say(loud(number)[0])))
        assert [(event.leg, event.talking) for event in engine.told(TalkSpurt)] == [(1, True)]
        assert int(engine.state.levels.talk_ms[engine.row(1)]) == 0
        assert np.abs(engine.heard(2).astype(int)).max() < 32


def test_legs_that_come_by_hundreds_wait_for_each_other() -> None:
    """Commands that take too long for one tick go on in the next ones, in their order."""
    with Engine() as engine:
        engine.tick._commands_s = 0.0
        for leg in range(1, 21):
            engine.open(leg, room=1)
        open_legs = []
        while len(engine.state.legs) < 20:
            engine.run()
            open_legs.append(len(engine.state.legs))
        assert open_legs == list(range(2, 21, 2))
        assert (engine.state.legs.room[engine.state.legs.open] == 0).all()


def test_statistics_of_a_leg_come_each_five_seconds_and_at_its_end() -> None:
    """Legs are told in different ticks, and `LegClosed` bears the whole count."""
    with Engine() as engine:
        senders = {leg: engine.open(leg) for leg in (1, 2)}
        engine.run()

        def arrive(number: int) -> None:
            for leg, sender in senders.items():
                packet = sender.audio(still())
                if number % 10 != 5:
                    engine.feed(leg, packet)

        engine.run(500, arrive)
        told = engine.told(LegStatistics)
        assert [each.leg for each in told] == [1, 2, 1, 2]
        engine.command(CloseLeg(leg=1))
        engine.run()
        closed = engine.told(LegClosed)[0].statistics
        assert closed.packets_rx == 450
        assert closed.lost == 50
        assert closed.bytes_rx == 450 * 160
        assert closed.packets_tx == 501
        assert closed.concealed_frames >= 0
        assert len(engine.state.legs) == 1


@pytest.mark.parametrize("method", ["rfc4733", "inband"])
def test_a_key_is_told_before_the_rest_of_the_tick_is_made(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control works on its answer meanwhile, so that the next tick has it."""
    with Engine() as engine:
        dtmf = 101 if method == "rfc4733" else None
        sender = engine.open(1, room=1, dtmf_payload_type=dtmf)
        engine.run()
        monkeypatch.setattr(engine.state, "put", engine.channel.put)
        engine.control.settimeout(0)
        told: list[DigitPressed] = []

        def hear() -> None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    events = msgspec.msgpack.decode(engine.control.recv(1 << 16), type=list[Event])
                    told.extend(each for each in events if isinstance(each, DigitPressed))

        monkeypatch.setattr(engine.wires, "send", hear)
        tones = dtmf_tones("7", on_ms=100, off_ms=100).reshape(-1, 160)
        for number in range(8):
            key = sender.key(7, 160 * (number + 1)) if dtmf else sender.say(tones[number])
            engine.feed(1, key)
            engine.run()
            told_in_the_tick = len(told)
            hear()
            assert len(told) == told_in_the_tick
        assert [(each.digit, each.method) for each in told] == [("7", method)]


def test_jumped_ticks_cost_every_leg_and_are_counted() -> None:
    """Time stamps run on over a jump, sequence numbers do not, and it is lost by the bridge."""
    with Engine() as engine:
        for leg in (1, 2, 3):
            engine.open(leg)
        engine.run()
        before = engine.sent(2)[-1]
        engine.state.jump(7)
        engine.run()
        after = engine.sent(2)[-1]
        assert after.timestamp == before.timestamp + 8 * 160
        assert after.sequence == before.sequence + 1
        assert after.marker
        assert engine.counters.jumped_ticks == 7
        assert engine.counters.lost_by_bridge == 21


def test_a_row_taken_again_knows_nothing_of_the_leg_before() -> None:
    """No sound, counter, key or play of a closed leg is left for the next one in its row."""
    bank = loud(3, 10).reshape(-1)
    with Engine(bank=bank) as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1)
        engine.run()
        engine.command(Play(play=1, clips=[(0, 1600)], leg=1))
        engine.run(4, lambda number: engine.feed(1, speaker.say(loud(number)[0])))
        engine.feed(1, speaker.key(3, 160))
        row = engine.row(1)
        engine.run()
        engine.command(CloseLeg(leg=1))
        engine.run()
        engine.heard(2)
        engine.open(3, room=1)
        engine.run(10)
        assert engine.row(3) == row
        assert not engine.heard(2).any()
        assert not engine.heard(3).any()
        engine.command(CloseLeg(leg=3))
        engine.run()
        statistics = engine.told(LegClosed)[-1].statistics
        assert statistics.packets_rx == statistics.talk_ms == statistics.bytes_rx == 0
        assert statistics.dtmf_method is None
        assert [event.completed for event in engine.told(PlayFinished)] == [False]


def test_a_trace_shows_headers_and_no_digits() -> None:
    """Packets of the traced leg in both directions, nothing of the others, nothing of the key."""
    with Engine() as engine:
        speaker, other = engine.open(1), engine.open(2)
        engine.run()
        engine.command(BeginTrace(leg=1))
        engine.run()
        engine.feed(1, speaker.audio(still()))
        engine.feed(2, other.audio(still()))
        engine.feed(1, speaker.key(9, 160, ended=True))
        engine.run(12)
        engine.command(EndTrace(leg=1))
        engine.run(12)
        told = engine.told(Traced)
        assert {each.leg for each in told} == {1}
        lines = [line for each in told for line in each.lines]
        assert sum(line.startswith("in audio") for line in lines) == 1
        events = [line for line in lines if line.startswith("in event")]
        assert len(events) == 1
        assert [word.split("=")[0] for word in events[0].split()] == [
            *("in", "event", "seq", "ts", "ssrc", "marker", "octets")
        ]
        assert sum(line.startswith("out audio") for line in lines) >= 12


def test_a_fault_in_one_stage_is_counted_and_the_tick_goes_on() -> None:
    """An exception is told once by its place, and everybody still gets a packet."""
    engine = Engine()
    engine.open(1)
    engine.run()
    engine.sent(1)

    def broken(*_: object, **__: object) -> None:
        raise ValueError("+46701234567")

    engine.state.levels.follow = broken  # type: ignore[method-assign, assignment]
    engine.open(2, room=1)
    engine.run(5)
    assert len(engine.sent(1)) == 5
    assert engine.counters.stage_faults >= 5
    errors = engine.told(EngineError)
    assert len(errors) == 1
    assert "ValueError" in errors[0].what
    assert "4670" not in errors[0].what
    engine.close()


def test_heartbeat_and_statistics_tell_how_it_goes() -> None:
    """Once a second a heartbeat; the asked-for statistics name every counter and stage."""
    with Engine() as engine:
        engine.open(1, room=1)
        engine.run(101)
        assert [beat.legs for beat in engine.told(Heartbeat)][1:] == [1, 1]
        engine.command(Statistics())
        engine.run()
        answer = engine.told(EngineStatistics)[0]
        assert (answer.legs, answer.rooms, answer.lost_by_bridge) == (1, 1, 0)
        assert answer.ticks == 101
        assert answer.counters["stage_faults"] == 0
        assert sum(answer.stages_ms.values()) > 0
        assert answer.tick_ms_max >= answer.tick_ms_p99 >= answer.tick_ms_p50 > 0
        assert sum(answer.tick_counts) == answer.ticks
        assert answer.tick_counts[min(int(4 * answer.tick_ms_max), 240)] > 0


def test_nothing_grows_while_ticking() -> None:
    """Three thousand ticks of talk, keys, prompts and music leave no memory behind."""
    bank = loud(3, 10).reshape(-1)
    with Engine(bank=bank) as engine:
        senders = {leg: engine.open(leg, room=leg % 2) for leg in range(1, 9)}
        engine.run()
        payload = g711.encode(loud(1)[0], 0)

        def arrive(number: int) -> None:
            for leg, sender in senders.items():
                engine.feed(leg, sender.audio(payload))
            if number % 25 == 0:
                engine.feed(1, senders[1].key(number // 25 % 10, 160, ended=True))
                engine.command(Play(play=number + 1, clips=[(0, 700)], leg=2))
            engine.wires.sent.clear()
            engine.wires.rtcp_sent.clear()
            engine.events.clear()

        engine.run(600, arrive)  # windows of ten seconds are full
        tracemalloc.start()
        engine.run(300, arrive)
        before = tracemalloc.take_snapshot()
        engine.run(3000, arrive)
        after = tracemalloc.take_snapshot()
        tracemalloc.stop()
    ours = tracemalloc.Filter(inclusive=True, filename_pattern="*/bridge/media/*")
    changes = after.filter_traces((ours,)).compare_to(before.filter_traces((ours,)), "lineno")
    grown = sum(change.size_diff for change in changes)
    assert grown < 20_000, [str(change) for change in changes[:5]]


MEDIA = Path(inspect.getfile(bridge.media.tick)).parent


def _loops(function: ast.AST) -> list[str]:
    """Return what the loops of a function go over, as source, but for those that are compiled."""
    compiled = {
        inner
        for node in ast.walk(function)
        if isinstance(node, ast.FunctionDef)
        and any(
            ast.unparse(mark).startswith(("compiled(", "inlined")) for mark in node.decorator_list
        )
        for inner in ast.walk(node)
    }
    return [
        ast.unparse(node.iter)
        for node in ast.walk(function)
        if isinstance(node, (ast.For, ast.comprehension)) and node not in compiled
    ]


# Loops over few: what changed in this tick, codecs, or legs told or closed now.
FEW = (
    "np.flatnonzero(",
    "np.unique(",
    "_one_of_each(",
    "range(int(",
    "range(1, LOOK_AHEAD + 1)",
    "range(1, FRAMES + 1)",
    "range(TABLED)",
    "range(BLOCKS)",
    "enumerate((0, _GROUP))",
    "enumerate(_WHY)",
    "enumerate(_OUTCOMES)",
    "(0, _LONG - FRAME)",
    "stages",
    "seating.strange_in",
    "seating.listening_to",
    "commands",
    "state.transport.",
    "rows[~state.presence.heard[rows]]",
    "begins.tolist()",
    "rows.tolist()",
    "sending[state.presence.traced[sending]]",
    "list(self._traces)",
    "zip(rows, packets",
    "state.quality.look",
    "np.argwhere(changed)",
    "self.r[row]",
    "named",
    "state.guards.follow(",
    "self.leak.release(",
    "leak.judge(",
    "self.loudness.let_go(",
    "self.leak.let_go(",
    "self.echo.let_go(",
    "leak.release(",
    "echo.release(",
    "self._watched(",
    "zip(verdict.guilty",
    "zip(self._marked",
    "((options.over_loud",
    "('came', 'said')",
    "(-1, 0, 1)",
    "((self.packets",
    "(state.foreground",
    "rooms",
    "range(shortest // step",
    "range(shifts.shape[1])",
)


@pytest.mark.parametrize(
    ("module", "functions"),
    [
        ("tick", None),
        ("rtp", None),
        ("sequence", ("admit", "_advance", "_fill_gap", "_begin", "time")),
        ("playout", ("write", "read", "_leap_or_wait", "_look_behind", "_edit", "coming")),
        ("ring", None),
        ("depth", None),
        ("streams", None),
        ("pitch", None),
        ("concealment", ("pause", "resume", "follow", "conceal")),
        ("levels", None),
        ("gate", None),
        ("agc", None),
        ("gains", None),
        ("guards", None),
        ("history", None),
        ("loudness_guard", None),
        ("leak", None),
        ("tonality", None),
        ("echo", None),
        ("echo_screen", None),
        ("echo_trial", None),
        ("limiter", None),
        ("mix", None),
        ("hearing", None),
        ("outgoing", None),
        ("resample", ("convert",)),
        ("inband", None),
        ("reporting", None),
        ("judging", None),
        ("quality", None),
        ("emodel", None),
        ("tones", ("find_pairs", "_measure", "verify", "blocks_of")),
        ("wideband", ("decode", "mix", "_add_plays")),
    ],
)
def test_no_stage_loops_over_legs(module: str, functions: tuple[str, ...] | None) -> None:
    """What every tick runs goes over arrays; a loop goes over what changed, never over legs."""
    tree = ast.parse((MEDIA / f"{module}.py").read_text())
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        if functions is not None and function.name not in functions:
            continue
        for over in _loops(function):
            assert over.startswith(FEW), f"{module}.{function.name} loops over {over}"


def test_who_has_no_leg_is_woken_by_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leg that comes is opened at once; beside others it waits for the tick."""
    slept: list[float] = []
    monkeypatch.setattr("bridge.media.tick.time.sleep", slept.append)
    with Engine() as engine:
        began = time.monotonic()
        engine.open(4)
        engine.tick.rest(began + 60)
        assert time.monotonic() < began + 30
        engine.run()
        engine.tick.rest(time.monotonic() + 60)
        assert len(slept) == 1


def test_a_thousand_legs_find_rows_without_a_table_that_grows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Growing takes tens of milliseconds, in a tick of people who talk."""
    state = State(lambda _: None, Counters())
    monkeypatch.setattr(Rows, "grow", None)
    state.make_room(1000)
    assert state.legs.capacity >= 1000
