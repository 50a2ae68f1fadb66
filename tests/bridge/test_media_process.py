"""Whether a media process hangs: its own silence, not the machine's."""

from bridge.media_process import LOOK_S, Silence

HANG_S = 0.3


def silence_of(looks: list[tuple[float, float, float]]) -> float:
    """Return the silence after looks: time passed, of the last tick, waited for a core."""
    silence, now = Silence(0.0), 0.0
    found = 0.0
    for passed, ticked_at, waited in looks:
        now += passed
        found = silence.look(now, ticked_at, waited)
    return found


def test_a_process_that_ticks_is_not_silent() -> None:
    """However long it takes."""
    assert silence_of([(LOOK_S, at * LOOK_S, 0.0) for at in range(100)]) == 0


def test_a_process_that_stops_is_seen() -> None:
    """After as long as it may."""
    looks = [(LOOK_S, 1.0, 0.0)] * 8
    assert abs(silence_of(looks) - 7 * LOOK_S) < 1e-9


def test_a_stall_of_who_looks_is_not_the_process_s() -> None:
    """The machine stood for five seconds: that proves nothing."""
    looks = [(LOOK_S, 1.0, 0.0), (5.0, 1.0, 0.0)]
    assert silence_of(looks) == 2 * LOOK_S
    assert silence_of([*looks, (LOOK_S, 1.1, 0.0)]) == 0


def test_who_waits_for_a_core_does_not_hang() -> None:
    """The kernel says so; a stopped process waits for nothing."""
    starved = [(LOOK_S, 1.0, at * LOOK_S) for at in range(100)]
    assert silence_of(starved) < LOOK_S
    half = [(LOOK_S, 1.0, at * LOOK_S / 2) for at in range(100)]
    assert silence_of(half) > HANG_S


def test_the_tick_that_opens_hundreds_of_legs_is_forgiven() -> None:
    """And no more than that one."""
    silence = Silence(0.0)
    silence.look(LOOK_S, 1.0, 0.0)
    silence.forgive(1.0)
    seen = [silence.look((2 + at) * LOOK_S, 1.0, 0.0) for at in range(40)]
    assert [each > HANG_S for each in seen] == [
        (at + 1) * LOOK_S - 1.0 > HANG_S for at in range(40)
    ]
