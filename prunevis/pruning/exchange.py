"""Masks in and out of `torch.nn.utils.prune`, and state dicts with and without them.

There a pruned ``weight`` is three things: the parameter ``weight_orig``, the buffer ``weight_mask``
and an attribute ``weight``, their product, which a hook computes anew before every forward. Such a
model cannot be traced as it is; a copy with the zeros written in can (`made_permanent`). Our plans
go back as torch's masks by `attach_masks`, and theirs come in by `read_masks` and
`plan_from_masks`.

Where both sides define a method the masks are the same, bit for bit, as long as no two importances
are equal: torch breaks ties as its `topk` happens to, which differs between sizes and machines;
ties are broken here by position, first goes first. And torch may empty a layer, where one weight of
each stays here.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from prunevis.errors import ModelError, SpecError
from prunevis.graph.checks import check_graph
from prunevis.graph.layers import ModelGraph
from prunevis.pruning.masking import check_shapes, tensor_masks
from prunevis.pruning.plan import PruningPlan, check_plan
from prunevis.pruning.spec import PruningSpec


def read_masks(model: nn.Module, name: str = "weight") -> dict[str, Tensor]:
    """Return the masks of `torch.nn.utils.prune` that a model carries.

    Parameters
    ----------
    model
        Any module; it is only read.
    name
        Of the parameter in its module: "weight", "bias", ...

    Returns
    -------
    dict
        By dotted name of the module: bool, shape of the parameter, True = keep; new tensors.
        Modules whose parameter has no mask are left out.
    """
    return {
        path: getattr(module, f"{tensor}_mask").detach() != 0
        for path, module, tensor in _masked(model)
        if tensor == name
    }


def made_permanent(model: nn.Module) -> nn.Module:
    """Return a copy of `model` with its `torch.nn.utils.prune` masks written in as zeros.

    The copy has ordinary parameters and no hooks of masks, so that it can be traced. What
    `torch.nn.utils.prune.remove` does to every masked parameter, but `model` is not changed. A
    model without masks is copied as it is.

    Raises
    ------
    ModelError
        If the model cannot be copied, or a masked parameter is shared with a module that does not
        mask it: that module's weights would change.
    """
    masked = _masked(model)
    owners: dict[int, list[tuple[str, str]]] = {}
    for path, module in model.named_modules():
        for key, parameter in module._parameters.items():
            if parameter is not None:
                owners.setdefault(id(parameter), []).append((path, key))
    places = {(path, f"{tensor}_orig") for path, _, tensor in masked}
    for path, module, tensor in masked:
        shared = owners[id(module._parameters[f"{tensor}_orig"])]
        other = next((place for place in shared if place not in places), None)
        if other is not None:
            raise ModelError(
                f"`{_dotted(path, tensor)}` is masked, and `{_dotted(*other)}` is the same tensor "
                "without a mask.",
                fix="Mask both alike, or give one of them a tensor of its own.",
            )
    made = _copied(model)
    for path, _, tensor in masked:
        torch_prune.remove(made.get_submodule(path), tensor)
    return made


def attach_masks(model: nn.Module, plan: PruningPlan) -> nn.Module:
    """Return a copy of `model` that carries what `plan` keeps as `torch.nn.utils.prune` masks.

    Each tensor that loses something becomes ``_orig`` and ``_mask`` by
    `torch.nn.utils.prune.custom_from_mask`; masks that `model` carries already stay, and what
    either zeroes is zero. For a plan of units these are all tensors in which the units lie; buffers
    can carry no mask and are zeroed where units go.

    Parameters
    ----------
    model
        The network that the plan was made for, or what `made_permanent` made it from; it is not
        changed.
    plan
        From `Ranking.plan` or `plan_from_masks`.

    Raises
    ------
    ModelError
        If the plan was made for another network, or the model cannot be copied.
    """
    check_plan(plan)
    made = _copied(model)
    for name, mask in tensor_masks(plan).items():
        path, _, key = name.rpartition(".")
        try:
            module = made.get_submodule(path)
        except AttributeError:
            module = None
        tensor = getattr(module, key, None)
        expected = plan.graph.tensors[name].shape
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != expected or module is None:
            raise ModelError(
                "This plan was made for another network.",
                expected=f"{name} of shape {expected}",
                got=tuple(tensor.shape) if isinstance(tensor, Tensor) else "no such tensor",
                fix="Trace and rank the network again after changing it.",
            )
        mask = mask.to(tensor.device)
        if key in module._buffers:
            tensor.mul_(mask)
        else:
            torch_prune.custom_from_mask(module, key, mask)
    return made


def plan_from_masks(graph: ModelGraph, masks: Mapping[str, Any]) -> PruningPlan:
    """Return masks of weights as a plan, to run, price, attach or fine-tune with.

    Parameters
    ----------
    graph
        From `prunevis.trace`, of the network without hooks (`made_permanent`).
    masks
        By layer name: bool, or ones and zeros, shape of the layer's weight, 1 = keep; as from
        `read_masks`. Layers that are not named stay whole. A mask may take all of a layer.

    Raises
    ------
    SpecError
        If a layer is unknown, or a mask is no mask or has another shape than the weight.
    """
    check_graph(graph)
    if not isinstance(masks, Mapping):
        raise SpecError(
            "Masks are given by the names of layers.",
            expected="a mapping from names to masks, as from read_masks(model)",
            got=type(masks).__name__,
        )
    ranks: dict[str, Tensor] = {}
    for name, mask in masks.items():
        if name not in graph.layers:
            near = difflib.get_close_matches(str(name), graph.layers, n=1)
            raise SpecError(
                f"There is a mask for {str(name)[:80]!r}, and no such layer.",
                fix=(f"Did you mean {near[0]!r}? " if near else "")
                + f"Layers: {', '.join(graph.layers)}.",
            )
        ranks[name] = _as_ranks(graph, name, mask)
    removed = {name: int((rank == 0).sum()) for name, rank in ranks.items()}
    total = {name: rank.numel() for name, rank in ranks.items()}
    gone = sum(removed.values()) / max(1, sum(total.values()))
    return PruningPlan(
        graph=graph,
        # all of a layer may go, which no request can ask for
        spec=PruningSpec.make(
            "given masks", "weight", "layer", min(gone, 1 - 1e-9), list(ranks) or None
        ),
        ranks=ranks,
        cuts=dict.fromkeys(ranks, 1),
        removed=removed,
        total=total,
    )


def plain_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state dict with its masks made permanent: ``weight`` for ``_orig`` and ``_mask``.

    Parameters
    ----------
    state
        From a model with `torch.nn.utils.prune` masks; not changed. Entries without a mask are
        passed on as they are.

    Raises
    ------
    ModelError
        If a tensor and its mask differ in shape.
    """
    _check_state(state)
    plain: dict[str, Any] = {}
    for key, value in state.items():
        name = key.removesuffix("_orig")
        if name != key and f"{name}_mask" in state:
            mask = state[f"{name}_mask"]
            if mask.shape != value.shape:
                raise ModelError(
                    f"`{name}` and its mask differ in shape.",
                    expected=tuple(value.shape),
                    got=tuple(mask.shape),
                    where=f"{name}_mask",
                )
            plain[name] = value * mask.to(value)
        elif not (key.endswith("_mask") and f"{key.removesuffix('_mask')}_orig" in state):
            plain[key] = value
    return plain


def masked_state(state: Mapping[str, Any], plan: PruningPlan) -> dict[str, Any]:
    """Return a plain state dict as that of a model with `torch.nn.utils.prune` masks.

    Parameters
    ----------
    state
        Of the network that the plan was made for, before or after zeros were written in; not
        changed. The ``_orig`` tensors are its own.
    plan
        What goes; the result loads into ``attach_masks(model, plan)``.

    Raises
    ------
    ModelError
        If the plan was made for another network.
    """
    _check_state(state)
    masks = tensor_masks(plan)
    check_shapes(plan, masks, state)
    found: dict[str, Any] = {}
    for name, value in state.items():
        mask = masks.get(name)
        if mask is None:
            found[name] = value
        elif not plan.graph.tensors[name].is_parameter:
            found[name] = value * mask.to(value)
        else:
            found[f"{name}_orig"] = value
            found[f"{name}_mask"] = mask.to(value)
    return found


def _check_state(state: object) -> None:
    if not isinstance(state, Mapping):
        raise ModelError(
            "This is no state dict.",
            expected="a mapping from names to tensors",
            got=type(state).__name__,
            fix="Pass model.state_dict().",
        )


def _masked(model: nn.Module) -> list[tuple[str, nn.Module, str]]:
    """Return dotted name, module and parameter of everything that carries a mask."""
    if not isinstance(model, nn.Module):
        raise ModelError(
            "The model is not a torch.nn.Module.", expected="a network", got=type(model).__name__
        )
    return [
        (path, module, hook._tensor_name)
        for path, module in model.named_modules()
        for hook in module._forward_pre_hooks.values()
        if isinstance(hook, torch_prune.BasePruningMethod)
    ]


def _copied(model: nn.Module) -> nn.Module:
    # a masked weight is the outcome of a product, which deepcopy refuses while gradients are on
    memo: dict[int, Any] = {}
    for _, module, tensor in _masked(model):
        product = getattr(module, tensor)
        memo[id(product)] = product.detach().clone()
    try:
        return copy.deepcopy(model, memo)
    except Exception as error:
        raise ModelError(
            f"The model cannot be copied: {type(error).__name__}: {error}",
            fix="Drop what hangs on the model and cannot be copied.",
        ) from error


def _as_ranks(graph: ModelGraph, name: str, mask: Any) -> Tensor:
    """Return int32, 1 where a mask keeps and 0 where not."""
    shape = graph.layers[name].weight_shape
    tensor = mask.detach().cpu() if isinstance(mask, Tensor) else torch.as_tensor(mask)
    if tuple(tensor.shape) != shape:
        raise SpecError(
            f"The mask of `{name}` has not the shape of its weight.",
            expected=shape,
            got=tuple(tensor.shape),
            where=name,
            fix="The masks are of another network, or of another version of this one.",
        )
    if not bool(((tensor == 0) | (tensor == 1)).all()):
        raise SpecError(
            f"The mask of `{name}` holds other numbers than 0 and 1.",
            where=name,
            fix="1 keeps a weight and 0 takes it.",
        )
    return tensor.to(torch.int32)


def _dotted(path: str, key: str) -> str:
    return f"{path}.{key.removesuffix('_orig')}" if path else key
