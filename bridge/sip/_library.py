"""Load PJSIP's shared library and turn each of its statuses into an exception.

This is the thin layer of style rule 11: above :mod:`bridge.sip._agent` nothing sees ``ffi`` or
``lib``. Importing this module loads nothing; :func:`load` finds the extension module of the
distribution *pjsua2-python* without importing it (importing would start SWIG's directors) and opens
it with ``dlopen``.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any, NoReturn

import cffi

from bridge.sip.declarations import CDEF, PJSIP_VERSION, WHEEL_VERSION
from bridge.sip.errors import LibraryError, PjError

__all__ = ["Library", "find_extension", "load", "wheel_version"]

_ERROR_TEXT_SIZE = 256


def find_extension() -> Path:
    """Return the path of the extension module that carries PJSIP, without importing it.

    Raises:
        LibraryError: the distribution is not installed or has no extension for this Python.
    """
    spec = importlib.util.find_spec("pjsua2")
    if spec is None or not spec.submodule_search_locations:
        raise LibraryError(
            f"the distribution pjsua2-python is not installed; run scripts/run --install, or"
            f" pip install pjsua2-python=={WHEEL_VERSION}"
        )
    for folder in spec.submodule_search_locations:
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(folder) / f"_pjsua2{suffix}"
            if path.is_file():
                return path
    raise LibraryError(
        "pjsua2-python is installed without an extension module for this Python; Linux on x86-64"
        " with CPython 3.11 or 3.12 has one"
    )


def wheel_version() -> str | None:
    """Return the installed version of pjsua2-python, None when it is not installed."""
    try:
        return importlib.metadata.version("pjsua2-python")
    except importlib.metadata.PackageNotFoundError:
        return None


class Library:
    """PJSIP's C functions with statuses checked.

    Attributes:
        ffi: the cffi instance that holds the declarations.
        lib: the opened library.
    """

    def __init__(self, path: Path) -> None:
        """Open the library at ``path``.

        Raises:
            LibraryError: it cannot be opened or is not the version that we know.
        """
        # cffi hands out untyped objects in ABI mode; Any ends with this layer.
        self.ffi: Any = cffi.FFI()
        self.ffi.cdef(CDEF)
        try:
            opened: Any = self.ffi.dlopen(str(path))
            said: Any = self.ffi.string(opened.pj_get_version())
        except (OSError, AttributeError) as fault:
            raise LibraryError(f"{path.name} cannot be opened as PJSIP: {fault}") from fault
        self.lib: Any = opened
        version = said.decode("ascii", "replace")
        if version != PJSIP_VERSION:
            raise LibraryError(
                f"{path.name} is PJSIP {version}, but the declarations are of {PJSIP_VERSION};"
                f" install pjsua2-python=={WHEEL_VERSION}"
            )
        self.version = version
        self.path = path

    def check(self, function: str, status: int) -> None:
        """Raise :class:`PjError` unless ``status`` is PJ_SUCCESS."""
        if status:
            self._raise(function, status)

    def _raise(self, function: str, status: int) -> NoReturn:
        buffer = self.ffi.new("char[]", _ERROR_TEXT_SIZE)
        text = self.lib.pj_strerror(status, buffer, _ERROR_TEXT_SIZE)
        said = self.ffi.buffer(text.ptr, text.slen)[:].decode("utf-8", "replace")
        raise PjError(function, status, said)

    def string(self, text: str | bytes) -> tuple[Any, Any]:
        """Return a ``pj_str_t *`` of ``text`` and the buffer that must outlive its use."""
        raw = text.encode() if isinstance(text, str) else text
        buffer = self.ffi.new("char[]", raw)
        return self.ffi.new("pj_str_t *", {"ptr": buffer, "slen": len(raw)}), buffer

    def text(self, pj_str: Any) -> str:
        """Return the Python text of a ``pj_str_t``."""
        if not pj_str.ptr or pj_str.slen <= 0:
            return ""
        return str(self.ffi.buffer(pj_str.ptr, pj_str.slen)[:].decode("utf-8", "replace"))

    def address(self, pointer: Any) -> int:
        """Return a pointer as a number, for use as a key."""
        return int(self.ffi.cast("uintptr_t", pointer))


@functools.cache
def load() -> Library:
    """Open PJSIP once per process.

    Raises:
        LibraryError: see :func:`find_extension` and :class:`Library`.
    """
    return Library(find_extension())
