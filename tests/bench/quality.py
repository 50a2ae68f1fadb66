"""Measure how good speech sounds that came through the mixer, by PESQ (ITU-T P.862, P.862.2).

The real engine is driven in virtual time, so the figures repeat to the last digit: recorded speech
goes over a line with loss, jitter or a clock of its own, through every stage, to a listener.

  pesq        of what the listener is sent; narrow: MOS-LQO of P.862.1, wide: P.862.2.
  codec_only  the same passes of the codec (decode, the same gain, encode) on a perfect line.
  zero_fill   the same on the same line, with a fixed wait of 20 to 40 ms, and silence for whatever
              has not come by then. Where the talker's clock drifts, the wait is kept by a slip: a
              frame is left out, or silence put in.

`clean` has all stages on, as shipped; `clean_plain` has gate, gain control and limiter off. Fails
where `clean` is more than 0.1 below `codec_only` (`clean_plain`: 0.05), where anything is worse
than `zero_fill`, or not better by 0.3 at 3 to 10 % of loss.
"""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bridge.media.depth import START_ROWS
from bridge.media.messages import Configure
from tests.bench.programs import LoadError
from tests.media.engine import PCM, PLAIN
from tests.media.network import FRAME_S, Line, carry, losses
from tests.media.speech import RATES, decoded, encoded, recorded, zero_filled

__all__ = ["BANDS", "CASES", "measure"]

SECONDS: Final = 9.0
"""Of speech in a sample: PESQ is made for 8 to 12."""

TALKERS: Final = (("en", 0), ("sv", 0), ("en", 7))
"""Language and the recordings left out: two voices, different sentences."""

LEADS_S: Final = 1.0
"""Silence before the speech, in which depth and levels settle, and which is not judged."""

SLACK: Final = 0.02
"""Of two scores that are the same."""

BANDS: Final = {"narrow": "PCMU", "wide": "G722"}
SHIPPED: Final = Configure()
"""All stages on."""

F = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Case:
    """A line, and what is done over it."""

    name: str
    line: Line
    options: Configure = SHIPPED
    double: bool = False


def _jitter(milliseconds: int) -> Line:
    times = np.random.default_rng(milliseconds).uniform(0, milliseconds / 1000, 5000).tolist()
    return Line(late=lambda packet: times[packet])


def _cases() -> list[_Case]:
    cases = [_Case("clean", Line()), _Case("clean_plain", Line(), PLAIN)]
    for kind, burst in (("random", 1.0), ("bursty", 2.5)):
        for percent in (1, 3, 5, 10):
            lost = losses(percent / 100, burst, seed=percent)
            cases.append(_Case(f"loss_{kind}_{percent}", Line(lost=lost), PLAIN))
    cases += [_Case(f"jitter_{each}", _jitter(each), PLAIN) for each in (20, 40, 60, 100)]
    # So that a whole row is gained or lost within the sample.
    middle = 2e-4 * (LEADS_S + SECONDS / 2) / FRAME_S
    cases.append(_Case("drift_fast", Line(drift=2e-4, phase=middle), PLAIN))
    cases.append(_Case("drift_slow", Line(drift=-2e-4, phase=1 - middle), PLAIN))
    cases.append(_Case("double_talk", Line(), double=True))
    return cases


def _score(reference: PCM, heard: F, rate: int) -> float:
    # By name: only this benchmark has it, and neither linters nor tests need it.
    pesq = importlib.import_module("pesq").pesq
    limited = np.clip(np.round(heard), -32768, 32767).astype(np.int16)
    return float(pesq(rate, reference, limited, "wb" if rate > RATES["PCMU"] else "nb"))


def _on_time(line: Line, packet: int) -> bool:
    """Say whether a packet comes within the wait that a clean line gets."""
    tick = int(np.ceil(line.phase)) + START_ROWS
    return line.phase * FRAME_S + line.late(packet) <= tick * FRAME_S


def _played(line: Line, frames: int) -> list[int | None]:
    """Return which frames a fixed wait plays one after the other; `None` is a slip of silence."""
    played: list[int | None] = []
    ahead = int(np.ceil(line.phase)) + START_ROWS
    for frame in range(frames):
        wait = frame + ahead - (frame + line.phase) / (1 + line.drift)
        if wait > START_ROWS + 1:
            ahead -= 1
            continue
        if wait < START_ROWS:
            ahead += 1
            played.append(None)
        played.append(frame)
    return played


def _codec_only(frames: Sequence[bytes], codec: str, gain: float) -> F:
    once = decoded(frames, codec) * gain
    return decoded(encoded(np.clip(once, -32768, 32767).astype(np.int16), codec), codec)


def _row(case: _Case, band: str, said: Sequence[PCM]) -> dict[str, Any]:
    codec = BANDS[band]
    rate = RATES[codec]
    lead = int(LEADS_S * rate)
    scores = []
    for index, speech in enumerate(said):
        frames = encoded(speech, codec)
        other = encoded(said[index - 1], codec) if case.double else None
        got = carry(frames, case.line, codec=codec, other=other, options=case.options)
        heard = decoded(got.payloads, codec)
        reference = speech[lead:]
        level = np.sqrt(np.mean(heard[lead:] ** 2) / np.mean(reference.astype(np.float64) ** 2))
        line = case.line
        played = _played(line, len(frames))
        gone = [k is None or line.lost(k) or not _on_time(line, k) for k in played]
        filled = zero_filled([frames[k or 0] for k in played], gone.__getitem__, codec)
        scores.append(
            (
                _score(reference, heard[lead:], rate),
                _score(
                    reference,
                    _codec_only(frames, codec, level if case.options.agc else 1.0)[lead:],
                    rate,
                ),
                _score(reference, filled[lead:], rate),
            )
        )
    mean = np.mean(scores, axis=0)
    row: dict[str, Any] = {"case": case.name, "band": band}
    names = ("pesq", "codec_only", "zero_fill")
    row |= {name: round(float(value), 2) for name, value in zip(names, mean, strict=True)}
    return row


def _fault(row: dict[str, Any]) -> str | None:
    """Say what is wrong with a row, if anything is."""
    name, pesq = f"{row['case']}, {row['band']}", row["pesq"]
    allowed = {"clean": 0.1, "clean_plain": 0.05}.get(row["case"])
    if allowed is not None and pesq < row["codec_only"] - allowed - 1e-9:
        return f"{name}: {pesq} is more than {allowed} below {row['codec_only']}"
    lossy = row["case"].startswith("loss") and not row["case"].endswith("_1")
    better = pesq - row["zero_fill"]
    if lossy and better < 0.3 - 1e-9:
        return f"{name}: {pesq} is only {better:.2f} better than silence"
    if allowed is None and better < -SLACK and not _loses_nothing(row):
        return f"{name}: {pesq} is worse than {row['zero_fill']} with silence"
    return None


def _loses_nothing(row: dict[str, Any]) -> bool:
    """Say whether nothing is lost in a case, so that there is nothing to be better at."""
    return bool(row["case"] == "double_talk")


CASES: Final = tuple(case.name for case in _cases())
"""Names of what is measured."""


def measure(bands: Sequence[str] = tuple(BANDS), cases: Sequence[str] = CASES) -> dict[str, Any]:
    """Measure.

    Args:
        bands: of `narrow` and `wide`.
        cases: of `CASES`.

    Returns:
        What `scripts/bench quality --json` prints.

    Raises:
        LoadError: PESQ is not installed.
    """
    try:
        importlib.import_module("pesq")
    except ImportError as error:
        raise LoadError("pesq is not installed: scripts/bench quality does that") from error
    rows = []
    for band in bands:
        rate = RATES[BANDS[band]]
        quiet = np.zeros(int(LEADS_S * rate), np.int16)
        said = [
            np.concatenate((quiet, recorded(SECONDS, rate=rate, language=language, skip=skip)))
            for language, skip in TALKERS
        ]
        for case in [case for case in _cases() if case.name in cases]:
            rows.append(_row(case, band, said))
            sys.stderr.write(
                "{case:<16} {band:<7} pesq {pesq:.2f}  codec only {codec_only:.2f}"
                "  zero fill {zero_fill:.2f}\n".format(**rows[-1])
            )
    faults = [fault for row in rows if (fault := _fault(row)) is not None]
    return {"rows": rows, "faults": faults, "ok": not faults}
