"""What is heard of a leg when its frame did not come.

Three frames repeat the last one heard, fading; then comes comfort noise (RFC 3389): at the level
the leg's last comfort-noise packet named while its stream pauses by agreement, else at the leg's
own noise floor. Where neither is known, silence.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import FRAME
from bridge.media.resample import WIDE_FRAME

__all__ = ["FADE", "ComfortNoise"]

FADE: Final = np.array([1.0, 0.75, 0.45, 0.2], np.float32)
"""Gain by the number of frames missing in a row; beyond the table it is noise. About the -20 dB
over 60 ms of ITU-T G.711 appendix I, in steps of a frame."""

LOUDEST_FLOOR: Final = 104.0
"""RMS on the 16-bit scale, -50 dBov: what we take for a leg's own noise is never louder."""

_FULL_SCALE: Final = 32768.0
_NOISE_FRAMES: Final = 61  # prime, so that neighbours do not repeat each other's noise
_FLOOR_RISE: Final = 1.002  # a frame; doubles in seven seconds


def _white_noise(length: int) -> npt.NDArray[np.float32]:
    """Return frames of white noise, each of RMS 1."""
    white = np.random.default_rng(3389).standard_normal((_NOISE_FRAMES, length))
    rms = np.sqrt(np.mean(white**2, axis=1, keepdims=True))
    frames: npt.NDArray[np.float32] = (white / rms).astype(np.float32)
    return frames


class ComfortNoise(Rows):
    """Noise levels of each leg, and the noise.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        # RMS on the 16-bit scale; negative: the stream does not pause.
        self.paused_level: npt.NDArray[np.float32] = self.column(
            "paused_level", np.float32, fill=-1
        )
        self.floor: npt.NDArray[np.float32] = self.column("floor", np.float32, fill=-1, kept=True)
        self.concealed: npt.NDArray[np.int64] = self.column("concealed", np.int64, kept=True)
        self._white = {length: _white_noise(length) for length in (FRAME, WIDE_FRAME)}
        self._turn = 0

    def pause(self, rows: npt.NDArray[np.intp], level: npt.NDArray[np.uint8]) -> None:
        """Take comfort-noise packets: the stream pauses at this noise level.

        Args:
            rows: intp, `(k,)`: the legs, each at most once.
            level: uint8, `(k,)`: first octet of the payload, -dBov (RFC 3389 section 3.1).
        """
        decibels = -(level & 0x7F).astype(np.float32)
        self.paused_level[rows] = _FULL_SCALE * 10 ** (decibels / 20)

    def resume(self, rows: npt.NDArray[np.intp]) -> None:
        """Take note that audio packets came."""
        self.paused_level[rows] = -1

    def follow(self, rows: npt.NDArray[np.intp], rms: npt.NDArray[np.float32]) -> None:
        """Follow the floor of what really came: down at once, up slowly.

        Args:
            rows: intp, `(k,)`: legs whose frame came.
            rms: float32, `(k,)`: of the frame, on the 16-bit scale.
        """
        floor = self.floor[rows]
        risen = np.where(floor < 0, LOUDEST_FLOOR, np.maximum(floor, 1) * _FLOOR_RISE)
        self.floor[rows] = np.minimum(np.minimum(risen, rms), LOUDEST_FLOOR)

    def conceal(
        self,
        rows: npt.NDArray[np.intp],
        missing: npt.NDArray[np.int64],
        blanked: npt.NDArray[np.bool_],
        pcm: npt.NDArray[np.float32],
    ) -> None:
        """Make up the frames that did not come, in place.

        Args:
            rows: intp, `(n,)`: the legs.
            missing: int64, `(n,)`: frames missing in a row, 0 where one came.
            blanked: bool, `(n,)`: frames that must be silent whatever came.
            pcm: float32, `(n, 160)`, or `(n, 320)` at 16 kHz: decoded frames; the last one heard
                where none came.
        """
        self._turn += 1
        gone = np.flatnonzero(missing)
        if len(gone):
            legs = rows[gone]
            paused = self.paused_level[legs]
            repeats = (missing[gone] < len(FADE)) & (paused < 0)
            again = gone[repeats]
            pcm[again] *= FADE[missing[again]][:, None]
            self.concealed[rows[again]] += 1
            noisy = gone[~repeats]
            level = np.where(paused >= 0, paused, np.maximum(self.floor[legs], 0))[~repeats]
            silent = level == 0
            pcm[noisy[silent]] = 0
            sounding = noisy[~silent]
            frame = (rows[sounding] * 7 + self._turn) % _NOISE_FRAMES
            pcm[sounding] = self._white[pcm.shape[1]][frame] * level[~silent][:, None]
        if blanked.any():
            pcm[blanked] = 0
