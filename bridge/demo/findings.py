"""What came out of the demo: who heard whom, how late and how loud, and the records of it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["GREETED", "Findings", "Greeted", "Heard"]

GREETED: Final = 0.6
"""A correlation with the prompt from which the greeting counts as intelligible; through µ-law and
a playout buffer it is 0.9 and more, and any other prompt stays below 0.2."""


class Greeted(msgspec.Struct, frozen=True):
    """How a telephone was received.

    Attributes:
        phone: its name.
        codec: the only one that it offered; what was agreed on stands in `Findings.legs`.
        correlation: of the greeting with the recorded prompt, 0 to 1.
        after_ms: from the call being up to the greeting's first word [ms].
        admitted_ms: from the PIN's first key to the first word inside [ms].
    """

    phone: str
    codec: str | None
    correlation: float
    after_ms: int
    admitted_ms: int


class Heard(msgspec.Struct, frozen=True):
    """What one telephone heard of one speaker; of itself too, where nothing is to be heard.

    Attributes:
        speaker: who spoke.
        listener: who listened.
        heard: whether the voice was there.
        correlation: with what was said, 0 to 1.
        level_db: against what was said, None where it was not heard [dB].
        delay_ms: from mouth to ear, both playout buffers included; None likewise [ms].
    """

    speaker: str
    listener: str
    heard: bool
    correlation: float
    level_db: float | None
    delay_ms: int | None

    @property
    def right(self) -> bool:
        """Whether it is as it has to be: others are heard, oneself is not."""
        return self.heard is (self.speaker != self.listener)


class Findings(msgspec.Struct):
    """All of it.

    Attributes:
        seconds: how long the demo took [s].
        greeted: a row for each telephone.
        heard: a row for each pair.
        sessions: the bridge's records of conference sessions.
        legs: the same of call legs.
        faults: what went wrong, in words.
        kept: where the sound is, None where it was thrown away.
    """

    seconds: float = 0.0
    greeted: list[Greeted] = msgspec.field(default_factory=list)
    heard: list[Heard] = msgspec.field(default_factory=list)
    sessions: list[dict[str, Any]] = msgspec.field(default_factory=list)
    legs: list[dict[str, Any]] = msgspec.field(default_factory=list)
    faults: list[str] = msgspec.field(default_factory=list)
    kept: str | None = None

    @property
    def ok(self) -> bool:
        """Whether everything went as it should."""
        return not self.faults

    def judge(self, phones: int) -> None:
        """Put into words what was not as it has to be.

        Args:
            phones: how many took part.
        """
        for each in self.greeted:
            if each.correlation < GREETED:
                self.faults.append(
                    f"{each.phone} heard a greeting that is not the prompt "
                    f"(correlation {each.correlation:.2f}, expected {GREETED} and more)"
                )
        if len(self.heard) != phones * phones:
            self.faults.append(f"{len(self.heard)} of {phones * phones} pairs were measured")
        for pair in self.heard:
            if not pair.right:
                did = "heard" if pair.heard else "did not hear"
                whom = "its own voice" if pair.speaker == pair.listener else pair.speaker
                self.faults.append(
                    f"{pair.listener} {did} {whom} (correlation {pair.correlation:.2f})"
                )
        self._judge_records(phones)

    def _judge_records(self, phones: int) -> None:
        if len(self.legs) != phones:
            self.faults.append(f"{len(self.legs)} of {phones} calls are in the records")
        for leg in self.legs:
            for key, wanted in (("hung_up_by", "caller"), ("dtmf_method", "rfc4733")):
                if leg[key] != wanted:
                    self.faults.append(
                        f"the record of call {leg['call']} says {key} {leg[key]!r}, "
                        f"expected {wanted!r}"
                    )
            if leg["ended_at"] is None or leg["session"] is None:
                self.faults.append(f"the record of call {leg['call']} is not complete")
        if len(self.sessions) != 1 or self.sessions[0]["peak_legs"] != phones:
            self.faults.append(f"the records hold no single session of {phones} legs")

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints, ``ok`` first."""
        found: dict[str, Any] = {"ok": self.ok}
        found |= msgspec.to_builtins(self)
        return found
