"""Rules of operators that move, merge or split axes without touching numbers.

Units move with their positions: flattening ``(C, H, W)`` repeats each channel's atom ``H × W``
times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prunevis.graph.atoms import Ids
from prunevis.graph.recorder import Call, Rule
from prunevis.graph.values import Axes, Value


def view(call: Call) -> Axes:
    """Regroup axes; see `regroup`."""
    call.kind = "view"
    return regroup(call, call.inputs[0], tuple(call.results[0].shape))


def regroup(call: Call, value: Value, shape: tuple[int, ...]) -> Axes:
    """Return the axes of a row-major view of `value` as `shape`.

    The two shapes fall into blocks of equal size. Within a block, units stay where they vary along
    one axis of the result; where they vary along several, each of these is followed as a factor of
    their product, and so are axes of units that are merged into one.
    """
    axes: list[Ids | None] = [None] * len(shape)
    if 0 in shape:
        call.block_all("makes an empty tensor.")
        return tuple(axes)
    for before, after in blocks(value.shape, shape):
        held = [a for a in before if value.axes[a] is not None and value.shape[a] > 1]
        if held:
            _regroup_block(call, value, held, before, shape, after, axes)
        else:
            _keep_single(value, before, shape, after, axes)
    return tuple(axes)


def _regroup_block(
    call: Call,
    value: Value,
    held: Sequence[int],
    before: Sequence[int],
    shape: tuple[int, ...],
    after: Sequence[int],
    axes: list[Ids | None],
) -> None:
    """Move the units of one block of axes to the axes of the result that they vary along."""
    factors = tuple(ids for a in held if (ids := value.axes[a]) is not None)
    own = factors[0] if len(factors) == 1 else call.atoms.merge(factors, call.here)
    sizes = tuple(value.shape[a] for a in before)
    spread = own.reshape([value.shape[a] if a in held else 1 for a in before])
    spread = np.broadcast_to(spread, sizes).reshape([shape[a] for a in after])
    varying = [k for k in range(len(after)) if bool((spread != spread.take([0], axis=k)).any())]
    line = spread[tuple(slice(None) if k in varying else 0 for k in range(len(after)))]
    line = np.ascontiguousarray(line)
    if len(varying) > 1:
        for k, ids in zip(varying, call.atoms.cut(line, call.here), strict=True):
            axes[after[k]] = ids
    elif varying:
        axes[after[varying[0]]] = line
    else:  # all its positions are one unit: any axis may carry it
        widest = max(range(len(after)), key=lambda k: shape[after[k]])
        axes[after[widest]] = np.repeat(line.reshape(1), shape[after[widest]])


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
    call.order = order
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
