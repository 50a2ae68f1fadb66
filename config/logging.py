"""The log: one line per event that matters, and nothing in it about a person.

Everything that is logged, by structlog or by the standard library, goes through one function,
:func:`_private`, on its way to the stream: it lets through what the allow-list of typed keys
(``config._log_keys``) knows, and withholds the rest. It is put in place when the ``config`` package
is imported, and :func:`configure` can change the format and the level, but not leave it out.

- The event is a constant phrase: text that is no constant of our code is withheld.
- Numbers, addresses and names become keyed pseudonyms; digits that a caller pressed have no key.
- Of an exception, type and place are said, never its text.

Write ``_log = structlog.get_logger()`` and ``_log.info("leg joined", leg=leg)``. What goes for all
that follows in a call is bound once: ``with bound(call=call): ...``.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import logging
import os
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import structlog

from config._log_keys import KEYS, PSEUDONYMOUS, WITHHELD, Value, published
from config._log_vocabulary import constants_of, is_ours, own_constants
from config.pseudonyms import Pseudonym, pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping
    from types import TracebackType

    from config.settings import LogSettings

__all__ = ["bound", "configure", "install", "publish", "use_pseudonyms"]

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_FRAMES: Final = 6
_COLOURS: Final = {"debug": "2", "info": "36", "warning": "33", "error": "31", "critical": "1;31"}

bound = structlog.contextvars.bound_contextvars
"""Bind keys to all that is logged in a ``with`` block, in its tasks and calls too."""


class _State:
    """What :func:`configure` may change."""

    format = "console"
    level = _LEVELS["warning"]
    stream: TextIO | None = None
    """None is the standard error of the moment."""
    process_key = os.urandom(32)

    @staticmethod
    def pseudonym(kind: str, value: str) -> str:
        """Until the vault is open, pseudonyms hold for this process alone."""
        return pseudonym(_State.process_key, kind, value)


_lock = threading.Lock()


def install() -> None:
    """Put the filter in place; done by the ``config`` package itself."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _finish],
        logger_factory=_Output,
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=False,
    )


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Set format and level, and take in what others log: the standard library's and faults.

    Args:
        settings: Format and level.
        stream: Where to; standard error where not given.
    """
    _State.stream = stream
    _State.level = _LEVELS[settings.level]
    chosen = settings.format
    if chosen == "auto":
        chosen = "console" if (stream or sys.stderr).isatty() else "json"
    _State.format = chosen
    install()
    root = logging.getLogger()
    root.handlers[:] = [_Handler()]
    root.setLevel(max(_State.level, logging.WARNING))
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    sys.unraisablehook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def use_pseudonyms(make: Callable[[str, str], str]) -> None:
    """Name people as the vault does (``vault.pseudonym``), so that records and log agree."""
    _State.pseudonym = staticmethod(make)  # type: ignore[method-assign, assignment]  # the one switch there is


def publish(key: str, names: Iterable[str]) -> None:
    """Say which names from the configuration may be logged under ``key`` (``trunk``)."""
    published[key] = frozenset(names)


# -- the one way to the stream ---------------------------------------------------------------------


class _Output:
    """What structlog calls at the end: the line is made already."""

    def __init__(self, name: object = None, *_: object) -> None:
        self.name = name if isinstance(name, str) else None

    def msg(self, line: str) -> None:
        stream = _State.stream or sys.stderr
        # A log that cannot be written must not end a call.
        with _lock, contextlib.suppress(OSError, ValueError):
            stream.write(line + "\n")
            stream.flush()

    debug = info = warning = warn = error = critical = fatal = exception = log = msg


def _finish(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
    """Filter and render one event: structlog's last processor, and the only one that gives text."""
    level = {"warn": "warning", "exception": "error", "fatal": "critical"}.get(method, method)
    if _LEVELS.get(level, _LEVELS["info"]) < _State.level:
        raise structlog.DropEvent
    if method == "exception":
        event.setdefault("exc_info", True)
    return _render(_private(level, getattr(logger, "name", None), event, own_constants))


def _private(
    level: str,
    logger: str | None,
    event: MutableMapping[str, Any],
    is_constant: Callable[[str], bool],
) -> dict[str, Value | list[str]]:
    """Let through what is known to be about nobody."""
    said: dict[str, Value | list[str]] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level if level in _LEVELS else "info",
    }
    phrase = event.get("event")
    said["event"] = (
        str(phrase) if isinstance(phrase, str) and is_constant(str(phrase)) else WITHHELD
    )
    if logger is not None and (own_constants(logger) or logger in sys.modules):
        said["logger"] = logger
    hidden = 0
    for key, value in event.items():
        if key == "event":
            continue
        if key in {"error", "exc_info"}:
            said.update(_fault(value))
        elif key not in KEYS and key not in PSEUDONYMOUS:
            hidden += 1
        elif value is None:
            said[key] = None
        elif key in PSEUDONYMOUS:
            said[key] = _pseudonym_of(PSEUDONYMOUS[key], value)
        else:
            said[key] = KEYS[key](value)
    if hidden:
        said["withheld"] = hidden
    return said


def _pseudonym_of(kind: str, value: object) -> str:
    if isinstance(value, Pseudonym):
        return f"{kind}:{value}"
    try:
        return f"{kind}:{_State.pseudonym(kind, str(value))}"
    except Exception:  # noqa: BLE001 - neither a __str__ nor the vault may make logging fail
        return WITHHELD


def _fault(value: object) -> dict[str, Value | list[str]]:
    """Say of an exception what type it is and where it arose, and never its text."""
    if value is True:
        value = sys.exc_info()[1]
    elif isinstance(value, tuple) and len(value) == 3:  # noqa: PLR2004 - (type, value, traceback)
        value = value[1]
    if not value:
        return {}
    if isinstance(value, BaseException):
        said: dict[str, Value | list[str]] = {"error": _type_name(type(value))}
        places = [
            f"{frame.f_globals.get('__name__', '?')}:{line} {frame.f_code.co_name}"
            for frame, line in traceback.walk_tb(value.__traceback__)
        ]
        if places:
            said["at"] = places[-_FRAMES:]
        errno = getattr(value, "errno", None)
        if isinstance(errno, int):
            said["errno"] = errno
        cause = value.__cause__ or value.__context__
        if cause is not None:
            said["after"] = _type_name(type(cause))
        return said
    if isinstance(value, type):
        return {"error": _type_name(value)}
    if isinstance(value, str) and (own_constants(value) or hasattr(builtins, value)):
        return {"error": str(KEYS["reason"](value))}
    return {"error": WITHHELD}


def _type_name(kind: type) -> str:
    """Name a class, if it was defined by code and not made up at run time."""
    module = sys.modules.get(kind.__module__)
    name = kind.__qualname__
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return name if found is kind else "Exception"


def _render(said: dict[str, Value | list[str]]) -> str:
    if _State.format == "json":
        return json.dumps(said, ensure_ascii=True, separators=(",", ":"))
    level, moment = str(said.pop("level")), str(said.pop("time"))
    phrase, _ = said.pop("event"), said.pop("logger", None)
    stream = _State.stream or sys.stderr
    shown = f"{level:<8}"
    if stream.isatty():
        shown = f"\x1b[{_COLOURS[level]}m{shown}\x1b[0m"
    pairs = " ".join(
        f"{key}={','.join(value) if isinstance(value, list) else value}"
        for key, value in said.items()
    )
    return f"{moment} {shown} {phrase}{'  ' if pairs else ''}{pairs}"


# -- what others log -------------------------------------------------------------------------------


class _Handler(logging.Handler):
    """Takes what is logged through the standard library, by libraries mostly."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record's phrase if it stands in the code that logged it; its values never."""
        event: dict[str, Any] = {"event": record.msg}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        module = record.name if record.name in sys.modules else _module_of(record.pathname)

        def is_constant(phrase: str) -> bool:
            return phrase in constants_of(module) if not is_ours(module) else own_constants(phrase)

        level = record.levelname.lower()
        if _LEVELS.get(level, 0) >= _State.level:
            _Output().msg(_render(_private(level, record.name, event, is_constant)))


def _module_of(path: str) -> str:
    return next(
        (
            name
            for name, module in list(sys.modules.items())
            if getattr(module, "__file__", None) == path
        ),
        "",
    )


def _uncaught(
    kind: type[BaseException],
    value: BaseException | None,
    place: TracebackType | None,
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    fault: object = kind if value is None else value.with_traceback(place)
    line = _private("critical", None, {"event": "uncaught fault", "error": fault}, own_constants)
    _Output().msg(_render(line))
