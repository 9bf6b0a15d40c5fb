"""One unit: its weights, and the inputs that excite it most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from prunevis.plots.style import Theme, bare, diverging, head, numbers, prepare, write

#: How many inputs are shown, three in a row.
MOST_INPUTS = 9
#: Most kernels of a filter that are shown as a mosaic; of more, the norms are.
MOST_KERNELS = 144
#: Most bars; of more weights, the largest of each stretch is shown.
MOST_BARS = 128

# The canvas in its own units: a square of 3 for the weights, then a grid of 3 by 3 inputs.
_SIDE, _GRID, _CELL = 3.0, 3.3, 0.9


def unit_profile(
    weights: Any,
    inputs: Any = None,
    values: Any = (),
    *,
    input_shape: Sequence[int] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    theme: str = "light",
) -> Axes:
    """Draw a unit's weights and the inputs it answers most.

    Parameters
    ----------
    weights
        Of a convolution: shape (channels, height, width). A single channel is a picture, several
        are a mosaic of kernels, 1 × 1 kernels and very many channels are bars. Of a linear layer:
        shape (inputs,); a picture if `input_shape` says what the inputs are, else bars.
    inputs
        The inputs that excite the unit most, best first, shape (n, channels, height, width) with 1
        or 3 channels, scaled as they are; the first nine are drawn. None or vectors: no picture.
    values
        The unit's answer to each, shape (n,).
    input_shape
        ``(channels, height, width)`` of the model's input, for a linear layer that reads it.

    Returns
    -------
    Axes
        Images "weights" and "input 0" to "input 8", or the collection "weights" of bars.
    """
    ax, colours = prepare(
        ax, theme, figsize=(4.2, 2.62), margins=(0.14, 0.14, 0.56, 0.14), title=title or ""
    )
    bare(ax)
    ax.set_xlim(0, _GRID + 3)
    ax.set_ylim(_SIDE, 0)
    head(ax, title, colours, pad=20)
    numeric = numbers(weights).astype(np.float64)
    picture, words = _as_picture(numeric, input_shape)
    if picture is None:
        words = _weight_bars(ax, numeric, colours)
    else:
        _weight_picture(ax, picture, colours)
    write(ax, 0, -0.07, words, colours.quiet, va="bottom")
    _strongest_inputs(ax, inputs, numbers(values).astype(np.float64).ravel(), colours)
    ax.set_aspect("equal", anchor="NW")
    return ax


def _as_picture(
    weights: np.ndarray, input_shape: Sequence[int] | None
) -> tuple[np.ndarray | None, str]:
    """Return weights as one picture with NaN between kernels, or None, and what it is in words."""
    size = weights.size
    if weights.ndim == 1 and input_shape is not None and math.prod(input_shape) == size:
        weights = weights.reshape(tuple(input_shape))
    if weights.ndim == 4:  # three-dimensional kernels: planes side by side
        weights = weights.reshape(-1, *weights.shape[2:])
    if weights.ndim == 2:
        weights = weights[None]
    kernels = weights.ndim == 3 and weights.shape[1] * weights.shape[2] > 1
    if not kernels or not size or weights.shape[0] > MOST_KERNELS:
        return None, ""
    channels, height, width = weights.shape
    if channels == 1:
        return weights[0], f"{size:,} weights, {height} × {width}"
    columns = math.ceil(math.sqrt(channels))
    rows = math.ceil(channels / columns)
    gap = 1
    mosaic = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for i, kernel in enumerate(weights):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        mosaic[y : y + height, x : x + width] = kernel
    return mosaic, f"{size:,} weights, {channels} kernels of {height} × {width}"


def _weight_picture(ax: Axes, picture: np.ndarray, colours: Theme) -> None:
    known = picture[np.isfinite(picture)]
    full = float(np.abs(known).max()) if known.size else 0.0
    height, width = picture.shape
    scale = _SIDE / max(height, width)
    image = ax.imshow(
        picture,
        cmap=diverging(colours).with_extremes(bad=colours.card),
        vmin=-(full or 1),
        vmax=full or 1,
        extent=(0, width * scale, height * scale, 0),
        interpolation="nearest",
        origin="upper",
    )
    image.set_gid("weights")


def _weight_bars(ax: Axes, weights: np.ndarray, colours: Theme) -> str:
    """Draw bars up and down from the middle and return what they are in words."""
    flat = weights.ravel()
    if not flat.size:
        return "no weights"
    what = f"{flat.size:,} weights"
    if weights.ndim > 1 and flat.size > weights.shape[0]:
        flat = np.sqrt(np.nansum(weights.reshape(weights.shape[0], -1) ** 2, axis=1))
        what += f", L2 norm of {flat.size:,} input channels"
    elif weights.ndim > 1:
        what = f"{flat.size:,} weights, one an input channel"
    values = np.nan_to_num(flat, nan=0.0, posinf=0.0, neginf=0.0)
    if values.size > MOST_BARS:
        stretches = np.array_split(values, MOST_BARS)
        values = np.array([part[np.abs(part).argmax()] for part in stretches])
        what += f", largest of each {math.ceil(flat.size / MOST_BARS)}"
    full = float(np.abs(values).max()) or 1.0
    # Norms have no sign, so that they stand on the ground; weights hang from the middle.
    ground, room = (_SIDE, 0.96 * _SIDE) if values.min() >= 0 else (_SIDE / 2, 0.48 * _SIDE)
    width = _SIDE / values.size
    x0 = np.arange(values.size) * width
    x1 = x0 + width * 0.86
    tip = ground - room * values / full
    base = np.full_like(tip, ground)
    corners = np.stack(
        [np.stack(p, 1) for p in ((x0, base), (x0, tip), (x1, tip), (x1, base))], axis=1
    )
    ax.add_collection(
        PolyCollection(
            list(corners),
            facecolors=[colours.pruned if v > 0 else colours.kept for v in values],
            edgecolors="none",
            gid="weights",
        )
    )
    ax.plot([0, _SIDE], [ground, ground], color=colours.hairline, linewidth=0.8)
    return what


def _strongest_inputs(ax: Axes, inputs: Any, values: np.ndarray, colours: Theme) -> None:
    pictures = None if inputs is None else numbers(inputs)
    if pictures is not None and pictures.ndim == 3:
        pictures = pictures[:, None]
    drawable = pictures is not None and pictures.ndim == 4 and pictures.shape[1] in (1, 3)
    if pictures is None or not drawable or not pictures.shape[0]:
        _say_no_picture(ax, pictures, values, colours)
        return
    write(ax, _GRID, -0.07, "inputs that excite it most", colours.quiet, va="bottom")
    for i, picture in enumerate(pictures[:MOST_INPUTS]):
        x, y = _GRID + i % 3, float(i // 3)
        image = ax.imshow(
            _displayed(picture),
            cmap="gray" if colours.name == "dark" else "gray_r",
            vmin=0,
            vmax=1,
            extent=(x, x + _CELL * 0.84, y + _CELL * 0.84, y),
            interpolation="nearest",
            origin="upper",
        )
        image.set_gid(f"input {i}")
        if i < values.size:
            write(
                ax,
                x + _CELL * 0.42,
                y + _CELL * 0.87,
                f"{values[i]:.3g}".replace("-", "−"),
                colours.quiet,
                ha="center",
                va="top",
                fontsize=6.5,
            )


def _say_no_picture(
    ax: Axes, pictures: np.ndarray | None, values: np.ndarray, colours: Theme
) -> None:
    if pictures is None or not pictures.shape[0]:
        sentence = "No inputs were recorded\nfor this unit."
    else:
        sentence = "These inputs are not pictures."
    if values.size:
        sentence += f"\nLargest answer: {values.max():.3g}"
    write(ax, _GRID + 1.45, _SIDE / 2, sentence, colours.quiet, ha="center", va="center")


def _displayed(picture: np.ndarray) -> np.ndarray:
    """Return (height, width) or (height, width, 3) in [0, 1], stretched to the picture's range."""
    values = np.nan_to_num(picture.astype(np.float64))
    low, high = values.min(), values.max()
    values = (values - low) / ((high - low) or 1)
    return values[0] if values.shape[0] == 1 else np.moveaxis(values, 0, -1)
