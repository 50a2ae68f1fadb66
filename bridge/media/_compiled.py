"""Loops that are compiled: numba makes code of the machine out of a function of Python.

numpy goes through memory once for every operation, and where a thousand sockets have been served
since the last tick, what it goes through is in no cache: of a thousand legs it took 3.5 ms a tick.
The same arithmetic, done to a frame while it is in the registers, takes 1.1. So what is done to
every sample of every leg, or to every packet, is a loop over legs that is compiled; what is done to
few of them, or seldom, stays numpy. No such loop is ever interpreted: types are said beforehand,
and arguments of others are refused.

Code is kept beside its module (or where `NUMBA_CACHE_DIR` says, or in the user's cache), for this
processor and this version of the module; to compile all of it takes half a minute, to load it half
a second. Constants are compiled in, those of other modules too: whoever changes one removes the
code kept of the modules that import it (`*.nbi`).
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = ["LINE", "compiled", "inlined", "inlined_exactly", "prefetch"]

LINE: Final = 64
"""Octets that come into the cache together."""

F = TypeVar("F", bound=Callable[..., Any])

# To type checkers numba does not say what these are.
_cgutils: Any = cgutils

_OPTIONS: Final[dict[str, Any]] = {
    # As numpy does: by zero is infinite, and nothing is raised.
    "error_model": "numpy",
    # Sums may be taken in any order, as numpy's are, so that sixteen samples are added at once.
    # Samples are never infinite and always numbers.
    "fastmath": {"reassoc", "nsz", "nnan", "ninf"},
}

_EXACT: Final[dict[str, Any]] = {"error_model": "numpy"}
"""Where a NaN stands for what is not known: it must be told from a number."""


def compiled(signature: object, *, exact: bool = False) -> Callable[[F], F]:
    """Compile a function when its module is imported.

    Args:
        signature: numba's, text or object: what it returns, and the type of each argument;
            `[:, ::1]` is an array that is contiguous.
        exact: NaN may come in or go out.

    Returns:
        The decorator.
    """
    options = _EXACT if exact else _OPTIONS

    def decorate(function: F) -> F:
        try:
            return _compile(signature, function, {**options, "cache": True})
        except RuntimeError:  # there is no folder to keep it in: each start compiles again
            return _compile(signature, function, options)

    return decorate


def inlined(function: F) -> F:
    """Let compiled loops of several modules use a function; nothing else is to call it."""
    return cast("F", numba.njit(**_OPTIONS)(function))


def inlined_exactly(function: F) -> F:
    """Let compiled loops use a function that a NaN may go through."""
    return cast("F", numba.njit(**_EXACT)(function))


def _prefetch(_context: Any, address: Any) -> Any:  # noqa: ANN401, ARG001 - types of numba
    """Have a line of memory on its way into the cache, in a compiled loop.

    Frames and packets lie hundreds of octets apart, so that the processor does not guess which are
    needed next, and to wait for each is half of what a loop over them takes where all caches are
    cold. Nothing is read: any address will do.

    Args:
        address: as `array.ctypes.data` says it, and octets from there.
    """

    def generate(_: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        octet, number = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        function = _cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [octet, number, number, number]),
            "llvm.prefetch.p0",
        )
        # To read, into all caches, data.
        place = builder.inttoptr(arguments[0], octet)
        builder.call(function, [place, number(0), number(3), number(1)])

    return types.void(types.int64), generate


prefetch: Callable[[int], None] = cast("Any", intrinsic(_prefetch))


def _compile(signature: object, function: F, options: dict[str, Any]) -> F:
    return cast("F", numba.njit(cast("Any", signature), **options)(function))
