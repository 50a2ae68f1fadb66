"""How loud each leg is, how loud its line alone, and whether it speaks.

Levels are the root mean square of a frame on the 16-bit scale; dBov is 20 log10(rms / 32768), for
a square wave of full scale at 0 dBov (ITU-T G.100.1).

The *noise floor* is the least level of the last one and a half to three seconds: between syllables
a talker's line is heard alone, and a noise that begins or ends is followed within that time
(minimum statistics, R. Martin 2001, with a level a frame instead of a spectrum). A frame is *loud*
when it stands out of the floor. Speech begins when loud frames outnumber others by four within a
tenth of a second, which chairs, keys and mice do not bring about, and ends after a hang-over
without one.
"""

import functools
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled, inlined
from bridge.media._rows import Rows

__all__ = ["HANG_OVER_TICKS", "Levels", "frame_rms", "from_dbov", "level", "look", "threshold"]


def from_dbov(decibels: float) -> float:
    """Return the root mean square on the 16-bit scale of a level in dBov."""
    return float(32768.0 * 10 ** (decibels / 20))


FIRST_FLOOR: Final = from_dbov(-62.0)
"""Of a leg not heard yet: who begins with a word must not be taken for a noise."""

LEAST_FLOOR: Final = from_dbov(-72.0)
"""Of a line that is silent to the bit; a step of the smallest codes is about as loud."""

GREATEST_FLOOR: Final = from_dbov(-42.0)
"""A louder noise is no line's: what it is, others find out (guards), and it is heard meanwhile."""

BIAS: Final = 10 ** (1.0 / 20)
"""A minimum of noise of so many frames lies about 1 dB below its mean."""

STANDS_OUT: Final = 10 ** (8.0 / 20)
"""Loud is 8 dB above the floor: frames of steady noise scatter by 1 dB about their mean."""

STAYS_OUT: Final = 10 ** (-3.0 / 20)
"""Once a leg is loud, 3 dB less will do: thresholds with one edge chatter."""

LEAST_LOUD: Final = from_dbov(-58.0)
"""Nothing below is speech: a talker of -40 dBov keeps a range of 18 dB."""

WINDOW_TICKS: Final = 75
"""The floor is the least of this window (1.5 s) and the one before."""

HANG_OVER_TICKS: Final = 15
"""300 ms: pauses between words; also the least time between two turns of a `TalkSpurt`."""

ATTACK: Final = 4
"""Loud frames more than others before a leg is said to speak: 80 ms."""

_ATTACK_LIMIT: Final = ATTACK + 1
_FRAME_MS: Final = 20
_NEVER: Final = np.float32(1e9)
_BIAS: Final = np.float32(BIAS)
_LEAST_FLOOR: Final = np.float32(LEAST_FLOOR)
_GREATEST_FLOOR: Final = np.float32(GREATEST_FLOOR)
_STANDS_OUT: Final = np.float32(STANDS_OUT)
_STAYS_OUT: Final = np.float32(STAYS_OUT)
_LEAST_LOUD: Final = np.float32(LEAST_LOUD)


def frame_rms(pcm: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the root mean square of each frame.

    Args:
        pcm: float32, `(n, samples)`, 16-bit scale.

    Returns:
        float32, `(n,)`, same scale.
    """
    rms = np.empty(len(pcm), np.float32)
    _rms(pcm, rms)
    return rms


def look(
    pcm: npt.NDArray[np.float32],
    missing: npt.NDArray[np.int64],
    blanked: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """See how loud frames are, and which are the legs' own.

    Args:
        pcm: float32, `(n, 160)`, 16-bit scale.
        missing: int64, `(>= n,)`: not 0 where a frame is made up.
        blanked: bool, `(>= n,)`: nothing of it may be heard.

    Returns:
        As `frame_rms`; and bool, `(n,)`: it came, and may be heard.
    """
    rms, came = np.empty(len(pcm), np.float32), np.empty(len(pcm), np.bool_)
    _rms(pcm, rms)
    _own(missing, blanked, came)
    return rms, came


@inlined
def threshold(floor: np.float32) -> np.float32:
    """Return the level from which a leg of this noise floor is loud, 16-bit scale."""
    return max(floor * _STANDS_OUT, _LEAST_LOUD)


@functools.cache
def _everybody(capacity: int) -> npt.NDArray[np.bool_]:
    """Return bool, `(capacity,)`, all true; not to be changed."""
    return np.ones(capacity, np.bool_)


@compiled("void(int64[::1], boolean[::1], boolean[::1])")
def _own(
    missing: npt.NDArray[np.int64],
    blanked: npt.NDArray[np.bool_],
    came: npt.NDArray[np.bool_],
) -> None:
    for i in range(came.size):
        came[i] = missing[i] == 0 and not blanked[i]


@inlined
def level(frame: npt.NDArray[np.float32]) -> np.float32:
    """Return the root mean square of a frame, float32, `(samples,)`."""
    power = np.float32(0)
    for k in range(frame.size):
        power += frame[k] * frame[k]
    return np.float32(np.sqrt(power / np.float32(frame.size)))


@compiled("void(float32[:, ::1], float32[::1])")
def _rms(pcm: npt.NDArray[np.float32], rms: npt.NDArray[np.float32]) -> None:
    for i in range(rms.size):
        rms[i] = level(pcm[i])


class Levels(Rows):
    """Level and speech of each leg.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        # Of this tick, 16-bit scale; 0 for who may not speak.
        self.rms: npt.NDArray[np.float32] = self.column("rms", np.float32)
        # This tick's frame is the leg's own: not concealed, not blanked, not on hold.
        self.came: npt.NDArray[np.bool_] = self.column("came", np.bool_)
        self.floor: npt.NDArray[np.float32] = self.column("floor", np.float32, fill=FIRST_FLOOR)
        self.loud: npt.NDArray[np.bool_] = self.column("loud", np.bool_)
        self.talking: npt.NDArray[np.bool_] = self.column("talking", np.bool_, kept=True)
        self.attack: npt.NDArray[np.int8] = self.column("attack", np.int8, kept=True)
        self.hang: npt.NDArray[np.int8] = self.column("hang", np.int8, kept=True)
        self.talk_ms: npt.NDArray[np.int64] = self.column("talk_ms", np.int64, kept=True)
        # Factor that guards set and `gains` multiplies in; this table only keeps it.
        self.duck: npt.NDArray[np.float32] = self.column("duck", np.float32, fill=1, kept=True)
        # Of the windows of `floor`: this one and the one before, and how much of it has been heard.
        self.least: npt.NDArray[np.float32] = self.column("least", np.float32, fill=float(_NEVER))
        self.least_before: npt.NDArray[np.float32] = self.column(
            "least_before", np.float32, fill=FIRST_FLOOR, kept=True
        )
        self.seen: npt.NDArray[np.int16] = self.column("seen", np.int16)
        # Who began or ended to speak in this tick.
        self.turned: npt.NDArray[np.intp] = self.column("turned", np.intp)

    def follow(
        self,
        rows: npt.NDArray[np.intp],
        rms: npt.NDArray[np.float32],
        came: npt.NDArray[np.bool_],
        heard: npt.NDArray[np.bool_] | None = None,
    ) -> npt.NDArray[np.intp]:
        """Take the levels of a tick in.

        Args:
            rows: intp, `(n,)`: the legs that may speak, each once; all others are silent.
            rms: float32, `(n,)`: level of what is heard of them.
            came: bool, `(n,)`: it is what they sent in this frame.
            heard: bool, `(capacity,)`: others may hear them; only that is talk. All when None.

        Returns:
            intp: the legs that began or ended to speak.
        """
        turned = _follow(
            rows,
            rms,
            came,
            _everybody(self.capacity) if heard is None else heard,
            self.rms,
            self.came,
            self.least,
            self.least_before,
            self.seen,
            self.floor,
            self.loud,
            self.attack,
            self.hang,
            self.talking,
            self.talk_ms,
            self.turned,
        )
        return self.turned[:turned]

    def fall_silent(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Let legs that may not speak any more fall silent; return those that were speaking."""
        if not len(rows):
            return rows
        ended = rows[self.talking[rows]]
        self.talking[ended] = False
        self.attack[ended] = 0
        self.hang[ended] = 0
        return ended


@compiled(
    "int64(int64[::1], float32[::1], boolean[::1], boolean[::1], float32[::1], boolean[::1],"
    " float32[::1], float32[::1], int16[::1], float32[::1], boolean[::1], int8[::1], int8[::1],"
    " boolean[::1], int64[::1], int64[::1])"
)
def _follow(
    rows: npt.NDArray[np.intp],
    levels: npt.NDArray[np.float32],
    own: npt.NDArray[np.bool_],
    heard: npt.NDArray[np.bool_],
    rms: npt.NDArray[np.float32],
    came: npt.NDArray[np.bool_],
    least: npt.NDArray[np.float32],
    least_before: npt.NDArray[np.float32],
    seen: npt.NDArray[np.int16],
    floor: npt.NDArray[np.float32],
    loud: npt.NDArray[np.bool_],
    attack: npt.NDArray[np.int8],
    hang: npt.NDArray[np.int8],
    talking: npt.NDArray[np.bool_],
    talk_ms: npt.NDArray[np.int64],
    turned: npt.NDArray[np.intp],
) -> int:
    rms[:] = np.float32(0)
    came[:] = False
    for i in range(rows.size):
        rms[rows[i]] = levels[i]
        came[rows[i]] = own[i]
    count = 0
    for row in range(rms.size):
        level = rms[row]
        if came[row]:
            seen[row] += 1
            least[row] = min(least[row], level)
        low = min(least[row], least_before[row]) * _BIAS
        floor[row] = min(max(low, _LEAST_FLOOR), _GREATEST_FLOOR)
        if seen[row] >= WINDOW_TICKS:
            least_before[row] = least[row]
            least[row] = _NEVER
            seen[row] = 0
        least_loud = threshold(floor[row])
        if loud[row]:
            least_loud *= _STAYS_OUT
        loud[row] = level > least_loud
        attack[row] = min(max(attack[row] + (1 if loud[row] else -1), 0), _ATTACK_LIMIT)
        if loud[row] and (talking[row] or attack[row] >= ATTACK):
            hang[row] = HANG_OVER_TICKS
        else:
            hang[row] = max(hang[row] - 1, 0)
        if talking[row] != (hang[row] > 0):
            talking[row] = hang[row] > 0
            turned[count] = row
            count += 1
        if talking[row] and heard[row]:
            talk_ms[row] += _FRAME_MS
    return count
