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

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows

__all__ = ["HANG_OVER_TICKS", "Levels", "frame_rms", "from_dbov"]


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
_STAYS_LESS: Final = np.float32(1 - STAYS_OUT)
_UP: Final = np.int8(2)
_FRAME_MS: Final = 20
_NEVER: Final = np.float32(1e9)


def frame_rms(pcm: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the root mean square of each frame.

    Args:
        pcm: float32, `(n, samples)`, 16-bit scale.

    Returns:
        float32, `(n,)`, same scale.
    """
    rms: npt.NDArray[np.float32] = np.sqrt(np.vecdot(pcm, pcm) / np.float32(pcm.shape[1]))
    return rms


class Levels(Rows):
    """Level and speech of each leg.

    Arithmetic goes over whole columns: it costs less than to pick the open rows out of them and
    put the results back. What is for some rows only is multiplied by true or false: `where`, as an
    argument or a function, goes through a column bit by bit, and takes twice as long.

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

    def follow(
        self,
        rows: npt.NDArray[np.intp],
        rms: npt.NDArray[np.float32],
        came: npt.NDArray[np.bool_],
        heard: npt.NDArray[np.bool_] | bool = True,  # noqa: FBT001, FBT002 - one for all legs
    ) -> npt.NDArray[np.intp]:
        """Take the levels of a tick in.

        Args:
            rows: intp, `(n,)`: the legs that may speak, each once; all others are silent.
            rms: float32, `(n,)`: level of what is heard of them.
            came: bool, `(n,)`: it is what they sent in this frame.
            heard: bool, `(capacity,)`: others may hear them; only that is talk.

        Returns:
            intp: the legs that began or ended to speak.
        """
        self.rms[:] = 0
        self.rms[rows] = rms
        self.came[:] = False
        self.came[rows] = came
        self._follow_floor()
        np.greater(self.rms, self.threshold * (1 - _STAYS_LESS * self.loud), out=self.loud)
        return self._follow_speech(heard)

    @property
    def threshold(self) -> npt.NDArray[np.float32]:
        """Level from which each leg is loud, float32, `(capacity,)`, 16-bit scale."""
        level: npt.NDArray[np.float32] = self.floor * np.float32(STANDS_OUT)
        return np.maximum(level, np.float32(LEAST_LOUD), out=level)

    def _follow_floor(self) -> None:
        self.seen += self.came
        np.minimum(self.least, self.rms + _NEVER * ~self.came, out=self.least)
        np.minimum(self.least, self.least_before, out=self.floor)
        self.floor *= np.float32(BIAS)
        np.maximum(self.floor, LEAST_FLOOR, out=self.floor)
        np.minimum(self.floor, GREATEST_FLOOR, out=self.floor)
        full = np.flatnonzero(self.seen >= WINDOW_TICKS)
        if len(full):
            self.least_before[full] = self.least[full]
            self.least[full] = _NEVER
            self.seen[full] = 0

    def _follow_speech(self, heard: npt.NDArray[np.bool_] | bool) -> npt.NDArray[np.intp]:  # noqa: FBT001 - as above
        was = self.talking.copy()
        self.attack += _UP * self.loud
        self.attack -= 1
        # Not `np.clip`: its checks of whole numbers take ten times as long as both of these.
        np.maximum(self.attack, 0, out=self.attack)
        np.minimum(self.attack, _ATTACK_LIMIT, out=self.attack)
        self.hang -= 1
        np.putmask(self.hang, self.loud & (was | (self.attack >= ATTACK)), HANG_OVER_TICKS)
        np.maximum(self.hang, 0, out=self.hang)
        np.greater(self.hang, 0, out=self.talking)
        self.talk_ms += _FRAME_MS * (self.talking & heard)
        return np.flatnonzero(self.talking != was)

    def fall_silent(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Let legs that may not speak any more fall silent; return those that were speaking."""
        ended = rows[self.talking[rows]]
        self.talking[ended] = False
        self.attack[ended] = 0
        self.hang[ended] = 0
        return ended
