"""What legs hear of each other, to the sample, whatever comes in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.depth import CAP_ROWS, START_ROWS
from bridge.media.messages import (
    ChangeLeg,
    DigitInfo,
    DigitPressed,
    EngineError,
    LegMedia,
    Place,
)
from tests.media.engine import NOISE, Engine, Rtp, Sender, coded, find, loud, still
from tests.support import g711


def test_two_legs_of_a_room_hear_each_other_and_not_themselves() -> None:
    """Every sample one says is heard by the other, in order, and nothing else."""
    with Engine() as engine:
        senders = {leg: engine.open(leg, room=5) for leg in (1, 2)}
        engine.run()
        said = {leg: loud(leg, 20) for leg in (1, 2)}

        def talk(number: int) -> None:
            for leg, sender in senders.items():
                engine.feed(leg, sender.say(said[leg][number]))

        engine.run(20, talk)
        engine.run(3)
        for leg, other in ((1, 2), (2, 1)):
            heard = engine.heard(leg)
            at = find(heard, said[other].reshape(-1))
            assert at >= 0
            assert not heard[:at].any()


def test_a_stranger_to_the_room_hears_nothing_of_it() -> None:
    """Rooms are apart, and a leg in no room hears silence."""
    with Engine() as engine:
        speaker = engine.open(1, room=5)
        for leg, room in ((2, 6), (3, None)):
            engine.open(leg, room=room)
        engine.open(4, room=5)
        engine.run()
        engine.run(10, lambda number: engine.feed(1, speaker.say(loud(number)[0])))
        assert not engine.heard(2).any()
        assert not engine.heard(3).any()
        assert engine.heard(4).any()


ROLES = st.tuples(
    st.integers(1, 3), st.booleans(), st.booleans(), st.sampled_from(["PCMU", "PCMA"])
)


@settings(max_examples=40, deadline=None)
@given(roles=st.lists(ROLES, min_size=1, max_size=9), seed=st.integers(0, 10_000))
def test_each_leg_hears_the_clipped_sum_of_the_others(
    roles: list[tuple[int, bool, bool, str]], seed: int
) -> None:
    """Mixing equals the slow sum over whoever else speaks in the room, whoever they are."""
    with Engine(capacity=2) as engine:
        senders: dict[int, Sender] = {}
        for leg, (room, speaks, hears, codec) in enumerate(roles, 1):
            senders[leg] = engine.open(leg, room=room, codec=codec, speaks=speaks, hears=hears)
        engine.run()
        frames = 6
        said = {leg: loud(seed + leg, frames) for leg in senders}

        def talk(number: int) -> None:
            for leg, sender in senders.items():
                engine.feed(leg, sender.say(said[leg][number]))

        engine.run(frames, talk)
        engine.run(START_ROWS)
        for leg, (room, _, hears, _) in enumerate(roles, 1):
            number = senders[leg].payload_type
            total = np.zeros((frames, 160), np.int64)
            for other, (its_room, speaks, _, its_codec) in enumerate(roles, 1):
                if other != leg and its_room == room and speaks:
                    its_number = 0 if its_codec == "PCMU" else 8
                    total += coded(said[other].reshape(-1), its_number).reshape(frames, 160)
            if not hears:
                total[:] = 0
            expected = g711.encode(np.clip(total, -32768, 32767).astype(np.int16), number)
            got = b"".join(packet.payload for packet in engine.sent(leg))[-frames * 160 :]
            # Halfway between two codes either is nearest: half a step at most is the same sound.
            reference = np.clip(total, -32768, 32767).reshape(-1)
            error = np.abs(g711.decode(got, number).astype(int) - reference)
            best = np.abs(g711.decode(expected, number).astype(int) - reference)
            assert (error == best).all()


@pytest.mark.parametrize(("up", "listener", "speaker"), [(25, 0, -32124), (27, 32124, 32124)])
def test_fifty_loud_legs_are_summed_wide_and_clipped_once(
    up: int, listener: int, speaker: int
) -> None:
    """Fifty at full scale: what cancels is silent, and a speaker is taken out before the clip."""
    with Engine() as engine:
        senders = {leg: engine.open(leg, room=1) for leg in range(1, 51)}
        engine.open(51, room=1, speaks=False)
        engine.run()
        top = np.full(160, 32124, np.int16)

        def talk(_: int) -> None:
            for leg, sender in senders.items():
                engine.feed(leg, sender.say(top if leg <= up else -top))

        engine.run(6, talk)
        engine.run(START_ROWS)
        assert set(engine.heard(51)[-160:].tolist()) == {listener}
        assert set(engine.heard(1)[-160:].tolist()) == {speaker}


@pytest.mark.parametrize("ptime", [10, 20, 30, 40, 60])
@pytest.mark.parametrize("offset", [0, 80, 37])
def test_every_ptime_is_heard_whole(ptime: int, offset: int) -> None:
    """Packets of 10 to 60 ms, whatever their place on the grid, give the sound without a seam."""
    with Engine() as engine:
        sender = engine.open(1, room=1)
        engine.open(2, room=1, speaks=False)
        engine.run()
        sender.timestamp = offset
        sound = loud(3, 30).reshape(-1)
        size = ptime * 8
        parts = [sound[at : at + size] for at in range(0, len(sound) - size + 1, size)]

        def talk(number: int) -> None:
            # What has been said by the end of this tick.
            while parts and (len(sound) // size - len(parts) + 1) * size <= (number + 1) * 160:
                engine.feed(1, sender.say(parts.pop(0)))

        engine.run(36, talk)
        assert not parts
        heard = engine.heard(2)
        whole = sound[: len(sound) // size * size]
        at = find(heard, whole)
        assert at >= 0
        statistics = engine.state.sequences.lost(np.array([engine.row(1)]))
        assert statistics.tolist() == [0]


def test_hold_sends_nothing_and_time_runs_on() -> None:
    """While the peer holds us nothing goes out; afterwards a marker, and no leap of sequence."""
    with Engine() as engine:
        engine.open(1)
        engine.run(2)
        before = engine.sent(1)[-1]
        media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=("192.0.2.1", 4000))
        held = LegMedia(codec="PCMU", payload_type=0, remote_rtp=("192.0.2.1", 4000), tx=False)
        engine.command(ChangeLeg(leg=1, media=held))
        engine.run(10)
        assert engine.sent(1) == []
        engine.command(ChangeLeg(leg=1, media=media))
        engine.run(2)
        after, following = engine.sent(1)
        assert after.marker
        assert not following.marker
        assert after.sequence == before.sequence + 1
        assert after.timestamp == before.timestamp + 160 * 11


def test_a_leg_that_may_not_send_is_not_heard() -> None:
    """On hold its music is counted, not heard; resumed, it is heard again."""
    with Engine() as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1)
        engine.run()
        address = ("192.0.2.1", 4000)
        engine.run(5, lambda number: engine.feed(1, speaker.say(loud(number)[0])))
        held = LegMedia(codec="PCMU", payload_type=0, remote_rtp=address, rx=False)
        engine.command(ChangeLeg(leg=1, media=held))
        engine.heard(2)
        engine.run(20, lambda number: engine.feed(1, speaker.say(loud(number)[0])))
        assert not engine.heard(2).any()
        assert engine.state.leg_counters.of(engine.row(1))["unwanted"] == 20
        engine.command(
            ChangeLeg(leg=1, media=LegMedia(codec="PCMU", payload_type=0, remote_rtp=address))
        )
        engine.run(8, lambda number: engine.feed(1, speaker.say(loud(number)[0])))
        assert engine.heard(2)[-320:].any()


def test_a_codec_changed_in_the_call_is_heard_right() -> None:
    """A re-INVITE from µ-law to A-law: what waits in the old code is not decoded by the new."""
    with Engine() as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1)
        engine.run()
        quiet = np.zeros(160, np.int16)
        engine.run(5, lambda _: engine.feed(1, speaker.say(quiet)))
        media = LegMedia(codec="PCMA", payload_type=8, remote_rtp=("192.0.2.1", 4000))
        engine.command(ChangeLeg(leg=1, media=media))
        speaker.payload_type = 8
        engine.run(20, lambda _: engine.feed(1, speaker.say(quiet)))
        # A-law has no zero: its quietest is 8. µ-law silence read as A-law would be 848.
        assert np.abs(engine.heard(2).astype(int)).max() <= 16
        assert {packet.payload_type for packet in engine.sent(1)[-5:]} == {8}


def test_comfort_noise_is_heard_at_its_level_until_speech_resumes() -> None:
    """RFC 3389: after a packet of -50 dBov the room hears noise of about that level."""
    with Engine() as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1, speaks=False)
        engine.run()
        engine.run(10, lambda number: engine.feed(1, speaker.say(loud(number)[0])))
        pause = Rtp(speaker.sequence, speaker.timestamp, bytes([50]), NOISE, speaker.ssrc)
        speaker.sequence += 1
        engine.feed(1, pause)
        engine.run(5)
        engine.heard(2)
        engine.run(100)
        noise = engine.heard(2).astype(float)
        level = 20 * np.log10(np.sqrt(np.mean(noise**2)) / 32768)
        assert -52 < level < -48
        speaker.timestamp += 160 * 104
        said = loud(77, 10)
        engine.run(10, lambda number: engine.feed(1, speaker.say(said[number])))
        engine.run(4)
        assert find(engine.heard(2), said[3:].reshape(-1)) >= 0


def test_after_comfort_noise_a_lost_packet_is_concealed_again() -> None:
    """The pause is over with the first packet of speech: a gap is filled with what was said."""
    with Engine() as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1, speaks=False)
        engine.run()
        engine.feed(1, speaker.say(loud(1)[0]))
        engine.run()
        engine.feed(1, Rtp(speaker.sequence, speaker.timestamp, bytes([90]), NOISE, speaker.ssrc))
        speaker.sequence += 1
        engine.run(3)
        speaker.timestamp += 3 * 160
        said = loud(5, 6)
        for number in range(6):
            packet = speaker.say(said[number])
            if number != 4:
                engine.feed(1, packet)
            engine.run()
        engine.run(2)
        heard = engine.heard(2)
        at = find(heard, said[3])
        assert at >= 0
        filled = heard[at + 160 : at + 320].astype(float)
        assert np.sqrt(np.mean(filled**2)) > np.sqrt(np.mean(said[3].astype(float) ** 2)) / 2


def test_a_flood_is_one_legs_trouble() -> None:
    """3,000 packets a second to one leg: the two others hear each other to the sample."""
    with Engine() as engine:
        flooding = engine.open(1, room=2)
        speaker = engine.open(2, room=1)
        engine.open(3, room=1)
        engine.run()
        said = loud(8, 50)
        rubbish = np.random.default_rng(1)

        def arrive(number: int) -> None:
            for _ in range(60):
                packet = flooding.audio(still())
                engine.feed(1, packet, rubbish.bytes(int(rubbish.integers(1, 700))))
            engine.feed(2, speaker.say(said[number]))

        engine.run(50, arrive)
        engine.run(3)
        assert find(engine.heard(3), said.reshape(-1)) >= 0
        counts = engine.state.leg_counters.of(engine.row(1))
        assert counts["malformed"] > 1000
        assert sum(engine.state.leg_counters.of(engine.row(2)).values()) == 0


@settings(max_examples=60, deadline=None)
@given(
    rubbish=st.lists(st.binary(min_size=1, max_size=700), max_size=30),
    heads=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=10),
)
def test_any_octets_leave_the_other_legs_unharmed(
    rubbish: list[bytes], heads: list[tuple[int, int]]
) -> None:
    """Whatever one leg sends, no stage fails and the others hear each other."""
    with Engine() as engine:
        engine.open(1, room=2)
        speaker = engine.open(2, room=1)
        engine.open(3, room=1)
        engine.run()
        said = loud(2, 8)
        bad = rubbish + [bytes(head) + bytes(range(40)) for head in heads]

        def arrive(number: int) -> None:
            engine.feed(1, *bad)
            engine.feed(2, speaker.say(said[number]))

        engine.run(8, arrive)
        engine.run(3)
        assert find(engine.heard(3), said.reshape(-1)) >= 0


def test_keys_are_told_once_and_not_heard() -> None:
    """A key by RFC 4733 is one event, and the tone that leaked before it is not heard."""
    with Engine() as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1)
        engine.run()
        quiet = np.zeros(160, np.int16)
        engine.run(5, lambda _: engine.feed(1, speaker.say(quiet)))
        engine.feed(1, speaker.say(loud(1)[0]))
        engine.run()
        for number in range(5):
            engine.feed(1, speaker.key(7, 160 * (number + 1), marker=number == 0))
            engine.run()
        for _ in range(3):
            engine.feed(1, speaker.key(7, 800, ended=True))
            engine.run()
        speaker.timestamp += 8 * 160
        engine.run(10, lambda _: engine.feed(1, speaker.say(quiet)))
        pressed = engine.told(DigitPressed)
        assert [(event.leg, event.digit, event.method) for event in pressed] == [
            (1, "7", "rfc4733")
        ]
        assert np.abs(engine.heard(2).astype(int)).max() < 200


def test_a_key_after_the_stream_began_anew_is_told() -> None:
    """Another SSRC whose time stamps begin a little earlier: its keys are not old ones."""
    with Engine() as engine:
        first = engine.open(1)
        engine.run()
        for _ in range(3):
            engine.feed(1, first.audio(still()))
            engine.run()
        engine.feed(1, first.key(4, 160, ended=True))
        engine.run()
        anew = Sender(ssrc=99, sequence=20, timestamp=first.timestamp - 3200)
        for _ in range(3):
            engine.feed(1, anew.audio(still()))
            engine.run()
        engine.feed(1, anew.key(4, 160, ended=True))
        engine.run()
        assert [event.digit for event in engine.told(DigitPressed)] == ["4", "4"]


def test_what_came_in_a_burst_does_not_wait_for_ever() -> None:
    """A quarter of a second at once: within three seconds the wait is back under its cap."""
    with Engine() as engine:
        speaker = engine.open(1, room=1)
        engine.run()
        engine.feed(1, *[speaker.audio(still()) for _ in range(14)])
        engine.run(2, lambda _: engine.feed(1, speaker.audio(still())))
        assert engine.state.store.ahead[engine.row(1)] > CAP_ROWS
        engine.run(150, lambda _: engine.feed(1, speaker.audio(still())))
        assert engine.state.store.ahead[engine.row(1)] <= CAP_ROWS


def test_a_key_by_info_comes_back_once() -> None:
    """INFO alone is told; the same key as an event and by INFO is one press."""
    with Engine() as engine:
        speaker = engine.open(1)
        engine.command(DigitInfo(leg=1, digit="5"))
        engine.run()
        engine.feed(1, speaker.key(5, 160))
        engine.run()
        assert [(event.digit, event.method) for event in engine.told(DigitPressed)] == [
            ("5", "info")
        ]
        engine.command(DigitInfo(leg=1, digit="x"))
        engine.run()
        assert len(engine.told(EngineError)) == 1


def test_speech_is_heard_at_once_after_a_jump() -> None:
    """What came during a jump is left out, not played late."""
    with Engine() as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1)
        engine.run()
        said = loud(9, 60)
        engine.run(20, lambda number: engine.feed(1, speaker.say(said[number])))
        engine.state.jump(10)
        for number in range(20, 30):
            engine.feed(1, speaker.say(said[number]))
        engine.heard(2)
        engine.run(30, lambda number: engine.feed(1, speaker.say(said[30 + number])))
        assert find(engine.heard(2), said[30:56].reshape(-1)) in range(5 * 160)


def test_tables_grow_while_legs_talk() -> None:
    """Legs beyond the first capacity change nothing for those who talk."""
    with Engine(capacity=2) as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1)
        engine.run()
        said = loud(5, 30)

        def arrive(number: int) -> None:
            engine.feed(1, speaker.say(said[number]))
            engine.open(100 + number, room=10 + number)

        engine.run(30, arrive)
        engine.run(3)
        assert len(engine.state.legs) == 32
        assert find(engine.heard(2), said.reshape(-1)) >= 0


def test_a_moved_leg_is_heard_in_its_new_room_alone() -> None:
    """A leg moved between rooms, then into none."""
    with Engine() as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1)
        engine.open(3, room=2)
        engine.run()

        def talk(number: int) -> None:
            engine.feed(1, speaker.say(loud(number)[0]))

        engine.run(8, talk)
        engine.command(Place(leg=1, room=2))
        engine.run()
        assert engine.heard(2).any()
        engine.heard(3)
        engine.run(5, talk)
        assert not engine.heard(2).any()
        assert engine.heard(3).any()
        engine.command(Place(leg=1, room=None))
        engine.run()
        engine.heard(3)
        engine.run(5, talk)
        assert not engine.heard(3).any()
        assert sorted(engine.state.rooms.index_of) == [1, 2]
