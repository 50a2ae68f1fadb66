"""The area for names that callers speak: slots of sound in memory that all media processes share.

Control makes one memfd for all; pages take memory from when they are written to until their slot is
erased. A slot's one writer is the process that has the leg; what it recorded is played by whichever
process has the room, as clips whose start is `NAMES` or more::

    clip start   0 ........ bank ........ │ NAMES + 0 .. slot 0 .. │ .. slot 1 .. │ ..

Erasing gives the pages back to the kernel, which hands them out again as zeros: nothing of a voice
stays, neither here nor in what a reader sees of it.
"""

import contextlib
import fcntl
import mmap
import os
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._libc import punch_hole
from bridge.media.codecs import FRAME

__all__ = [
    "NAMES",
    "SLOTS",
    "SLOT_FRAMES",
    "SLOT_SAMPLES",
    "SOUND_SLOTS",
    "NamesArea",
    "NamesView",
    "start_of",
]

NAMES: Final = 1 << 40
"""Clips that start here or beyond lie in the area for names; no bank is that long."""

SLOTS: Final = 2048
"""As many as a bridge has legs; 235 MB if all of them spoke for seven seconds."""

SOUND_SLOTS: Final = 112
"""Behind the names: for sound files that administrators play, which control writes; 13 minutes."""

_PAGE: Final = 4096
_OCTETS: Final = 28 * _PAGE
_ALL: Final = SLOTS + SOUND_SLOTS
_TAIL: Final = _PAGE  # a frame read at the end of the last slot stays inside

SLOT_SAMPLES: Final = _OCTETS // 2

SLOT_FRAMES: Final = SLOT_SAMPLES // FRAME
"""Frames of 20 ms in a slot: 7.1 s, in whole pages, so that a slot is erased by itself."""

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def start_of(slot: int) -> int:
    """Return where a slot begins, as a clip has it."""
    return NAMES + slot * SLOT_SAMPLES


class NamesArea:
    """The area, as control has it.

    Raises:
        OSError: there is no memory or no descriptor for it.
    """

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("dialin-names", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, _ALL * _OCTETS + _TAIL)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)

    def erase(self, slot: int) -> None:
        """Leave nothing in a slot, nor the memory that it took."""
        try:
            punch_hole(self.descriptor, slot * _OCTETS, _OCTETS)
        except OSError:  # a kernel that cannot: zeros will do, they only take memory
            os.pwrite(self.descriptor, bytes(_OCTETS), slot * _OCTETS)

    def read(self, slot: int) -> npt.NDArray[np.int16]:
        """Return a copy of what is in a slot, int16, `(samples,)`, 8 kHz."""
        return np.frombuffer(os.pread(self.descriptor, _OCTETS, slot * _OCTETS), np.int16)

    def write(self, slot: int, samples: npt.NDArray[np.int16]) -> None:
        """Put sound into a slot and those behind it, as far as it reaches.

        Args:
            slot: the first.
            samples: int16, `(n,)`, 8 kHz.
        """
        os.pwrite(self.descriptor, samples.tobytes(), slot * _OCTETS)

    @property
    def octets(self) -> int:
        """Memory that it takes now."""
        return os.fstat(self.descriptor).st_blocks * 512

    def close(self) -> None:
        """Let go of it; it ends with the last process that has it."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


class NamesView:
    """The area, mapped by a media process.

    Args:
        descriptor: of the memfd; the caller closes it.

    Raises:
        OSError: it cannot be mapped.
        ValueError: it is smaller than the slots.
    """

    def __init__(self, descriptor: int) -> None:
        size = _ALL * _OCTETS + _TAIL
        if os.fstat(descriptor).st_size < size:
            raise ValueError(f"an area for names has {size} octets")
        mapped = mmap.mmap(descriptor, size, access=mmap.ACCESS_WRITE)
        self.samples = np.frombuffer(mapped, np.int16)
        self.length = _ALL * SLOT_SAMPLES
        # Row p is the frame that begins at sample p; no copy. For reading.
        self.frames = np.lib.stride_tricks.sliding_window_view(self.samples, FRAME)
        # Slots of whole frames, for writing; those for sound files are control's.
        whole = self.samples[: SLOTS * SLOT_SAMPLES].reshape(SLOTS, SLOT_SAMPLES)
        self.slots = whole[:, : SLOT_FRAMES * FRAME].reshape(SLOTS, SLOT_FRAMES, FRAME)
