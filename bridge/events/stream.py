"""The stream of events: conferences post to it, and whoever listens is called at once.

It is a plain object of the event loop; no broker and no socket is known here. A listener takes what
it is given, keeps it if it likes, and returns: it may neither block nor raise. One that raises all
the same is counted and the conference goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bridge.events.messages import Event, State

__all__ = ["EventStream", "Listener"]


class Listener(Protocol):
    """Who follows the stream."""

    def happened(self, event: Event) -> None:
        """Take an event."""

    def changed(self, conference: int) -> None:
        """Know that the state of a conference, by its id, is another; or that it is gone."""


class EventStream:
    """Events of all conferences, in the order in which they happened.

    Args:
        states: returns the state of every conference that is there now, by id.
        on_error: told what a listener raised.
    """

    def __init__(
        self,
        states: Callable[[int | None], dict[int, State]],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._states = states
        self._on_error = on_error
        self._listeners: list[Listener] = []

    @property
    def listened(self) -> bool:
        """Whether anybody listens: nobody has to find out what nobody wants to know."""
        return bool(self._listeners)

    def listen(self, listener: Listener) -> None:
        """Tell a listener of everything from now on."""
        self._listeners.append(listener)

    def forget(self, listener: Listener) -> None:
        """Tell a listener nothing more; an unknown one is fine."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def post(self, event: Event) -> None:
        """Tell everybody of an event."""
        for listener in list(self._listeners):
            try:
                listener.happened(event)
            except Exception as error:  # noqa: BLE001 - no listener may disturb a conference
                self._on_error(error)

    def changed(self, conference: int) -> None:
        """Tell everybody that a conference is not as it was."""
        for listener in list(self._listeners):
            try:
                listener.changed(conference)
            except Exception as error:  # noqa: BLE001 - likewise
                self._on_error(error)

    def state(self, conference: int) -> State | None:
        """Return how a conference is, by its id; none where it does not run."""
        return self._states(conference).get(conference)

    def states(self) -> dict[int, State]:
        """Return how each conference is, by id."""
        return self._states(None)
