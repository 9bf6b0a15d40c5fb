"""Which units say the same: similarities, clustered."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes

from prunevis.errors import DataError
from prunevis.plots.style import (
    FONT,
    LOCK,
    Theme,
    bare,
    diverging,
    head,
    numbers,
    prepare,
    say,
    write,
)

#: Most cells a side that are drawn; more units are averaged in blocks of neighbours.
MOST_CELLS = 192
#: Most units that are labelled one by one.
MOST_LABELS = 40


def cluster_order(matrix: Any) -> np.ndarray:
    """Return the order of units that puts similar ones side by side.

    Average-linkage clustering of the distance ``1 - similarity``; leaves in the order that keeps
    neighbours closest (Bar-Joseph et al. 2001) for up to 256 units, where it is affordable. A unit
    that cannot be compared (NaN) counts as similar to none.

    Parameters
    ----------
    matrix
        Similarities in [-1, 1], shape (units, units), symmetric.

    Returns
    -------
    ndarray
        int64, shape (units,): unit indices.
    """
    values = _square(matrix)
    count = values.shape[0]
    if count < 3:
        return np.arange(count)
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - np.clip(np.nan_to_num(values, nan=0.0), -1, 1)
    distance = (distance + distance.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(
        squareform(distance, checks=False), method="average", optimal_ordering=count <= 256
    )
    return leaves_list(tree).astype(np.int64)


def similarity_matrix(
    matrix: Any,
    *,
    order: Any = "cluster",
    labels: Any = None,
    title: str | None = None,
    ax: Axes | None = None,
    theme: str = "light",
) -> Axes:
    """Draw similarities as a heat map: orange alike, blue opposite, paper unrelated.

    Parameters
    ----------
    matrix
        Similarities in [-1, 1], shape (units, units); NaN cells are grey.
    order
        "cluster", None for the order as given, or int indices, shape (units,).
    labels
        One a unit, in the original order; by default the index. Drawn for up to 40 units.

    Returns
    -------
    Axes
        Its first collection is the mesh, whose array has the similarities in the order drawn,
        averaged in blocks where there are more than 192 units.
    """
    values = _square(matrix)
    count = values.shape[0]
    indices = _order(values, order)
    names = [str(label) for label in (labels if labels is not None else range(count))]
    if len(names) != count:
        raise DataError(
            "There is not one label a unit.", expected=f"{count} labels", got=len(names)
        )
    tagged = 1 < count <= MOST_LABELS
    widest = max((len(name) for name in names), default=0) if tagged else 0
    left = 0.14 + (0.1 + 0.065 * widest if tagged else 0)
    side = 4.2 - left - 0.14 if count > 1 else 0.8
    ax, colours = prepare(
        ax, theme, figsize=(4.2, side + 0.92), margins=(left, 0.14, 0.36, 0.56), title=title or ""
    )
    head(ax, title, colours)
    if count < 2:
        words = "There is no unit to compare." if not count else "One unit has no other beside it."
        return say(ax, words, colours)

    step = math.ceil(count / MOST_CELLS)
    with np.errstate(invalid="ignore"):
        cells = _blocks(values[np.ix_(indices, indices)], step)
    import seaborn

    # seaborn renders the figure once to see whether labels overlap. So: inside the lock, before
    # there is anything but the mesh, and our labels come afterwards.
    with LOCK:
        seaborn.heatmap(
            cells,
            mask=np.isnan(cells),
            vmin=-1,
            vmax=1,
            cmap=cast(Any, diverging(colours)),
            cbar=False,
            xticklabels=False,
            yticklabels=False,
            ax=ax,
            antialiased=False,
        )
    # seaborn sets axis labels of its own.
    ax.set(xlabel="", ylabel="")
    ax.patch.set(facecolor=colours.hairline, visible=True)
    if tagged:
        _label(ax, [names[i] for i in indices], colours)
    ax.set_aspect("equal", anchor="NW")
    _scale(ax, colours, f"each cell averages {step} × {step} units" if step > 1 else "")
    return ax


def _square(matrix: Any) -> np.ndarray:
    values = numbers(matrix).astype(np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise DataError(
            "A similarity matrix is square.",
            expected="(units, units)",
            got=values.shape,
            where="similarity_matrix",
        )
    return values


def _order(values: np.ndarray, order: Any) -> np.ndarray:
    count = values.shape[0]
    if order is None:
        return np.arange(count)
    if isinstance(order, str):
        if order != "cluster":
            raise DataError(
                f"{order!r} is not an order.", expected="'cluster', None or indices", where="order"
            )
        return cluster_order(values)
    indices = numbers(order).astype(np.int64).ravel()
    if not np.array_equal(np.sort(indices), np.arange(count)):
        raise DataError(
            "The order does not name every unit once.",
            expected=f"a permutation of 0 to {count - 1}",
            where="order",
        )
    return indices


def _blocks(values: np.ndarray, step: int) -> np.ndarray:
    """Return means over blocks of `step` × `step`, leaving NaN out; the last may be smaller."""
    if step == 1:
        return values
    starts = np.arange(0, values.shape[0], step)
    known = np.isfinite(values)

    def total(array: np.ndarray) -> np.ndarray:
        return np.add.reduceat(np.add.reduceat(array, starts, axis=0), starts, axis=1)

    count = total(known.astype(np.float64))
    return np.where(count > 0, total(np.where(known, values, 0)) / np.maximum(count, 1), np.nan)


def _label(ax: Axes, names: list[str], colours: Theme) -> None:
    ax.set_yticks(np.arange(len(names)) + 0.5)
    size = min(7.0, 220 / len(names))
    for label in ax.set_yticklabels(names, rotation=0, fontsize=size, family=FONT):
        label.set(color=colours.quiet, parse_math=False)


def _scale(ax: Axes, colours: Theme, note: str) -> None:
    """Put the colour scale under the matrix: a strip from −1 to +1 and what its ends mean."""
    strip = ax.inset_axes((0, -0.055, 0.32, 0.022))
    for spine in strip.spines.values():
        spine.set_visible(False)
    bare(strip)
    strip.imshow(
        np.linspace(-1, 1, 65)[None],
        cmap=diverging(colours),
        vmin=-1,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
        origin="upper",
    )
    for at, text, side in ((0, "−1", "left"), (0.16, "0", "center"), (0.32, "+1", "right")):
        write(
            ax,
            at,
            -0.065,
            text,
            colours.quiet,
            ha=side,
            va="top",
            fontsize=7,
            transform=ax.transAxes,
        )
    write(
        ax,
        0.36,
        -0.044,
        "orange: alike, blue: opposite" + (f"\n{note}" if note else ""),
        colours.quiet,
        ha="left",
        va="center" if not note else "top",
        transform=ax.transAxes,
    )
