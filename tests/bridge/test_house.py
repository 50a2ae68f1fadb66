"""Starting and ending: what the house does beside its parts."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bridge.house import engine_options, leave_out_of_collections
from bridge.media.messages import Configure
from config.settings import MediaSettings


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


def test_every_option_of_the_engine_is_a_setting() -> None:
    """Defaults are the same in both places, and each setting sets the option of its name."""
    assert engine_options(MediaSettings()) == Configure()
    for name in Configure.__struct_fields__:
        default = getattr(MediaSettings(), name)
        other: dict[str, Any] = {name: not default if isinstance(default, bool) else default - 3}
        options = engine_options(replace(MediaSettings(), **other))
        assert getattr(options, name) == other[name]
        assert options != Configure()
