"""A setting that nothing reads is a promise broken: administrators set it and wait."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import Any

from config.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


def names(settings: Any, above: str = "") -> list[str]:  # noqa: ANN401 - any dataclass instance
    """Return the dotted name of every setting."""
    found = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            found += names(value, f"{field.name}.")
        elif field.name not in {"file", "origins"}:
            found.append(above + field.name)
    return found


def attributes_read() -> set[str]:
    """Return every attribute that the code outside of the settings' own module reads."""
    found = set()
    for package in ("bridge", "cdr", "config", "dialplan", "privacy"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found |= {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
            }
    return found


def test_every_setting_is_read_somewhere() -> None:
    """Each key of the TOML file has an effect; those of `[keys]` are read as a whole."""
    read = attributes_read()
    each = [name for name in names(Settings()) if not name.startswith("keys.")]
    assert [name for name in each if name.rpartition(".")[2] not in read] == []
    assert "sequences" in read
