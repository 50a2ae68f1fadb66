"""The data folder: modes, owner, and who works in it at the moment."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.data_folder import DataFolder
from config.errors import DataFolderError

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
NOBODY = 65534


@pytest.fixture(name="open_path")
def path_that_others_reach() -> Iterator[Path]:
    """Return a folder that any user may pass through; pytest's own may not be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name) / "data"


def mode(path: Path) -> int:
    """Return a file's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    """Created with mode 0700 whatever the umask says; a second time nothing is done."""
    folder = DataFolder(tmp_path / "a" / "data")
    before = os.umask(0)
    try:
        assert folder.create()
    finally:
        os.umask(before)
    assert mode(folder.path) == 0o700
    folder.path.chmod(0o710)
    assert not folder.create()
    assert mode(folder.path) == 0o710


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """Something else in its place is named, and left alone."""
    (tmp_path / "data").write_text("mine")
    folder = DataFolder(tmp_path / "data")
    for act in (folder.create, folder.check):
        with pytest.raises(DataFolderError, match="is not a folder"):
            act()
    assert (tmp_path / "data").read_text() == "mine"


def test_absent_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    """The commonest slip, a wrong --data, is told as one."""
    with pytest.raises(DataFolderError, match="there is no data folder here") as caught:
        DataFolder(tmp_path / "none").check()
    assert "--data" in caught.value.hint
    assert not (tmp_path / "none").exists()


def test_folder_that_cannot_be_created_says_why(tmp_path: Path) -> None:
    """The system's own word, and the way out."""
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError, match="cannot be created: Not a directory") as caught:
        DataFolder(tmp_path / "file" / "data").create()
    assert "DIALIN_DATA_DIR" in caught.value.hint


def test_second_worker_is_kept_out_until_the_first_is_done(tmp_path: Path) -> None:
    """One process at a time works on the data; the lock's file is private."""
    folder, other = DataFolder(tmp_path), DataFolder(tmp_path)
    with folder.locked():
        assert mode(tmp_path / "lock") == 0o600
        with pytest.raises(DataFolderError, match="another bridge or command"), other.locked():
            pass
    with other.locked():
        pass


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """However its holder dies, nobody has to remove a file."""
    program = textwrap.dedent(
        """
        import os, pathlib, signal, sys
        from config.data_folder import DataFolder
        with DataFolder(pathlib.Path(sys.argv[1])).locked():
            print("held", flush=True)
            signal.pause()
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DataFolderError), DataFolder(tmp_path).locked():
            pass
        holder.kill()
        with DataFolder(tmp_path).locked(wait_s=20):
            pass


def test_waiting_for_the_lock_ends_when_it_is_given_back(tmp_path: Path) -> None:
    """A command that comes while another one finishes gets its turn."""
    program = textwrap.dedent(
        """
        import fcntl, sys, time
        with open(sys.argv[1], "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            print("held", flush=True)
            time.sleep(0.3)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "lock")], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(DataFolderError), DataFolder(tmp_path).locked():
            pass
        started = time.monotonic()
        with DataFolder(tmp_path).locked(wait_s=20):
            assert time.monotonic() - started < 20


@AS_ROOT
def test_root_works_as_the_folders_owner(open_path: Path) -> None:
    """Nothing that root does in the folder belongs to root afterwards."""
    path = open_path
    path.mkdir(mode=0o700)
    os.chown(path, NOBODY, NOBODY)
    folder = DataFolder(path)
    with folder.as_owner(), folder.locked():
        (path / "made").touch()
    assert (path / "made").stat().st_uid == NOBODY
    assert (path / "lock").stat().st_uid == NOBODY
    assert os.geteuid() == 0


@AS_ROOT
def test_somebody_elses_folder_is_refused_by_name(open_path: Path) -> None:
    """Who is neither owner nor root is told whose it is, and how to go on."""
    path = open_path
    path.mkdir(mode=0o755)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(DataFolderError, match="belongs to root, and you are nobody") as caught:
            DataFolder(path).check()
    finally:
        os.seteuid(0)
    assert "sudo -u root dialin" in caught.value.hint
