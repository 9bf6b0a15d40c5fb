from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from prunevis import plots
from prunevis.errors import DataError, SpecError
from prunevis.evaluation.estimate import AccuracyEstimate
from prunevis.plots import DARK, LIGHT, alt
from prunevis.plots.curves import MOST_LINES, _amount, _amount_of_bytes


def estimate(value: float, half: float = 0.0) -> AccuracyEstimate:
    seen = 100 if half else 1000
    return AccuracyEstimate(value, value - half, value + half, seen, 1000, not half)


def point(sparsity: float, accuracy: AccuracyEstimate) -> SimpleNamespace:
    left = 1 - sparsity
    cost = SimpleNamespace(
        bytes=4000 * left, effective_flops=2e6 * left, nonzero_params=1000 * left
    )
    return SimpleNamespace(sparsity=sparsity, achieved=sparsity, estimate=accuracy, cost=cost)


TRADEOFF = SimpleNamespace(
    points=(
        point(0.5, estimate(0.8, 0.05)),
        point(0.0, estimate(0.9)),
        point(0.95, estimate(0.3)),
    ),
    baseline=SimpleNamespace(accuracy=0.9),
)
SENSITIVITY = SimpleNamespace(
    sparsities=(0.3, 0.6),
    estimates={
        "conv": (estimate(0.7), estimate(0.2)),
        "fc": (estimate(0.9), estimate(0.85, 0.02)),
    },
    baseline=SimpleNamespace(accuracy=0.9),
)


def line(ax: Axes, gid: str) -> Line2D:
    return next(item for item in ax.lines if item.get_gid() == gid)


def xy(item: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(item.get_xydata())]


def said(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_tradeoff_draws_the_points_in_order() -> None:
    ax = plots.tradeoff(TRADEOFF)
    assert xy(line(ax, "curve")) == [(0.0, 0.9), (0.5, 0.8), (0.95, 0.3)]
    assert xy(line(ax, "exact")) == [(0.0, 0.9), (0.95, 0.3)]
    assert set(line(ax, "dense").get_ydata()) == {0.9}
    band = next(c for c in ax.collections if c.get_gid() == "band")
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(0.9)
    assert {0.75, 0.85} <= {round(float(h), 6) for h in heights}
    assert "dense 90 %" in said(ax)
    assert "95 % interval" in ax.get_xlabel()


@pytest.mark.parametrize(
    ("x", "dense", "last"),
    [("size", 4000, 200), ("flops", 2e6, 1e5), ("params", 1000, 50)],
)
def test_tradeoff_against_what_is_saved(x: str, dense: float, last: float) -> None:
    ax = plots.tradeoff(TRADEOFF, x=x)
    drawn = [at for at, _ in xy(line(ax, "curve"))]
    assert drawn[0] == dense
    assert drawn[-1] == pytest.approx(last)
    left, right = ax.get_xlim()
    assert left > right  # more pruning is further right
    assert ax.get_xscale() == "log"
    labels = [ax.xaxis.get_major_formatter()(value) for value in ax.get_xticks()]
    assert not any("$" in label for label in labels)


def test_tradeoff_marks_a_position() -> None:
    ax = plots.tradeoff(TRADEOFF, position=0.25)
    assert xy(line(ax, "marker")) == [(0.25, pytest.approx(0.85))]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_colours_are_the_tokens(theme: plots.Theme) -> None:
    ax = plots.tradeoff(TRADEOFF, position=0.5, theme=theme.name)
    assert line(ax, "curve").get_color() == theme.kept
    assert line(ax, "position").get_color() == theme.pruned
    ax = plots.sensitivity(SENSITIVITY, theme=theme.name)
    assert line(ax, "conv").get_color() == theme.pruned  # the most sensitive
    assert to_hex(line(ax, "fc").get_color()) == theme.kept  # the deepest


def test_arrays_one_point_and_none() -> None:
    ax = plots.tradeoff({"x": [0.5], "value": [0.7], "low": [0.6], "high": [0.8]})
    assert xy(line(ax, "curve")) == [(0.5, 0.7)]
    assert xy(line(ax, "exact")) == []
    one = plots.tradeoff({"x": [100.0], "value": [0.7]}, x="size")
    none = plots.tradeoff(SimpleNamespace(points=(), baseline=None))
    assert "No position is known yet." in said(none)
    for axes in (ax, one, none):
        assert plots.png(axes.figure, 50)


def test_a_partial_result_has_no_baseline() -> None:
    ax = plots.tradeoff(SimpleNamespace(points=TRADEOFF.points))
    assert not any(item.get_gid() == "dense" for item in ax.lines)


def test_bad_input() -> None:
    with pytest.raises(SpecError, match=r"no axis 'energy'.*sparsity, size, flops, params"):
        plots.tradeoff(TRADEOFF, x="energy")
    with pytest.raises(DataError, match=r"differ in length.*2 of each.*1, 1, 1"):
        plots.tradeoff({"x": [0, 1], "value": [0.5]})


def test_sensitivity_begins_at_the_dense_network() -> None:
    ax = plots.sensitivity(SENSITIVITY)
    assert xy(line(ax, "conv")) == [(0.0, 0.9), (0.3, 0.7), (0.6, 0.2)]
    assert xy(line(ax, "fc")) == [(0.0, 0.9), (0.3, 0.9), (0.6, 0.85)]
    assert set(said(ax)) == {"conv", "fc"}


def test_sensitivity_in_progress() -> None:
    progress = SimpleNamespace(estimates={"a": {0.5: estimate(0.4), 0.1: estimate(0.9)}, "b": {}})
    ax = plots.sensitivity(progress)
    assert xy(line(ax, "a")) == [(0.1, 0.9), (0.5, 0.4)]
    assert said(ax) == ["a"]
    empty = plots.sensitivity(SimpleNamespace(estimates={}))
    assert said(empty) == ["No layer is known yet."]


def test_labels_do_not_overlap_and_name_the_most_sensitive() -> None:
    count = MOST_LINES + 5
    curves = {f"layer{i}": {"x": [0.0, 0.5], "value": [0.9, 0.9 - 0.001 * i]} for i in range(count)}
    ax = plots.sensitivity(curves)
    heights = sorted(text.get_position()[1] for text in ax.texts)
    assert len(heights) == MOST_LINES
    room = 1.04 * 7.5 / 72 / (ax.get_position().height * ax.figure.bbox.height / 100)
    assert min(np.diff(heights)) > room
    assert heights[0] >= 0
    assert heights[-1] <= 1.04
    assert set(said(ax)) == {f"layer{i}" for i in range(5, count)}
    assert line(ax, "layer0").get_color() == LIGHT.hairline


def test_amounts_are_plain() -> None:
    assert [_amount(v) for v in (0, 12, 1500, 2.5e6)] == ["0", "12", "1.5 k", "2.5 M"]
    assert [_amount_of_bytes(v) for v in (999, 1.72e6)] == ["999 B", "1.72 MB"]


def test_alt() -> None:
    assert alt.tradeoff(TRADEOFF) == (
        "Accuracy against sparsity: 3 points, dense 90 %, from 90 % to 30 %."
    )
    assert alt.sensitivity(SENSITIVITY) == (
        "Accuracy with one layer pruned at a time, 2 layers; conv costs most, down to 20 %."
    )
    assert "without a point" in alt.tradeoff({"x": [], "value": []})
    assert "without a point" in alt.sensitivity({})
    assert alt.percent(0.918) == "91.8 %"
