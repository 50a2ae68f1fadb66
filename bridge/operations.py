"""Every operation that works on the database, by the name that administrators' commands ask for.

Each package brings its own; the reports get here what the records know nothing of: how a number is
written, and the words that calls are refused with.
"""

from __future__ import annotations

import functools
from typing import Any, Final

from bridge.admission import REASONS
from cdr import reports
from cdr.errors import ReportError
from config.administration import AdminContext, Registry
from dialplan import numbers
from dialplan.administration import CHANGING
from dialplan.administration import OPERATIONS as DIALPLAN_OPERATIONS
from dialplan.causes import Refusal
from dialplan.errors import NumberError
from privacy.vault import Vault

__all__ = ["CHANGING", "OPERATIONS"]

REFUSALS: Final = tuple(sorted({*REASONS, *Refusal}))


@functools.wraps(reports.legs)
def legs(
    context: AdminContext[Vault],
    *,
    caller: str | None = None,
    **narrowed: Any,  # noqa: ANN401 - handed on; the signature is that of the report
) -> list[dict[str, Any]]:
    """List call legs; the caller may be written as a person writes a number."""
    if caller is not None:
        caller = _as_recorded(caller, context.settings.entry.default_region)
    return reports.legs(context, caller=caller, **narrowed)


def _as_recorded(caller: str, region: str) -> str:
    """Return a number as the records know it; a name that a caller gave itself stays."""
    if "*" in caller:
        raise ReportError(
            f"caller {caller!r} is masked: nobody is known by it",
            hint="Give the whole number; `dialin cdr legs --reveal` shows them.",
            exit_code=2,
        )
    try:
        return numbers.normalise(caller, region or None).number
    except NumberError:
        return caller.strip()


@functools.wraps(reports.refused)
def refused(
    context: AdminContext[Vault],
    *,
    reason: str | None = None,
    **narrowed: Any,  # noqa: ANN401 - handed on; the signature is that of the report
) -> list[dict[str, Any]]:
    """List refused attempts; a word that none can have is refused itself."""
    if reason is not None and reason not in REFUSALS:
        raise ReportError(
            f"reason {reason!r} is wrong; allowed: {', '.join(REFUSALS)}", exit_code=2
        )
    return reports.refused(context, reason=reason, **narrowed)


OPERATIONS: Final[Registry] = {
    **DIALPLAN_OPERATIONS,
    **reports.OPERATIONS,
    "cdr.legs": legs,
    "cdr.refused": refused,
}
