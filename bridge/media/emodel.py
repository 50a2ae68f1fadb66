"""How good a line is, on the scale of ITU-T G.107 (06/2015), the E-model.

::

    R = Ro - Is - Id - Ie,eff + A            what is lost of a perfect line, in points of 100

    Ro      signal to noise                  its planning value: 94.8
    Is      loudness, sidetone, quantising   its planning value: 1.4
    Id      echo and delay                   from the one-way delay
    Ie,eff  codec and what was lost          from loss, its burst ratio, and the codec's robustness
    A       advantage of access              0: nobody forgives a conference

All that a bridge cannot know of the telephones has the default of G.107 table 2, with which R is
93.2 and MOS 4.41 on a line without delay or loss. `mos` is Annex B.

One scale for all: G.722 is rated as a narrowband codec without impairment. On the wider scale of
G.107.1 (to 129) its R would be higher than G.711's but its MOS lower (4.33 beside 4.41, each among
its like), and nobody could compare two legs of one conference; nor does G.113 say how robust it is.
So what wideband adds is not in these figures.

Each formula stands once, for one line; loops over legs are compiled with it (`rate`, `score`), and
what takes arrays goes through them. What is not known is NaN, and so is what follows from it.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled, inlined_exactly

__all__ = [
    "BURST_RATIOS",
    "G711",
    "G711_BARE",
    "G722",
    "Robustness",
    "burst_ratio",
    "effective_impairment",
    "mos",
    "rate",
    "rating",
    "ratio_of",
    "score",
]

F = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Robustness:
    """What a codec costs, and how it bears loss (G.107 clause 7.5).

    Args:
        ie: equipment impairment factor Ie without loss.
        bpl: packet-loss robustness factor Bpl.
    """

    ie: float
    bpl: float


G711_BARE: Final = Robustness(0.0, 4.3)
"""G.711 with nothing in the place of what is lost: G.113 (11/2007) table I.4."""

G711: Final = Robustness(0.0, 25.1)
"""G.711 with concealment as in its appendix I: G.113 table I.4, packets of 10 ms. It agrees with
what `scripts/bench quality` measures of ours at 20 ms: 3 % of loss cost 0.3 by either."""

G722: Final = Robustness(0.0, 10.0)
"""G.722 with our concealment. G.113 has no robustness for it: this one costs what PESQ falls by in
`scripts/bench quality`, wide band (3 %: 0.8, 5 %: 1.3)."""

BURST_RATIOS: Final = (1.0, 8.0)
"""Burst ratios that G.107 permits (table 2)."""

# --- G.107 table 2, the default values ------------------------------------------------------------

_SLR, _RLR, _STMR = 8.0, 2.0, 15.0
_DS, _DR = 3.0, 3.0
_LSTR = _STMR + _DR
_TELR, _WEPL = 65.0, 110.0
_QDU = 1.0
_NC, _NFOR, _PS, _PR = -70.0, -64.0, 35.0, 35.0
_MT = 100.0  # least perceivable delay [ms], of the default delay sensitivity

_OLR = _SLR + _RLR


def _noise() -> float:
    """Return No: circuit noise, room noises at both sides, noise floor (7-3 to 7-7) [dBm0p]."""
    nos = _PS - _SLR - _DS - 100 + 0.004 * (_PS - _OLR - _DS - 14) ** 2
    pre = _PR + 10 * np.log10(1 + 10 ** ((10 - _LSTR) / 10))
    nor = _RLR - 121 + pre + 0.008 * (pre - 35) ** 2
    levels = np.array([_NC, nos, nor, _NFOR + _RLR])
    return float(10 * np.log10(np.sum(10 ** (levels / 10))))


_NO: Final = _noise()
_RO: Final = 15 - 1.5 * (_SLR + _NO)  # (7-2)


def _loudness() -> float:
    """Return Iolr, of too loud a connection (7-9, 7-10)."""
    x = (_OLR + 0.2 * (64 + _NO - _RLR)) / 8
    return float(20 * ((1 + x**8) ** (1 / 8) - x))


def _quantising() -> float:
    """Return Iq, of quantising distortion (7-13 to 7-17)."""
    q = 37 - 15 * np.log10(_QDU)
    g = 1.07 + 0.258 * q + 0.0602 * q**2
    y = (_RO - 100) / 15 + 46 / 8.4 - g / 9
    z = 46 / 30 - g / 40
    return float(15 * np.log10(1 + 10**y + 10**z))


_FIXED: Final = _RO - _loudness() - _quantising()


# --- of one line ----------------------------------------------------------------------------------


@inlined_exactly
def _sidetone(delay: float) -> float:
    """Return Ist, of sidetone and the echo that joins it (7-11, 7-12)."""
    stmro = -10 * math.log10(10 ** (-_STMR / 10) + math.exp(-delay / 4) * 10 ** (-_TELR / 10))
    ist: float = (
        12 * (1 + ((stmro - 13) / 6) ** 8) ** (1 / 8)
        - 28 * (1 + ((stmro + 1) / 19.4) ** 35) ** (1 / 35)
        - 13 * (1 + ((stmro - 3) / 33) ** 13) ** (1 / 13)
        + 29
    )
    return ist


@inlined_exactly
def _talker_echo(delay: float) -> float:
    """Return Idte (7-19 to 7-22); none below 1 ms."""
    if delay < 1:
        return 0.0
    loss = 40 * math.log10((1 + delay / 10) / (1 + delay / 150))
    terv = _TELR - loss + 6 * math.exp(-0.3 * delay**2)
    roe = -1.5 * (_NO - _RLR)
    half = (roe - (80 + 2.5 * (terv - 14))) / 2
    return (half + math.sqrt(half**2 + 100) - 1) * (1 - math.exp(-delay))


@inlined_exactly
def _listener_echo(round_trip: float) -> float:
    """Return Idle (7-25, 7-26)."""
    rle = 10.5 * (_WEPL + 7) * (round_trip + 1) ** -0.25
    half = (_RO - rle) / 2
    idle: float = half + math.sqrt(half**2 + 169)
    return idle


@inlined_exactly
def _long_delay(delay: float) -> float:
    """Return Idd, of delay that disturbs without any echo (7-27, 7-28)."""
    if delay <= _MT:
        return 0.0
    x = math.log2(delay / _MT)
    idd: float = 25 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)
    return idd


@inlined_exactly
def ratio_of(lost: float, bursts: float, expected: float) -> float:
    """Return what `burst_ratio` does, of one line."""
    length = lost / max(bursts, 1.0)
    got = 1 - lost / max(expected, 1.0)
    return min(max(length * got, BURST_RATIOS[0]), BURST_RATIOS[1])


@inlined_exactly
def _impairment(loss: float, ratio: float, ie: float, bpl: float) -> float:
    """Return Ie,eff (7-29)."""
    return ie + (95 - ie) * loss / (loss / ratio + bpl)


@inlined_exactly
def rate(delay: float, loss: float, ratio: float, ie: float, bpl: float) -> float:
    """Return what `rating` does, of one line; NaN where its delay or loss is."""
    r = (
        _FIXED
        - _sidetone(delay)
        - (_talker_echo(delay) + _listener_echo(2 * delay) + _long_delay(delay))
        - _impairment(loss, ratio, ie, bpl)
    )
    if r < 0:
        return 0.0
    return 100.0 if r > 100 else r  # noqa: PLR2004 - R's bounds; a NaN stays one


@inlined_exactly
def score(r: float) -> float:
    """Return what `mos` does, of one R; NaN where it is."""
    within = 0.0 if r < 0 else 100.0 if r > 100 else r  # noqa: PLR2004 - R's bounds
    value = 1 + 0.035 * within + within * (within - 60) * (100 - within) * 7e-6
    # The cubic dips under 1 below R = 6.5.
    return 1.0 if value < 1 else value


# --- of many --------------------------------------------------------------------------------------


def burst_ratio(lost: F, bursts: F, expected: F) -> F:
    """Return the burst ratio of G.107 clause 7.5, within what it permits.

    It is the mean length of runs of lost packets to that of loss at random, 1 / (1 - Ppl).

    Args:
        lost: float64, `(n,)`: packets lost.
        bursts: float64, `(n,)`: runs that they were lost in.
        expected: float64, `(n,)`: packets that should have come.

    Returns:
        float64, `(n,)`.
    """
    ratios = np.empty(len(lost))
    _burst_ratios(lost, bursts, expected, ratios)
    return ratios


def effective_impairment(loss: F, ratio: F, ie: F, bpl: F) -> F:
    """Return Ie,eff (7-29): what codec and lost packets cost.

    Args:
        loss: float64, `(n,)`: Ppl, packets not heard [%].
        ratio: float64, `(n,)`: their burst ratio.
        ie: float64, `(n,)`: of `Robustness`.
        bpl: float64, `(n,)`: of `Robustness`.

    Returns:
        float64, `(n,)`, `ie` to 95.
    """
    impairments = np.empty(len(loss))
    _impairments(loss, ratio, ie, bpl, impairments)
    return impairments


def rating(delay: F, loss: F, ratio: F, ie: F, bpl: F) -> F:
    """Return R.

    Args:
        delay: float64, `(n,)`: one way [ms]: T and Ta; the round trip Tr is twice that.
        loss: float64, `(n,)`: Ppl, packets not heard [%].
        ratio: float64, `(n,)`: their burst ratio.
        ie: float64, `(n,)`: of `Robustness`.
        bpl: float64, `(n,)`: of `Robustness`.

    Returns:
        float64, `(n,)`: 0 to 93.2.
    """
    ratings = np.empty(len(delay))
    _ratings(delay, loss, ratio, ie, bpl, ratings)
    return ratings


def mos(r: F) -> F:
    """Return the mean opinion score of conversation for R (G.107 Annex B), 1 to 4.5.

    Args:
        r: float64, `(n,)`.
    """
    scores = np.empty(len(r))
    _scores(r, scores)
    return scores


@compiled("void(float64[::1], float64[::1], float64[::1], float64[::1])", exact=True)
def _burst_ratios(lost: F, bursts: F, expected: F, ratios: F) -> None:
    for i in range(ratios.size):
        ratios[i] = ratio_of(lost[i], bursts[i], expected[i])


@compiled("void(float64[::1], float64[::1], float64[::1], float64[::1], float64[::1])", exact=True)
def _impairments(loss: F, ratio: F, ie: F, bpl: F, impairments: F) -> None:
    for i in range(impairments.size):
        impairments[i] = _impairment(loss[i], ratio[i], ie[i], bpl[i])


@compiled(
    "void(float64[::1], float64[::1], float64[::1], float64[::1], float64[::1], float64[::1])",
    exact=True,
)
def _ratings(delay: F, loss: F, ratio: F, ie: F, bpl: F, ratings: F) -> None:
    for i in range(ratings.size):
        ratings[i] = rate(delay[i], loss[i], ratio[i], ie[i], bpl[i])


@compiled("void(float64[::1], float64[::1])", exact=True)
def _scores(r: F, scores: F) -> None:
    for i in range(scores.size):
        scores[i] = score(r[i])
