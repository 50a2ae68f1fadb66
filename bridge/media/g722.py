"""G.722 at 64 kbit/s (ITU-T G.722 mode 1), by the `G722` extension: one call a leg and direction.

Besides the socket calls this is the only loop over legs in Python: the codec is a recursion from
sample to sample that numpy cannot run across legs at a bearable cost. A frame is 320 samples of
16 kHz in 160 octets; the RTP clock is 8000 all the same (RFC 3551 section 4.5.2), so that a frame
is 160 ticks of it, as in G.711.

Levels: 16-bit full scale is the codec's full scale, as in PJSIP, FreeSWITCH, Asterisk and the
telephones that they talk to, so that a sound has the same samples in both codecs and no gain stands
between them. (G.722 section 1.4 puts its overload point at +9 dBm0, G.711's is +3.17 dBm0; devices
that keep to the letter of it come in 5.8 dB low, which automatic gain evens out.)

An encoder's state is what the far decoder's state follows: it cannot be copied, and each must see
every frame of its stream and no other's.
"""

from typing import Any, Final

import G722
import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import FRAME
from bridge.media.resample import WIDE_FRAME

__all__ = ["Coder", "Coders", "decode", "encode"]

_SAMPLE_RATE: Final = 16_000
_BIT_RATE: Final = 64_000


class Coder:
    """One direction of one stream; its state begins as G.722 has it after a reset."""

    __slots__ = ("decode", "encode")

    def __init__(self) -> None:
        # The extension's own numpy support is a second package; what it saves is a copy.
        both = G722.G722(_SAMPLE_RATE, _BIT_RATE, use_numpy=False)
        self.encode: Any = both.encode
        self.decode: Any = both.decode


def decode(coders: list[Coder], octets: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Decode the next frame of each of some streams.

    Args:
        coders: their decoders.
        octets: uint8, `(n, 160)`, in the same order.

    Returns:
        int16, `(n, 320)`, 16 kHz.
    """
    data = octets.tobytes()
    starts = range(0, len(data), FRAME)
    sound = b"".join(
        [
            coder.decode(data[start : start + FRAME])
            for coder, start in zip(coders, starts, strict=True)
        ]
    )
    return np.frombuffer(sound, np.int16).reshape(-1, WIDE_FRAME)


def encode(coders: list[Coder], samples: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """Encode the next frame of each of some streams.

    Args:
        coders: their encoders.
        samples: int16, `(n, 320)`, contiguous, 16 kHz, in the same order.

    Returns:
        uint8, `(n, 160)`.
    """
    octets = b"".join([coder.encode(frame) for coder, frame in zip(coders, samples, strict=True)])
    return np.frombuffer(octets, np.uint8).reshape(-1, FRAME)


class Coders(Rows):
    """The decoder and the encoder of each leg that speaks G.722.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.has: npt.NDArray[np.bool_] = self.column("has", np.bool_)
        self._decoders: list[Coder | None] = [None] * capacity
        self._encoders: list[Coder | None] = [None] * capacity

    def grow(self, capacity: int) -> None:
        """Add rows."""
        more = capacity - self.capacity
        self._decoders += [None] * more
        self._encoders += [None] * more
        super().grow(capacity)

    def reset(self, row: int) -> None:
        """Make a row as new."""
        super().reset(row)
        self._decoders[row] = self._encoders[row] = None

    def begin(self, row: int) -> None:
        """Begin both directions of a leg anew."""
        self.has[row] = True
        self._decoders[row], self._encoders[row] = Coder(), Coder()

    def begin_decoding(self, row: int) -> None:
        """Begin what comes from a leg anew: another device sends now."""
        if self.has[row]:
            self._decoders[row] = Coder()

    def decoders(self, rows: npt.NDArray[np.intp]) -> list[Coder]:
        """Return the decoders of legs that speak G.722."""
        return [coder for row in rows.tolist() if (coder := self._decoders[row]) is not None]

    def encoder(self, row: int) -> Coder:
        """Return the encoder of a leg that speaks G.722."""
        coder = self._encoders[row]
        assert coder is not None  # noqa: S101 - our own invariant: `has` says so
        return coder

    def encode_with(self, row: int, coder: Coder) -> None:
        """Let a leg go on with this encoder, whose state its far end already follows."""
        self._encoders[row] = coder
