"""What is recorded where: a ring of rows for each post, and the taps on rooms that fill it.

Rings are made with the first tap, and belong to the posts: whichever process holds a post writes to
its ring, one after the other (`bridge.media.tap_ring`). So who records reads on when a process has
died, and sees by the ticks what was missed. A tap is on a room, wherever that is: it is told to the
process of the post at which the room begins, and again to each successor.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from bridge.media.messages import StartTap, StopTap, UseTaps
from bridge.media.tap_ring import ROWS, TapRing
from bridge.posts import Post

__all__ = ["Tapping"]


class Tapping:
    """The taps of all posts.

    Args:
        posts: the posts.
        rows: of a ring.
    """

    def __init__(self, posts: Sequence[Post], rows: int = ROWS) -> None:
        self._posts = posts
        self._rows = rows
        self._taps: set[tuple[int, int]] = set()
        self._rings: list[TapRing] = []

    @property
    def rings(self) -> list[TapRing]:
        """A ring for each post, from the first tap on until the end; none before."""
        return list(self._rings)

    def start(self, room: int, group: int) -> None:
        """Tap a group of a room, which need not have begun.

        Raises:
            OSError: there is no memory or no descriptor for the rings.
        """
        self._make_rings()
        self._taps.add((room, group))
        for post in self._posts:
            if room in post.rooms and post.process is not None:
                post.process.send(StartTap(room=room, group=group))

    def stop(self, room: int, group: int) -> None:
        """Tap it no more."""
        self._taps.discard((room, group))
        for post in self._posts:
            if room in post.rooms and post.process is not None:
                post.process.send(StopTap(room=room, group=group))

    def _make_rings(self) -> None:
        if self._rings:
            return
        with contextlib.ExitStack() as unwanted:
            rings = [
                unwanted.enter_context(contextlib.closing(TapRing(self._rows))) for _ in self._posts
            ]
            unwanted.pop_all()
        self._rings = rings
        for post in self._posts:
            self.renew(post)

    def renew(self, post: Post) -> None:
        """Tell a process that has taken a post where to write what is tapped, and what that is."""
        if post.process is None or not self._rings:
            return
        post.process.send(UseTaps(), (self._rings[post.number].descriptor,))
        for room, group in sorted(self._taps):
            if room in post.rooms:
                post.process.send(StartTap(room=room, group=group))

    def began(self, room: int, post: Post) -> None:
        """Tell a post of the taps on a room that begins there."""
        if post.process is not None:
            for group in self._groups(room):
                post.process.send(StartTap(room=room, group=group))

    def ended(self, room: int, post: Post) -> None:
        """Tell a post that a room has ended there; its taps stay, for it may begin again."""
        if post.process is not None:
            for group in self._groups(room):
                post.process.send(StopTap(room=room, group=group))

    def _groups(self, room: int) -> list[int]:
        return sorted(group for tapped, group in self._taps if tapped == room)

    def close(self) -> None:
        """Let go of the rings; who reads them has descriptors of its own."""
        for ring in self._rings:
            ring.close()
        self._rings.clear()
