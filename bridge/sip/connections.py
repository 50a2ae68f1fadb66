"""TCP connections: how many, from where, and which may be closed. Pure; time comes in.

Each takes a descriptor and memory, so there is a limit; an address that is not trusted gets little
of it, and a connection without a call does not keep its place for ever.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

__all__ = ["Connections"]


@dataclass(slots=True)
class _Connection:
    source: str
    seen: float
    calls: int = 0


class Connections:
    """The TCP connections of one endpoint.

    Args:
        limit: connections at once.
        per_source: connections at once from an address that is not trusted.
        idle_s: seconds after which one without a call may be closed.
    """

    def __init__(self, limit: int, per_source: int, idle_s: float) -> None:
        self.limit = limit
        self.per_source = per_source
        self.idle_s = idle_s
        self.refused: Counter[str] = Counter()
        self.idle_closed = 0
        self._open: dict[int, _Connection] = {}
        self._sources: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def refusal(self, source: str, *, trusted: bool) -> str | None:
        """Say why one more connection must not be taken, and count it; None where it may."""
        reason = None
        if len(self._open) >= self.limit:
            reason = "tcp_full"
        elif not trusted and self._sources[source] >= self.per_source:
            reason = "tcp_source_limit"
        if reason is not None:
            self.refused[reason] += 1
        return reason

    def opened(self, key: int, source: str, now: float) -> None:
        """Enter a connection."""
        self._open[key] = _Connection(source, now)
        self._sources[source] += 1

    def source(self, key: int) -> str | None:
        """Return the address at the other end, None for an unknown connection."""
        connection = self._open.get(key)
        return connection.source if connection is not None else None

    def touched(self, key: int, now: float) -> None:
        """Note that something came."""
        connection = self._open.get(key)
        if connection is not None:
            connection.seen = now

    def hold(self, key: int) -> None:
        """A call uses the connection."""
        connection = self._open.get(key)
        if connection is not None:
            connection.calls += 1

    def release(self, key: int, now: float) -> None:
        """A call that used the connection is over."""
        connection = self._open.get(key)
        if connection is not None:
            connection.calls = max(connection.calls - 1, 0)
            connection.seen = now

    def closed(self, key: int) -> None:
        """Take a connection out."""
        connection = self._open.pop(key, None)
        if connection is None:
            return
        self._sources[connection.source] -= 1
        if self._sources[connection.source] <= 0:
            del self._sources[connection.source]

    def idle(self, now: float) -> list[int]:
        """Return connections without a call that have been silent too long, and count them."""
        keys = [
            key
            for key, item in self._open.items()
            if not item.calls and now - item.seen > self.idle_s
        ]
        self.idle_closed += len(keys)
        for key in keys:
            self._open[key].seen = now  # closing takes a moment; say it once
        return keys
