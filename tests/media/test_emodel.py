"""The E-model against figures worked out elsewhere, of ITU-T G.107 and G.113."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.emodel import (
    G711,
    G711_BARE,
    G722,
    Robustness,
    burst_ratio,
    effective_impairment,
    mos,
    rating,
)

F = npt.NDArray[np.float64]


def r_of(
    delay: float = 0.0, loss: float = 0.0, ratio: float = 1.0, codec: Robustness = G711
) -> float:
    """Return R of one line."""
    values = (delay, loss, ratio, codec.ie, codec.bpl)
    return float(rating(*(np.array([float(value)]) for value in values))[0])


def mos_of(r: float) -> float:
    """Return MOS of one R."""
    return float(mos(np.array([float(r)]))[0])


def test_a_line_with_all_defaults_is_what_g107_says() -> None:
    """Clause 7.7: with the default values of table 2, R is 93.2; that is MOS 4.41."""
    assert r_of() == pytest.approx(93.2, abs=0.05)
    assert mos_of(r_of()) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(
    ("r", "score"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)]
)
def test_scores_are_those_of_table_b1(r: float, score: float) -> None:
    """G.107 Annex B, table B.1, to its rounding."""
    assert mos_of(r) == pytest.approx(score, abs=0.011)


def test_scores_end_where_annex_b_says() -> None:
    """1 at 0 and below, 4.5 at 100 and above, and never under 1."""
    assert [mos_of(r) for r in (-5, 0, 100, 120)] == [1, 1, 4.5, 4.5]
    assert mos(np.linspace(0, 100, 1001)).min() == 1


@pytest.mark.parametrize(
    ("codec", "loss", "ratio", "impairment"),
    [
        (G711_BARE, 1.0, 1.0, 95 / 5.3),
        (G711, 1.0, 1.0, 95 / 26.1),
        (G711, 5.0, 1.0, 475 / 30.1),
        (G711_BARE, 2.0, 2.0, 190 / 5.3),
        (Robustness(11, 19), 3.0, 1.0, 11 + 84 * 3 / 22),  # G.729A of G.113 table I.4
        (G722, 0.0, 1.0, 0.0),
    ],
)
def test_loss_costs_what_g113_has_for_the_codec(
    codec: Robustness, loss: float, ratio: float, impairment: float
) -> None:
    """Ie,eff = Ie + (95 - Ie) Ppl / (Ppl / BurstR + Bpl), G.107 (7-29)."""
    values = (loss, ratio, codec.ie, codec.bpl)
    found = effective_impairment(*(np.array([float(value)]) for value in values))
    assert found[0] == pytest.approx(impairment)
    assert r_of(0, loss, ratio, codec) == pytest.approx(r_of() - impairment)


@pytest.mark.parametrize("delay", [25, 50, 100, 150, 200, 300, 400])
def test_delay_costs_what_is_commonly_taken_for_it(delay: float) -> None:
    """Cole and Rosenbluth (2001) fitted the E-model: 0.024 d + 0.11 (d - 177.3) beyond 177.3 ms."""
    fitted = 0.024 * delay + 0.11 * max(0.0, delay - 177.3)
    # Their fit is of the G.107 of 2000, with echo that is cancelled; it is a line of two pieces.
    assert r_of() - r_of(delay) == pytest.approx(fitted, abs=4.0)


def test_the_bounds_of_g114_hold() -> None:
    """Up to 150 ms a conversation is hardly disturbed, at 400 ms many are dissatisfied."""
    assert r_of(150) > 88
    assert 50 < r_of(400) < 70


def test_burst_ratio_is_one_where_loss_is_at_random() -> None:
    """G.107 clause 7.5: runs as long as 1 / (1 - Ppl) on average."""
    generator = np.random.default_rng(7)
    lost = np.zeros(200_000, np.bool_)
    lost[generator.random(200_000) < 0.1] = True
    runs = (np.diff(lost.astype(int)) > 0).sum()
    found = burst_ratio(*(np.array([float(value)]) for value in (lost.sum(), runs, len(lost))))
    assert found[0] == pytest.approx(1, abs=0.02)


def test_burst_ratio_of_a_chain_of_two_states() -> None:
    """1 / (p + q) of a Markov chain that goes to loss with p and back with q (clause 7.5)."""
    p, q = 0.02, 0.25
    generator = np.random.default_rng(8)
    state, states = 0, []
    for value in generator.random(300_000):
        state = (1 if value < p else 0) if state == 0 else (0 if value < q else 1)
        states.append(state)
    chain = np.array(states)
    runs = (np.diff(chain) > 0).sum()
    found = burst_ratio(*(np.array([float(value)]) for value in (chain.sum(), runs, len(chain))))
    assert found[0] == pytest.approx(1 / (p + q), rel=0.05)


def test_burst_ratio_without_loss_or_beyond_what_is_permitted() -> None:
    """Nothing lost is 1; a run of hundreds is 8 (G.107 table 2)."""
    found = burst_ratio(*(np.array(each) for each in ([0.0, 500, 3], [0.0, 1, 3], [0.0, 5000, 3])))
    assert found.tolist() == [1, 8, 1]


LINES = {
    "delay": st.floats(20, 2000),  # a packet at least: below some ms the formulas waver by 0.06
    "loss": st.floats(0, 100),
    "ratio": st.floats(1, 8),
    "codec": st.sampled_from([G711, G711_BARE, G722]),
}


@given(
    st.fixed_dictionaries(LINES), st.floats(0.1, 50), st.sampled_from(["delay", "loss", "ratio"])
)
def test_what_is_worse_is_never_rated_better(
    line: dict[str, float], more: float, what: str
) -> None:
    """R falls with delay, loss and bursts, MOS with R; all are finite and within their range."""
    worse = {**line, what: line[what] + more}
    if what == "loss":
        worse["loss"] = min(100, worse["loss"])
    r, below = r_of(**line), r_of(**worse)  # type: ignore[arg-type]
    assert 0 <= below <= r + 1e-9 <= 93.3
    assert 1 <= mos_of(below) <= mos_of(r) + 1e-9 <= 4.42


def plainly(delay: F, loss: F, ratio: F, ie: F, bpl: F) -> F:
    """Return R by G.107 in arrays, with its constants of default values as numbers."""
    no, ro, fixed = -61.17921438624169, 94.76882157936254, 93.35453831532418
    stmro = -10 * np.log10(10**-1.5 + np.exp(-delay / 4) * 10**-6.5)
    ist = 12 * (1 + ((stmro - 13) / 6) ** 8) ** (1 / 8) + 29
    ist -= 28 * (1 + ((stmro + 1) / 19.4) ** 35) ** (1 / 35)
    ist -= 13 * (1 + ((stmro - 3) / 33) ** 13) ** (1 / 13)
    terv = 65 - 40 * np.log10((1 + delay / 10) / (1 + delay / 150)) + 6 * np.exp(-0.3 * delay**2)
    half = (-1.5 * (no - 2) - (80 + 2.5 * (terv - 14))) / 2
    idte = np.where(delay < 1, 0, (half + np.sqrt(half**2 + 100) - 1) * (1 - np.exp(-delay)))
    half = (ro - 10.5 * 117 * (2 * delay + 1) ** -0.25) / 2
    idle = half + np.sqrt(half**2 + 169)
    x = np.log2(np.maximum(delay, 100) / 100)
    idd = 25 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)
    impairment = ie + (95 - ie) * loss / (loss / ratio + bpl)
    return np.clip(fixed - ist - idte - idle - idd - impairment, 0, 100)


Numbers = st.floats(0, 3000) | st.just(np.nan)


@given(
    st.lists(st.tuples(Numbers, st.floats(0, 100) | st.just(np.nan), st.floats(1, 8)), min_size=1)
)
def test_what_is_compiled_is_the_formula_in_arrays(lines: list[tuple[float, float, float]]) -> None:
    """Line by line as numpy has it; what is not known stays unknown, R and MOS."""
    delay, loss, ratio = (np.array(each) for each in zip(*lines, strict=True))
    for codec in (G711, G722, Robustness(11, 19)):
        ie, bpl = (np.full(len(lines), value) for value in (float(codec.ie), float(codec.bpl)))
        found = rating(delay, loss, ratio, ie, bpl)
        assert np.allclose(found, plainly(delay, loss, ratio, ie, bpl), atol=1e-9, equal_nan=True)
        within = np.clip(found, 0, 100)
        cubic = 1 + 0.035 * within + within * (within - 60) * (100 - within) * 7e-6
        assert np.allclose(mos(found), np.maximum(cubic, 1), atol=1e-12, equal_nan=True)
