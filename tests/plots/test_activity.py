from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from prunevis import plots
from prunevis.errors import DataError
from prunevis.plots import DARK, LIGHT, alt


def cells(ax: Axes):
    return next(c for c in ax.collections if c.get_gid() == "units")


def test_one_cell_a_unit_row_by_row() -> None:
    ax = plots.neuron_activity(np.linspace(0, 1, 7), np.zeros(7), columns=3)
    corners = [path.vertices[0] for path in cells(ax).get_paths()]
    np.testing.assert_allclose(corners[0], (0.1, 0.1))
    np.testing.assert_allclose(corners[4], (1.1, 1.1))
    assert len(corners) == 7


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_bluer_fires_more_and_dead_is_outlined(theme: plots.Theme) -> None:
    ax = plots.neuron_activity([0.0, 1.0, 5.0], [0.5, 0.995, 0.1], theme=theme.name)
    faces = [to_hex(c) for c in cells(ax).get_facecolor()]
    edges = [to_hex(c) for c in cells(ax).get_edgecolor()]
    assert faces == [theme.faint, theme.card, theme.kept]
    assert edges == [theme.faint, theme.pruned, theme.kept]
    widths = cells(ax).get_linewidth()
    assert widths[1] > widths[0]
    assert ax.get_title(loc="left") == "1 of 3 units hardly ever fire"
    assert "Outlined" in ax.get_xlabel()


def test_statistics_are_taken_as_they_are() -> None:
    stats = SimpleNamespace(mean=torch.tensor([1.0, 0.0]), zero_share=torch.tensor([0.2, 1.0]))
    ax = plots.neuron_activity(stats)
    assert ax.get_title(loc="left") == "1 of 2 units hardly ever fire"
    assert alt.neuron_activity(stats) == (
        "Grid of 2 units by mean activation; 1 of them hardly ever fire."
    )


def test_dead_can_be_given() -> None:
    ax = plots.neuron_activity([1.0, 2.0], dead=[True, True])
    assert ax.get_title(loc="left").startswith("2 of 2")


def test_units_that_go_are_struck_through() -> None:
    ax = plots.neuron_activity(np.ones(5), np.zeros(5), pruned=[0, 1, 0, 0, 1], columns=5)
    strokes = next(c for c in ax.collections if c.get_gid() == "pruned").get_segments()
    assert [int(s[0][0]) for s in strokes] == [1, 4]
    assert to_hex(next(c for c in ax.collections if c.get_gid() == "pruned").get_color()[0]) == (
        LIGHT.pruned
    )


def test_nan_one_unit_and_none() -> None:
    ax = plots.neuron_activity([float("nan"), 1.0], [0.0, 0.0])
    assert to_hex(cells(ax).get_facecolor()[0]) == LIGHT.hairline
    one = plots.neuron_activity([0.0], [1.0])
    assert len(cells(one).get_paths()) == 1
    none = plots.neuron_activity([], [])
    assert "no units" in none.texts[0].get_text()
    for axes in (ax, one, none):
        assert plots.png(axes.figure, 50)


def test_lengths_must_agree() -> None:
    with pytest.raises(DataError, match=r"not of one length.*3 units.*2 shares"):
        plots.neuron_activity([1, 2, 3], [0.1, 0.2])
