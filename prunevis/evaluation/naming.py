"""What the tensors of a candidate are called: equal names for equal contents.

A candidate's tensor is that of the network with some of it left out, and what was left out is told
by counts. A repair changes what stays too; such a tensor is known by all that was removed.
"""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import Tensor, nn

from prunevis.evaluation.recording import Leaf
from prunevis.graph.layers import ModelGraph
from prunevis.pruning.masking import MaskedModel, tensor_masks
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.removal import positions_that_stay

#: In the place of an axis: a tensor that a repair changed.
MENDED = -2


def names_of(
    original: nn.Module,
    graph: ModelGraph,
    plan: PruningPlan | None,
    model: nn.Module,
    token: int,
) -> dict[int, Hashable]:
    """Return the key of each parameter and buffer of a candidate, by its id.

    Parameters
    ----------
    original
        The network.
    graph
        Its trace.
    plan
        What the candidate lacks; None if nothing.
    model
        The candidate.
    token
        A number that plans of one ranking share.
    """
    cuts: dict[str, tuple[tuple[int, Hashable, int], ...]] = {}
    if plan is not None:
        for name, count in plan.removed.items():
            if not count:
                continue
            if plan.granularity == "weight":
                cuts[graph.layers[name].weight] = ((-1, (token, name), count),)
            else:
                for member in graph.groups[name].members:
                    before = cuts.get(member.tensor, ())
                    cuts[member.tensor] = (*before, (member.axis, (token, name), count))
        for name in mended_names(original, plan, model):
            mark = (MENDED, (token, tuple(plan.removed.items())), 0)
            cuts[name] = (*cuts.get(name, ()), mark)
    names: dict[int, Hashable] = {}
    if isinstance(model, MaskedModel):
        names = {id(t): Leaf(name, cuts.get(name, ())) for name, t in model.masked.items()}
        model, cuts = model.model, {}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        known = graph.tensors.get(name)
        if name not in cuts and known is not None and tuple(tensor.shape) != known.shape:
            continue  # cut without the plan saying so: known by its content
        names[id(tensor)] = Leaf(name, cuts.get(name, ()))
    return names


def mended_names(original: nn.Module, plan: PruningPlan, model: nn.Module) -> set[str]:
    """Return the tensors of a candidate that hold other numbers than the network's own.

    Found by comparing, so that it holds for whatever repair there is.
    """
    if plan.spec.repair == "none" or not plan.num_removed:
        return set()
    own: dict[str, Tensor] = {**dict(original.named_parameters()), **dict(original.named_buffers())}
    if isinstance(model, MaskedModel):
        masks = tensor_masks(plan)
        return {
            name
            for name, tensor in model.masked.items()
            if not torch.equal(tensor, _masked(own[name], masks.get(name)))
        }
    axes: dict[str, list[tuple[int, Tensor]]] = {}
    for (name, axis), stays in positions_that_stay(plan).items():
        axes.setdefault(name, []).append((axis, stays.nonzero()[:, 0]))
    found = set()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        expected = own.get(name)
        if expected is None:
            continue
        for axis, index in axes.get(name, ()):
            expected = expected.index_select(axis, index.to(expected.device))
        if not torch.equal(expected, tensor):
            found.add(name)
    return found


def _masked(tensor: Tensor, mask: Tensor | None) -> Tensor:
    return tensor if mask is None else tensor * mask.to(tensor.device)
