"""What the weights of one layer look like."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prunevis.errors import NonFiniteError, SpecError
from prunevis.graph.layers import LayerInfo, ModelGraph

#: Weights that are worked on at once.
PIECE = 1 << 15


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
    values = flat_weights(weight)
    count = int(values.size)
    if not count:
        return WeightSummary(0, 0, 0.0, 0.0, 0.0, 0.0)
    mean = sum(float(part.sum()) for part in pieces(values)) / count
    # in a second pass: squares of what is left of the mean lose no digits
    spread = sum(float(np.square(part - mean).sum()) for part in pieces(values))
    return WeightSummary(
        count=count,
        zeros=int(count - np.count_nonzero(values)),
        mean=mean,
        std=math.sqrt(spread / count),
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
    values = flat_weights(weight)
    limit = max(abs(float(values.max())), abs(float(values.min()))) if values.size else 0.0
    limit = limit or 1.0
    counts = np.zeros(bins, np.int64)
    for part in pieces(values):
        counts += np.bincount(bin_index(part, limit, bins), minlength=bins)
    # not linspace, whose middle misses 0 by rounding
    edges = limit * ((2 * np.arange(bins + 1) - bins) / bins)
    return Histogram(edges, counts)


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
    limit = float(histogram.edges[-1])
    counts = np.zeros(histogram.bins, np.int64)
    for part in pieces(flat_weights(weight)):
        inside = part[np.abs(part) <= limit]
        counts += np.bincount(bin_index(inside, limit, counts.size), minlength=counts.size)
    return counts


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


def flat_weights(weight: Tensor) -> np.ndarray:
    """Return the weights in a row, in a type that numpy knows; checked."""
    row = weight.detach().cpu().reshape(-1)
    values = (row if row.dtype == torch.float32 else row.double()).numpy()
    if not np.isfinite(values).all():
        bad = int(values.size - np.isfinite(values).sum())
        raise NonFiniteError(
            "Some weights are NaN or infinite.",
            got=f"{bad:,} of {values.size:,}",
            fix="Load a checkpoint from before training diverged.",
        )
    return values


def pieces(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yield float64 pieces that fit a processor's cache: several times faster than one array."""
    for start in range(0, values.size, PIECE):
        yield values[start : start + PIECE].astype(np.float64)


def bin_index(values: np.ndarray, limit: float, bins: int) -> np.ndarray:
    """Return int64 bin of each value; the histogram and the cut table must agree on it exactly."""
    scaled = (values / limit + 1.0) * (bins / 2)
    # not below 0: a value is at least -limit
    return np.minimum(scaled.astype(np.int64), bins - 1)
