"""What the weights of one layer look like, and which of them go at each position of the slider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from prunevis.errors import NonFiniteError, SpecError
from prunevis.graph.layers import LayerInfo, ModelGraph

#: Bits of a rank that are looked up at once: a table of 64 thousand entries.
_LOOKUP_BITS = 16


@dataclass(frozen=True, eq=False, slots=True)
class Histogram:
    """How many weights lie in each of many equally wide bins, symmetric about 0.

    Attributes
    ----------
    edges
        float64, shape (bins + 1,), ascending; ``edges[0] == -edges[-1]``. In the weights' unit.
        A bin holds ``edges[i] <= w < edges[i + 1]``; the last holds its upper edge too.
    counts
        int64, shape (bins,).
    """

    edges: np.ndarray
    counts: np.ndarray

    @property
    def bins(self) -> int:
        """Number of bins."""
        return int(self.counts.shape[0])

    @property
    def total(self) -> int:
        """Number of weights counted."""
        return int(self.counts.sum())


@dataclass(frozen=True, slots=True)
class WeightSummary:
    """A layer's weights in six numbers.

    Attributes
    ----------
    count, zeros
        How many weights, and how many of them are exactly 0.
    mean, std, minimum, maximum
        In the weights' unit; the standard deviation is that of the population (divided by count).
        All are 0 where there is no weight.
    """

    count: int
    zeros: int
    mean: float
    std: float
    minimum: float
    maximum: float


def summarize_weights(weight: Tensor) -> WeightSummary:
    """Return a layer's weights in six numbers.

    Parameters
    ----------
    weight
        Any shape, any real dtype.

    Raises
    ------
    NonFiniteError
        If a weight is NaN or infinite.
    """
    values = _flat(weight)
    if not values.size:
        return WeightSummary(0, 0, 0.0, 0.0, 0.0, 0.0)
    return WeightSummary(
        count=int(values.size),
        zeros=int(values.size - np.count_nonzero(values)),
        mean=float(values.mean()),
        std=float(values.std()),
        minimum=float(values.min()),
        maximum=float(values.max()),
    )


def weight_histogram(weight: Tensor, bins: int = 80) -> Histogram:
    """Return the histogram of `weight` over ±its largest magnitude.

    Parameters
    ----------
    weight
        Any shape, any real dtype. Where it is empty or all zeros, the range is ±1.
    bins
        How many, at least 1; even numbers put 0 on an edge, so that no bin mixes signs.

    Raises
    ------
    SpecError
        If `bins` is below 1.
    NonFiniteError
        If a weight is NaN or infinite.
    """
    if bins < 1:
        raise SpecError("A histogram needs at least one bin.", got=bins, where="bins")
    values = _flat(weight)
    limit = float(np.abs(values).max()) if values.size else 0.0
    limit = limit or 1.0
    counts = np.bincount(_bin_index(values, limit, bins), minlength=bins).astype(np.int64)
    # not linspace, whose middle misses 0 by rounding
    edges = limit * ((2 * np.arange(bins + 1) - bins) / bins)
    return Histogram(edges, counts)


def cut_table(
    weight: Tensor, ranks: Tensor, cuts: Sequence[int] | np.ndarray, histogram: Histogram
) -> np.ndarray:
    """Return how many of the weights in each bin go, for every position of the slider.

    One pass over the weights serves all positions: a weight first goes at the first position whose
    cut is above its rank, and stays gone, so counts by (first position, bin) need only be summed
    up. The browser keeps the table and redraws the histogram by a look-up.

    Parameters
    ----------
    weight
        Any shape.
    ranks
        int64, shape of `weight`: place of each in the order of removal, 0 first.
    cuts
        Shape (positions,): at position k every weight with ``rank < cuts[k]`` goes. Any order.
    histogram
        From `weight_histogram` of this weight.

    Returns
    -------
    numpy.ndarray
        int64, shape (positions, bins), each entry in [0, histogram.counts[bin]].

    Raises
    ------
    SpecError
        If `ranks` has another shape than `weight`.
    NonFiniteError
        If a weight is NaN or infinite.
    """
    if ranks.shape != weight.shape:
        raise SpecError(
            "The ranks do not belong to this weight.",
            expected=tuple(weight.shape),
            got=tuple(ranks.shape),
            where="ranks",
        )
    cut = np.asarray(cuts, dtype=np.int64)
    order = np.argsort(cut, kind="stable")
    first = first_position(ranks.detach().cpu().numpy().reshape(-1), cut[order])
    table = np.empty((len(cut), histogram.bins), dtype=np.int64)
    table[order] = position_table(weight, first, len(cut), histogram)
    return table


def first_position(ranks: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Return at which position of the slider each weight or unit goes.

    Parameters
    ----------
    ranks
        Integers from 0, any shape: place of each in the order of removal.
    cuts
        Integers, shape (positions,), ascending: at position k all with ``rank < cuts[k]`` go.

    Returns
    -------
    numpy.ndarray
        int16, shape of `ranks`: in [0, positions], the number of positions for those that stay.
    """
    most = int(ranks.max(initial=0))
    shift = max(0, most.bit_length() - _LOOKUP_BITS)
    if not shift:
        every = np.searchsorted(cuts, np.arange(most + 1), side="right").astype(np.int16)
        return every[ranks]
    # A search among 101 cuts for each of two million weights takes 90 ms, a look-up 12: by the
    # upper bits of the rank, then a search for the few whose block of ranks holds a cut.
    starts = np.arange((most >> shift) + 2, dtype=np.int64) << shift
    at_start = np.searchsorted(cuts, starts, side="right").astype(np.int16)
    block = ranks >> shift
    first = at_start[block]
    unsure = np.nonzero((at_start[1:] != at_start[:-1])[block])
    first[unsure] = np.searchsorted(cuts, ranks[unsure], side="right")
    return first


def position_table(
    weight: Tensor, first: np.ndarray, positions: int, histogram: Histogram
) -> np.ndarray:
    """Return the table of `cut_table` from the position at which each weight goes.

    Parameters
    ----------
    weight
        Any shape.
    first
        As many integers in [0, positions], as `first_position` gives.
    positions
        Of the slider.
    histogram
        From `weight_histogram` of this weight.

    Raises
    ------
    NonFiniteError
        If a weight is NaN or infinite.
    """
    bins = histogram.bins
    cell = _bin_index(_flat(weight), float(histogram.edges[-1]), bins)
    cell += first.reshape(-1).astype(np.int64) * bins
    counts = np.bincount(cell, minlength=(positions + 1) * bins)
    return counts.reshape(positions + 1, bins)[:positions].cumsum(axis=0)


def count_within(weight: Tensor, histogram: Histogram) -> np.ndarray:
    """Return how many of other weights lie in each bin of `histogram`; those beyond are left out.

    Returns
    -------
    numpy.ndarray
        int64, shape (bins,).

    Raises
    ------
    NonFiniteError
        If a weight is NaN or infinite.
    """
    values, limit = _flat(weight), float(histogram.edges[-1])
    inside = values[np.abs(values) <= limit]
    return np.bincount(_bin_index(inside, limit, histogram.bins), minlength=histogram.bins)


def unit_cut_table(
    weight: Tensor,
    ranks: Tensor,
    cuts: Sequence[int] | np.ndarray,
    histogram: Histogram,
    axis: int = 0,
) -> np.ndarray:
    """Return the same table as `cut_table` where whole units go, with all of their weights.

    Parameters
    ----------
    weight
        Any shape.
    ranks
        int64, shape (weight.shape[axis],): place of the unit at each index of the axis.
    cuts, histogram
        As for `cut_table`.
    axis
        Where the units lie: `unit_axis` for the units that a layer computes, 1 for the units that
        an ordinary layer reads.

    Raises
    ------
    SpecError
        If there is not one rank for each index of the axis.
    """
    if ranks.ndim != 1 or ranks.shape[0] != weight.shape[axis]:
        raise SpecError(
            "There is not one rank for each unit on the axis.",
            expected=(int(weight.shape[axis]),),
            got=tuple(ranks.shape),
            where=f"axis {axis}",
        )
    shape = [1] * weight.ndim
    shape[axis] = -1
    return cut_table(weight, ranks.reshape(shape).expand(weight.shape), cuts, histogram)


def unit_axis(graph: ModelGraph, layer: LayerInfo) -> int:
    """Return the axis of the layer's weight on which its own (output) units lie.

    The graph knows it from the trace; only for a layer without a channel group is it read off the
    kind of layer (PyTorch keeps output channels second in transposed convolutions).
    """
    group = graph.groups.get(layer.group) if layer.group else None
    for member in group.members if group else ():
        if member.tensor == layer.weight and member.role == "producer":
            return member.axis
    return 1 if "Transpose" in layer.kind else 0


def unit_rows(graph: ModelGraph, layer: LayerInfo, weight: Tensor) -> Tensor:
    """Return the weights of each unit of a layer as one row.

    Parameters
    ----------
    graph, layer
        From `prunevis.trace`.
    weight
        The layer's weight, in PyTorch's layout: ``(out, in / groups, *kernel)``, for transposed
        convolutions ``(in, out / groups, *kernel)``.

    Returns
    -------
    Tensor
        Shape (num_units, weights of a unit); a view where the layout allows it.
    """
    axis = unit_axis(graph, layer)
    length = int(weight.shape[axis])
    if length == layer.num_units:
        return weight.movedim(axis, 0).reshape(length, -1)
    # A grouped transposed convolution: index j of the axis holds unit j of every group, told
    # apart by the block of inputs.
    groups = layer.num_units // length
    blocks = weight.movedim(axis, 0).reshape(length, groups, -1)
    return blocks.transpose(0, 1).reshape(layer.num_units, -1)


def _flat(weight: Tensor) -> np.ndarray:
    values = weight.detach().cpu().double().numpy().reshape(-1)
    if not np.isfinite(values).all():
        bad = int(values.size - np.isfinite(values).sum())
        raise NonFiniteError(
            "Some weights are NaN or infinite.",
            got=f"{bad:,} of {values.size:,}",
            fix="Load a checkpoint from before training diverged.",
        )
    return values


def _bin_index(values: np.ndarray, limit: float, bins: int) -> np.ndarray:
    """Return int64 bin of each value; the histogram and the cut table must agree on it exactly."""
    scaled = (values / limit + 1.0) * (bins / 2)
    return np.clip(scaled.astype(np.int64), 0, bins - 1)
