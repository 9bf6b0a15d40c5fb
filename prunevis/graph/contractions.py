"""Rules of operators that multiply by a weight: convolutions, matrix products, embeddings.

A contraction ends the units of its input axis (the weight's columns read them) and begins those of
its output axis (the weight's rows compute them).
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from prunevis.graph.atoms import Ids, Owner
from prunevis.graph.recorder import Call, LayerDraft, Rule
from prunevis.graph.values import Axes, Value


def convolution(call: Call) -> Axes:
    """Convolutions of any rank: plain, grouped, depthwise, transposed."""
    source, weight = call.value(call.arg("input")), call.value(call.arg("weight"))
    bias = call.arg("bias")
    groups, transposed = call.arg("groups"), call.arg("transposed")
    for ids in source.axes[2:]:
        call.block(ids, "convolves along the units, so neighbours matter.")
    into, out = (0, 1) if transposed else (1, 0)
    channels = source.axes[1]
    draft = layer_of(call, weight, into, out, value_axis=1)
    out_ids = weight.axes[out]
    if groups == 1:
        read_units(call, channels, weight.axes[into])
    elif weight.shape[1] == 1 and groups == source.shape[1]:
        out_ids = _depthwise(call, source, weight)
    else:
        out_ids = _grouped(call, channels, weight, groups, transposed)
    if isinstance(bias, Tensor):
        _add_bias(call, draft, call.value(bias), out_ids)
    if draft is not None:
        result = call.results[0]
        counted = call.arg("input") if transposed else result
        count_macs(call, draft, source, counted.numel() // counted.shape[1])
        note_units(draft, out_ids)
    return (None, out_ids, *(None,) * (len(source.shape) - 2))


def _depthwise(call: Call, source: Value, weight: Value) -> Ids | None:
    """One filter (or several) for each input channel: input and output leave together.

    The weight is ``(channels × multiplier, 1, *kernel)``, transposed ``(channels, 1, *kernel)``.
    """
    own, channels = weight.axes[0], source.axes[1]
    if own is None or channels is None:
        call.block(channels, "filters each unit by a computed weight.")
        # one filter a channel: a filter cannot leave while its channel stays
        call.block(own, f"filters the channels of {source.origin} one by one, and those stay.")
        return own
    multiplier = len(own) // len(channels)
    name = weight.tensor.rpartition(".")[0] if weight.tensor else call.place
    for column in range(multiplier):
        call.atoms.tie(
            channels,
            own.reshape(-1, multiplier)[:, column].copy(),
            f"The depthwise convolution `{name}` filters each of its input channels by itself.",
        )
    if weight.tensor is not None:
        call.recorder.roles[weight.tensor, 0] = "producer"
    return own


def note_units(draft: LayerDraft, ids: Ids | None) -> None:
    """Note the atoms of a layer's units at its first call."""
    if draft.units is None:
        draft.units = ids


def _grouped(
    call: Call, channels: Ids | None, weight: Value, groups: int, transposed: bool
) -> Ids | None:
    """Equal numbers must leave each group, so position i of every group is one unit."""
    name = weight.tensor.rpartition(".")[0] if weight.tensor else call.place
    sentence = (
        f"The grouped convolution `{name}` has {groups} groups, and the same positions leave each."
    )
    if transposed:
        # weight (in, out / groups, *kernel): the rows of all groups, the columns shared
        rows, shared = weight.axes[0], weight.axes[1]
        for part in _parts(channels, groups)[1:]:
            call.atoms.tie(_parts(channels, groups)[0], part, sentence)
        read_units(call, channels, rows)
        for part in _parts(rows, groups)[1:]:
            call.atoms.tie(_parts(rows, groups)[0], part)
        # a column of the weight makes one channel of every group, so a layer would have fewer
        # units than outputs
        call.block(shared, "makes several channels by each column of its weight.")
        return None if shared is None else np.tile(shared, groups)
    # weight (out, in / groups, *kernel)
    rows, shared = weight.axes[0], weight.axes[1]
    for part in _parts(rows, groups)[1:]:
        call.atoms.tie(_parts(rows, groups)[0], part, sentence)
    for part in _parts(channels, groups):
        if shared is None:
            call.block(part, "multiplies them by a weight that is not followed.")
        else:
            call.atoms.tie(shared, part, sentence)
    return rows


def _parts(ids: Ids | None, groups: int) -> list[Ids]:
    return [] if ids is None else list(ids.reshape(groups, -1))


def addmm(call: Call) -> Axes:
    """``bias + a @ b``."""
    bias = call.value(call.arg("self"))
    return _product(call, call.arg("mat1"), call.arg("mat2"), bias)


def mm(call: Call) -> Axes:
    """``a @ b``."""
    return _product(call, call.arg("self"), call.arg("mat2"), None)


def bmm(call: Call) -> Axes:
    """``a @ b`` for every example; a weight may be one of them, repeated."""
    return _product(call, call.arg("self"), call.arg("mat2"), None)


def baddbmm(call: Call) -> Axes:
    """``c + a @ b`` for every example."""
    axes = _product(call, call.arg("batch1"), call.arg("batch2"), None)
    call.block_all("adds a product of activations to a tensor.")
    return axes


def mv(call: Call) -> Axes:
    """Matrix times vector, as of a layer with one output."""
    for value in call.inputs:
        call.block(value.axes[-1], "sums over the units.")
    return (call.inputs[0].axes[0],)


def _product(call: Call, first: Tensor, second: Tensor, bias: Value | None) -> Axes:
    left, right = call.value(first), call.value(second)
    lead = _lead(call, left, right)
    if right.tensor is not None or not right.batched:
        draft = layer_of(call, right, len(right.shape) - 2, len(right.shape) - 1, value_axis=-1)
        source, counted = left, call.results[0].numel() // call.results[0].shape[-1]
        read, weight_read = left.axes[-1], right.axes[-2]
    elif left.tensor is not None or not left.batched:
        draft = layer_of(call, left, len(left.shape) - 1, len(left.shape) - 2, value_axis=-2)
        source, counted = right, call.results[0].numel() // call.results[0].shape[-2]
        read, weight_read = right.axes[-2], left.axes[-1]
    else:
        _meet(call, left.axes[-1], right.axes[-2])
        return (*lead, left.axes[-2], right.axes[-1])
    if source.uniform:
        _first_state(call, right)
    else:
        read_units(call, read, weight_read)
    if draft is not None:
        count_macs(call, draft, source, counted)
        note_units(
            draft, right.axes[-1] if draft.value_axis == len(right.shape) - 1 else left.axes[-2]
        )
    if bias is not None:
        _add_bias(call, draft, bias, right.axes[-1])
    return (*lead, left.axes[-2], right.axes[-1])


def _first_state(call: Call, weight: Value) -> None:
    """Let a recurrent weight read a first state of zeros, which has the size its module states."""
    rows, columns = weight.axes[-1], weight.axes[-2]
    if "weight_hh" in str(weight.tensor) and rows is not None and columns is not None:
        for part in rows.reshape(-1, len(columns)):
            call.atoms.tie(columns, part)


def _lead(call: Call, left: Value, right: Value) -> Axes:
    """Tie the leading axis of a batched product."""
    if len(left.shape) < 3:
        return ()
    a, b = left.axes[0], right.axes[0]
    if a is not None and b is not None:
        call.atoms.tie(a, b)
        if left.batched and right.batched:
            call.atoms.heads.append(a)
    else:
        for ids in (a, b):
            call.block(ids, "pairs them with examples, which are not units.")
    return (a if a is not None else b,)


def _meet(call: Call, left: Ids | None, right: Ids | None) -> None:
    """Sum products of two activations along their units: what leaves one leaves the other."""
    if left is not None and right is not None:
        call.atoms.tie(left, right)
        return
    for ids in (left, right):
        call.block(ids, "multiplies them by activations that are not followed.")


def attention(call: Call) -> list[Axes]:
    """Scaled dot products of query and key weigh the values: ``(batch, heads, tokens, dims)``."""
    query, key, value = (call.value(call.arg(name)) for name in ("query", "key", "value"))
    mask = call.arg("attn_mask") if call.arg("attn_mask") is not None else call.arg("attn_bias")
    others = [call.value(mask)] if isinstance(mask, Tensor) else []
    for one in (query, key, value):
        call.block(one.axes[0], "pairs them with examples, which are not units.")
        call.block(one.axes[2], "attends along them.")
    for other in others:
        for ids in (*other.axes[:-3], *other.axes[-2:]):
            call.block(ids, "attends along them.")
    heads = query.axes[1]
    for one in (key, value):
        _same_heads(call, heads, one, 1)
        _same_heads(call, one.axes[1], query, 1)
    for other in others:
        if len(other.shape) >= 3 and other.shape[-3] > 1:
            _same_heads(call, heads, other, -3)
            _same_heads(call, other.axes[-3], query, 1)
    if heads is not None:
        call.atoms.heads.append(heads)
    _meet(call, query.axes[3], key.axes[3])
    if call.arg("scale") is None and not call.keeps_scale:
        because = "scales by the number of dimensions of a head, so that each counts in the result."
        for one in (query, key):
            call.block(one.axes[3], because)
    first = (None, heads, None, value.axes[3])
    return [first, *((None,) * result.dim() for result in call.results[1:])]


def _same_heads(call: Call, heads: Ids | None, other: Value, axis: int) -> None:
    """Tie the heads of one tensor to those of another, or block them."""
    if heads is None:
        return
    ids = other.axes[axis]
    if ids is not None and len(ids) == len(heads):
        call.atoms.tie(heads, ids)
    else:
        call.block(heads, f"combines heads with {other.origin}, whose number is fixed.")


def read_units(call: Call, units: Ids | None, columns: Ids | None) -> None:
    """Let the columns of a weight read units."""
    if units is None:
        # where another layer shares the weight, its units lie on these columns too
        call.block(columns, "reads what no layer computes.")
    elif columns is None:
        call.block(units, "multiplies them by a tensor that is not followed.")
    else:
        call.atoms.tie(units, columns)


def layer_of(call: Call, weight: Value, into: int, out: int, value_axis: int) -> LayerDraft | None:
    """Return the draft of the layer whose weight this is, new or met before.

    A weight that forward computes from one parameter still names a layer, whose units and weights
    are refused with that reason. A weight without any parameter is no layer.
    """
    atoms = call.atoms
    rows, columns = atoms.owner(weight.axes[out]), atoms.owner(weight.axes[into])
    if rows is None or columns is None or rows.tensor != columns.tensor:
        call.block_all("multiplies by a weight that is no parameter as a whole.")
        return None
    draft = _draft(call, rows, value_axis)
    call.kind, call.layer = "layer", draft.name
    _role(call, rows, "producer")
    _role(call, columns, "consumer")
    if draft.out_axis != rows.axis:
        call.block_all(f"uses `{rows.tensor}` once as it is and once transposed.")
    if weight.tensor is None:
        draft.weight_reason = (
            f"The weight of `{draft.name}` is computed in forward from `{rows.tensor}`."
        )
        for ids in weight.axes:
            atoms.block(ids, draft.weight_reason)
    return draft


def _draft(call: Call, rows: Owner, value_axis: int) -> LayerDraft:
    recorder = call.recorder
    module = recorder.owners[rows.tensor]
    attribute = rows.tensor.rpartition(".")[2]
    name = module if attribute == "weight" else rows.tensor
    if name not in recorder.layers:
        rank = call.results[0].dim()
        recorder.layers[name] = LayerDraft(
            name=name,
            kind=recorder.kinds[module],
            weight=rows.tensor,
            out_axis=rows.axis,
            call=call.number,
            value_axis=value_axis % rank,
        )
    return recorder.layers[name]


def _role(call: Call, owner: Owner, role: str) -> None:
    call.recorder.roles.setdefault((owner.tensor, owner.axis), role)


def count_macs(call: Call, draft: LayerDraft, source: Value, positions: int) -> None:
    """Add output positions; what does not depend on the input is computed once for a batch.

    What a forward makes in the size of the batch (the first state of a recurrent network, an
    encoding of positions) depends on it too.
    """
    batch = call.recorder.batch
    batched = source.batched or (source.tensor is None and source.shape[0] == batch)
    draft.positions += positions // batch if batched else positions


def _add_bias(call: Call, draft: LayerDraft | None, bias: Value, units: Ids | None) -> None:
    ids = bias.axes[-1] if bias.axes else None
    if bias.tensor is not None:
        call.recorder.roles.setdefault((bias.tensor, len(bias.shape) - 1), "producer")
        if draft is not None and draft.bias is None:
            draft.bias = bias.tensor
    if units is None:
        call.block(ids, "adds them to a product that is not followed.")
    elif ids is None:
        if not bias.uniform:
            call.block(units, f"adds {bias.origin}, whose size is fixed.")
    else:
        call.atoms.tie(units, ids)


def embedding(call: Call) -> Axes:
    """Look rows up; the columns are units."""
    weight, source = call.value(call.arg("weight")), call.value(call.arg("indices"))
    call.block(weight.axes[0], "looks rows up by number.")
    for ids in source.axes:
        call.block(ids, "reads them as numbers of rows.")
    return (*(None,) * len(source.shape), weight.axes[1])


RULES: dict[str, Rule] = {
    "convolution": convolution,
    "addmm": addmm,
    "mm": mm,
    "bmm": bmm,
    "baddbmm": baddbmm,
    "mv": mv,
    "embedding": embedding,
    "_scaled_dot_product_flash_attention_for_cpu": attention,
    "_scaled_dot_product_flash_attention": attention,
    "_scaled_dot_product_efficient_attention": attention,
    "_scaled_dot_product_cudnn_attention": attention,
    "_scaled_dot_product_fused_attention_overrideable": attention,
}
