"""A copy of a network with smaller tensors, and modules whose own numbers agree with them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.errors import ModelError, SpecError
from prunevis.graph.attention import NarrowAttention
from prunevis.graph.layers import ChannelGroup, FittedSize

#: By tensor and axis, bool: the positions that stay.
Positions = Mapping[tuple[str, int], Tensor]

#: Bytes of rows that are cut at a time.
PIECE = 2**22


def positions_kept(
    groups: Mapping[str, ChannelGroup], kept: Mapping[str, Tensor]
) -> dict[tuple[str, int], Tensor]:
    """Return, by tensor and axis, bool: the positions that stay. Whole axes are left out.

    Parameters
    ----------
    groups
        Of the graph.
    kept
        By group name: int64, the units that stay.

    Raises
    ------
    SpecError
        If a tensor would be emptied.
    """
    found: dict[tuple[str, int], Tensor] = {}
    for name, units in kept.items():
        group = groups[name]
        stays = torch.zeros(group.size, dtype=torch.bool)
        stays[units] = True
        for member in group.members:
            along = torch.where(member.units >= 0, stays[member.units.clamp(min=0)], True)
            key = (member.tensor, member.axis)
            found[key] = found[key] & along if key in found else along
    for tensor, axis in found:
        # a group that spans several layers can keep units and still take all of one of them
        if not bool(found[tensor, axis].any()):
            raise SpecError(
                f"Nothing would be left of `{tensor}` along axis {axis}.",
                where=tensor,
                fix="Keep at least one unit of every layer.",
            )
    return {key: along for key, along in found.items() if not bool(along.all())}


def selected(known: Mapping[str, Tensor], positions: Positions) -> dict[str, Tensor]:
    """Return the tensors that lose positions, without them, in the memory layout that they had."""
    axes: dict[str, dict[int, Tensor]] = {}
    for (name, axis), along in positions.items():
        axes.setdefault(name, {})[axis] = along.nonzero().flatten().to(known[name].device)
    return {name: _taken(known[name].detach(), picks) for name, picks in axes.items()}


def _taken(tensor: Tensor, picks: dict[int, Tensor]) -> Tensor:
    """Return the picked positions, a few rows at a time.

    Memory that is fresh costs several times what filling it does: only the result's is taken, and
    what lies between one axis and the next is small enough to be used again.
    """
    shape = [len(picks[axis]) if axis in picks else n for axis, n in enumerate(tensor.shape)]
    found = torch.empty(
        shape, dtype=tensor.dtype, device=tensor.device, memory_format=_memory_format(tensor)
    )
    rows = picks.get(0, torch.arange(tensor.shape[0], device=tensor.device))
    step = max(1, PIECE * len(tensor) // max(1, tensor.nbytes))
    for some, place in zip(rows.split(step), found.split(step), strict=True):
        piece = tensor.index_select(0, some)
        for axis, ids in picks.items():
            if axis:
                piece = piece.index_select(axis, ids)
        place.copy_(piece)
    return found


def shrunk(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    sizes: Iterable[FittedSize] = (),
    kept: Mapping[str, Tensor] | None = None,
) -> nn.Module:
    """Return a copy of `model` that holds `tensors` in place of its own.

    Parameters
    ----------
    model
        Any network; it is only read.
    tensors
        By dotted name. All others are copied.
    sizes, kept
        Numbers that forwards read from their modules, and the units that stay, by group name.

    Raises
    ------
    ModelError
        If the model cannot be copied.
    """
    known: dict[str, Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    # tensors in the memo are taken instead of copied, wherever they hang: ties stay ties
    memo: dict[int, Any] = {}
    changed = set()
    for name, tensor in tensors.items():
        old = known[name]
        if isinstance(old, nn.Parameter):
            tensor = nn.Parameter(tensor, requires_grad=old.requires_grad)
        memo[id(old)] = tensor
        if tensor.shape != old.shape:
            changed.add(id(old))
    try:
        smaller = copy.deepcopy(model, memo)
    except Exception as error:
        raise ModelError(
            f"The model cannot be copied: {type(error).__name__}: {error}",
            fix="Removal works on a copy; drop what hangs on the model and cannot be copied.",
        ) from error
    for path, module in model.named_modules():
        own = (*module._parameters.values(), *module._buffers.values())
        if any(id(tensor) in changed for tensor in own):
            set_sizes(smaller.get_submodule(path))
    for size in sizes:
        setattr(smaller.get_submodule(size.module), size.attribute, size.value(kept or {}))
    return smaller


def _memory_format(tensor: Tensor) -> torch.memory_format:
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last if not tensor.is_contiguous() else torch.contiguous_format
    if tensor.dim() == 5 and tensor.is_contiguous(memory_format=torch.channels_last_3d):
        return torch.channels_last_3d if not tensor.is_contiguous() else torch.contiguous_format
    return torch.contiguous_format


def set_sizes(module: Any) -> None:
    """Make a module's own numbers agree with its tensors."""
    if isinstance(module, nn.modules.conv._ConvNd):
        _set_convolution(module)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.Bilinear):
        module.out_features, module.in1_features, module.in2_features = module.weight.shape
    elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
        module.num_embeddings, module.embedding_dim = module.weight.shape
    elif isinstance(module, nn.GroupNorm):
        if module.num_groups == module.num_channels:
            module.num_groups = len(module.weight)
        module.num_channels = len(module.weight)
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        module.normalized_shape = tuple(module.weight.shape)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        own: Any = module.weight if module.weight is not None else module.running_mean
        module.num_features = len(own)
    elif type(module) is nn.MultiheadAttention:
        NarrowAttention.take_over(module)
    elif isinstance(module, nn.RNNBase):
        _set_recurrent(module)
    elif isinstance(module, nn.RNNCellBase):
        module.input_size, module.hidden_size = module.weight_ih.shape[1], module.weight_hh.shape[1]
    elif type(module).__name__ == "Conv1D" and hasattr(module, "nf"):
        # transformers' linear layer with its weight the other way round
        module.nf = module.weight.shape[1]
        if hasattr(module, "nx"):
            module.nx = module.weight.shape[0]


def _set_recurrent(module: Any) -> None:
    gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
    module.input_size = module.weight_ih_l0.shape[1]
    module.hidden_size = module.weight_ih_l0.shape[0] // gates
    if module.proj_size:
        module.proj_size = module.weight_hh_l0.shape[1]


def _set_convolution(module: Any) -> None:
    first, second = module.weight.shape[:2]
    into, out = (first, second) if module.transposed else (second, first)
    if module.groups > 1 and module.groups == module.in_channels and second == 1:
        # depthwise: whole groups leave
        multiplier = module.out_channels // module.in_channels
        module.groups = first if module.transposed else first // multiplier
        module.in_channels, module.out_channels = module.groups, module.groups * multiplier
    elif module.transposed:
        module.in_channels, module.out_channels = into, out * module.groups
    else:
        module.in_channels, module.out_channels = into * module.groups, out
