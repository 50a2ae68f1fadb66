"""RFC 4733 keys: each press is told once, whatever becomes of its packets."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.counters import LegCounters
from bridge.media.dtmf import DIGITS, PAIRING_SECONDS, EventPackets, Keys
from bridge.media.legs import Legs
from bridge.media.messages import DigitPressed, DtmfMethod, LegMedia
from bridge.media.rtp import parse
from tests.media.engine import EVENT, Engine, Rtp, Sender, arrivals, still

CLOCK = st.sampled_from([0, 2**31 - 400, 2**32 - 900])


@dataclass
class Pad:
    """The keys of two legs; packets are of the first unless said otherwise."""

    keys: Keys = field(default_factory=lambda: Keys(2))
    told: dict[int, str] = field(default_factory=lambda: {0: "", 1: ""})

    def packet(
        self, timestamp: int, code: int, duration: int, *, ended: bool = False, row: int = 0
    ) -> None:
        """Let an event packet come."""
        events = EventPackets(
            rows=np.array([row]),
            timestamp=np.array([timestamp & 0xFFFF_FFFF]),
            code=np.array([code]),
            ended=np.array([ended]),
            duration=np.array([duration]),
        )
        if self.keys.press(events)[0]:
            self.told[row] += DIGITS[code]


def packets_of(timestamp: int, code: int, ticks: int) -> list[tuple[int, int, int, bool]]:
    """Return the packets of a press: one a tick, then the end three times."""
    running = [(timestamp, code, 160 * (k + 1), False) for k in range(ticks)]
    return running + [(timestamp, code, 160 * ticks, True)] * 3


@settings(max_examples=200)
@given(
    keys=st.lists(st.tuples(st.integers(0, 15), st.integers(2, 8), st.integers(1, 20)), max_size=9),
    start=CLOCK,
    data=st.data(),
)
def test_every_press_is_told_once_as_long_as_one_packet_comes(
    keys: list[tuple[int, int, int]], start: int, data: st.DataObject
) -> None:
    """Any packets of a press may be lost but one, any may come twice: one digit a press."""
    pad, other = Pad(), ""
    at = start
    for code, ticks, pause in keys:
        packets = packets_of(at, code, ticks)
        kept = data.draw(st.sets(st.integers(0, len(packets) - 1), min_size=1))
        for index in sorted(kept):
            timestamp, _, duration, ended = packets[index]
            for _ in range(data.draw(st.integers(1, 2))):
                pad.packet(timestamp, code, duration, ended=ended)
            pad.packet(timestamp + 7, 15 - code, duration, ended=ended, row=1)
        other += DIGITS[15 - code]
        # The next press begins after the end of this one, on the clock of the phone.
        at += 160 * (ticks + pause)
    assert pad.told[0] == "".join(DIGITS[code] for code, _, _ in keys)
    assert pad.told[1] == other


def test_the_same_key_twice_is_told_twice_even_where_ends_are_lost() -> None:
    """`11` with all end packets lost: the second press begins beyond the first's duration."""
    pad = Pad()
    for start in (0, 1600):
        for k in range(5):
            pad.packet(start, 1, 160 * (k + 1))
    assert pad.told[0] == "11"


def test_a_key_right_behind_another_is_a_press_of_its_own() -> None:
    """No pause at all: where the end was seen, the same key at that very time is a new press."""
    pad = Pad()
    for start in (0, 800):
        for timestamp, code, duration, ended in packets_of(start, 5, 5):
            pad.packet(timestamp, code, duration, ended=ended)
    assert pad.told[0] == "55"


def test_a_very_long_press_is_one_press() -> None:
    """RFC 4733 section 2.5.1.3: after 8 s a new segment begins, with a time stamp of its own."""
    pad = Pad()
    for segment in range(3):
        start = 0xFFFF * segment
        for k in range(409):
            pad.packet(start, 5, min(160 * (k + 1), 0xFFFF))
    pad.packet(0xFFFF * 2, 5, 0xFFFF, ended=True)
    assert pad.told[0] == "5"


def test_a_time_stamp_that_runs_on_within_a_press_is_one_press() -> None:
    """Gateways that give every packet a time stamp of its own."""
    pad = Pad()
    for k in range(6):
        pad.packet(160 * k, 8, 160 * (k + 1), ended=k == 5)
    assert pad.told[0] == "8"


def test_an_old_packet_does_not_press_again() -> None:
    """The end of the first key comes after the second has begun."""
    pad = Pad()
    pad.packet(0, 1, 160)
    pad.packet(1600, 2, 160)
    pad.packet(0, 1, 480, ended=True)
    pad.packet(1600, 2, 480, ended=True)
    assert pad.told[0] == "12"


def test_what_is_no_digit_is_odd() -> None:
    """Flash, modem tones and cut payloads are counted, the digits among them are read."""
    legs = Legs(2)
    legs.take(1, LegMedia(codec="PCMU", payload_type=0, dtmf_payload_type=EVENT))
    bodies = [b"\x10\x0a\x00\xa0", b"\x05\x0a\x00", b"\x05\x8a\x01\x40", b"\xff\xff\xff\xff\xff"]
    packets = arrivals([(0, Rtp(k, 9, body, EVENT).pack()) for k, body in enumerate(bodies)])
    headers = parse(packets, legs, LegCounters(2))
    events, odd = EventPackets.parse(packets, headers, np.arange(len(bodies)))
    assert events.code.tolist() == [5]
    assert events.ended.tolist() == [True]
    assert events.duration.tolist() == [320]
    assert odd.tolist() == [0, 0, 0]


@dataclass
class _Phone:
    """One leg that keys a sequence: what it sends in each tick, of which some is lost."""

    wanted: str
    ticks: list[list[Rtp]]


def _phone(number: int, rng: np.random.Generator, loss: float) -> _Phone:
    """Key a random sequence as phones do, with audio before, between and after."""
    sender = Sender(ssrc=0x0200_0000 + number, timestamp=int(rng.integers(0, 1 << 32)))
    sender.sequence = int(rng.integers(0, 1 << 16))
    markers, running = bool(rng.integers(2)), bool(rng.integers(2))
    sent = [[sender.audio(still())] for _ in range(4)]
    wanted = ""
    for _ in range(int(rng.integers(4, 12))):
        code, length = int(rng.integers(16)), int(rng.integers(4, 16))
        packets = [
            sender.key(code, 160 * (k + 1), marker=markers and k == 0) for k in range(length)
        ] + [sender.key(code, 160 * length, ended=True) for _ in range(3)]
        # Three end packets one a tick, or all in the tick in which the key is let go.
        cut = [[packet] for packet in packets] if running else [[each] for each in packets[:length]]
        if not running:
            cut[-1] += packets[length:]
        here = [bool(keep) for keep in rng.random(len(packets)) >= loss]
        wanted += DIGITS[code] if any(here) else ""
        left = iter(here)
        sent += [[packet for packet in tick if next(left)] for tick in cut]
        sender.timestamp += 160 * len(cut)
        for _ in range(int(rng.integers(2, 10))):
            audio = sender.audio(still())
            sent.append([audio] if rng.random() >= loss else [])
    return _Phone(wanted, sent)


def test_each_key_of_a_thousand_sequences_is_told_once_under_loss() -> None:
    """RFC 4733 with 20 % of all packets lost, with and without marker: no key more, none less."""
    rng = np.random.default_rng(4733)
    phones = [_phone(number, rng, 0.2) for number in range(1, 1001)]
    with Engine(capacity=1024) as engine:
        for leg in range(1, 1001):
            engine.open(leg)
            if leg % 50 == 0:
                engine.run()

        def arrive(tick: int) -> None:
            for leg, phone in enumerate(phones, 1):
                if tick < len(phone.ticks):
                    engine.feed(leg, *phone.ticks[tick])

        engine.run(max(len(phone.ticks) for phone in phones), arrive)
        told = dict.fromkeys(range(1, 1001), "")
        for pressed in engine.told(DigitPressed):
            told[pressed.leg] += pressed.digit
    wrong = [leg for leg, phone in enumerate(phones, 1) if told[leg] != phone.wanted]
    assert wrong == []


METHODS: tuple[DtmfMethod, DtmfMethod] = ("rfc4733", "info")


@given(st.lists(st.sampled_from("123"), max_size=12), st.data())
def test_a_key_by_two_methods_is_one_press_however_they_interleave(
    keys: list[str], data: st.DataObject
) -> None:
    """Both methods bring the same keys in order; each key is told once."""
    pad = Keys(1)
    left = {method: list(keys) for method in METHODS}
    told = 0
    while any(left.values()):
        waiting: list[DtmfMethod] = [name for name in METHODS if left[name]]
        method: DtmfMethod = data.draw(st.sampled_from(waiting))
        told += pad.tell(0, 1, left[method].pop(0), method, 10.0) is not None
    assert told == len(keys)


def test_two_methods_far_apart_are_two_presses() -> None:
    """Beyond the pairing time a key by another method is a key of its own."""
    keys = Keys(1)
    assert keys.tell(0, 1, "5", "info", 10.0) is not None
    assert keys.tell(0, 1, "5", "rfc4733", 10.0 + PAIRING_SECONDS + 0.1) is not None
    assert keys.method(0) == "rfc4733"
