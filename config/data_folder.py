"""The data folder: whose it is, and who works in it at the moment.

One process at a time works on the data: the bridge for as long as it runs, or one administrator's
command while it is down. An ``flock`` on ``<data>/lock`` says who; the kernel drops it when its
holder dies, however it dies. Work is done as the folder's owner, so that root leaves no ``-wal``
files behind that the bridge's own user cannot open.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import DataFolderError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DataFolder"]

_POLL_S = 0.05


class DataFolder:
    """The folder of everything the bridge keeps.

    Args:
        path: The folder, absolute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> bool:
        """Create the folder, readable by its owner alone, where it is absent.

        Returns:
            Whether it was created.

        Raises:
            DataFolderError: It cannot be created, or something else is in its place.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            if not self.path.is_dir():
                raise DataFolderError(f"{self.path}: is not a folder") from None
            return False
        except OSError as error:
            raise DataFolderError(
                f"{self.path}: the data folder cannot be created: {error.strerror}",
                hint="Name another with --data or DIALIN_DATA_DIR.",
            ) from error
        return True

    def check(self) -> None:
        """See that the folder is there and that we may work in it.

        Raises:
            DataFolderError: It is absent, or somebody else's.
        """
        owner = self.owner()
        if os.geteuid() not in {0, owner.pw_uid}:
            raise DataFolderError(
                f"{self.path}: belongs to {owner.pw_name}, and you are {_name(os.geteuid())}",
                hint=f"Run it as that user: sudo -u {owner.pw_name} dialin ...",
            )

    def owner(self) -> pwd.struct_passwd:
        """Return who owns the folder.

        Raises:
            DataFolderError: There is no such folder.
        """
        try:
            found = self.path.stat()
        except OSError as error:
            raise DataFolderError(
                f"{self.path}: there is no data folder here ({error.strerror})",
                hint="Name it with --data or DIALIN_DATA_DIR, or set up a new one with "
                "`dialin setup`.",
            ) from error
        if not stat.S_ISDIR(found.st_mode):
            raise DataFolderError(f"{self.path}: is not a folder")
        try:
            return pwd.getpwuid(found.st_uid)
        except KeyError:
            # A container may run as a user that its passwd file does not know.
            return pwd.struct_passwd(
                (f"#{found.st_uid}", "x", found.st_uid, found.st_gid, "", "/", "/bin/false")
            )

    @contextlib.contextmanager
    def as_owner(self) -> Iterator[None]:
        """Act as the folder's owner meanwhile; only root needs to change for that.

        Effective ids are those of the whole process: begin before there are other threads.

        Raises:
            DataFolderError: The folder is absent, or somebody else's.
        """
        self.check()
        owner = self.owner()
        before = os.geteuid(), os.getegid()
        if before[0] == owner.pw_uid:
            yield
            return
        os.setegid(owner.pw_gid)
        os.seteuid(owner.pw_uid)
        try:
            yield
        finally:
            os.seteuid(before[0])
            os.setegid(before[1])

    @contextlib.contextmanager
    def locked(self, wait_s: float = 0.0) -> Iterator[None]:
        """Be the one who works in the folder meanwhile.

        Args:
            wait_s: How long to wait for another to finish, in seconds.

        Raises:
            DataFolderError: Somebody else still works in it.
        """
        path = self.path / "lock"
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataFolderError(
                f"{path}: cannot be opened: {error.strerror}", hint="Is its disk full or read-only?"
            ) from error
        try:
            self._take(descriptor, time.monotonic() + wait_s)
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int, until: float) -> None:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise DataFolderError(
                        f"{self.path}: another bridge or command is at work in this data folder",
                        hint="Wait for it to finish, or name another folder with --data.",
                    ) from None
                time.sleep(_POLL_S)
            else:
                return


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
