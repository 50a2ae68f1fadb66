"""The stream: everybody is told, and nobody who listens can do harm."""

from datetime import UTC, datetime
from uuid import UUID

from bridge.events.messages import Event, Started
from bridge.events.stream import EventStream

STARTED = Started(conference=1, session=UUID(int=1), at=datetime(2026, 1, 1, tzinfo=UTC), number=1)


class Notes:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[Event | int] = []

    def happened(self, event: Event) -> None:
        """Keep an event."""
        self.heard.append(event)

    def changed(self, conference: int) -> None:
        """Keep a conference."""
        self.heard.append(conference)


class Deaf(Notes):
    """Fails at everything."""

    def happened(self, event: Event) -> None:
        """Fail."""
        raise RuntimeError(event)

    def changed(self, conference: int) -> None:
        """Fail."""
        raise RuntimeError(conference)


def test_everybody_hears_everything_from_then_on_until_they_leave() -> None:
    """A listener hears what is posted while it listens, and nothing else."""
    errors: list[Exception] = []
    stream = EventStream(lambda _one: {}, errors.append)
    first, second = Notes(), Notes()
    listened = [stream.listened]
    stream.post(STARTED)
    stream.listen(first)
    stream.post(STARTED)
    stream.listen(second)
    stream.changed(7)
    stream.forget(first)
    stream.post(STARTED)
    assert [*listened, stream.listened] == [False, True]
    assert first.heard == [STARTED, 7]
    assert second.heard == [7, STARTED]


def test_a_listener_that_fails_is_counted_and_the_others_hear_all_the_same() -> None:
    """The error goes to the house; the next listener is told."""
    errors: list[Exception] = []
    stream = EventStream(lambda _one: {}, errors.append)
    notes = Notes()
    stream.listen(Deaf())
    stream.listen(notes)
    stream.post(STARTED)
    stream.changed(7)
    assert notes.heard == [STARTED, 7]
    assert [type(error) for error in errors] == [RuntimeError] * 2
