"""Importance of a unit: what its answer says about the class."""

from __future__ import annotations

import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo

#: Bins of equal width between the smallest and the largest answer of a unit.
BINS = 8


def mutual_information(values: Tensor, labels: Tensor, bins: int = BINS) -> Tensor:
    """Return the mutual information of quantised values and labels.

    ``H(x) + H(y) − H(x, y)`` of the observed frequencies, in nats. With n examples it is too high
    by about (bins − 1)(classes − 1) / 2n, much the same for all units.

    Parameters
    ----------
    values
        Shape (examples, units).
    labels
        int64, shape (examples,).
    bins
        Number of bins of equal width over the range of each unit.

    Returns
    -------
    Tensor
        float64, shape (units,), at least 0; 0 for a unit that never varies.
    """
    count, units = values.shape
    wide = values.double()
    low, high = wide.amin(0), wide.amax(0)
    width = torch.where(high > low, high - low, torch.ones_like(low))
    cell = ((wide - low) / width * bins).long().clamp_(max=bins - 1)
    classes = int(labels.max()) + 1
    index = (torch.arange(units) * bins + cell) * classes + labels[:, None]
    joint = torch.bincount(index.flatten(), minlength=units * bins * classes)
    share = joint.reshape(units, bins, classes).double() / count

    def entropy(shares: Tensor) -> Tensor:
        return -torch.special.xlogy(shares, shares).flatten(1).sum(1)

    return (entropy(share.sum(2)) + entropy(share.sum(1)) - entropy(share)).clamp(min=0.0)


@CRITERIA.register("mutual-information")
class MutualInformation(Criterion):
    """``I(hᵢ; class)`` in nats, of the unit's mean answer to an example in `BINS` bins.

    For a channel the mean over positions stands for the example. One unit is judged at a time: two
    that say the same both score high.
    """

    label = "Mutual information with the class"
    summary = "Units whose answer says least about the class go first."
    formula = "H(x) + H(y) − H(x, y),  x = hᵢ in 8 bins, y = class"
    source = "Molchanov et al. 2016"
    url = "https://arxiv.org/abs/1611.06440"
    granularities = ("unit",)
    needs = frozenset({"responses", "labels"})

    def caution(self, layer: LayerInfo, context: ScoreContext) -> str | None:
        """Say so where a cell of the table holds fewer than five examples on average."""
        labels = context.labels(layer)
        cells = BINS * (int(labels.max()) + 1)
        if len(labels) >= 5 * cells:
            return None
        return f"{len(labels):,} examples are few for a table of {cells:,} cells."

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the information, float64, shape (num_units,), in nats, at least 0."""
        return mutual_information(context.responses(layer).example_means(), context.labels(layer))
