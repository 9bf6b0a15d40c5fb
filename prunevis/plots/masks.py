"""A layer's mask as a picture, or how much of each input is still read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb

from prunevis.errors import DataError
from prunevis.plots import alt
from prunevis.plots.style import bare, head, numbers, prepare, say, sequential

#: Most pixels a side; a larger mask is averaged in blocks, so that a shade is a density.
MOST_PIXELS = 384


def mask_image(
    mask: Any, *, title: str | None = None, ax: Axes | None = None, theme: str = "light"
) -> Axes:
    """Draw a mask, blue stays and orange goes; or counts of what is left, one a pixel.

    Parameters
    ----------
    mask
        Bool, True = keep, shape (units, inputs); more axes are flattened into inputs. Or whole
        numbers, shape (height, width): how many weights each input pixel still feeds; a pixel
        that feeds none is orange.

    Returns
    -------
    Axes
        With one image: shares that stay in [0, 1] for a mask, else the counts with zeros masked.
    """
    values = numbers(mask)
    if values.ndim < 2 and values.size:
        raise DataError(
            "A mask has at least two axes.", expected="(units, inputs)", got=values.shape
        )
    is_mask = values.dtype == bool
    values = values.reshape(values.shape[0], -1) if values.size else np.zeros((0, 0))
    rows, columns = values.shape
    shape = (rows / columns) if columns else 0.3
    height = min(3.92, max(0.6, 3.92 * shape))
    ax, colours = prepare(
        ax, theme, figsize=(4.2, height + 0.66), margins=(0.14, 0.14, 0.36, 0.3), title=title
    )
    head(ax, _title(values, is_mask) if title is None else title, colours)
    bare(ax)
    if not values.size:
        return say(ax, "There is no mask to draw.", colours)
    if is_mask:
        scale = LinearSegmentedColormap.from_list(
            "mask", [to_rgb(colours.cut), to_rgb(colours.kept)]
        )
        step = (math.ceil(rows / MOST_PIXELS), math.ceil(columns / MOST_PIXELS))
        shares = _averaged(values.astype(np.float64), step)
        _show(ax, shares, scale, 0, 1)
        caption = "one row a unit · blue stays, orange goes"
    else:
        scale = sequential(colours).with_extremes(bad=colours.cut)
        counts = np.ma.masked_equal(values, 0)
        _show(ax, counts, scale, 0, max(1, values.max()))
        caption = "bluer: more weights left · orange: none"
    if shape < 4:  # a mask much taller than wide would be a thread
        ax.set_aspect("equal" if shape > 0.15 else "auto", anchor="NW")
    head(ax, None, colours, caption=caption)
    return ax


def _title(values: np.ndarray, is_mask: bool) -> str:
    if not values.size:
        return "Mask"
    if is_mask:
        return f"{values.size:,} weights, {alt.percent(1 - float(values.mean()))} go"
    return f"{int((values == 0).sum()):,} of {values.size:,} inputs feed nothing"


def _averaged(values: np.ndarray, step: tuple[int, int]) -> np.ndarray:
    """Return means over blocks of `step`; the last block of an axis may be smaller."""
    for axis, size in enumerate(step):
        starts = np.arange(0, values.shape[axis], size)
        lengths = np.diff(np.append(starts, values.shape[axis]))
        total = np.add.reduceat(values, starts, axis=axis)
        values = total / (lengths[:, None] if axis == 0 else lengths)
    return values


def _show(ax: Axes, values: Any, scale: Any, low: float, high: float) -> None:
    ax.imshow(
        values,
        cmap=scale,
        vmin=low,
        vmax=high,
        interpolation="nearest",
        origin="upper",
        aspect="auto",
    )
