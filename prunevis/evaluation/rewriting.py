"""Rewrites that make recorded networks cheaper without changing what they compute.

`folded`: a BatchNorm in evaluation mode that follows a layer is a scale and a shift of its outputs,
``y = g (Wx + b - m) / sqrt(v + e) + h``, so it goes into the layer: ``W' = s W``,
``b' = s (b - m) + h`` with ``s = g / sqrt(v + e)`` (computed in float64). Equal up to rounding.

`narrowed`: where two networks give a layer the same inputs and one of them has lost more of the
layer's own units, its output is the other's with these units left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from prunevis.evaluation.recording import Call, Leaf, Recording, Ref

aten = torch.ops.aten

#: Layers ``f(x, weight, bias, ...)`` by operator: the dimension of the result with their units.
LAYERS: dict[Any, int] = {
    aten.conv1d.default: 1,
    aten.conv2d.default: 1,
    aten.conv3d.default: 1,
    aten.linear.default: -1,
}
#: Dimensions of the result, where the units are dimension 1, as a BatchNorm takes them.
BATCHED: dict[Any, int] = {
    aten.conv1d.default: 3,
    aten.conv2d.default: 4,
    aten.conv3d.default: 5,
    aten.linear.default: 2,
}
#: Place of `groups` among the arguments of a convolution.
GROUPS = 6

#: Rows of a tensor that stay, int64 ascending, by (name, group, units removed from the group);
#: None where that is not known.
Rows = Callable[[Hashable, Hashable, int], Tensor | None]


def folded(recording: Recording, cache: dict[Hashable, Tensor]) -> Recording:
    """Return `recording` with each BatchNorm in the layer before it, where nobody else reads that.

    Parameters
    ----------
    recording
        From `record`.
    cache
        Folded weights that were computed before, by key; what is new is added.
    """
    readers = Counter(ref.key for call in recording.calls for ref in call.inputs())
    readers[recording.output.key] += 1
    calls = {call.key: call for call in recording.calls}
    leaves = dict(recording.leaves)
    for norm in recording.calls:
        layer = _layer_before(norm, calls, readers)
        if layer is None:
            continue
        given = (*layer.args, None)  # a bias need not be given
        refs: list[Ref | None] = [given[1], given[2], *norm.args[1:5]]
        parts: list[Hashable] = [None if ref is None else ref.key for ref in refs]
        if not all(part is None or part in leaves for part in parts):
            continue
        cuts = getattr(parts[0], "cuts", ())
        weight, shift = (
            Leaf((kind, tuple(parts), norm.args[7]), cuts) for kind in ("scaled", "shift")
        )
        if weight not in cache:
            tensors = [None if part is None else leaves[part] for part in parts]
            found = _fold(tensors, float(norm.args[7]))
            if found is None:
                continue
            cache[weight], cache[shift] = found
        leaves[weight], leaves[shift] = cache[weight], cache[shift]
        args = (layer.args[0], Ref(weight), Ref(shift), *layer.args[3:])
        calls[norm.key] = replace(norm, operator=layer.operator, args=args, like_first=False)
        del calls[layer.key]
    return _with(recording, calls, leaves)


def narrowed(recordings: Sequence[Recording], rows: Rows, least: int = 0) -> list[Recording]:
    """Return `recordings` with outputs of layers cut out of wider ones that an earlier one has.

    Parameters
    ----------
    recordings
        In ascending order of what was removed.
    rows
        Tells which rows of a weight stay.
    least
        Products in one value of a layer's output from which on cutting it out is worth it: below,
        computing it anew costs less than copying it.
    """
    widest: dict[Hashable, tuple[Hashable, int]] = {}
    result = []
    for recording in recordings:
        calls, leaves = {call.key: call for call in recording.calls}, dict(recording.leaves)
        for call in recording.calls:
            own = _own_units(call)
            if own is None or leaves[call.args[1].key][0].numel() < least:
                continue
            name, group, removed, rest = own
            wide, before = widest.setdefault((name, group, rest), (call.key, removed))
            if removed <= before:
                continue
            # has cuts, as all that pruning decides: what is read from it is not pure
            index = Leaf(("rows", name, before), ((0, group, removed),))
            if index not in leaves:
                stay, among = rows(name, group, removed), rows(name, group, before)
                if stay is None or among is None:
                    continue
                leaves[index] = torch.searchsorted(among, stay)
            args = (Ref(wide), LAYERS[call.operator], Ref(index))
            calls[call.key] = replace(
                call, operator=aten.index_select.default, args=args, like_first=False
            )
        result.append(_with(recording, calls, leaves))
    return result


def _layer_before(norm: Call, calls: dict[Hashable, Call], readers: Counter[Any]) -> Call | None:
    """Return the layer whose result `norm`, a BatchNorm in evaluation mode, alone reads."""
    if norm.operator is not aten.batch_norm.default or norm.args[5] or len(norm.args) < 8:
        return None
    if not all(isinstance(arg, Ref) for arg in (norm.args[0], *norm.args[3:5])):
        return None
    layer = calls.get(norm.args[0].key)
    if layer is None or layer.operator not in LAYERS or readers[layer.key] != 1 or layer.kwargs:
        return None
    if not _batched(layer):
        return None
    return layer if isinstance(layer.args[1], Ref) else None


def _batched(layer: Call) -> bool:
    """Whether the layer's units are dimension 1 of its result."""
    return [len(shape) for shape in layer.shapes] == [BATCHED[layer.operator]]


def _fold(tensors: list[Tensor | None], eps: float) -> tuple[Tensor, Tensor] | None:
    """Return weight and bias, None where they would be of another type or not finite."""
    if len({tensor.dtype for tensor in tensors if tensor is not None}) != 1:
        return None
    weight, bias, gain, shift, mean, variance = (None if t is None else t.double() for t in tensors)
    assert weight is not None
    assert mean is not None
    assert variance is not None
    scale = torch.rsqrt(variance + eps)
    scale = scale if gain is None else scale * gain
    offset = (-mean if bias is None else bias - mean) * scale
    offset = offset if shift is None else offset + shift
    wide = scale.view(-1, *[1] * (weight.ndim - 1))
    kind = tensors[0]
    assert kind is not None
    scaled, moved = (weight * wide).to(kind.dtype), offset.to(kind.dtype)
    # else the network itself is to say that something is not finite
    finite = torch.isfinite(scaled).all() and torch.isfinite(moved).all()
    return (scaled, moved) if bool(finite) else None


def _own_units(call: Call) -> tuple[Hashable, Hashable, int, Hashable] | None:
    """Return name and group of a layer's own units, how many went, and all else it depends on."""
    if call.operator not in LAYERS or call.kwargs:
        return None
    if LAYERS[call.operator] == 1 and not _batched(call):
        return None
    if len(call.args) > GROUPS and call.args[GROUPS] != 1:
        return None  # grouped: its units read only some of the inputs
    weight = call.args[1].key if isinstance(call.args[1], Ref) else None
    if not isinstance(weight, Leaf):
        return None
    own = [cut for cut in weight.cuts if cut[0] == 0]
    if len(own) != 1:
        return None
    (cut,) = own
    rest: Hashable = (call.operator, *(_without(arg, cut) for arg in call.args))
    return _tensor_name(weight), cut[1], cut[2], rest


def _tensor_name(leaf: Leaf) -> Hashable:
    """Return the name of the weight that `leaf` is, or was folded from."""
    name = leaf.name
    while isinstance(name, tuple):
        name = name[1][0].name
    return name


def _without(what: Any, cut: tuple[int, Hashable, int]) -> Any:
    """Return arguments or keys with `cut` left out of every leaf in them."""
    if isinstance(what, Ref):
        return Ref(_without(what.key, cut), what.part)
    if isinstance(what, Leaf):
        return Leaf(_without(what.name, cut), tuple(c for c in what.cuts if c != cut))
    if isinstance(what, (tuple, list)):
        return tuple(_without(item, cut) for item in what)
    return what


def _with(
    recording: Recording, calls: dict[Hashable, Call], leaves: dict[Hashable, Tensor]
) -> Recording:
    read = {ref.key for call in calls.values() for ref in call.inputs()}
    return replace(
        recording,
        calls=tuple(calls.values()),
        leaves={key: leaf for key, leaf in leaves.items() if key in read},
    )
