"""Every operation that works on the database, by the name that administrators' commands ask for."""

from __future__ import annotations

from typing import Final

from cdr.reports import OPERATIONS as RECORD_OPERATIONS
from config.administration import Registry
from dialplan.administration import CHANGING
from dialplan.administration import OPERATIONS as DIALPLAN_OPERATIONS

__all__ = ["CHANGING", "OPERATIONS"]

OPERATIONS: Final[Registry] = {**DIALPLAN_OPERATIONS, **RECORD_OPERATIONS}
