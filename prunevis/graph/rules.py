"""What operators do to the units on the axes of their arguments: the table and the simple rules.

Each rule keeps the units of an axis, moves them, ties them to others, or blocks them with a reason.
An operator without a rule blocks all that it touches (`no_rule`), so a network is never pruned
wrongly for want of one. Rules that move axes are in `views` and `shapes`, those that
contract in `contractions`, the names of whole families in `operators`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from prunevis.graph.contractions import RULES as CONTRACTION_RULES
from prunevis.graph.operators import (
    ACTIVATIONS,
    ALONG,
    NORMS,
    POINTWISE,
    RANDOM,
    REDUCTIONS,
    SAME,
    UNIFORM,
)
from prunevis.graph.recorder import Call, Rule
from prunevis.graph.recurrent import RULES as RECURRENT_RULES
from prunevis.graph.shapes import RULES as SHAPE_RULES
from prunevis.graph.values import Axes, Value, listed, merged
from prunevis.graph.views import RULES as VIEW_RULES

_SPATIAL = re.compile(
    r"(?:adaptive_|fractional_)?_?(?:adaptive_)?(?:max|avg)_?pool([123])d"
    r"|upsample_\w*?([123])d|(?:reflection|replication)_pad([123])d"
)
_JOINS = {
    "add": ("addition", "adds"),
    "sub": ("subtraction", "subtracts"),
    "mul": ("multiplication", "multiplies"),
    "div": ("division", "divides"),
}


def find_rule(call: Call) -> Rule:
    """Return the rule of an operator; `no_rule` if there is none."""
    name = call.name
    if name in UNIFORM or (name in RANDOM and call.recorder.training):
        return uniform
    for rules in (VIEW_RULES, SHAPE_RULES, CONTRACTION_RULES, RECURRENT_RULES, RULES):
        if name in rules:
            return rules[name]
    if name in NORMS:
        return batch_norm
    if name in REDUCTIONS:
        return reduction
    if name in ALONG:
        return along
    if _SPATIAL.match(name):
        return spatial
    if name in POINTWISE or torch.Tag.pointwise in call.func.tags:
        return elementwise
    return no_rule


def unfollowed(call: Call) -> list[Axes]:
    """Return that no axis of any result is followed."""
    return [(None,) * result.dim() for result in call.results]


def no_rule(call: Call) -> list[Axes]:
    """Block all that goes in."""
    if call.inputs:
        call.block_all("has no rule here, so units that pass through it cannot be removed.")
    return unfollowed(call)


def uniform(call: Call) -> list[Axes]:
    """A tensor of one constant fits whatever leaves."""
    call.kind = "same"
    # zeros_like and its like read a shape and no numbers
    call.inputs = [Value((), (), uniform=True)]
    return unfollowed(call)


def elementwise(call: Call) -> Axes:
    """Tie all arguments position by position; an axis of size 1 is broadcast and not followed."""
    name = call.name
    if name in ACTIVATIONS:
        call.kind = "activation"
    elif name in SAME:
        call.kind = "same"
    elif name in ("add", "sub") or sum(value.batched for value in call.inputs) <= 1:
        # scaling by a parameter counts as a part of what precedes it
        call.kind = "add"
    inputs = call.inputs
    if name == "copy" and len(inputs) == 2 and not inputs[0].followed:
        inputs = inputs[1:]
    return align(call, inputs, tuple(call.results[0].shape))


def align(call: Call, inputs: Sequence[Value], shape: tuple[int, ...]) -> Axes:
    """Return the axes of a broadcast of `inputs` to `shape`, tying them to each other."""
    sentence = _tie_sentence(call, inputs)
    axes: list = []
    for axis, size in enumerate(shape):
        found = None
        others: list[Value] = []
        for value in inputs:
            place = axis - (len(shape) - len(value.shape))
            if place < 0 or value.shape[place] != size:
                continue
            ids = value.axes[place]
            if ids is None:
                others.append(value)
            elif found is None:
                found = ids
            else:
                call.atoms.tie(found, ids, sentence)
        if size > 1 and found is not None:
            for value in others:
                if not value.uniform:
                    call.block(found, f"combines units with {value.origin}, whose size is fixed.")
        axes.append(found)
    return tuple(axes)


def _tie_sentence(call: Call, inputs: Sequence[Value]) -> str | None:
    parts = [value.layers for value in inputs if value.layers]
    if len(parts) < 2 or all(part == parts[0] for part in parts):
        return None
    noun, verb = _JOINS.get(call.name, (f"operator `aten.{call.name}`", "joins"))
    order = list(call.recorder.layers)
    names = sorted(merged(parts), key=order.index)
    return f"The {noun} in {call.where} {verb} {listed(names)} channel by channel."


def batch_norm(call: Call) -> list[Axes]:
    """Scale, shift and statistics belong to the channel axis, axis 1."""
    call.kind = "norm"
    value = call.value(call.arg("input"))
    ids = value.axes[1]
    module = None
    for key, role in (
        ("weight", "norm"),
        ("bias", "norm"),
        ("running_mean", "statistic"),
        ("running_var", "statistic"),
    ):
        tensor = call.arg(key)
        if not isinstance(tensor, Tensor):
            continue
        own = call.value(tensor)
        if own.tensor is not None:
            call.recorder.roles.setdefault((own.tensor, 0), role)
            module = module or call.recorder.owners.get(own.tensor)
        if ids is None:
            ids = own.axes[0]
        elif own.axes[0] is not None:
            call.atoms.tie(ids, own.axes[0])
    if module is not None:
        call.place = module
    axes = list(value.axes)
    axes[1] = ids if value.axes[1] is not None else None
    return [tuple(axes), *unfollowed(call)[1:]]


def layer_norm(call: Call) -> list[Axes]:
    """A normalisation over the unit axis: removal would change its statistics."""
    call.kind = "norm"
    value = call.value(call.arg("input"))
    count = len(call.arg("normalized_shape"))
    for axis in range(len(value.shape) - count, len(value.shape)):
        _span(call, value, axis)
    for key in ("weight", "bias"):
        tensor = call.arg(key)
        if isinstance(tensor, Tensor):
            own = call.value(tensor)
            for axis, ids in enumerate(own.axes):
                call.recorder.roles.setdefault((str(own.tensor), axis), "norm")
                other = value.axes[len(value.shape) - count + axis]
                if ids is not None and other is not None:
                    call.atoms.tie(other, ids)
    return [value.axes, *unfollowed(call)[1:]]


def group_norm(call: Call) -> list[Axes]:
    """A normalisation over groups of channels; exact only with one channel a group."""
    call.kind = "norm"
    value = call.value(call.arg("input"))
    groups, channels = call.arg("group"), value.shape[1]
    if groups != channels:
        _span(call, value, 1)
    for key in ("weight", "bias"):
        tensor = call.arg(key)
        if isinstance(tensor, Tensor):
            own = call.value(tensor)
            call.recorder.roles.setdefault((str(own.tensor), 0), "norm")
            if own.axes[0] is not None and value.axes[1] is not None:
                call.atoms.tie(value.axes[1], own.axes[0])
    return [value.axes, *unfollowed(call)[1:]]


def _span(call: Call, value: Value, axis: int) -> None:
    call.block(
        value.axes[axis],
        "normalises across its channels, so removing one would change the others' statistics.",
    )


def reduction(call: Call) -> list[Axes]:
    """Keep the axes that are not reduced; block the units on those that are."""
    value = call.inputs[0]
    rank = len(value.shape)
    dims = call.arg("dim")
    if dims is None or dims == []:
        dims = range(rank)
    gone = {dim % rank for dim in ([dims] if isinstance(dims, int) else dims)} if rank else set()
    for axis in gone:
        call.block(value.axes[axis], "reduces over the units, so each counts in the result.")
    axes = []
    keepdim = len(call.results[0].shape) == rank
    for axis in range(rank):
        if axis not in gone:
            axes.append(value.axes[axis])
        elif keepdim:
            axes.append(None)
    return [tuple(axes) for _ in call.results]


def along(call: Call) -> list[Axes]:
    """Softmax, cumulative sums and sorting: every unit on the axis changes the others."""
    value = call.inputs[0]
    dim = call.arg("dim")
    axis = (dim if isinstance(dim, int) else -1) % max(1, len(value.shape))
    if value.axes:
        call.block(value.axes[axis], "works across the units, so each changes the others.")
    return [value.axes for _ in call.results]


def spatial(call: Call) -> list[Axes]:
    """Pooling, resizing and padding of the last one to three axes; the others pass."""
    match = _SPATIAL.match(call.name)
    count = next(int(n) for n in match.groups() if n) if match else 0
    value = call.inputs[0]
    keep = len(value.shape) - count
    for ids in value.axes[keep:]:
        call.block(ids, "works across the units, so each changes the others.")
    axes = (*value.axes[:keep], *(None,) * count)
    return [axes for _ in call.results]


RULES: dict[str, Rule] = {
    "native_layer_norm": layer_norm,
    "_fused_rms_norm": layer_norm,
    "native_group_norm": group_norm,
}
