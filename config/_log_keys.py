"""The keys that a log line may have, and what each may hold: the log's allow-list.

A key that is not here is withheld, and so is a value of another type. To log something new, give it
a key of its own here; if no kind fits, it is probably about somebody.
"""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from config._log_vocabulary import own_constants
from config.pseudonyms import Pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KEYS", "PSEUDONYMOUS", "WITHHELD", "Value", "published", "word"]

Value = str | int | float | bool | None

WITHHELD: Final = "(withheld)"

_EXACT_BELOW: Final = 1_000_000
"""Larger numbers are rounded: a telephone number has seven digits or more."""
_ID_DIGITS: Final = 32
_UUID_VERSION: Final = 4
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9 _./:+-]{0,79}")
_MANY_DIGITS: Final = re.compile(r"[0-9]{4}")

published: dict[str, frozenset[str]] = {}
"""Names from the configuration that may be said, by key; see ``config.logging.publish``."""


def count(value: object) -> Value:
    """Let a number through, in three digits where it is large."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, int):
        return int(value) if abs(value) < _EXACT_BELOW else _rounded(value)
    if isinstance(value, float):
        return round(value, 3) if abs(value) < _EXACT_BELOW else _rounded(value)
    return WITHHELD


def _rounded(value: float) -> str:
    try:
        return f"{value:.2e}"
    except OverflowError:
        return "(a very large number)"


def word(value: object) -> Value:
    """Let a word through that stands in our code."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, type):
        value = value.__name__
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        plain = str(value)
        if _WORD.fullmatch(plain) and not _MANY_DIGITS.search(plain) and own_constants(plain):
            return plain
    return WITHHELD


def identifier(value: object) -> Value:
    """Let an id of ours through: a small number, a random UUID or a pseudonym."""
    if isinstance(value, Pseudonym):
        return str(value)
    if isinstance(value, uuid.UUID):
        return value.hex if value.version == _UUID_VERSION else WITHHELD
    if isinstance(value, str):
        try:
            parsed = uuid.UUID(value)
        except ValueError:
            return WITHHELD
        return identifier(parsed) if len(value) >= _ID_DIGITS else WITHHELD
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _EXACT_BELOW:
        return int(value)
    return WITHHELD


def name_of(key: str) -> Callable[[object], Value]:
    """Return the kind of names from the configuration, as far as they were published."""

    def check(value: object) -> Value:
        return value if isinstance(value, str) and value in published.get(key, ()) else WITHHELD

    return check


_COUNTS = """
    age_s answer_ms attempts bytes calls capacity codes conferences connections count cpu_percent
    delay_ms depth dropped errno expires_s failed free_bytes gap_ms high jitter_ms jumped late
    late_ticks jumped_ticks leg_count legs limit lines lost lost_percent low media mos most numbers
    ok overflow own_sdp packets peak percent pid pins playout_ms port ports q850 queued records
    requests restarts return_loss_db rtt_ms room_left runs seconds send_errors sessions signal size
    status ticks tick_ms_max tick_ms_p50 tick_ms_p95 tries trunks uid unreadable waiting
    level_of_pjsip hold alive asserted has_offer codecs_ok completed waits number_count subjects
    keys errors warnings tcp rxq_overflow
"""
_WORDS = """
    action by cause check codec direction dtmf_method end_reason event_name event_type exit field
    function guard hint key_name kind language machine method number_kind operation origin problem
    process reason role rule setting sound state stage step task thread transport verdict what where
    why country
"""
_IDENTIFIERS = "call conference leg play request room run session subject trace trunk_id pin_id"

KEYS: Final[dict[str, Callable[[object], Value]]] = {
    **dict.fromkeys(_COUNTS.split(), count),
    **dict.fromkeys(_WORDS.split(), word),
    **dict.fromkeys(_IDENTIFIERS.split(), identifier),
    "trunk": name_of("trunk"),
}

PSEUDONYMOUS: Final[dict[str, str]] = {
    "number": "number",
    "caller": "number",
    "dialled": "number",
    "claimed": "number",
    "from_number": "number",
    "to_number": "number",
    "address": "address",
    "remote": "address",
    "source": "address",
    "peer": "address",
    "name": "name",
    "display_name": "name",
    "account": "name",
    "user": "name",
    "call_id": "call",
}
"""Keys whose values are replaced by a pseudonym, and the kind of it."""
