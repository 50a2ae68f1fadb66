"""Keying a number: digits, `#`, `*`, and what comes after the last one.

The rules are the same in every number entry:

* the number is complete where its judge says so, or at `#`;
* `*` starts over; `#` or `*` before the first digit is a lone press and does nothing;
* `A` to `D` are not on a telephone and do nothing;
* **one `#` within 3 s after a complete number is swallowed**: people who were taught to end with
  `#` press it although the number was complete without, and it must not become the first key of
  a command;
* digits that run on after a complete number, each within a second of the key before, belong to
  the same slip (a PIN with a digit too many, a child on the keypad, 200 digits) and are swallowed
  too: they are neither a new try nor a key press in the conference.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final

from dialplan.pins import Verdict

__all__ = ["HASH_SWALLOW_S", "RUN_ON_S", "NumberEntry", "Pressed"]

HASH_SWALLOW_S: Final = 3.0
"""How long after a complete number one `#` is swallowed, s."""

RUN_ON_S: Final = 1.0
"""Digits that follow the key before within this time run on, s."""

_DIGITS: Final = frozenset("0123456789")


class Pressed(Enum):
    """What a key did to the entry."""

    NOTHING = "nothing"
    TAKEN = "taken"
    CLEARED = "cleared"
    COMPLETE = "complete"
    MISTYPED = "mistyped"


class NumberEntry:
    """Collects one number after another from single keys.

    Args:
        judge: Says of the digits so far whether they are complete, incomplete or mistyped.
    """

    def __init__(self, judge: Callable[[str], Verdict]) -> None:
        self._judge = judge
        self._digits = ""
        self._completed_at = float("-inf")
        self._hash_due = False
        self._run_on_at = float("-inf")

    @property
    def digits(self) -> str:
        """The digits of the number being keyed, or of the one just completed."""
        return self._digits

    @property
    def empty(self) -> bool:
        """Whether no digit has been taken."""
        return not self._digits

    def swallows(self, at: float, key: str) -> bool:
        """Say whether a key still belongs to the number completed before, and note it.

        To be asked first for every key, also when the entry is over and keys go elsewhere.

        Args:
            at: Monotonic time, s.
            key: One of `0-9*#A-D`.

        Returns:
            Whether the key is to be forgotten.
        """
        if key == "#" and self._hash_due and at - self._completed_at <= HASH_SWALLOW_S:
            self._hash_due = False
            self._run_on_at = float("-inf")
            return True
        if key in _DIGITS and at - self._run_on_at <= RUN_ON_S:
            self._run_on_at = at
            return True
        self._hash_due = False
        self._run_on_at = float("-inf")
        return False

    def press(self, at: float, key: str) -> Pressed:
        """Take a key.

        Args:
            at: Monotonic time, s.
            key: One of `0-9*#A-D`.

        Returns:
            What it did. After `COMPLETE` and `MISTYPED`, `digits` stay readable until `clear`.
        """
        if key == "*":
            outcome = Pressed.NOTHING if self.empty else Pressed.CLEARED
            self.clear()
            return outcome
        if key == "#":
            if self.empty:
                return Pressed.NOTHING
            # A number that is complete by itself never gets here: this one lacks digits, unless
            # its judge leaves the end open.
            complete = self._judge(self._digits) is Verdict.COMPLETE
            return Pressed.COMPLETE if complete else Pressed.MISTYPED
        if key not in _DIGITS:
            return Pressed.NOTHING
        self._digits += key
        verdict = self._judge(self._digits)
        if verdict is Verdict.INCOMPLETE:
            return Pressed.TAKEN
        self._completed_at = self._run_on_at = at
        self._hash_due = True
        return Pressed.COMPLETE if verdict is Verdict.COMPLETE else Pressed.MISTYPED

    def clear(self) -> None:
        """Forget the digits; what is still to be swallowed stays so."""
        self._digits = ""
