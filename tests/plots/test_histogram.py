from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from prunevis import plots
from prunevis.plots import DARK, LIGHT, alt
from prunevis.plots.histogram import MANY_ZEROS


def artist(ax: Axes, gid: str):
    return next(c for c in ax.collections if c.get_gid() == gid)


def heights(ax: Axes, gid: str) -> np.ndarray:
    corners = np.array([path.vertices[:4] for path in artist(ax, gid).get_paths()])
    return corners[:, 1, 1] - corners[:, 0, 1]


def lefts(ax: Axes, gid: str) -> np.ndarray:
    return np.array([path.vertices[0, 0] for path in artist(ax, gid).get_paths()])


def said(ax: Axes) -> str:
    return " ".join(text.get_text() for text in ax.texts)


def test_bars_count_the_weights_by_magnitude() -> None:
    weights = torch.tensor([[-2.0, -1.0, -0.5], [0.5, 1.0, 2.0]])
    ax = plots.weight_histogram(weights, threshold=1.0, bins=8)
    assert heights(ax, "cut").sum() == 4  # |w| <= 1, both ends
    assert heights(ax, "kept").sum() == 2
    lines = [segment[0][0] for segment in artist(ax, "threshold").get_segments()]
    assert lines == [-1.0, 1.0]
    assert "|w| ≤ 1" in said(ax)
    assert ax.get_title(loc="left") == "6 weights, 67 % go"


def test_kept_stands_on_cut() -> None:
    ax = plots.weight_histogram([0.1, 0.1, 0.1], cut=[True, True, False], bins=4)
    cut, kept = heights(ax, "cut"), heights(ax, "kept")
    assert cut.max() == 2
    assert kept.max() == 1
    base = [path.vertices[0, 1] for path in artist(ax, "kept").get_paths()]
    np.testing.assert_array_equal(base, cut)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_colours_are_the_tokens(theme: plots.Theme) -> None:
    ax = plots.weight_histogram([0.1, -0.4], threshold=0.2, theme=theme.name)
    assert to_hex(artist(ax, "kept").get_facecolor()[0]) == theme.kept
    assert to_hex(artist(ax, "cut").get_facecolor()[0]) == theme.cut
    assert to_hex(artist(ax, "threshold").get_color()[0]) == theme.pruned


def test_a_cut_that_is_not_by_magnitude() -> None:
    values = np.array([-3.0, -1.0, 1.0, 3.0])
    ax = plots.weight_histogram(values, cut=values > 0, bins=6)
    assert heights(ax, "cut").sum() == 2
    assert lefts(ax, "cut")[heights(ax, "cut") > 0].min() > 0


def test_the_threshold_is_a_bin_edge() -> None:
    values = np.linspace(-1, 1, 1001)
    ax = plots.weight_histogram(values, threshold=0.3337)
    both = (heights(ax, "cut") > 0) & (heights(ax, "kept") > 0)
    assert not both.any()


def test_many_zeros_are_words_not_a_bar() -> None:
    values = np.concatenate([np.zeros(900), np.linspace(0.1, 1, 100)])
    ax = plots.weight_histogram(values)
    assert heights(ax, "kept").sum() == 100
    assert "900 zeros are not drawn" in ax.get_xlabel()
    few = np.concatenate([np.zeros(1), np.linspace(0.1, 1, int(2 / MANY_ZEROS))])
    assert heights(plots.weight_histogram(few), "kept").sum() == few.size


def test_far_outliers_are_words_not_a_range() -> None:
    values = np.concatenate([np.linspace(-1, 1, 20_000), [50.0]])
    ax = plots.weight_histogram(values)
    assert heights(ax, "kept").sum() == 20_000
    assert "1 lie beyond" in ax.get_xlabel()
    assert ax.get_xlim()[1] < 3


@pytest.mark.parametrize("values", [[], [float("nan")], torch.empty(0, 3), np.zeros(5)])
def test_nothing_to_draw_is_said(values: object) -> None:
    assert "There are no weights to draw." in said(plots.weight_histogram(values, threshold=0.1))


def test_nan_is_counted_in_words() -> None:
    ax = plots.weight_histogram([0.5, float("nan"), float("inf"), 1.0])
    assert heights(ax, "kept").sum() == 2
    assert "2 are not numbers" in ax.get_xlabel()


def test_one_weight_is_one_bar() -> None:
    assert heights(plots.weight_histogram([0.25]), "kept").sum() == 1


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=200),
    threshold=st.none() | st.floats(0, 2e3),
)
def test_no_weight_is_lost(values: list[float], threshold: float | None) -> None:
    ax = plots.weight_histogram(values, threshold=threshold)
    array = np.array(values)
    zeros = int((array == 0).sum())
    shown = array[array != 0] if zeros > MANY_ZEROS * array.size else array
    if not shown.size:
        return
    cut, kept = heights(ax, "cut").sum(), heights(ax, "kept").sum()
    assert cut + kept == shown.size
    gone = int((np.abs(shown) <= threshold).sum()) if threshold is not None else 0
    assert cut == gone


def test_alt_text() -> None:
    weights = np.r_[np.full(58, 0.01), np.full(42, 0.2)]
    text = alt.weight_histogram(weights, threshold=0.053)
    assert text == "Histogram of 100 weights, 58 % below the threshold 0.053."
    assert alt.weight_histogram([]) == "Histogram of 0 weights."
    assert alt.weight_histogram([1, 2], cut=[True, False]) == (
        "Histogram of 2 weights, 50 % of them go."
    )
