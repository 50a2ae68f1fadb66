"""The file that records wait in while the database is away.

Lines of JSON, one after the other, ended by a NUL byte: the file is longer than its lines. Its room
is reserved beforehand (``posix_fallocate``), because what keeps the database away is often a full
disk, and writing into reserved blocks needs no new ones (on ext4, XFS and tmpfs; a file system that
copies on write gives no such promise, and then records wait in memory).

A crash may leave the last line unfinished; it is not taken for a line. Emptying may be cut short
too, and what is left is then replayed a second time: whoever applies the lines must not mind.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cdr.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["JournalFile"]

_CHUNK = 1 << 20


class JournalFile:
    """An append-only file of lines that can be emptied.

    Args:
        path: The file.
        reserve_bytes: Room to reserve.

    Raises:
        JournalError: It cannot be opened.
    """

    def __init__(self, path: Path, reserve_bytes: int) -> None:
        self.path = path
        try:
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise JournalError(
                f"{path}: the journal of records cannot be opened: {error.strerror}",
                hint="Name another folder with records.journal_dir.",
            ) from error
        self._reserve = reserve_bytes
        self.reserved = self._reserve_room()
        content = self._content()
        self._end = content.rfind(b"\n") + 1

    def _reserve_room(self) -> bool:
        """Reserve the room; False where the disk has none, or its file system cannot."""
        try:
            os.posix_fallocate(self._descriptor, 0, self._reserve)
        except OSError:
            return False
        return True

    def _content(self) -> bytes:
        found = bytearray()
        while chunk := os.pread(self._descriptor, _CHUNK, len(found)):
            head, nul, _ = chunk.partition(b"\0")
            found += head
            if nul:
                break
        return bytes(found)

    @property
    def empty(self) -> bool:
        """Whether no line waits."""
        return self._end == 0

    def append(self, lines: Iterable[bytes]) -> None:
        """Append lines; they are on disk when this returns.

        Args:
            lines: Without line breaks.

        Raises:
            OSError: They could not be written; the lines before them are as they were.
        """
        data = b"".join(line + b"\n" for line in lines)
        # The NUL keeps what an earlier, longer content left behind from being read as ours.
        remaining = memoryview(data + b"\0")
        at = self._end
        while remaining:
            written = os.pwrite(self._descriptor, remaining, at)
            at += written
            remaining = remaining[written:]
        os.fdatasync(self._descriptor)
        self._end += len(data)

    def lines(self) -> list[bytes]:
        """Return the lines that wait, in order."""
        return self._content()[: self._end].split(b"\n")[:-1]

    def clear(self) -> None:
        """Empty the file, keeping its room."""
        zeros = bytes(min(self._end, _CHUNK))
        for at in range(0, self._end, _CHUNK):
            os.pwrite(self._descriptor, zeros[: self._end - at], at)
        os.fdatasync(self._descriptor)
        self._end = 0
        if os.fstat(self._descriptor).st_size > self._reserve:
            os.ftruncate(self._descriptor, self._reserve)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
