"""Who may be latched: the address of SDP at once, another one only after proof."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.media.latching import PROBATION, Latch, Source, Verdict
from tests.media.engine import Rtp, still

NAMED: Source = ("192.0.2.1", 4000)
NAT: Source = ("198.51.100.7", 61_000)
STRANGER: Source = ("203.0.113.9", 9)
TYPES = frozenset({0, 101})
LATCHES = {Verdict.LATCH_OWN, Verdict.LATCH_OTHER}


def packet(sequence: int, payload_type: int = 0, ssrc: int = 5) -> bytes:
    """Return a packet."""
    return Rtp(sequence, 160 * sequence, still(), payload_type, ssrc).pack()


def test_the_address_of_sdp_is_believed_at_once() -> None:
    """Its first packet latches."""
    assert Latch(NAMED, TYPES).judge(NAMED, packet(1)) is Verdict.LATCH_OWN


def test_another_source_latches_after_packets_in_a_row() -> None:
    """A phone behind NAT proves itself, over the wrap of its sequence number too."""
    latch = Latch(NAMED, TYPES)
    verdicts = [latch.judge(NAT, packet((65_534 + k) & 0xFFFF)) for k in range(PROBATION)]
    assert verdicts == [Verdict.STRANGER] * (PROBATION - 1) + [Verdict.LATCH_OTHER]
    assert latch.target == NAT


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 3)), max_size=60))
def test_random_packets_never_latch(packets: list[tuple[int, int]]) -> None:
    """What is not `PROBATION` numbers in a row of one SSRC stays a stranger."""
    latch = Latch(NAMED, TYPES)
    run, last = 0, (-1, -1)
    for sequence, ssrc in packets:
        run = run + 1 if (sequence, ssrc) == last else 1
        last = ((sequence + 1) & 0xFFFF, ssrc)
        verdict = latch.judge(STRANGER, packet(sequence, ssrc=ssrc))
        if run >= PROBATION:
            assert verdict is Verdict.LATCH_OTHER
            return
        assert verdict is Verdict.STRANGER
    assert latch.target == NAMED


def test_one_stranger_that_repeats_a_packet_never_latches() -> None:
    """The same packet again, however often, proves nothing."""
    latch = Latch(None, TYPES)
    assert {latch.judge(STRANGER, packet(7)) for _ in range(100)} == {Verdict.STRANGER}


def test_a_stranger_in_between_does_not_set_back_the_true_source() -> None:
    """Sources are judged apart: a spray from one does not disturb the other's row."""
    latch = Latch(NAMED, TYPES)
    for k in range(PROBATION - 1):
        assert latch.judge(NAT, packet(k)) is Verdict.STRANGER
        assert latch.judge(STRANGER, packet(11 * k)) is Verdict.STRANGER
    assert latch.judge(NAT, packet(PROBATION - 1)) is Verdict.LATCH_OTHER


def test_a_wrong_payload_type_proves_nothing() -> None:
    """Even from the address of SDP, a payload type nobody negotiated does not latch."""
    latch = Latch(NAMED, TYPES)
    for source in (NAMED, NAT):
        verdicts = {latch.judge(source, packet(k, payload_type=8)) for k in range(10)}
        assert verdicts == {Verdict.STRANGER}


@given(st.binary(max_size=40))
def test_any_octets_are_judged(data: bytes) -> None:
    """Nothing shorter than a header and a payload, or of another version, latches or raises."""
    verdict = Latch(NAMED, TYPES).judge(NAMED, data)
    if len(data) <= 12 or data[0] >> 6 != 2:
        assert verdict is Verdict.MALFORMED
    else:
        assert (verdict is Verdict.LATCH_OWN) == (data[1] & 0x7F in TYPES)


def test_a_source_latched_before_is_believed_again() -> None:
    """After a quiet time the known source needs no proof."""
    latch = Latch(NAMED, TYPES)
    for k in range(PROBATION):
        latch.judge(NAT, packet(k))
    assert latch.judge(NAT, packet(500)) is Verdict.LATCH_OTHER


def test_proof_given_before_another_was_latched_is_forgotten() -> None:
    """One packet short of its proof, then the true source: afterwards it begins anew."""
    latch = Latch(NAMED, TYPES)
    for k in range(PROBATION - 1):
        latch.judge(STRANGER, packet(k))
    latch.judge(NAMED, packet(70))
    assert latch.judge(STRANGER, packet(PROBATION - 1)) is Verdict.STRANGER


def test_media_that_moved_must_latch_anew() -> None:
    """A re-INVITE with another address: the old source has to prove itself like any other."""
    latch = Latch(NAMED, TYPES)
    latch.judge(NAMED, packet(1))
    assert not latch.rename(NAMED, TYPES)
    assert not latch.rename(None, TYPES)
    moved: Source = ("192.0.2.2", 5000)
    assert latch.rename(moved, TYPES)
    assert latch.target == moved
    assert latch.judge(NAMED, packet(2)) is Verdict.STRANGER
    assert latch.judge(moved, packet(2)) in LATCHES
