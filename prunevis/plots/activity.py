"""Every unit of a layer as a cell, bluer where it fires more."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb

from prunevis.plots.records import activity
from prunevis.plots.style import bare, blend, head, numbers, prepare, say


def neuron_activity(
    mean: Any,
    zero_share: Any = None,
    *,
    dead: Any = None,
    pruned: Any = None,
    columns: int | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    theme: str = "light",
) -> Axes:
    """Draw one cell a unit: bluer fires more, outlined is dead, struck through goes.

    Parameters
    ----------
    mean
        Mean activation, shape (units,); or an object with ``mean`` and ``zero_share``.
    zero_share
        Share of examples on which the unit is zero, in [0, 1], shape (units,).
    dead
        Bool, shape (units,); by default ``zero_share >= 0.99``.
    pruned
        Bool, shape (units,): units that go.
    columns
        Cells in a row; by default as many as make the cells fill the width well.

    Returns
    -------
    Axes
        Its collection "units" (by ``get_gid``) holds one square a unit in order of their index,
        row by row from the top left; "pruned" the strokes.
    """
    found = activity(mean, zero_share, dead=dead)
    count = found.mean.size
    columns = columns or _columns(count)
    rows = max(1, math.ceil(count / columns))
    height = min(4.0, max(0.5, 3.92 * rows / columns))
    ax, colours = prepare(
        ax, theme, figsize=(4.2, height + 0.66), margins=(0.14, 0.14, 0.36, 0.3), title=title
    )
    bare(ax)
    silent = int(found.dead.sum())
    if title is None:
        noun = "unit" if count == 1 else "units"
        title = f"{silent:,} of {count:,} {noun} hardly ever fire"
    head(ax, title, colours)
    if not count:
        return say(ax, "There are no units to draw.", colours)

    size = np.abs(found.mean)
    known = np.isfinite(size)
    # One very loud unit must not leave all others pale: the scale ends at the 98th percentile.
    full = float(np.quantile(size[known], 0.98)) if known.any() else 0.0
    share = np.where(known, size, 0) / full if full > 0 else np.zeros(count)
    faces = blend(colours.faint, colours.kept, share)
    faces[~known] = to_rgb(colours.hairline)
    faces[found.dead] = to_rgb(colours.card)
    edges = faces.copy()
    edges[found.dead] = to_rgb(colours.pruned)
    row, column = np.divmod(np.arange(count), columns)
    corners = np.stack([column, row], 1)[:, None] + _SQUARE
    ax.add_collection(
        PolyCollection(
            list(corners),
            facecolors=faces,
            edgecolors=edges,
            linewidths=np.where(found.dead, 1.1, 0.3),
            gid="units",
        )
    )
    caption = "Bluer: fires more."
    if silent:
        caption += " Outlined: zero on 99 % or more." if dead is None else " Outlined: dead."
    if pruned is not None and numbers(pruned).any():
        gone = np.flatnonzero(numbers(pruned).astype(bool).ravel())
        strokes = np.stack([corners[gone, 0], corners[gone, 2]], axis=1)
        ax.add_collection(
            LineCollection(list(strokes), colors=colours.pruned, linewidths=1.1, gid="pruned")
        )
        caption += " Struck: goes."
    ax.set_xlim(0, columns)
    ax.set_ylim(rows, 0)
    ax.set_aspect("equal", anchor="NW")
    head(ax, None, colours, caption=caption)
    return ax


_SQUARE = np.array([(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)])


def _columns(count: int) -> int:
    """Return a row length that gives a strip for few units and a 3:1 block for many."""
    return max(1, min(40, max(10, round(math.sqrt(3 * count)))))
