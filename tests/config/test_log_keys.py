"""Every log call of the whole tree: a constant phrase, and keys that the allow-list knows.

A key that the list lacks would be withheld in silence, and its author would never know.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from config._log_keys import KEYS, PSEUDONYMOUS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bridge", "cdr", "config", "dialplan", "privacy")
SAYING = frozenset(
    {"debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "msg"}
)
LOGGERS = frozenset({"log", "_log", "logger", "_logger"})
ALLOWED = frozenset(KEYS) | frozenset(PSEUDONYMOUS) | {"error", "exc_info"}


def is_logger(node: ast.expr) -> bool:
    """Tell whether an expression is a logger: by its name, or just made or bound."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in LOGGERS
        case ast.Call(func=ast.Attribute(attr="get_logger" | "bind")):
            return True
        case _:
            return False


def log_calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Yield place, method and node of every log call and every binding."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                match node.func:
                    case ast.Attribute(attr=method, value=value) if is_logger(value):
                        if method in SAYING or method in {"bind", "new"}:
                            yield where, method, node
                    case ast.Name(id="bound") | ast.Attribute(attr="bound"):
                        yield where, "bound", node
                    case _:
                        pass


def keys_of_sizes() -> set[str]:
    """Return the keys that `Directory.sizes` gives, which one line takes in whole."""
    tree = ast.parse((ROOT / "bridge/directory.py").read_text(encoding="utf-8"))
    (sizes,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "sizes"
    )
    return {
        key.value
        for node in ast.walk(sizes)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def test_every_key_of_every_log_call_is_allowed() -> None:
    """A new key is given a kind in `config/_log_keys.py`, or it is about somebody."""
    calls = list(log_calls())
    assert len(calls) > 40, "the walk no longer finds the log calls"
    unknown = []
    for where, _, call in calls:
        for keyword in call.keywords:
            if keyword.arg is not None:
                keys = {keyword.arg}
            elif ast.unparse(keyword.value).endswith("directory.sizes()"):
                keys = keys_of_sizes()
                assert keys
            else:
                keys = {"**" + ast.unparse(keyword.value)}
            unknown += [f"{where} {key}" for key in sorted(keys - ALLOWED)]
    assert unknown == []


def test_every_log_event_is_a_constant_phrase() -> None:
    """What is put together at run time would be withheld, and could hold anything."""
    assert [
        where
        for where, method, call in log_calls()
        if method in SAYING
        and not (
            len(call.args) == 1
            and isinstance(call.args[0], ast.Constant)
            and isinstance(call.args[0].value, str)
        )
    ] == []
