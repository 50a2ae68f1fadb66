"""What tests of commands stand on: a data folder of their own, with the demo, and no bridge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.office import Office, new_folder


@pytest.fixture(scope="session", name="demo_folder")
def folder_with_the_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that is made once and copied for each test."""
    return new_folder(tmp_path_factory.mktemp("office") / "data")


@pytest.fixture(name="office")
def office_without_a_bridge(demo_folder: Path, tmp_path: Path) -> Office:
    """An administrator's desk on a copy of that folder."""
    return Office(tmp_path / "data", demo_folder)
