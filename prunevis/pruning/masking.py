"""Zeros, reversibly: what a plan sets to zero, and a model that runs with it.

A unit is masked by zeroing all that is its own: the rows that compute it, its scale and shift, and
the columns that read it. Then the masked model gives what the removed one gives, whatever
the activation function makes of zero, except where a normalisation spans the pruned axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from prunevis.errors import ModelError
from prunevis.graph.checks import check_weights
from prunevis.pruning.plan import PruningPlan, check_plan
from prunevis.pruning.removal import remove
from prunevis.pruning.repairs.mending import repaired


def tensor_masks(plan: PruningPlan) -> dict[str, Tensor]:
    """Return what stays, by dotted tensor name: bool masks of the tensors' shapes, True = keep.

    Only tensors that lose something are listed. For granularity "unit" these are weights, biases,
    scales and shifts of the units that go, and the weights that read them; running statistics are
    left alone, since a zero variance would be no better than any other.
    """
    if check_plan(plan).granularity == "weight":
        return {
            plan.graph.layers[name].weight: mask
            for name, mask in plan.masks.items()
            if plan.removed[name]
        }
    masks: dict[str, Tensor] = {}
    for name, kept in plan.kept.items():
        if not plan.removed[name]:
            continue
        group = plan.graph.groups[name]
        stays = torch.zeros(group.size, dtype=torch.bool)
        stays[kept] = True
        for member in group.members:
            if member.role == "statistic":
                continue
            shape = plan.graph.tensors[member.tensor].shape
            mask = masks.setdefault(member.tensor, torch.ones(shape, dtype=torch.bool))
            along = torch.where(member.units >= 0, stays[member.units.clamp(min=0)], True)
            view = [1] * len(shape)
            view[member.axis] = -1
            mask &= along.view(view)
    return masks


def masked_tensors(model: nn.Module, plan: PruningPlan) -> dict[str, Tensor]:
    """Return the tensors that `plan` changes, with zeros in place: new tensors, detached.

    What the plan's repair makes of the tensors that stay is among them.

    Raises
    ------
    ModelError
        If the plan was made for another network, or `model` is none.
    SpecError
        If `plan` is none.
    """
    check_plan(plan)
    if not isinstance(model, nn.Module):
        raise ModelError(
            "The model is not a torch.nn.Module.", expected="a network", got=type(model).__name__
        )
    check_weights(model)
    found = _tensors(model, plan)
    mended = repaired(model, plan).tensors
    masks = tensor_masks(plan)
    changed = dict(mended)
    for name, mask in masks.items():
        changed[name] = mended.get(name, found[name].detach()) * mask.to(found[name].device)
    return changed


@contextmanager
def masked(model: nn.Module, plan: PruningPlan) -> Iterator[nn.Module]:
    """Run `model` with zeros in place; on leaving it is bit for bit what it was.

    Parameters
    ----------
    model
        The network that the plan was made for. It is changed while the context is open.
    plan
        From `Ranking.plan`.

    Raises
    ------
    ModelError
        If the plan was made for another network.
    """
    changed = masked_tensors(model, plan)
    found = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    saved = {name: found[name].detach().clone() for name in changed}
    try:
        with torch.no_grad():
            for name, value in changed.items():
                found[name].copy_(value)
        yield model
    finally:
        with torch.no_grad():
            for name, value in saved.items():
                found[name].copy_(value)


class MaskedModel(nn.Module):
    """Runs a network with some of its tensors replaced by masked ones; the network is not changed.

    Parameters
    ----------
    model
        The network; a submodule, so that whoever sets this to evaluation mode sets that too.
    tensors
        From `masked_tensors`.
    """

    def __init__(self, model: nn.Module, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.model = model
        self._masked = tensors

    @property
    def masked(self) -> dict[str, Tensor]:
        """The replaced tensors, by dotted name in the network."""
        return self._masked

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the network gives for `inputs` with the masked tensors in place."""
        return functional_call(self.model, self._masked, inputs)


def candidate(model: nn.Module, plan: PruningPlan) -> nn.Module:
    """Return a module that computes what `model` pruned by `plan` computes; `model` is not changed.

    For granularity "unit" that is the removed model, which is smaller and faster; for "weight" a
    `MaskedModel`; where nothing goes, `model` itself.
    """
    if plan.granularity == "unit":
        # whether the smaller network runs is checked when it is handed over, not at every position
        return remove(model, plan, check=False) if plan.num_removed else model
    tensors = masked_tensors(model, plan)
    return MaskedModel(model, tensors) if tensors else model


def check_shapes(plan: PruningPlan, names: Iterable[str], tensors: Mapping[str, Any]) -> None:
    """Raise ModelError unless those of `tensors` called `names` are as `plan` knows them."""
    for name in names:
        expected = plan.graph.tensors[name].shape
        got = tuple(tensors[name].shape) if name in tensors else None
        if got != expected:
            raise ModelError(
                "This plan was made for another network.",
                expected=f"{name} of shape {expected}",
                got="no such tensor" if got is None else got,
                fix="Trace and rank the network again after changing it.",
            )


def _tensors(model: nn.Module, plan: PruningPlan) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    check_shapes(plan, tensor_masks(plan), found)
    return found
