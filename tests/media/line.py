"""Legs through levels, gate and gain alone, a whole sound at a time."""

import numpy as np
import numpy.typing as npt

from bridge.media.agc import Agc
from bridge.media.depth import START_ROWS
from bridge.media.gains import Gains
from bridge.media.gate import Gate
from bridge.media.levels import Levels, frame_rms
from bridge.media.messages import Configure
from tests.support import g711
from tests.support.sentences import FRAME, Sound

__all__ = ["Line"]


class Line:
    """Legs, a row each, through levels, gate and gain.

    Args:
        rows: how many.
        options: which stages.
    """

    def __init__(self, rows: int, options: Configure | None = None) -> None:
        self.rows = np.arange(rows)
        self.options = options or Configure()
        self.levels, self.gate = Levels(rows), Gate(rows)
        self.agc, self.gains = Agc(rows), Gains(rows)

    def hear(self, sounds: Sound, *, came: bool = True) -> npt.NDArray[np.float32]:
        """Return what is heard of sounds, `(rows, samples)`, after G.711 and all gains."""
        frames = sounds.shape[1] // FRAME
        coded = g711.encode(sounds[:, : frames * FRAME].reshape(-1).astype(np.int16), g711.PCMU)
        decoded = g711.decode(coded, g711.PCMU).reshape(len(sounds), frames, FRAME)
        out = decoded.astype(np.float32)
        arrived = np.full(len(sounds), came)
        for tick in range(frames):
            pcm = np.ascontiguousarray(out[:, tick])
            self.levels.follow(self.rows, frame_rms(pcm), arrived)
            self.gate.coming[:] = 0
            for ahead in range(tick + 1, min(tick + 1 + START_ROWS, frames)):
                coming = frame_rms(np.ascontiguousarray(decoded[:, ahead].astype(np.float32)))
                np.maximum(self.gate.coming, coming, out=self.gate.coming)
            self.gate.follow(self.levels)
            self.agc.follow(self.levels, self.options.target_dbov)
            self.gains.follow(self.levels, self.gate, self.agc, self.options)
            self.gains.apply(self.rows, pcm)
            out[:, tick] = pcm
        return out.reshape(len(sounds), -1)
