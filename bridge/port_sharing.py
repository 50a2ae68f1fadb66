"""Which shared port each leg is on: one where nobody else has its remote address and port.

A media process finds the leg of a packet on a shared port by where the packet came from, so a
remote pair may be there once only. A carrier that itself sends all calls from one port gets a leg
on each port of ours, and more of its legs than we have ports get sockets of their own. A pair that
a leg has just left rests: its far end may send a little longer, and the next call from there must
not hear that.

A leg that must go to another media process keeps its port all the same: a socket of its own is
bound beside the shared one and connected, and the kernel gives a connected socket the packets of
its pair.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.media.ports import MediaPair, open_beside, open_shared

if TYPE_CHECKING:
    from bridge.media.latching import Source

__all__ = ["REST_S", "PortSharing", "SharedPlace", "SharedPorts"]

REST_S: Final = 10.0
"""Seconds a remote pair is left alone on a port after a leg; a BYE is answered within less."""


class SharedPorts:
    """The shared ports of one media process, and the remote pairs on each.

    Args:
        pairs: their sockets; they stay the caller's.
        clock: seconds.
    """

    def __init__(
        self, pairs: Sequence[MediaPair], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.pairs = tuple(pairs)
        self._clock = clock
        self._on: list[set[Source]] = [set() for _ in self.pairs]
        self._legs = [0] * len(self.pairs)
        self._resting: list[Counter[Source]] = [Counter() for _ in self.pairs]
        self._rest: deque[tuple[float, int, Source]] = deque()

    def reserve(self, remote: Source) -> SharedPlace | None:
        """Find a port for a leg, the one with the fewest legs.

        Args:
            remote: where its media will come from.

        Returns:
            Its place, to be closed with it; None where the pair is on every port already.
        """
        self._wake()
        free = [index for index in range(len(self.pairs)) if self._is_free(index, remote)]
        if not free:
            return None
        index = min(free, key=lambda each: self._legs[each])
        self._on[index].add(remote)
        self._legs[index] += 1
        return SharedPlace(self, index, remote)

    def move(self, place: SharedPlace, remote: Source) -> bool:
        """Let a leg's media come from elsewhere.

        Returns:
            False where another leg on its port has that pair: nothing has changed.
        """
        if remote == place.remote:
            return True
        if remote in self._on[place.index]:
            return False
        self._on[place.index].add(remote)
        self._leave(place)
        place.remote = remote
        return True

    def release(self, place: SharedPlace) -> None:
        """Take a leg's place back."""
        self._leave(place)
        self._legs[place.index] -= 1

    def _leave(self, place: SharedPlace) -> None:
        self._on[place.index].discard(place.remote)
        self._resting[place.index][place.remote] += 1
        self._rest.append((self._clock() + REST_S, place.index, place.remote))

    def _is_free(self, index: int, remote: Source) -> bool:
        return remote not in self._on[index] and not self._resting[index][remote]

    def _wake(self) -> None:
        now = self._clock()
        while self._rest and self._rest[0][0] <= now:
            _, index, remote = self._rest.popleft()
            self._resting[index][remote] -= 1
            if not self._resting[index][remote]:
                del self._resting[index][remote]


class PortSharing:
    """The shared ports of all media processes, opened when the first leg needs them.

    Args:
        bind_ip: the local IPv4 address.
        low: the lowest port that may be used.
        high: the highest port that may be used.
        count: pairs of ports for each process.
    """

    def __init__(self, bind_ip: str, low: int, high: int, count: int) -> None:
        self._where = (bind_ip, low, high)
        self._count = count
        self._of: dict[int, SharedPorts] = {}

    def has(self, post: int) -> bool:
        """Say whether a post's ports are open."""
        return post in self._of

    def of(self, post: int) -> SharedPorts:
        """Return a post's ports, opening them where that was not done yet.

        Raises:
            DescriptorsExhausted: this process may not open more files.
            OSError: the address is not one of this machine.
        """
        if post not in self._of:
            self._of[post] = SharedPorts(open_shared(*self._where, self._count))
        return self._of[post]

    def number(self, ports: SharedPorts) -> int:
        """Return whose ports these are."""
        return next(post for post, each in self._of.items() if each is ports)

    def close(self) -> None:
        """Close all ports."""
        for ports in self._of.values():
            for pair in ports.pairs:
                pair.close()
        self._of.clear()


@dataclass(slots=True, eq=False)
class SharedPlace:
    """A leg's place on a shared port.

    Args:
        ports: whose it is.
        index: which port, as the media process calls it.
        remote: where the leg's media comes from.
        own: its own sockets beside the shared ones, where it has gone to another process.
    """

    ports: SharedPorts
    index: int
    remote: Source
    own: MediaPair | None = None
    _closed: bool = False

    def __repr__(self) -> str:
        """Leave the far end's address out."""
        return f"SharedPlace(index={self.index})"

    @property
    def port(self) -> int:
        """The RTP port."""
        return self.ports.pairs[self.index].port

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that a media process needs: none on a shared port."""
        return () if self.own is None else self.own.descriptors

    def move(self, remote: Source) -> bool:
        """Let the media come from elsewhere; False where another leg has that pair."""
        return self.ports.move(self, remote)

    def part(self, rtcp: Source | None) -> None:
        """Take sockets of its own on the same port, for another process.

        Args:
            rtcp: where RTCP comes from, the port above that of RTP where it is not named.

        Raises:
            OSError: the kernel does not allow it.
        """
        if self.own is None:
            rtcp = rtcp or (self.remote[0], self.remote[1] + 1)
            self.own = open_beside(self.ports.pairs[self.index], self.remote, rtcp)

    def close(self) -> None:
        """Give the place back, once."""
        if self._closed:
            return
        self._closed = True
        if self.own is not None:
            self.own.close()
        self.ports.release(self)
