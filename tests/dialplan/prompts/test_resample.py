"""The resampler, by tones inside and outside what the lower rate can carry."""

import numpy as np
import pytest

from dialplan.prompts.resample import resample


@pytest.mark.parametrize(
    ("rate_in", "rate_out"), [(16_000, 8000), (22_050, 16_000), (24_000, 16_000), (8000, 16_000)]
)
@pytest.mark.parametrize("share", [0.02, 0.25, 0.6, 0.85])
def test_what_both_rates_carry_passes(rate_in: int, rate_out: int, share: float) -> None:
    """A tone in the pass band comes out as itself, undelayed, to within -70 dB."""
    frequency = share * min(rate_in, rate_out) / 2
    out = resample(np.sin(2 * np.pi * frequency * np.arange(rate_in) / rate_in), rate_in, rate_out)
    assert len(out) == rate_out
    error = out - np.sin(2 * np.pi * frequency * np.arange(rate_out) / rate_out)
    assert np.abs(error[400:-400]).max() < 10 ** (-70 / 20)


@pytest.mark.parametrize(("rate_in", "rate_out"), [(16_000, 8000), (22_050, 16_000)])
@pytest.mark.parametrize("share", [1.0, 1.1, 1.25])
def test_what_the_lower_rate_lacks_does_not_fold_back(
    rate_in: int, rate_out: int, share: float
) -> None:
    """A tone above half the new rate is 70 dB down, wherever it would have been heard."""
    frequency = share * rate_out / 2
    out = resample(np.sin(2 * np.pi * frequency * np.arange(rate_in) / rate_in), rate_in, rate_out)
    assert np.abs(out[400:-400]).max() < 10 ** (-70 / 20)


@pytest.mark.parametrize("count", [1, 2, 5, 441])
def test_short_sounds(count: int) -> None:
    """A sound shorter than the filter keeps its length in time."""
    assert len(resample(np.ones(count), 22_050, 16_000)) == -(-count * 320 // 441)


def test_same_rate_is_a_copy() -> None:
    """Without a change of rate nothing changes, and the caller's array is not shared."""
    samples = np.arange(4.0)
    out = resample(samples, 8000, 8000)
    assert out.tolist() == samples.tolist()
    assert out is not samples
