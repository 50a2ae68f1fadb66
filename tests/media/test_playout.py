"""The playout store: every octet is heard once, in its place, whatever the network did to it."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media._store_loops import WAIT_STEP_MS, median_step, worst_step
from bridge.media.codecs import FRAME
from bridge.media.counters import LegCounters
from bridge.media.depth import CAP_ROWS, JUDGED_EVERY, JUDGED_SHARE, START_ROWS
from bridge.media.playout import PlayoutStore
from bridge.media.ring import SLOTS
from tests.media.engine import Rtp, arrivals


@dataclass
class Store:
    """A store of which the leg in row 1 is used."""

    store: PlayoutStore = field(default_factory=lambda: PlayoutStore(3))
    counters: LegCounters = field(default_factory=lambda: LegCounters(3))

    def write(
        self, timestamp: int, payload: bytes, *, begins: bool = False, announced: bool = False
    ) -> None:
        """Let a packet come."""
        packet = arrivals([(1, Rtp(0, timestamp, payload).pack())])
        self.store.write(
            np.array([1]),
            np.array([timestamp & 0xFFFF_FFFF]),
            packet.octets,
            np.array([0]),
            np.array([12]),
            np.array([len(payload)]),
            begins=np.array([begins]),
            announced=np.array([announced]),
            codec=np.zeros(3, np.uint8),
            counters=self.counters,
        )

    def read(self) -> bytes | None:
        """Return the frame of this tick, `None` where none came."""
        reading = self.store.read(np.array([0, 1, 2]), 0, np.ones(3, np.bool_))
        assert reading.missing[0] > 0
        if reading.missing[1]:
            return None
        frame: bytes = self.store.octets.reshape(-1, FRAME)[reading.index[1]].tobytes()
        return frame

    @property
    def counts(self) -> dict[str, int]:
        """The leg's counters that are not zero."""
        return {name: count for name, count in self.counters.of(1).items() if count}


def sound(octets: int, seed: int = 1) -> bytes:
    """Return octets none of which is silence."""
    return np.random.default_rng(seed).integers(0, 255, octets, np.uint8).tobytes()


LENGTHS = st.lists(st.sampled_from([80, 160, 240, 320, 480, 1, 37, 161, 399]), min_size=1)
STARTS = st.sampled_from([0, 5000, 2**31 - 500, 2**32 - 700])


@settings(max_examples=250)
@given(lengths=LENGTHS, start=STARTS, data=st.data())
def test_reordered_and_doubled_packets_of_any_length_are_heard_whole(
    lengths: list[int], start: int, data: st.DataObject
) -> None:
    """Each packet comes up to 40 ms late, some twice: what is heard is what was said."""
    said = sound(sum(lengths))
    delays = st.lists(st.integers(0, START_ROWS), min_size=1, max_size=2)
    due: dict[int, list[tuple[int, int]]] = {}
    at = 0
    for index, length in enumerate(lengths):
        for delay in data.draw(delays) if index else [0]:
            due.setdefault(at // FRAME + delay, []).append((at, length))
        at += length
    store = Store()
    heard: list[bytes | None] = []
    for tick in range(at // FRAME + 6):
        for begin, length in data.draw(st.permutations(due.get(tick, []))) if tick else due[0]:
            first = tick == 0 and begin == 0
            store.write(start + begin, said[begin : begin + length], begins=first)
        heard.append(store.read())
    frames = -(-len(said) // FRAME)
    assert heard[:START_ROWS] == [None] * START_ROWS
    whole = b"".join(frame or b"lost" for frame in heard[START_ROWS : START_ROWS + frames])
    assert whole == said + b"\xff" * (frames * FRAME - len(said))
    assert set(heard[START_ROWS + frames :]) <= {None}
    assert store.counts == {}


@settings(max_examples=50)
@given(st.sets(st.integers(1, 60)))
def test_what_is_lost_is_missing_and_nothing_else(lost: set[int]) -> None:
    """Frames whose packet never came are reported missing, their neighbours are heard."""
    store, said = Store(), [sound(FRAME, k) for k in range(62)]
    heard = []
    for tick in range(62 + START_ROWS):
        if tick < 62 and tick not in lost:
            store.write(160 * tick, said[tick], begins=tick == 0)
        heard.append(store.read())
    expected = [None if k in lost else said[k] for k in range(62)]
    assert heard[START_ROWS:] == expected


def test_a_packet_too_late_is_counted_and_not_heard() -> None:
    """Its frame's time has passed; the next ones are in time."""
    store = Store()
    for tick in range(10):
        if tick != 3:
            store.write(160 * tick, sound(FRAME, tick), begins=tick == 0)
        if tick == 6:
            store.write(160 * 3, sound(FRAME, 3))
        assert store.read() != sound(FRAME, 3)
    assert store.counts == {"late": 1}


def test_a_time_stamp_that_leapt_is_believed_with_the_next_packet() -> None:
    """One stray time stamp changes nothing; two that follow each other anchor the leg anew."""
    store = Store()
    for tick in range(5):
        store.write(160 * tick, sound(FRAME, tick), begins=tick == 0)
        store.read()
    store.write(900_000, sound(FRAME, 50))
    assert store.read() == sound(FRAME, 5 - START_ROWS)
    heard = []
    for tick in range(6):
        store.write(700_000 + 160 * tick, sound(FRAME, 60 + tick))
        heard.append(store.read())
    assert heard[-1] == sound(FRAME, 60 + 5 - START_ROWS)
    assert store.counts == {"leapt": 2, "reanchored": 1}


def test_a_marked_packet_anchors_at_once() -> None:
    """A talk spurt whose clock begins elsewhere loses nothing of its beginning."""
    store = Store()
    store.write(0, sound(FRAME), begins=True)
    for _ in range(5):
        store.read()
    store.write(4_000_000, sound(FRAME, 8), announced=True)
    heard = [store.read() for _ in range(START_ROWS + 1)]
    assert heard[START_ROWS] == sound(FRAME, 8)


def test_a_path_that_became_longer_is_followed() -> None:
    """Nothing comes for 80 ms, then everything that much later: it is waited for, none is lost."""
    store = Store()
    heard = []
    for tick in range(60):
        behind = 0 if tick < 20 else 4
        if tick < 20 or tick >= 24:
            store.write(160 * (tick - behind), sound(FRAME, tick - behind), begins=tick == 0)
        heard.append(store.read())
    frames = [frame for frame in heard if frame is not None]
    assert frames == [sound(FRAME, k) for k in range(56)]
    assert heard[24] == sound(FRAME, 20)
    assert store.counts == {}


def test_a_straggler_now_and_then_moves_nothing() -> None:
    """Late packets among many in time are dropped: the leg is not anchored anew."""
    store, heard = Store(), []
    for tick in range(400):
        store.write(160 * tick, sound(FRAME, tick), begins=tick == 0)
        if tick % 150 == 80:
            store.write(160 * (tick - 4), sound(FRAME, 999))
        heard.append(store.read())
    assert heard[START_ROWS:] == [sound(FRAME, k) for k in range(400 - START_ROWS)]
    assert store.counts == {"late": 3}


def test_a_flood_of_packets_stays_in_its_ring() -> None:
    """Sixty packets a tick with any time stamps: nothing is written over another leg."""
    store = Store()
    stamps = np.random.default_rng(3).integers(0, 2**32, 3000)
    store.store.octets[0] = 7
    store.store.octets[2] = 7
    for number, stamp in enumerate(stamps.tolist()):
        store.write(stamp, sound(480), begins=number == 0, announced=number % 7 == 0)
        if number % 60 == 0:
            store.read()
    assert (store.store.octets[[0, 2]] == 7).all()
    assert not store.store.filled[[0, 2]].any()


def test_a_burst_that_waits_too_long_is_shortened() -> None:
    """A quarter of a second comes at once: it is cut in a second, and back to usual in three."""
    store = Store()
    for number in range(12):
        store.write(160 * number, sound(FRAME), begins=number == 0)
    for tick in range(170):
        store.write(160 * (12 + tick), sound(FRAME))
        store.read()
        assert tick < 50 or store.store.ahead[1] <= CAP_ROWS
    assert store.store.ahead[1] == START_ROWS


@pytest.mark.parametrize("drift", [-0.002, 0.002])
def test_a_clock_that_drifts_never_leaves_the_ring(drift: float) -> None:
    """Two in a thousand fast or slow for two minutes: waiting stays the same, gaps are few."""
    store = Store()
    sent, gaps, waits = 0, 0, []
    for tick in range(6000):
        while sent <= tick * (1 + drift):
            store.write(160 * sent, sound(FRAME), begins=sent == 0)
            sent += 1
        gaps += store.read() is None
        waits.append(int(store.store.ahead[1]))
    assert max(waits) <= START_ROWS + 1
    assert gaps <= 6000 * abs(drift) + START_ROWS
    assert store.counts == {}


def waited(store: Store, row: int) -> tuple[int, int] | None:
    """Return the median and the longest wait of a leg [ms], None before its first packet."""
    waits = store.store.waits[row]
    worst = worst_step(waits)
    return None if worst < 0 else (WAIT_STEP_MS * median_step(waits), WAIT_STEP_MS * worst)


def test_waits_are_told_by_their_median_and_their_worst() -> None:
    """Two packets in three wait the usual time, one a frame longer, a single one much longer."""
    store = Store()
    assert waited(store, 1) is None
    store.write(0, sound(FRAME), begins=True)
    for tick in range(30):
        store.write(160 * (tick + 1), sound(FRAME))
        if tick % 2:
            store.write(160 * tick, sound(FRAME))
        store.read()
    store.write(160 * 40, sound(FRAME))
    assert waited(store, 1) == (20 * START_ROWS, 20 * (40 - 31 + START_ROWS))
    assert waited(store, 0) is None
    assert store.counts == {"early": 1}


def test_an_event_blanks_what_is_not_yet_played() -> None:
    """Up to the event's end and the margin nothing is heard, then the sound goes on."""
    store = Store()
    blanked = []
    for tick in range(16):
        store.write(160 * tick, sound(FRAME, tick), begins=tick == 0)
        if tick == 4:
            store.store.blank(np.array([1]), np.array([160 * 6]), margin=np.array([1]))
        reading = store.store.read(np.array([1]), 0, np.ones(3, np.bool_))
        blanked.append(bool(reading.blanked[0]))
    # Rows 0 to 3 have been played; time stamp 6 frames on lies at row 6 + START_ROWS.
    assert blanked == [False] * 4 + [True] * (8 + START_ROWS - 4) + [False] * (8 - START_ROWS)


def test_a_blanked_tone_is_not_repeated_by_concealment() -> None:
    """The frame behind the blanked ones did not come: nothing is left to repeat."""
    store = Store()
    for tick in range(3):
        store.write(160 * tick, sound(FRAME, tick), begins=tick == 0)
    store.store.blank(np.array([1]), np.array([160 * 2]), margin=np.array([0]))
    readings = [
        store.store.read(np.array([1]), 0, np.ones(3, np.bool_)) for _ in range(START_ROWS + 5)
    ]
    after = [int(reading.missing[0]) for reading in readings if not reading.blanked[0]]
    assert len(after) == 2
    assert min(after) > 1000


def test_an_absurd_event_silences_for_a_ring_at_most() -> None:
    """A time stamp far ahead comes from the peer: it may not silence its leg for long."""
    store = Store()
    store.write(0, sound(FRAME), begins=True)
    store.store.blank(np.array([1]), np.array([2**30]), margin=np.array([3]))
    readings = [
        bool(store.store.read(np.array([1]), 0, np.ones(3, np.bool_)).blanked[0])
        for _ in range(SLOTS + 10)
    ]
    assert sum(readings) == SLOTS + 1 + CAP_ROWS - START_ROWS  # it waits for its row as well
    assert not readings[-1]


def test_a_jump_leaves_out_what_was_to_be_heard() -> None:
    """After ticks left out the next frame is the one of that time."""
    store = Store()
    for tick in range(7):
        store.write(160 * tick, sound(FRAME, tick), begins=tick == 0)
    assert [store.read() for _ in range(3)][2] == sound(FRAME, 2 - START_ROWS)
    store.store.jump(np.array([1]), 4)
    assert store.read() == sound(FRAME, 7 - START_ROWS)
    store.store.jump(np.array([1]), 100)
    assert store.read() is None


def test_anchors_stay_near_over_a_long_silence() -> None:
    """A leg silent for many hours is heard at once: 32 bits of time stamp do not run away."""
    store = Store()
    store.write(0, sound(FRAME), begins=True)
    day = 50 * 60 * 60 * 80
    for _ in range(8):
        store.store.play_row[1] += day // 8
        for _ in range(JUDGED_EVERY * JUDGED_SHARE):
            store.store.read(np.array([1]), 0, np.ones(3, np.bool_))
    now = int(store.store.play_row[1])
    assert now * FRAME > 1 << 31
    store.write(160 * now, sound(FRAME, 3))
    store.write(160 * (now + 1), sound(FRAME, 4))
    heard = [store.read() for _ in range(SLOTS)]
    assert [each for each in heard if each is not None] == [sound(FRAME, 3), sound(FRAME, 4)]
    assert store.counts == {}  # it was not taken for a time stamp that leapt
