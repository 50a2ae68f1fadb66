"""The file that records wait in: what was appended is there, whatever a crash cuts off."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr._journal_file import JournalFile
from cdr.errors import JournalError

RESERVE = 4096


def test_lines_wait_in_order_for_the_next_start(tmp_path: Path) -> None:
    """Two appends, a restart, and both are there; emptied, nothing is."""
    path = tmp_path / "journal"
    file = JournalFile(path, RESERVE)
    assert file.reserved
    assert path.stat().st_size == RESERVE
    assert path.stat().st_mode & 0o777 == 0o600
    file.append([b"one", b"two"])
    file.append([b"three"])
    file.close()
    again = JournalFile(path, RESERVE)
    assert again.lines() == [b"one", b"two", b"three"]
    again.clear()
    assert again.empty
    assert again.lines() == []
    assert not path.read_bytes().strip(b"\0")
    again.close()


def test_a_line_that_a_crash_cut_short_is_none(tmp_path: Path) -> None:
    """It is not read, and what is appended next does not grow out of it."""
    path = tmp_path / "journal"
    path.write_bytes(b"whole\nhal")
    file = JournalFile(path, RESERVE)
    assert file.lines() == [b"whole"]
    file.append([b"next"])
    assert file.lines() == [b"whole", b"next"]
    file.close()
    again = JournalFile(path, RESERVE)
    assert again.lines() == [b"whole", b"next"]
    again.close()


def test_an_emptied_file_gives_back_what_it_grew(tmp_path: Path) -> None:
    """Past its reserve it grows as far as the disk lets it, and shrinks afterwards."""
    path = tmp_path / "journal"
    file = JournalFile(path, RESERVE)
    file.append([b"x" * RESERVE, b"y"])
    assert path.stat().st_size > RESERVE
    file.clear()
    assert path.stat().st_size == RESERVE
    file.append([b"short"])
    assert file.lines() == [b"short"]
    file.close()


def test_a_journal_that_cannot_be_opened_says_what_to_do(tmp_path: Path) -> None:
    """The message names the file, the hint the setting."""
    with pytest.raises(JournalError, match="journal") as caught:
        JournalFile(tmp_path / "nowhere" / "journal", RESERVE)
    assert "records.journal_dir" in caught.value.hint


_LINES = st.lists(
    st.binary(min_size=1, max_size=40).map(lambda raw: raw.hex().encode()), max_size=6
)


@given(
    st.lists(st.one_of(_LINES, st.just("clear"), st.just("restart")), max_size=12),
    st.integers(0, 60),
)
def test_a_restart_finds_what_was_appended_since_the_last_clearing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[bytes] | str], cut: int
) -> None:
    """Any order of appends, clearings and restarts; a power cut loses only the lines it reached."""
    path = tmp_path_factory.mktemp("journal") / "journal"
    file, wanted = JournalFile(path, 64), list[bytes]()
    for step in steps:
        if step == "clear":
            file.clear()
            wanted = []
        elif step == "restart":
            file.close()
            file = JournalFile(path, 64)
        elif not isinstance(step, str):
            file.append(step)
            wanted += step
        assert file.lines() == wanted
    file.close()
    content = b"".join(line + b"\n" for line in wanted)
    path.write_bytes(path.read_bytes()[: max(len(content) - cut, 0)])
    cut_short = JournalFile(path, 64)
    found = cut_short.lines()
    assert found == wanted[: len(found)]
    assert len(b"".join(line + b"\n" for line in wanted[: len(found) + 1])) > len(
        content
    ) - cut or (found == wanted)
    cut_short.close()
