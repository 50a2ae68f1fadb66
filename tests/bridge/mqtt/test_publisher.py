"""What waits: bounded, in order, states first and only the latest."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.events.messages import Event, Hand, State
from bridge.mqtt.publisher import MOST_REPLIES, STATE_S, Outbox
from bridge.mqtt.schema import Reply
from bridge.mqtt.topics import Topics
from dialplan.floor import Mode

AT = datetime(2026, 1, 1, tzinfo=UTC)
SESSION = UUID(int=4)


def event(number: int, conference: int = 1) -> Event:
    """Return an event."""
    return Hand(
        conference=conference, session=SESSION, at=AT, number=number, person=5, raised=True, place=1
    )


def state(conference: int) -> State:
    """Return the state of a conference with nobody in it."""
    return State(
        conference=conference,
        session=SESSION,
        started_at=AT,
        at=AT,
        number=0,
        mode=Mode.CONVERSATION,
        locked=False,
        muted_all=False,
        breakouts=0,
        speakers=0,
        listeners=0,
        waiting=0,
        people=(),
    )


class House:
    """Conferences that are there, a clock, and an outbox of them."""

    def __init__(self, capacity: int = 100, node: str = "n") -> None:
        self.running: set[int] = set()
        self.time = 1000.0
        self.outbox = Outbox(
            Topics(node),
            capacity,
            self.states,
            lambda one: self.states().get(one),
            lambda: self.time,
        )

    def states(self) -> dict[int, State]:
        """Return the states."""
        return {conference: state(conference) for conference in self.running}

    def taken(self, most: int = 1000) -> list[tuple[str, int | None, bool]]:
        """Take messages: word, number of an event, whether retained."""
        return [
            (
                each.topic.split("/")[-1],
                msgspec.json.decode(each.payload).get("number") if each.payload else None,
                each.retain,
            )
            for each in self.outbox.take(most)
        ]


def test_events_wait_for_a_broker_and_the_oldest_are_dropped_and_counted() -> None:
    """A line of three that was told of five knows the last three."""
    house = House(capacity=3)
    for number in range(1, 6):
        house.outbox.happened(event(number))
    assert (house.outbox.waiting, house.outbox.dropped) == (3, 2)
    house.outbox.connected()
    assert house.taken() == [("hand", 3, False), ("hand", 4, False), ("hand", 5, False)]


def test_the_states_of_all_conferences_come_first_at_each_connection() -> None:
    """Retained, before any event that waited, and again at the next connection."""
    house = House()
    house.running = {7, 8}
    house.outbox.happened(event(1))
    for _ in range(2):
        house.outbox.connected()
        assert [word for word, _, _ in house.taken(2)] == ["state", "state"]
        house.outbox.disconnected()
    house.outbox.connected()
    assert house.taken()[2:] == [("hand", 1, False)]


def test_a_state_is_published_once_a_second_and_cleared_at_the_end() -> None:
    """However often it changes; what is published is the latest."""
    house = House()
    house.outbox.connected()
    house.running = {7}
    for _ in range(5):
        house.outbox.changed(7)
    assert house.taken() == [("state", 0, True)]
    house.outbox.changed(7)
    assert house.taken() == []
    assert house.outbox.next_due_s() == STATE_S
    house.time += STATE_S
    assert house.taken() == [("state", 0, True)]
    assert house.outbox.next_due_s() is None
    house.running = set()
    house.outbox.changed(7)
    house.time += STATE_S
    assert house.taken() == [("state", None, True)]


def test_what_the_broker_still_has_of_a_conference_that_is_gone_is_cleared() -> None:
    """Of one that runs it is not: its own state is on the way."""
    house = House()
    house.running = {7}
    house.outbox.connected()
    house.taken()
    house.outbox.stale(7)
    house.outbox.stale(9)
    assert [(each.topic, each.payload) for each in house.outbox.take(9)] == [
        ("dialin/n/conference/9/state", b"")
    ]


def test_without_a_broker_nothing_grows_but_the_line() -> None:
    """Changes and replies are forgotten, however many."""
    house = House(capacity=10)
    for number in range(5000):
        house.outbox.happened(event(number))
        house.outbox.changed(number)
        house.outbox.reply("r", Reply(id="x", result="done"))
    assert house.outbox.waiting == 10
    assert house.outbox._due == {}
    assert len(house.outbox._replies) == 0
    house.outbox.connected()
    for _ in range(2 * MOST_REPLIES):
        house.outbox.reply("r", Reply(id="x", result="done"))
    assert len(house.outbox._replies) == MOST_REPLIES


@given(
    st.integers(1, 8),
    st.lists(st.one_of(st.just("event"), st.tuples(st.integers(1, 5), st.integers(0, 5)))),
)
def test_no_event_is_lost_unnoticed_or_comes_in_disorder(
    capacity: int, steps: list[str | tuple[int, int]]
) -> None:
    """Whatever is taken, acknowledged or given back: delivered + dropped + waiting are all."""
    house = House(capacity)
    house.outbox.connected()
    posted, delivered = 0, list[int]()
    for step in steps:
        if isinstance(step, str):
            posted += 1
            house.outbox.happened(event(posted))
        else:
            most, acknowledged = step
            taken = house.outbox.take(most)
            for each in taken[:acknowledged]:
                delivered.append(msgspec.json.decode(each.payload)["number"])
            house.outbox.give_back(taken[acknowledged:])
        assert house.outbox.waiting <= capacity
    assert delivered == sorted(set(delivered))
    assert len(delivered) + house.outbox.dropped + house.outbox.waiting == posted
