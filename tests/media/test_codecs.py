"""G.711 tables against tables written from the Recommendation without the bridge's help."""

import numpy as np
import pytest

from bridge.media.codecs import FRAME, PCMA, PCMU, SILENCE_CODES
from bridge.media.companding import decode, decode_rows, encode
from tests.support import g711

NUMBERS = {PCMU: g711.PCMU, PCMA: g711.PCMA}


def decoded(codec: int, codes: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> list[int]:
    """Decode whole frames of codes."""
    frames = codes.reshape(-1, FRAME)
    out = np.empty(frames.shape, np.float32)
    decode(codec, frames, out)
    return out.reshape(-1).astype(int).tolist()


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_every_pair_of_codes_is_decoded(codec: int) -> None:
    """All 65,536 pairs: no octet is mistaken for its neighbour."""
    pairs = np.arange(65_536, dtype="<u2").view(np.uint8)
    padded = np.concatenate((pairs, np.zeros(-len(pairs) % FRAME, np.uint8)))
    expected = g711.decode(padded.tobytes(), NUMBERS[codec]).tolist()
    assert decoded(codec, padded) == expected


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_every_sample_gets_the_nearest_code(codec: int) -> None:
    """All 65,536 samples: no code is nearer than the one chosen."""
    samples = np.arange(-32_768, 32_768).astype(np.int16)
    padded = np.concatenate((samples, np.zeros(-len(samples) % FRAME, np.int16)))
    codes = np.empty(len(padded), np.uint8).reshape(-1, FRAME)
    encode(codec, padded.reshape(-1, FRAME).astype(np.float32), codes)
    got = g711.decode(codes.tobytes(), NUMBERS[codec]).astype(int)
    best = g711.decode(g711.encode(padded, NUMBERS[codec]), NUMBERS[codec]).astype(int)
    assert (np.abs(got - padded) == np.abs(best - padded)).all()


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_what_was_decoded_is_encoded_again_without_loss(codec: int) -> None:
    """A call through two bridges is no worse than through one."""
    codes = np.arange(FRAME * 2, dtype=np.int64).astype(np.uint8).reshape(-1, FRAME)
    samples = np.array(decoded(codec, codes), np.float32).reshape(-1, FRAME)
    again = np.empty(codes.shape, np.uint8)
    encode(codec, samples, again)
    assert decoded(codec, again) == decoded(codec, codes)


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_silence_is_the_smallest_code_and_never_all_zero(codec: int) -> None:
    """Zero as µ-law's all ones, A-law's smallest positive value."""
    codes = np.empty((1, FRAME), np.uint8)
    encode(codec, np.zeros((1, FRAME), np.float32), codes)
    assert set(codes[0].tolist()) == {int(SILENCE_CODES[codec])}
    assert abs(decoded(codec, codes)[0]) <= 8


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_what_is_too_loud_is_clipped_and_fractions_are_cut_off(codec: int) -> None:
    """Beyond 16 bits the loudest code; 15.9 is 15, and -15.9 is -15."""
    sound = np.zeros((1, FRAME), np.float32)
    sound[0, :6] = 1e6, -1e6, 32_767.9, -32_768.9, 15.9, -15.9
    whole = np.zeros((1, FRAME), np.float32)
    whole[0, :6] = 32_767, -32_768, 32_767, -32_768, 15, -15
    codes, expected = np.empty((2, 1, FRAME), np.uint8)
    encode(codec, sound, codes)
    encode(codec, whole, expected)
    assert codes.tolist() == expected.tolist()


def test_frames_are_decoded_out_of_many() -> None:
    """By index, the same one twice too."""
    frames = np.random.default_rng(1).integers(0, 256, (9, FRAME)).astype(np.uint8)
    index = np.array([8, 0, 3, 3])
    out, expected = np.empty((2, 4, FRAME), np.float32)
    decode_rows(PCMU, frames, index, out)
    decode(PCMU, frames[index], expected)
    assert (out == expected).all()
