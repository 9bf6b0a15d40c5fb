from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from prunevis import plots
from prunevis.errors import SpecError
from prunevis.graph.cost import LayerCost, ModelCost
from prunevis.plots import DARK, LIGHT, alt
from prunevis.plots.bars import MOST_ROWS, SECOND


def cost(**layers: tuple[int, int, int, int, int]) -> ModelCost:
    """Layers as (params, nonzero, macs, effective, removed)."""
    parts = {
        name: LayerCost(name, p, n, m, e, r, 1 - n / p) for name, (p, n, m, e, r) in layers.items()
    }
    params = sum(layer.num_params for layer in parts.values())
    nonzero = sum(layer.nonzero_params for layer in parts.values())
    macs = sum(layer.macs for layer in parts.values())
    effective = sum(layer.effective_macs for layer in parts.values())
    removed = sum(layer.removed_macs for layer in parts.values())
    size = 4 * params
    return ModelCost(
        params, nonzero, macs, effective, removed, size, size, size, params, macs, size, parts
    )


def widths(ax: Axes, gid: str) -> list[float]:
    artist = next(c for c in ax.collections if c.get_gid() == gid)
    return [float(np.ptp(path.vertices[:4, 0])) for path in artist.get_paths()]


MASKED = cost(conv=(100, 50, 8000, 4000, 8000), fc=(400, 100, 2000, 500, 2000))


def test_bars_are_shares_of_the_longest() -> None:
    ax = plots.layer_costs(MASKED)
    np.testing.assert_allclose(widths(ax, "params kept"), [50 / 400, 100 / 400])
    np.testing.assert_allclose(widths(ax, "params cut"), [50 / 400, 300 / 400])
    np.testing.assert_allclose(widths(ax, "macs kept"), [0.5, 500 / 8000])
    np.testing.assert_allclose(widths(ax, "macs cut"), [0.5, 1500 / 8000])
    macs = next(c for c in ax.collections if c.get_gid() == "macs kept")
    assert macs.get_paths()[0].vertices[:, 0].min() == SECOND
    said = [text.get_text() for text in ax.texts]
    assert "80 %, −75 %" in said  # fc has 400 of 500 parameters and loses 300 of them
    assert [label.get_text() for label in ax.get_yticklabels()] == ["conv", "fc"]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_colours_are_the_tokens(theme: plots.Theme) -> None:
    ax = plots.layer_costs(MASKED, theme=theme.name)
    colours = {c.get_gid(): to_hex(c.get_facecolor()[0]) for c in ax.collections}
    assert colours["params kept"] == colours["macs kept"] == theme.kept
    assert colours["params cut"] == colours["macs cut"] == theme.cut


def test_removed_units_need_the_dense_cost() -> None:
    dense = cost(conv=(100, 100, 8000, 8000, 8000))
    removed = cost(conv=(25, 25, 8000, 2000, 2000))
    with pytest.raises(SpecError, match=r"Units were removed.*layer 'conv'.*Pass before="):
        plots.layer_costs(removed)
    ax = plots.layer_costs(removed, before=dense)
    assert widths(ax, "params cut") == [0.75]
    assert widths(ax, "macs kept") == [pytest.approx(0.25)]


def test_deep_networks_add_up_the_small_layers() -> None:
    deep = cost(**{f"layer{i}": (i + 1, i + 1, 10, 10, 10) for i in range(40)})
    ax = plots.layer_costs(deep)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(names) == MOST_ROWS
    assert names[-1] == "25 others"
    longest = sum(range(1, 26))
    assert sum(widths(ax, "params kept")) * longest == pytest.approx(sum(range(1, 41)))


def test_one_layer_and_none() -> None:
    assert plots.png(plots.layer_costs(cost(a=(1, 1, 1, 1, 1))).figure, 50)
    empty = plots.layer_costs(cost())
    assert "no layer" in empty.texts[0].get_text()
    assert alt.layer_costs(cost()) == "Costs by layer: there is no layer."


def test_alt() -> None:
    assert alt.layer_costs(MASKED) == (
        "Costs of 2 layers; fc holds 67 % of the parameters left, conv makes 89 % of the "
        "multiply-adds left."
    )
