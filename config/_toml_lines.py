"""Where in a TOML file a key stands: ``tomllib`` gives values, and forgets their lines.

Good enough to point a reader at a fault, which is all it is for: it knows tables and ``key =`` at
the start of a line, not what a multi-line string may imitate.
"""

from __future__ import annotations

import re

__all__ = ["line_numbers"]

_TABLE = re.compile(r"\s*\[+\s*([^\]\[]+?)\s*\]+\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_"'-]+)*)\s*=""")


def _plain(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


def line_numbers(text: str) -> dict[str, int]:
    """Find the line of every table and key.

    Args:
        text: A TOML file.

    Returns:
        Line numbers from 1, by dotted key (``sip.port``).
    """
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _TABLE.match(line):
            table = _plain(match[1])
            found.setdefault(table, number)
        elif match := _KEY.match(line):
            key = _plain(match[1])
            found.setdefault(f"{table}.{key}" if table else key, number)
    return found
