"""Where legs and rooms are put, and when no more are let in."""

from bridge.media.messages import Heartbeat
from bridge.posts import BUSY_BEATS, RELIEVED_BEATS, Busy, Post, least_loaded


def beat(p50: float, legs: int, p95: float = 1.0) -> Heartbeat:
    """Return a second of a process."""
    return Heartbeat(50, p50, p95, 30.0, 0, 0, legs, 0, 0)


def post(number: int, p50: float = 0.0, legs: int = 0, now: int | None = None) -> Post:
    """Return a post whose process said so a moment ago, with so many legs now."""
    made = Post(number, Busy(0.7), beat=beat(p50, legs))
    made.legs = set(range(legs if now is None else now))
    made.process = object()  # type: ignore[assignment] # stand-in: somebody is there
    return made


def test_new_calls_are_refused_after_seconds_near_the_deadline_not_one_stumble() -> None:
    """And let in again only when there is room, not at the limit itself."""
    busy = Busy(0.7)
    for p95 in [14.1] * (BUSY_BEATS - 1) + [13.9] + [14.1] * (BUSY_BEATS - 1):
        busy.take(p95)
        assert not busy.now
    busy.take(14.1)
    assert busy.now
    for p95 in [13.0] * 10 + [11.9] * (RELIEVED_BEATS - 1) + [12.5] + [11.9] * (RELIEVED_BEATS - 1):
        busy.take(p95)
        assert busy.now
    busy.take(11.9)
    assert not busy.now


def test_a_new_leg_goes_to_the_least_loaded_post() -> None:
    """By its tick, and by legs that came since."""
    assert least_loaded([post(0, 4.0, 200), post(1, 3.0, 300)]).number == 1
    assert least_loaded([post(0, 4.0, 200), post(1, 3.9, 200, now=260)]).number == 0
    assert least_loaded([post(0), post(1)]).number == 0


def test_a_post_without_a_process_gets_nothing_while_another_has_one() -> None:
    """Its legs have to wait for the spare."""
    empty = post(0)
    empty.process = None
    assert least_loaded([empty, post(1, 10.0, 900)]).number == 1
    assert least_loaded([empty]).number == 0


def test_legs_are_spread_before_a_heartbeat_says_what_they_cost() -> None:
    """A burst of calls within a second does not all go to one."""
    posts = [post(0), post(1), post(2)]
    for leg in range(9):
        least_loaded(posts).legs.add(leg)
    assert [len(each.legs) for each in posts] == [3, 3, 3]


def test_a_room_ends_with_its_last_leg() -> None:
    """Its plays too."""
    here = post(0)
    here.enter(7, 1)
    here.enter(7, 2)
    here.room_plays[7] = {}
    here.leave(7, 1)
    assert here.rooms == {7: {2}}
    here.leave(7, 2)
    assert here.rooms == {}
    assert here.room_plays == {}
