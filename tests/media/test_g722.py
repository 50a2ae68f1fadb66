"""G.722 by its extension: frames in a row, levels, what half a frame becomes."""

import G722
import numpy as np
import pytest

from bridge.media.codecs import SILENCE_CODES
from bridge.media.g722 import Coder, Coders, decode, encode
from tests.media.wide import RATE, band_dbov, tone
from tests.support import g711


def test_streams_are_coded_each_for_itself() -> None:
    """Three streams a frame at a time are what each is in one piece."""
    sounds = np.stack([tone(hertz, 10).reshape(-1) for hertz in (400, 2500, 6000)])
    encoders, decoders = [Coder() for _ in range(3)], [Coder() for _ in range(3)]
    codes, heard = [], []
    for at in range(0, 3200, 320):
        codes.append(encode(encoders, np.ascontiguousarray(sounds[:, at : at + 320])))
        heard.append(decode(decoders, codes[-1]))
    for k, sound in enumerate(sounds):
        one = G722.G722(RATE, 64_000, use_numpy=False)
        whole = one.encode(sound)
        assert b"".join(frame[k].tobytes() for frame in codes) == whole
        assert np.concatenate([frame[k] for frame in heard]).tolist() == list(one.decode(whole))


def test_no_stream_is_nothing() -> None:
    """A tick in which no wideband frame came."""
    assert decode([], np.empty((0, 160), np.uint8)).shape == (0, 320)
    assert encode([], np.empty((0, 320), np.int16)).shape == (0, 160)


@pytest.mark.parametrize(
    ("hertz", "least"), [(100, 45), (300, 45), (1000, 45), (3000, 38), (5000, 20), (6500, 20)]
)
def test_tones_pass_at_their_level_and_little_noise(hertz: float, least: float) -> None:
    """Within 0.1 dB; six bits for the lower band leave 38 dB or more, two for the upper 20."""
    said = tone(hertz, 60).reshape(-1)
    coder = G722.G722(RATE, 64_000, use_numpy=False)
    heard = np.array(coder.decode(coder.encode(said)), np.int16)[9600:]
    assert abs(band_dbov(heard, 0, 8000) - band_dbov(said, 0, 8000)) < 0.1
    time = np.arange(len(heard)) / RATE
    basis = np.stack((np.sin(2 * np.pi * hertz * time), np.cos(2 * np.pi * hertz * time)), 1)
    fitted = basis @ np.linalg.lstsq(basis, heard, rcond=None)[0]
    assert 10 * np.log10((fitted**2).sum() / ((heard - fitted) ** 2).sum()) > least


def test_full_scale_is_full_scale_in_both_codecs() -> None:
    """A tone just under G.711's overload is not cut, nor is it softer, in G.722."""
    coder = G722.G722(RATE, 64_000, use_numpy=False)
    said = tone(1000, 50, 32_000).reshape(-1)
    heard = np.array(coder.decode(coder.encode(said)), np.int16)
    level = band_dbov(said, 900, 1100)
    assert abs(band_dbov(heard[1600:], 900, 1100) - level) < 0.1
    narrow = g711.decode(g711.encode(said[::2], 0), 0)
    assert abs(band_dbov(narrow, 900, 1100, 8000) - level) < 0.1


def test_a_half_frame_filled_up_dies_away() -> None:
    """The filler of a row of which half came: softer than what went before, and no burst."""
    coder = G722.G722(RATE, 64_000, use_numpy=False)
    said = tone(700, 20, 12_000).reshape(-1)
    coder.decode(coder.encode(said))
    filler = np.array(coder.decode(bytes([SILENCE_CODES[2]]) * 160), np.int16)
    assert np.abs(filler.astype(int)).max() <= 12_000
    assert np.abs(filler[160:].astype(int)).max() < 1200


def test_coders_are_a_legs_own_and_forgotten_with_it() -> None:
    """Rows that speak G.722 have two coders, others none; growing keeps them."""
    coders = Coders(2)
    coders.begin(1)
    before = coders.encoder(1)
    coders.grow(8)
    assert coders.encoder(1) is before
    assert coders.has.tolist() == [False, True] + 6 * [False]
    first = coders.decoders(np.array([1]))[0]
    coders.begin_decoding(1)
    coders.begin_decoding(0)
    assert coders.decoders(np.array([1]))[0] is not first
    assert coders.encoder(1) is before
    coders.reset(1)
    assert not coders.has.any()
    assert coders.decoders(np.array([0, 1])) == []
