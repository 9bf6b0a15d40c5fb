"""Which weights of a layer go at each position of the slider, as tables that a browser looks up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from prunevis.errors import SpecError
from prunevis.statistics.weights import PIECE, Histogram, bin_index, flat_weights, pieces

#: Bits of a rank that are looked up at once: a table of 64 thousand entries.
_LOOKUP_BITS = 16


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
    holds_cut = at_start[1:] != at_start[:-1]
    flat = ranks.reshape(-1)
    first = np.empty(flat.size, np.int16)
    for start in range(0, flat.size, PIECE):
        part = flat[start : start + PIECE]
        block = part >> shift
        found = at_start[block]
        unsure = np.flatnonzero(holds_cut[block])
        found[unsure] = np.searchsorted(cuts, part[unsure], side="right")
        first[start : start + PIECE] = found
    return first.reshape(ranks.shape)


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
    bins, limit = histogram.bins, float(histogram.edges[-1])
    counts = np.zeros((positions + 1) * bins, np.int64)
    flat = first.reshape(-1)
    for k, part in enumerate(pieces(flat_weights(weight))):
        cell = bin_index(part, limit, bins)
        cell += flat[k * PIECE : (k + 1) * PIECE].astype(np.int64) * bins
        counts += np.bincount(cell, minlength=counts.size)
    return counts.reshape(positions + 1, bins)[:positions].cumsum(axis=0)


def largest_gone(weight: Tensor, first: np.ndarray, positions: int) -> np.ndarray:
    """Return the largest magnitude among the weights that go, for every position of the slider.

    Parameters
    ----------
    weight, first, positions
        As for `position_table`.

    Returns
    -------
    numpy.ndarray
        float64, shape (positions,), in the weights' unit; 0 where nothing but zeros goes.

    Raises
    ------
    NonFiniteError
        If a weight is NaN or infinite.
    """
    highest = np.zeros(positions + 1)
    flat = first.reshape(-1)
    for k, part in enumerate(pieces(flat_weights(weight))):
        np.maximum.at(highest, flat[k * PIECE : (k + 1) * PIECE], np.abs(part))
    return np.maximum.accumulate(highest[:positions])


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
