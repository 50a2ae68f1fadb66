"""What waits to be published: events in order, and which conferences' states are not the latest.

Events are encoded as they come and wait in a line of bounded length; when it is full the oldest is
dropped and counted, for whoever lost the most would be served the worst by news of an hour ago.
States do not wait: what is published is how the conference is then, at most once in `STATE_S`. At
each connection the states of all conferences that are there are due at once, before any event.

Replies to commands do not wait for the next connection: who asked has given up by then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from bridge.mqtt.schema import Reply

if TYPE_CHECKING:
    from bridge.events.messages import Event, State
    from bridge.mqtt.topics import Topics

__all__ = ["MOST_REPLIES", "STATE_S", "Message", "Outbox"]

STATE_S: Final = 1.0
"""Least time between two states of one conference: one of 200 people has some 60 kB."""

MOST_REPLIES: Final = 256


class Message(NamedTuple):
    """Something to be published.

    Attributes:
        topic: Where.
        payload: What; nothing clears a retained message.
        retain: Whether the broker keeps it for whoever subscribes later.
        buffered: Whether it is an event, which waits for the next connection if this one fails.
    """

    topic: str
    payload: bytes
    retain: bool = False
    buffered: bool = False


class Outbox:
    """What is still to be published; a listener of the event stream.

    Args:
        topics: where to.
        capacity: events that may wait.
        states: returns the state of each conference that is there, by id.
        state: returns that of one, none where it is gone.
        clock: monotonic time [s].
    """

    def __init__(
        self,
        topics: Topics,
        capacity: int,
        states: Callable[[], dict[int, State]],
        state: Callable[[int], State | None],
        clock: Callable[[], float],
    ) -> None:
        self.dropped = 0
        self.published = 0
        self.on_more: Callable[[], None] = lambda: None
        self._topics = topics
        self._capacity = capacity
        self._states = states
        self._state = state
        self._clock = clock
        self._events: deque[Message] = deque()
        self._replies: deque[Message] = deque(maxlen=MOST_REPLIES)
        self._due: dict[int, float] = {}
        self._told_at: dict[int, float] = {}
        self._connected = False
        self._encode = msgspec.json.Encoder().encode

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return len(self._events)

    # -- what happens ---------------------------------------------------------------------------

    def happened(self, event: Event) -> None:
        """Let an event wait for its turn."""
        word = str(event.__struct_config__.tag)
        topic = self._topics.of(event.conference, word)
        self._events.append(Message(topic, self._encode(event), buffered=True))
        self._drop_oldest()
        self.on_more()

    def changed(self, conference: int) -> None:
        """Know that a conference's state is another; nobody need know until there is a broker."""
        if self._connected and conference not in self._due:
            told_at = self._told_at.get(conference)
            now = self._clock()
            self._due[conference] = now if told_at is None else max(now, told_at + STATE_S)
            self.on_more()

    def reply(self, topic: str, reply: Reply) -> None:
        """Let a reply wait for its turn."""
        if self._connected:
            self._replies.append(Message(topic, self._encode(reply)))
            self.on_more()

    # -- the connection -------------------------------------------------------------------------

    def connected(self) -> None:
        """Let all states be due: the broker may know none, or old ones."""
        self._connected = True
        self._told_at.clear()
        self._due = dict.fromkeys(self._states(), float("-inf"))
        self.on_more()

    def disconnected(self) -> None:
        """Keep events, and nothing else."""
        self._connected = False
        self._due.clear()
        self._told_at.clear()
        self._replies.clear()

    def stale(self, conference: int) -> None:
        """Clear what the broker still has of a conference that is not there."""
        if self._state(conference) is None:
            self._due[conference] = float("-inf")
            self.on_more()

    def take(self, most: int) -> list[Message]:
        """Take what is to be published now.

        Args:
            most: so many messages.

        Returns:
            States that are due, then replies, then events.
        """
        now = self._clock()
        taken: list[Message] = []
        for conference in [each for each, due_at in self._due.items() if due_at <= now][:most]:
            del self._due[conference]
            state = self._state(conference)
            topic = self._topics.of(conference, "state")
            if state is None:
                self._told_at.pop(conference, None)
                taken.append(Message(topic, b"", retain=True))
            else:
                self._told_at[conference] = now
                taken.append(Message(topic, self._encode(state), retain=True))
        for line in (self._replies, self._events):
            while line and len(taken) < most:
                taken.append(line.popleft())
        return taken

    def give_back(self, messages: list[Message]) -> None:
        """Take back what could not be published; events may so come twice, never in disorder."""
        self._events.extendleft(message for message in reversed(messages) if message.buffered)
        self._drop_oldest()

    def next_due_s(self) -> float | None:
        """Return how long until the next state is due [s], none where none will be."""
        return max(0.0, min(self._due.values()) - self._clock()) if self._due else None

    def _drop_oldest(self) -> None:
        while len(self._events) > self._capacity:
            self._events.popleft()
            self.dropped += 1
