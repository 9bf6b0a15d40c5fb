"""How large the weights of a layer are, and which of them go."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection

from prunevis.plots import alt
from prunevis.plots.style import head, numbers, prepare, say, ticks, write

#: Share of exact zeros from which they are counted in words instead of as a bar: after a round of
#: pruning one bar of zeros would press all others flat.
MANY_ZEROS = 0.02


def weight_histogram(
    values: Any,
    *,
    threshold: float | None = None,
    cut: Any = None,
    bins: int = 80,
    title: str | None = None,
    ax: Axes | None = None,
    theme: str = "light",
) -> Axes:
    """Draw how many weights have which value, those that go in orange.

    Parameters
    ----------
    values
        Weights, any shape; NaN and infinite ones are left out and counted in the caption.
    threshold
        Draw lines at ±threshold, labelled. Without `cut`, what goes is ``|w| <= threshold``.
    cut
        Bool, shape of `values`: True where the weight goes, for criteria other than magnitude.
    bins
        Number of bars over the range of the values.

    Returns
    -------
    Axes
        Its collections "kept" and "cut" (by ``get_gid``) hold one rectangle a bin in data units.
    """
    weights = numbers(values).astype(np.float64).ravel()
    goes = _goes(weights, threshold, cut)
    ax, colours = prepare(
        ax,
        theme,
        figsize=(4.2, 2.5),
        margins=(0.14, 0.14, 0.36, 0.44),
        spines=("bottom",),
        title=title,
    )
    finite = np.isfinite(weights)
    missing = int((~finite).sum())
    zero = finite & (weights == 0)
    zeros = int(zero.sum())
    hidden = zeros > MANY_ZEROS * max(1, weights.size)
    shown = finite & ~zero if hidden else finite
    notes = []
    if hidden:
        notes.append(f"{zeros:,} zeros are not drawn.")
    if missing:
        notes.append(f"{missing:,} are not numbers.")
    if title is None:
        title = alt.share_of_weights(weights.size, int(goes.sum()))
    head(ax, title, colours, caption=" ".join(notes))
    if not shown.any():
        return say(ax, "There are no weights to draw.", colours)

    edges = _edges(weights[shown], bins, threshold)
    left, right = float(edges[0]), float(edges[-1])
    beyond = int(((weights[shown] < left) | (weights[shown] > right)).sum())
    if beyond:
        notes.append(f"{beyond:,} lie beyond the edges.")
        head(ax, None, colours, caption=" ".join(notes))
    gone = np.histogram(weights[shown & goes], edges)[0]
    kept = np.histogram(weights[shown & ~goes], edges)[0]
    # Where a bin holds both kinds, the ones that stay stand on top.
    ax.add_collection(_bars(edges, np.zeros_like(gone), gone, colours.cut, "cut"))
    ax.add_collection(_bars(edges, gone, gone + kept, colours.kept, "kept"))
    top = float((gone + kept).max())
    margin = (right - left) / 50
    ax.set_xlim(left - margin, right + margin)
    ax.set_ylim(0, top * 1.16)
    ax.set_yticks([])
    ticks(ax.xaxis, lambda value: f"{value:.6g}".replace("-", "−"), count=6)
    if threshold is not None and np.isfinite(threshold):
        inside = [x for x in (-threshold, threshold) if left - margin <= x <= right + margin]
        lines = [[(x, 0), (x, top * 1.12)] for x in inside]
        ax.add_collection(
            LineCollection(lines, colors=colours.pruned, linewidths=1.2, gid="threshold")
        )
        # To the right of the right-hand line, or before it where the figure ends.
        far = threshold > left + 0.68 * (right - left)
        at = min(max(threshold, left), right) + (-margin if far else margin)
        write(
            ax,
            at,
            top * 1.13,
            f"|w| ≤ {threshold:.3g}",
            colours.pruned_text,
            ha="right" if far else "left",
            va="top",
            fontweight="bold",
        )
    return ax


def _goes(weights: np.ndarray, threshold: float | None, cut: Any) -> np.ndarray:
    if cut is not None:
        return numbers(cut).astype(bool).ravel()
    if threshold is not None:
        return np.abs(weights) <= threshold
    return np.zeros(weights.shape, bool)


def _edges(values: np.ndarray, bins: int, threshold: float | None) -> np.ndarray:
    """Return about `bins` + 1 edges, among them ±threshold if it can be met.

    A few far outliers would leave the rest in a handful of bars: the range ends a little beyond the
    middle 99.9 % of the values.
    """
    left, right = float(values.min()), float(values.max())
    low, high = (float(q) for q in np.quantile(values, [0.0005, 0.9995]))
    room = 0.25 * (high - low)
    left, right = max(left, low - room), min(right, high + room)
    if left == right:  # one value, or all alike: a bar of some width around it
        room = abs(left) / 10 or 0.5
        return np.linspace(left - room, right + room, bins + 1)
    width = (right - left) / bins
    if threshold is None or not width < threshold < max(-left, right):
        return np.linspace(left, right, bins + 1)
    width = threshold / round(threshold / width)
    # Half a hair outwards, so that the smallest and the largest value are inside.
    first, last = math.floor(left / width + 1e-9), math.ceil(right / width - 1e-9)
    edges = width * np.arange(first, last + 1)
    edges[0], edges[-1] = min(edges[0], left), max(edges[-1], right)
    return edges


def _bars(
    edges: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, gid: str
) -> PolyCollection:
    gap = 0.08 * (edges[1] - edges[0])
    x0, x1 = edges[:-1] + gap, edges[1:] - gap
    corners = np.stack(
        [np.stack(p, 1) for p in ((x0, low), (x0, high), (x1, high), (x1, low))], axis=1
    )
    return PolyCollection(list(corners), facecolors=colour, edgecolors="none", gid=gid)
