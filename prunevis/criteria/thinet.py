"""Importance of a unit: how late a greedy choice lets it go, judged by the next layer's output."""

from __future__ import annotations

import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.criteria.readers import contribution_products, read_by_none
from prunevis.graph.layers import LayerInfo, ModelGraph


def greedy_removal(products: Tensor) -> Tensor:
    """Return the order in which units go if each time the removed sum stays smallest.

    The removed set T grows by the unit that keeps ``mean (Σ_{u ∈ T} x_u)²`` smallest, of equals by
    the first.

    Parameters
    ----------
    products
        float64, shape (units, units): mean of x_u x_v.

    Returns
    -------
    Tensor
        int64, shape (units,): place of each unit in that order, 0 first.
    """
    units = len(products)
    place = torch.zeros(units, dtype=torch.int64)
    # what a unit adds to the sum of squares: Q_uu + 2 Σ_{v ∈ T} Q_uv
    added = products.diagonal().clone()
    for step in range(units):
        out = int(added.argmin())
        place[out] = step
        added += 2 * products[out]
        added[out] = torch.inf
    return place


@CRITERIA.register("thinet")
class GreedyReconstruction(Criterion):
    """ThiNet: grow the set of removed units so that the next layer's output loses least.

    The contributions of units to the outputs of the layers that read them are summed before they
    are squared, so that units whose contributions cancel may go together. All outputs count, by
    second moments, where the paper samples some. The score is the place in the greedy order, so it
    compares within a layer only.
    """

    label = "Greedy reconstruction (ThiNet)"
    summary = "Units go first whose leaving, together, changes the next layer's output least."
    formula = "order of argmin over u of mean (Σᵥ xᵥ)², v ∈ T ∪ {u}"
    source = "Luo et al. 2017 (ThiNet)"
    url = "https://arxiv.org/abs/1707.06342"
    granularities = ("unit",)
    needs = frozenset({"weights", "inputs", "moments"})

    def unavailable_for(self, layer: LayerInfo, graph: ModelGraph) -> str | None:
        """Say so where no layer reads the units, or what it reads cannot be collected."""
        reason = read_by_none(layer, graph)
        if reason is not None:
            return reason
        consumers = graph.groups[str(layer.group)].consumers
        reasons = (self.unread(graph.layers[name], graph) for name in consumers)
        return next((reason for reason in reasons if reason is not None), None)

    def caution(self, layer: LayerInfo, context: ScoreContext) -> str | None:
        """Say so where a consumer was seen with fewer samples than there are units."""
        for name in context.group_columns(layer):
            samples = context.inputs(name).num_samples
            if samples < layer.num_units:
                return (
                    f"`{layer.name}` has {layer.num_units:,} units, and `{name}` was seen with "
                    f"{samples:,} samples only."
                )
        return None

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the place in the order as a share, float64, shape (num_units,), in [0, 1)."""
        place = greedy_removal(contribution_products(layer, context))
        return place.double() / max(1, layer.num_units)
