"""Words that the log may say: those that stand in our own code as constants.

A log event is a constant phrase, a cause is a constant word: whatever the code holds as a constant
cannot be about a caller. Text that is no constant was put together at run time, and may hold
anything. Constants are read from the compiled modules, nested functions included; nothing is kept
by hand.
"""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from types import CodeType

__all__ = ["constants_of", "is_ours", "own_constants"]

_PACKAGES = frozenset({"bridge", "cdr", "config", "dialplan", "privacy"})
_MOST_MODULES = 2000

_by_module: dict[str, frozenset[str]] = {}
_ours: set[str] = set()


def is_ours(module: str) -> bool:
    """Tell whether a module belongs to one of our packages."""
    return module.partition(".")[0] in _PACKAGES


def own_constants(wanted: str) -> bool:
    """Tell whether ``wanted`` is a constant in a loaded module of ours."""
    if wanted in _ours:
        return True
    fresh = [name for name in list(sys.modules) if is_ours(name) and name not in _by_module]
    for name in fresh:
        _ours.update(constants_of(name))
    return wanted in _ours


def constants_of(module: str) -> frozenset[str]:
    """Return all text constants of a module; none where its code cannot be had."""
    known = _by_module.get(module)
    if known is not None:
        return known
    found: set[str] = set()
    spec = getattr(sys.modules.get(module), "__spec__", None)
    loader = getattr(spec, "loader", None)
    if isinstance(loader, SourceFileLoader) and spec is not None:
        try:
            code = loader.get_code(spec.name)
        except (ImportError, OSError, SyntaxError):
            code = None
        if code is not None:
            _collect(code, found)
    if len(_by_module) < _MOST_MODULES:
        _by_module[module] = frozenset(found)
    return frozenset(found)


def _collect(constant: object, found: set[str]) -> None:
    if isinstance(constant, str):
        found.add(constant)
    elif isinstance(constant, tuple | frozenset):
        for item in constant:
            _collect(item, found)
    elif isinstance(constant, CodeType):
        found.add(constant.co_name)
        found.update(constant.co_names)
        for item in constant.co_consts:
            _collect(item, found)
