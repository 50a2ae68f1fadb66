"""Ratings of legs by what is known of their lines, and when a line is told to be bad."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.codecs import codec_index
from bridge.media.emodel import G711, G722, burst_ratio, mos, rating
from bridge.media.quality import BAD_R, FEWEST_PACKETS, FIGURES, GOOD_R, Change, Line, Quality

ROWS = np.array([0, 1])


def of(quality: Quality, row: int) -> dict[str, float | None]:
    """Return a leg's figures, None for what is not known."""
    figures = zip(FIGURES, quality.figures(np.array([row]))[0].tolist(), strict=True)
    return {name: None if np.isnan(value) else value for name, value in figures}


def line(**wrong: Any) -> Line:  # noqa: ANN401 - arrays of two, or a value for both
    """Return two lines on which nothing happened for twenty seconds, but for what is named."""
    usual: dict[str, Any] = {
        "codec": codec_index("PCMU"),
        "expected": 1000,
        "lost": 0,
        "late": 0,
        "bursts": 0,
        "rtt": np.nan,
        "wait": 20.0,
        "wait_now": 20.0,
        "sent": 1000,
        "remote_lost": 0,
        "remote_fraction": np.nan,
        "remote_jitter": np.nan,
    }
    both = {name: np.broadcast_to(value, 2).copy() for name, value in {**usual, **wrong}.items()}
    both["codec"] = both["codec"].astype(np.uint8)
    return Line(**both)


def r_of(delay: float, loss: float, ratio: float = 1.0, codec: Any = G711) -> float:  # noqa: ANN401 - Robustness
    """Return R as the model alone has it."""
    values = (delay, loss, ratio, codec.ie, codec.bpl)
    return float(rating(*(np.array([float(value)]) for value in values))[0])


def looked_at(*lines: Line) -> Quality:
    """Return the ratings after some looks."""
    quality = Quality(2)
    for each in lines:
        quality.look(ROWS, each)
    return quality


def test_a_clean_line_is_rated_by_its_delay() -> None:
    """20 ms of packetisation, 10 until the tick, 20 of waiting, half the round trip."""
    figures = of(looked_at(line(rtt=[np.nan, 60.0])), 1)
    assert figures["r_factor"] == pytest.approx(r_of(20 + 10 + 20 + 30, 0))
    assert figures["mos"] == pytest.approx(float(mos(np.array([figures["r_factor"]]))[0]))
    assert figures["mos_now"] == figures["mos"]
    # Nothing is known of what the leg hears.
    assert figures["remote_r_factor"] is figures["remote_mos"] is figures["remote_mos_now"] is None


def test_what_came_too_late_was_lost_to_the_ear() -> None:
    """Ppl is of what was not heard: lost in the network, or late."""
    quality = looked_at(line(lost=[20, 0], bursts=[20, 0], late=[10, 30]))
    assert of(quality, 1)["r_factor"] == pytest.approx(r_of(50, 3.0))
    assert of(quality, 0)["r_factor"] == pytest.approx(
        r_of(50, 3.0, float(burst_ratio(*(np.array([x]) for x in (20.0, 20.0, 1000.0)))[0]))
    )


def test_loss_in_bursts_weighs_more() -> None:
    """The same number lost in runs of five: burst ratio 5 (1 - Ppl)."""
    figures = looked_at(line(lost=50, bursts=[50, 10]))
    assert of(figures, 1)["r_factor"] == pytest.approx(r_of(50, 5.0, 5 * 0.95))
    assert of(figures, 1)["mos"] < of(figures, 0)["mos"] - 0.05  # type: ignore[operator]


def test_wideband_legs_are_rated_with_what_their_codec_bears() -> None:
    """G.722 loses more by each packet."""
    figures = looked_at(line(codec=[codec_index("PCMA"), codec_index("G722")], late=20))
    assert of(figures, 0)["r_factor"] == pytest.approx(r_of(50, 2.0))
    assert of(figures, 1)["r_factor"] == pytest.approx(r_of(50, 2.0, codec=G722))


def test_what_the_leg_hears_is_rated_by_its_reports_alone() -> None:
    """Its loss and jitter, never ours; a telephone waits 40 ms or twice the jitter."""
    quality = looked_at(
        line(
            lost=300,
            bursts=300,
            remote_lost=[20, 10],
            remote_fraction=[0.05, 0.0],
            remote_jitter=[3.0, 30.0],
            rtt=40.0,
        )
    )
    assert of(quality, 0)["remote_r_factor"] == pytest.approx(r_of(20 + 20 + 40, 2.0))
    assert of(quality, 1)["remote_r_factor"] == pytest.approx(r_of(20 + 20 + 60, 1.0))
    now = float(mos(np.array([r_of(80, 5.0)]))[0])
    assert of(quality, 0)["remote_mos_now"] == pytest.approx(now)


def test_the_last_seconds_are_rated_by_themselves_and_the_worst_is_kept() -> None:
    """Ten clean seconds, five bad ones, five clean ones."""
    lines = (
        line(expected=500),
        line(expected=750, lost=50, bursts=10),
        line(expected=1000, lost=50, bursts=10),
    )
    quality = Quality(2)
    seen = []
    for each in lines:
        quality.look(ROWS, each)
        seen.append(of(quality, 0))
    bad = float(mos(np.array([r_of(50, 20.0, 5 * 0.8)]))[0])
    assert seen[1]["mos_now"] == seen[2]["mos_worst"] == pytest.approx(bad)
    assert seen[2]["mos_now"] == seen[0]["mos"] == seen[0]["mos_worst"]
    assert seen[2]["r_factor"] == pytest.approx(r_of(50, 5.0, 5 * 0.95))


def test_few_packets_say_nothing() -> None:
    """Less than a second of them is not judged; they count with those that follow."""
    quality = looked_at(line(expected=FEWEST_PACKETS - 1, lost=20, bursts=1))
    assert set(of(quality, 0).values()) == {None}
    quality.look(ROWS, line(expected=FEWEST_PACKETS, lost=20, bursts=1))
    assert of(quality, 0)["mos_now"] is not None
    assert of(quality, 0)["mos_now"] == of(quality, 0)["mos"]
    # On hold nothing comes: what was is not told again as if it were now.
    quality.look(ROWS, line(expected=FEWEST_PACKETS + 3, lost=20, bursts=1))
    assert of(quality, 0)["mos_now"] is None
    assert of(quality, 0)["mos"] is not None


def test_a_line_is_told_bad_once_and_good_once() -> None:
    """Below R 70 it is bad, from 80 on good, and between them what it was."""
    quality = Quality(2)

    def after(expected: int, lost: int) -> list[Change]:
        return quality.look(
            ROWS, line(expected=[expected, expected], lost=[lost, 0], bursts=[lost, 0])
        )

    assert after(250, 0) == []
    assert after(500, 12) == []  # 5 %: R 77
    (bad,) = after(750, 37)  # 10 %: R 66
    assert (bad.row, bad.way, bad.bad) == (0, 0, True)
    assert bad.loss == pytest.approx(10.0)
    assert after(1000, 62) == []
    assert after(1250, 74) == []  # 5 %
    (good,) = after(1500, 74)
    assert (good.row, good.way, good.bad) == (0, 0, False)


def test_what_the_leg_hears_is_told_apart() -> None:
    """Its last report says 20 % lost: bad, although everything comes from it."""
    changes = Quality(2).look(ROWS, line(remote_fraction=[0.0, 0.2]))
    assert [(change.row, change.way, change.bad) for change in changes] == [(1, 1, True)]
    assert changes[0].loss == pytest.approx(20.0)


Counts = st.integers(0, 1 << 40)
Parts = st.just(np.nan) | st.floats(0, 1e6)


@given(
    st.dictionaries(st.sampled_from(["expected", "lost", "late", "bursts", "sent"]), Counts),
    st.integers(-(1 << 23), (1 << 23) - 1),
    st.dictionaries(st.sampled_from(["rtt", "remote_fraction", "remote_jitter"]), Parts),
)
def test_whatever_is_said_figures_are_figures(
    counts: dict[str, int], remote_lost: int, parts: dict[str, float]
) -> None:
    """A far end may report anything: R stays from 0 to 93.2, and nothing raises or warns."""
    quality = Quality(2)
    for _ in range(2):
        quality.look(ROWS, line(**counts, **parts, remote_lost=remote_lost))
        for name, value in of(quality, 0).items():
            if value is not None:
                assert (0 <= value <= 93.3) if name.endswith("factor") else (1 <= value <= 4.42)


def test_a_new_leg_knows_nothing_of_the_one_before() -> None:
    """A row that is reset has no rating, no worst one, and is not bad."""
    quality = looked_at(line(lost=500, bursts=5))
    assert quality.bad[0, 0]
    quality.reset(0)
    assert set(of(quality, 0).values()) == {None}
    assert not quality.bad[0].any()


def test_a_successor_goes_on_from_what_is_kept() -> None:
    """The last look's counts, the worst score and what was told come with the record."""
    before = looked_at(line(lost=500, bursts=5))
    after = Quality(2)
    for name in after.kept:
        column: npt.NDArray[Any] = getattr(after, name)
        column[:] = getattr(before, name)
    later = line(expected=1250, lost=500, bursts=5)
    changes = after.look(ROWS, later)
    assert [change.bad for change in changes] == [False, False]
    assert of(after, 0)["mos_worst"] == of(before, 0)["mos_worst"]


class Plain:
    """Ratings in arrays, as `quality` says them."""

    def __init__(self) -> None:
        self.counted = np.zeros((2, 3), np.int64)
        self.worst = np.full(2, np.nan)
        self.bad = np.zeros((2, 2), np.bool_)

    def look(self, line: Line) -> tuple[npt.NDArray[np.float64], list[Change]]:
        """Return R, `(4, 2)`, and what has changed."""
        counts = np.stack((line.expected, line.lost + line.late, line.bursts), axis=1)
        since = np.maximum(counts - self.counted, 0)
        enough = since[:, 0] >= FEWEST_PACKETS
        self.counted[enough] = counts[enough]
        remote = np.where(np.isnan(line.remote_fraction), np.nan, line.remote_lost)
        shares = (
            counts[:, 1] / np.maximum(counts[:, 0], 1),
            since[:, 1] / np.maximum(since[:, 0], 1),
            remote / np.maximum(line.sent, 1),
            line.remote_fraction,
        )
        loss = 100 * np.clip(np.stack(shares), 0, 1)
        half = 20 + np.nan_to_num(line.rtt) / 2
        there = half + np.fmax(2 * line.remote_jitter, 40)
        delay = (half + 10 + line.wait, half + 10 + line.wait_now, there, there)
        lost = np.minimum(since[:, 1], since[:, 0])
        ratio = np.ones((4, 2))
        ratio[0] = burst_ratio(
            *(each.astype(float) for each in (line.lost, counts[:, 2], counts[:, 0]))
        )
        ratio[1] = burst_ratio(*(each.astype(float) for each in (lost, since[:, 2], since[:, 0])))
        ie = np.array([G711.ie, G711.ie, G722.ie])[line.codec]
        bpl = np.array([G711.bpl, G711.bpl, G722.bpl])[line.codec]
        r = np.stack([rating(delay[k], loss[k], ratio[k], ie, bpl) for k in range(4)])
        r[0, line.expected < FEWEST_PACKETS] = np.nan
        r[1, ~enough] = np.nan
        self.worst = np.fmin(self.worst, r[1])
        now = r[1::2].T
        changed = np.where(self.bad, now >= GOOD_R, now < BAD_R)
        self.bad ^= changed
        return r, [
            Change(row, way, bool(self.bad[row, way]), float(loss[2 * way + 1, row]))
            for row, way in np.argwhere(changed).tolist()
        ]


Lines = st.fixed_dictionaries(
    {
        "codec": st.lists(
            st.sampled_from([0, 1, 2]),
            min_size=2,
            max_size=2,
        ),
        **{
            name: st.lists(st.integers(0, 400), min_size=2, max_size=2)
            for name in ("expected", "lost", "late", "bursts", "sent")
        },
        "remote_lost": st.lists(st.integers(-50, 400), min_size=2, max_size=2),
        **{
            name: st.lists(st.floats(0, 300), min_size=2, max_size=2)
            for name in ("wait", "wait_now")
        },
        **{
            name: st.lists(st.floats(0, 900) | st.just(np.nan), min_size=2, max_size=2)
            for name in ("rtt", "remote_jitter")
        },
        "remote_fraction": st.lists(st.floats(0, 1) | st.just(np.nan), min_size=2, max_size=2),
    }
)


@given(st.lists(Lines, min_size=1, max_size=4))
def test_what_is_compiled_rates_as_arrays_do(looks: list[dict[str, Any]]) -> None:
    """Over several looks: R, what is worst, what is told bad, and how much was lost of it."""
    quality, plain = Quality(2), Plain()
    for each in looks:
        added = {**each, "expected": np.add(each["expected"], plain.counted[:, 0])}
        now = line(**added)
        changes = quality.look(ROWS, now)
        r, expected = plain.look(now)
        assert np.allclose(quality.r.T, r, atol=1e-9, equal_nan=True)
        assert np.allclose(quality.worst, plain.worst, atol=1e-9, equal_nan=True)
        assert (quality.bad == plain.bad).all()
        assert (quality.counted == plain.counted).all()
        assert [(x.row, x.way, x.bad) for x in changes] == [(x.row, x.way, x.bad) for x in expected]
        assert np.allclose([x.loss for x in changes], [x.loss for x in expected])
