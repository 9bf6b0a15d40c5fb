"""Rules of operators that join, cut, select, pad or shuffle along an axis.

Units move with their positions: a concatenation puts atoms one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from prunevis.graph.atoms import Ids
from prunevis.graph.recorder import Call, Rule
from prunevis.graph.values import Axes, Value


def repeat(call: Call) -> Axes:
    """Tile axes, and their units with them."""
    call.kind = "part"
    value = call.inputs[0]
    times = call.arg("repeats")
    new = len(times) - len(value.shape)
    axes: list[Ids | None] = [None] * new
    for ids, count in zip(value.axes, times[new:], strict=True):
        axes.append(None if ids is None else np.tile(ids, count))
    return tuple(axes)


def cat(call: Call) -> Axes:
    """Join along one axis; parts that are not followed stay where they are."""
    call.kind = "part"
    parts = [v for v in map(call.value, call.arg("tensors")) if v.shape != (0,)]
    if not parts:
        return (None,)
    rank = len(parts[0].shape)
    dim = call.arg("dim") % rank
    axes: list[Ids | None] = []
    for axis in range(rank):
        own = [part.axes[axis] for part in parts]
        if axis != dim:
            axes.append(_same(call, parts, axis))
        elif all(ids is None for ids in own):
            axes.append(None)
        else:
            because = "puts units beside {}, which always stays."
            axes.append(
                np.concatenate(
                    [
                        call.anchored(part.shape[axis], because.format(part.origin))
                        if ids is None
                        else ids
                        for part, ids in zip(parts, own, strict=True)
                    ]
                )
            )
    return tuple(axes)


def stack(call: Call) -> Axes:
    """Join along a new axis; all other axes are tied."""
    call.kind = "part"
    parts = [call.value(tensor) for tensor in call.arg("tensors")]
    axes = [_same(call, parts, axis) for axis in range(len(parts[0].shape))]
    axes.insert(call.arg("dim") % (len(axes) + 1), None)
    return tuple(axes)


def _same(call: Call, parts: Sequence[Value], axis: int) -> Ids | None:
    """Tie one axis of several tensors that must keep equal sizes on it."""
    first = next((part.axes[axis] for part in parts if part.axes[axis] is not None), None)
    if first is None:
        return None
    for part in parts:
        ids = part.axes[axis]
        if ids is not None:
            call.atoms.tie(first, ids)
        elif part.shape[axis] > 1 and not part.uniform:
            call.block(first, f"combines units with {part.origin}, whose size is fixed.")
    return first


def select(call: Call) -> Axes:
    """Take one position of an axis, which is dropped."""
    call.kind = "part"
    value = call.inputs[0]
    dim = call.arg("dim") % len(value.shape)
    call.block(value.axes[dim], "takes a unit by its position.")
    return (*value.axes[:dim], *value.axes[dim + 1 :])


def unbind(call: Call) -> list[Axes]:
    """Take an axis apart; it is dropped."""
    return [select(call)] * len(call.results)


def slice_(call: Call) -> Axes:
    """Take a range of an axis."""
    value = call.inputs[0]
    dim = call.arg("dim") % len(value.shape)
    axes = list(value.axes)
    ids = axes[dim]
    if ids is None or call.results[0].shape[dim] == value.shape[dim]:
        call.kind = "view"
        return tuple(axes)
    call.block(ids, "takes a fixed range of the units.")
    start, stop, step = call.arg("start"), call.arg("end"), call.arg("step")
    axes[dim] = ids[slice(start, stop, step)]
    return tuple(axes)


def split(call: Call) -> list[Axes]:
    """Cut an axis into parts; equal parts must keep equal sizes, so the same positions leave."""
    call.kind = "part"
    value = call.inputs[0]
    dim = call.arg("dim") % len(value.shape)
    sizes = [result.shape[dim] for result in call.results]
    bounds = np.cumsum([0, *sizes])
    ids = value.axes[dim]
    if ids is not None and len(sizes) > 1:
        if len(set(sizes)) > 1:
            call.block(ids, "cuts the units into parts of different, fixed sizes.")
        else:
            sentence = (
                f"{call.here} cuts the units into {len(sizes)} equal parts, "
                "and the same positions leave each."
            )
            for start in bounds[1:-1]:
                call.atoms.tie(ids[: sizes[0]], ids[start : start + sizes[0]], sentence)
    return [
        (
            *value.axes[:dim],
            None if ids is None else ids[start:stop],
            *value.axes[dim + 1 :],
        )
        for start, stop in pairwise(bounds)
    ]


def glu(call: Call) -> Axes:
    """Multiply one half of an axis by the sigmoid of the other."""
    value = call.inputs[0]
    dim = call.arg("dim") % len(value.shape)
    axes = list(value.axes)
    ids = axes[dim]
    if ids is not None:
        half = len(ids) // 2
        sentence = f"{call.here} multiplies one half of the units by the other."
        call.atoms.tie(ids[:half], ids[half:], sentence)
        axes[dim] = ids[:half]
    return tuple(axes)


def flip(call: Call) -> Axes:
    """Reverse axes."""
    axes = list(call.inputs[0].axes)
    for dim in call.arg("dims"):
        ids = axes[dim]
        axes[dim] = None if ids is None else ids[::-1].copy()
    return tuple(axes)


def roll(call: Call) -> Axes:
    """Shift axes round; units cannot be shifted by a fixed distance."""
    value = call.inputs[0]
    dims = call.arg("dims") or range(len(value.shape))
    for dim in dims:
        call.block(value.axes[dim], "shifts the units by a fixed distance.")
    return value.axes


def pad(call: Call) -> Axes:
    """Pad with a constant; padding of the unit axis has a fixed size and always stays."""
    value = call.inputs[0]
    sizes = call.arg("pad")
    axes = list(value.axes)
    for number in range(len(sizes) // 2):
        axis = len(axes) - 1 - number
        low, high = sizes[2 * number], sizes[2 * number + 1]
        ids = axes[axis]
        if ids is None or (low == 0 and high == 0):
            continue
        if low < 0 or high < 0:
            call.block(ids, "crops the units to a fixed range.")
            axes[axis] = None
            continue
        because = "pads the channels by a fixed number."
        axes[axis] = np.concatenate(
            [call.anchored(low, because), ids, call.anchored(high, because)]
        )
    return tuple(axes)


def pixel_shuffle(call: Call) -> Axes:
    """``(C × r², H, W)`` to ``(C, H × r, W × r)``: r² neighbours make one channel."""
    value = call.inputs[0]
    factor = call.arg("upscale_factor") ** 2
    *lead, ids, _, _ = value.axes
    if ids is not None:
        grid = ids.reshape(-1, factor)
        sentence = f"{call.here} makes each channel from {factor} units."
        for column in range(1, factor):
            call.atoms.tie(grid[:, 0], grid[:, column], sentence)
        ids = grid[:, 0].copy()
    return (*lead, ids, None, None)


def pixel_unshuffle(call: Call) -> Axes:
    """``(C, H × r, W × r)`` to ``(C × r², H, W)``."""
    *lead, ids, _, _ = call.inputs[0].axes
    factor = call.arg("downscale_factor") ** 2
    return (*lead, None if ids is None else np.repeat(ids, factor), None, None)


def channel_shuffle(call: Call) -> Axes:
    """Transpose ``(groups, C / groups)``: the same positions leave each group."""
    axes = list(call.inputs[0].axes)
    ids = axes[1]
    if ids is not None:
        grid = ids.reshape(call.arg("groups"), -1)
        sentence = f"{call.here} mixes {len(grid)} groups of channels."
        for row in grid[1:]:
            call.atoms.tie(grid[0], row, sentence)
        axes[1] = grid.T.ravel().copy()
    return tuple(axes)


def index(call: Call) -> Axes:
    """Indexing by tensors: the axes that are picked from end, all others pass."""
    call.kind = "part"
    value = call.inputs[0]
    indices = [*call.arg("indices")]
    indices += [None] * (len(value.shape) - len(indices))
    picked = [axis for axis, one in enumerate(indices) if one is not None]
    for axis in picked:
        call.block(value.axes[axis], "picks positions by number.")
    new = call.results[0].dim() - (len(value.shape) - len(picked))
    together = picked == list(range(picked[0], picked[0] + len(picked)))
    # indices that lie apart put what they pick on the first axes
    place = picked[0] if together else 0
    rest = [ids for axis, ids in enumerate(value.axes) if axis not in picked]
    return (*rest[:place], *(None,) * new, *rest[place:])


def unfold(call: Call) -> Axes:
    """Cut one axis into windows, whose positions lie on a new last axis."""
    call.kind = "part"
    axes = list(call.inputs[0].axes)
    dim = call.arg("dimension") % max(1, len(axes))
    call.block(axes[dim], "cuts windows out of the units.")
    axes[dim] = None
    return (*axes, None)


def im2col(call: Call) -> Axes:
    """``(C, H, W)`` to ``(C × kernel, windows)``."""
    *lead, ids, _, _ = call.inputs[0].axes
    count = math.prod(call.arg("kernel_size"))
    return (*lead, None if ids is None else np.repeat(ids, count), None)


def col2im(call: Call) -> Axes:
    """``(C × kernel, windows)`` to ``(C, H, W)``: the sum of what lies in all windows."""
    *lead, ids, _ = call.inputs[0].axes
    if ids is not None:
        count = math.prod(call.arg("kernel_size"))
        rows = ids.reshape(-1, count)
        sentence = f"{call.here} makes each channel from {count} units."
        for column in range(1, count):
            call.atoms.tie(rows[:, 0], rows[:, column], sentence)
        ids = rows[:, 0].copy()
    return (*lead, ids, None, None)


def grid_sample(call: Call) -> Axes:
    """Sample places of ``(N, C, H, W)`` by coordinates; the channels pass."""
    value = call.value(call.arg("input"))
    return (*value.axes[:2], *(None,) * (len(value.shape) - 2))


def index_select(call: Call) -> Axes:
    """Picking positions of one axis by number; all others pass."""
    call.kind = "part"
    value = call.inputs[0]
    dim = call.arg("dim") % max(1, len(value.shape))
    call.block(value.axes[dim], "picks positions by number.")
    return (*value.axes[:dim], None, *value.axes[dim + 1 :])


RULES: dict[str, Rule] = {
    "repeat": repeat,
    "cat": cat,
    "stack": stack,
    "select": select,
    "unbind": unbind,
    "slice": slice_,
    "split": split,
    "split_with_sizes": split,
    "unsafe_split": split,
    "unsafe_chunk": split,
    "unsafe_split_with_sizes": split,
    "glu": glu,
    "flip": flip,
    "roll": roll,
    "constant_pad_nd": pad,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "channel_shuffle": channel_shuffle,
    "native_channel_shuffle": channel_shuffle,
    "index": index,
    "index_select": index_select,
    "unfold": unfold,
    "im2col": im2col,
    "col2im": col2im,
    "grid_sampler_2d": grid_sample,
    "grid_sampler_3d": grid_sample,
}
