"""How loud each leg is, and whether it speaks.

The level is the root mean square of a frame on the 16-bit scale; dBov is 20 log10(rms / 32768)
for a square wave of full scale at 0 dBov (ITU-T G.100.1). Speech begins when two of three frames
are above the threshold and ends after a hang-over without one.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import FRAME

__all__ = ["SPEECH_DBOV", "SPEECH_RMS", "Levels", "frame_rms"]

SPEECH_DBOV: Final = -42.0
"""Between speech (around -24 dBov) and the noise of a telephone line (below -55 dBov)."""

SPEECH_RMS: Final = 32768.0 * 10 ** (SPEECH_DBOV / 20)

HANG_OVER_TICKS: Final = 15
"""300 ms: pauses between words; also the least time between two turns of a `TalkSpurt`."""

_FRAME_MS: Final = 20
_ATTACK: Final = 2
_ATTACK_LIMIT: Final = 3


def frame_rms(pcm: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the root mean square of each frame.

    Args:
        pcm: float32, `(n, 160)`, 16-bit scale.

    Returns:
        float32, `(n,)`, same scale.
    """
    rms: npt.NDArray[np.float32] = np.sqrt(np.vecdot(pcm, pcm) / np.float32(FRAME))
    return rms


class Levels(Rows):
    """Level and speech of each leg.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.talking: npt.NDArray[np.bool_] = self.column("talking", np.bool_, kept=True)
        self.attack: npt.NDArray[np.int64] = self.column("attack", np.int64, kept=True)
        self.hang: npt.NDArray[np.int64] = self.column("hang", np.int64, kept=True)
        self.talk_ms: npt.NDArray[np.int64] = self.column("talk_ms", np.int64, kept=True)

    def follow(
        self, rows: npt.NDArray[np.intp], rms: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.intp]:
        """Take the levels of a tick in.

        Args:
            rows: intp, `(n,)`: the legs.
            rms: float32, `(n,)`: level of what they said, 0 where nothing came.

        Returns:
            intp: the legs that began or ended to speak.
        """
        loud = rms > SPEECH_RMS
        attack = np.clip(self.attack[rows] + np.where(loud, 1, -1), 0, _ATTACK_LIMIT)
        self.attack[rows] = attack
        was = self.talking[rows]
        hang = np.where(loud & (was | (attack >= _ATTACK)), HANG_OVER_TICKS, self.hang[rows] - 1)
        self.hang[rows] = np.maximum(hang, 0)
        now = hang > 0
        self.talking[rows] = now
        self.talk_ms[rows] += np.where(now, _FRAME_MS, 0)
        changed: npt.NDArray[np.intp] = rows[now != was]
        return changed

    def fall_silent(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Let legs that may not speak any more fall silent; return those that were speaking."""
        ended = rows[self.talking[rows]]
        self.talking[ended] = False
        self.attack[ended] = 0
        self.hang[ended] = 0
        return ended
