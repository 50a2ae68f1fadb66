"""Starting and ending: what the house does beside its parts."""

import gc
from collections.abc import Iterator

import pytest

from bridge.house import leave_out_of_collections


@pytest.fixture
def collector() -> Iterator[None]:
    """Give the collector back as it was."""
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_what_a_start_has_made_is_not_collected_again(collector: None) -> None:
    """A full collection under load must walk calls, not modules and tables: it stops them all."""
    lasting = [object() for _ in range(10)]
    assert any(each is lasting for each in gc.get_objects())
    leave_out_of_collections()
    assert gc.get_freeze_count() > 1000
    assert not any(each is lasting for each in gc.get_objects())
