"""Rules of operators that move, merge or split axes without touching numbers.

Units move with their positions: flattening ``(C, H, W)`` repeats each channel's atom ``H × W``
times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from prunevis.graph.atoms import Ids
from prunevis.graph.recorder import Call, Rule
from prunevis.graph.values import Axes, Grid, Value


def view(call: Call) -> Axes:
    """Regroup axes; see `regroup`."""
    call.kind = "view"
    return regroup(call, call.inputs[0], tuple(call.results[0].shape))


def regroup(call: Call, value: Value, shape: tuple[int, ...]) -> Axes:
    """Return the axes of a row-major view of `value` as `shape`.

    The two shapes fall into blocks of equal size. Within a block, units stay followed if they vary
    along one axis of the result (a merged axis always qualifies). Units that are cut into two axes
    are kept as a `Grid`, in the hope that a later view merges them again (a channel shuffle); which
    of the two sizes is fixed in the code cannot be seen, so that anything else is refused.
    """
    axes: list[Ids | None] = [None] * len(shape)
    if 0 in shape:
        call.block_all("makes an empty tensor.")
        return tuple(axes)
    for before, after in blocks(value.shape, shape):
        inner = [a for a in after if shape[a] > 1]
        grid = value.grid
        if grid is not None and not grid.axes.isdisjoint(before):
            _regroup_grid(call, value, grid, before, inner, axes)
            continue
        held = [a for a in before if value.axes[a] is not None and value.shape[a] > 1]
        if not held:
            _keep_single(value, before, shape, after, axes)
        elif len(held) > 1:
            for axis in held:
                call.block(value.axes[axis], "merges two axes of units into one.")
        else:
            _regroup_axis(call, value, held[0], before, shape, after, inner, axes)
    return tuple(axes)


def _regroup_axis(
    call: Call,
    value: Value,
    held: int,
    before: Sequence[int],
    shape: tuple[int, ...],
    after: Sequence[int],
    inner: Sequence[int],
    axes: list[Ids | None],
) -> None:
    """Move the units of one axis to the axis of the result that they vary along."""
    own = value.axes[held]
    assert own is not None
    sizes = tuple(value.shape[a] for a in before)
    spread = own.reshape([-1 if a == held else 1 for a in before])
    spread = np.broadcast_to(spread, sizes).reshape([shape[a] for a in after])
    for axis in inner:
        line = spread[tuple(slice(None) if a == axis else 0 for a in after)]
        alone = line.reshape([-1 if a == axis else 1 for a in after])
        if np.array_equal(np.broadcast_to(alone, spread.shape), spread):
            axes[axis] = np.ascontiguousarray(line)
            return
    reason = f"{call.here} cuts the units into several axes of fixed size."
    if len(inner) == 2 and math.prod(sizes) == len(own) and call.grid is None:
        first, second = inner
        call.grid = Grid(first, second, spread.reshape(shape[first], shape[second]), reason)
    else:
        call.atoms.block(own, reason)


def _regroup_grid(
    call: Call,
    value: Value,
    grid: Grid,
    before: Sequence[int],
    inner: Sequence[int],
    axes: list[Ids | None],
) -> None:
    """Keep one axis of a grid as it is, or merge both into one axis of units."""
    held = [a for a in before if value.shape[a] > 1]
    if len(held) == 1 and len(inner) == 1:
        # the two axes lie in different blocks, and the second one that is met completes the move
        now = call.grid or grid
        if held[0] == grid.first:
            call.grid = Grid(inner[0], now.second, grid.ids, grid.reason)
        else:
            call.grid = Grid(now.first, inner[0], grid.ids, grid.reason)
    elif set(held) == grid.axes and len(inner) == 1:
        rows = grid.ids
        sentence = f"{call.here} mixes {len(rows)} groups of channels."
        for row in rows[1:]:
            call.atoms.tie(rows[0], row, sentence)
        axes[inner[0]] = (rows if held[0] == grid.first else rows.T).ravel().copy()
    else:
        call.atoms.block(grid.ids, grid.reason)


def _keep_single(
    value: Value,
    before: Sequence[int],
    shape: tuple[int, ...],
    after: Sequence[int],
    axes: list[Ids | None],
) -> None:
    """Keep the atom of a single unit if its axis stays an axis of size 1."""
    held = [a for a in before if value.axes[a] is not None]
    single = [a for a in after if shape[a] == 1]
    if len(held) == 1 and len(single) == 1:
        axes[single[0]] = value.axes[held[0]]


def blocks(before: tuple[int, ...], after: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Return the smallest runs of axes of equal size in two shapes of one size.

    >>> blocks((2, 20, 4, 4), (2, 320))
    [([0], [0]), ([1, 2, 3], [1])]
    """
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        left, right = [], []
        size_left = size_right = 1
        if i < len(before):
            left, size_left, i = [i], before[i], i + 1
        if j < len(after):
            right, size_right, j = [j], after[j], j + 1
        while size_left != size_right:
            if (size_left < size_right and i < len(before)) or j == len(after):
                left.append(i)
                size_left, i = size_left * before[i], i + 1
            else:
                right.append(j)
                size_right, j = size_right * after[j], j + 1
        found.append((left, right))
    return found


def permute(call: Call) -> Axes:
    """Move axes."""
    call.kind = "view"
    value = call.inputs[0]
    rank = len(value.shape)
    order = list(range(rank))
    if call.name == "t":
        order.reverse()
    elif call.name == "permute":
        order = [dim % rank for dim in call.arg("dims")]
    elif rank:
        a, b = call.arg("dim0") % rank, call.arg("dim1") % rank
        order[a], order[b] = b, a
    if order and order[0] != 0 and value.batched:
        call.moves_batch = True
    if value.grid is not None:
        grid = value.grid
        call.grid = Grid(order.index(grid.first), order.index(grid.second), grid.ids, grid.reason)
    return tuple(value.axes[axis] for axis in order)


def squeeze(call: Call) -> Axes:
    """Drop axes of size 1: all, or those named."""
    call.kind = "view"
    value = call.inputs[0]
    rank = len(value.shape)
    dims = call.arg("dim")
    if dims is None:
        dims = range(rank)
    named = {dim % rank for dim in ([dims] if isinstance(dims, int) else dims)} if rank else set()
    return tuple(
        ids for axis, ids in enumerate(value.axes) if axis not in named or value.shape[axis] != 1
    )


def unsqueeze(call: Call) -> Axes:
    """Add an axis of size 1."""
    call.kind = "view"
    axes = list(call.inputs[0].axes)
    axes.insert(call.arg("dim") % (len(axes) + 1), None)
    return tuple(axes)


def expand(call: Call) -> Axes:
    """Repeat axes of size 1 and add leading ones; the others pass."""
    call.kind = "view"
    value = call.inputs[0]
    shape = call.results[0].shape
    new = len(shape) - len(value.shape)
    return tuple(
        value.axes[axis - new] if axis >= new and value.shape[axis - new] == size else None
        for axis, size in enumerate(shape)
    )


RULES: dict[str, Rule] = {
    "view": view,
    "_unsafe_view": view,
    "reshape": view,
    "_reshape_copy": view,
    "permute": permute,
    "transpose": permute,
    "t": permute,
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "expand": expand,
}
