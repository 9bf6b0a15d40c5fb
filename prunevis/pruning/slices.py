"""Whole slices of a weight, as `torch.nn.utils.prune` takes them: `ln_structured` and its like.

A slice is ``weight[..., k, ...]`` along one dimension: rows (0) make the layer's own units, columns
(1) read those of the layer before. Only the weight loses them: biases, normalisations and other
layers do not follow, so that nothing can leave the network (a zeroed row still gives its bias).
Granularity "unit" takes units out everywhere instead, and keeps the same rows for ``dim=0``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from prunevis.errors import SpecError
from prunevis.graph.layers import ModelGraph
from prunevis.pruning.exchange import plan_from_masks
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.scoring import tensors_of
from prunevis.pruning.spec import amount_of


def plan_of_slices(
    model: nn.Module,
    graph: ModelGraph,
    amount: float | int,
    *,
    n: float | Literal["random"] = 2,
    dim: int = 0,
    layers: Iterable[str] | None = None,
    masks: Mapping[str, Tensor] | None = None,
    generator: torch.Generator | None = None,
) -> PruningPlan:
    """Return which slices of each layer's weight become zero.

    The masks are those of ``torch.nn.utils.prune.ln_structured(module, "weight", amount, n, dim)``
    where no two norms are equal, and with ``n="random"`` those of ``random_structured`` with the
    same draws.

    Parameters
    ----------
    model, graph
        The network and its trace; it is only read.
    amount
        A float in [0, 1): share of the slices left; a whole number: how many more. One slice of
        each layer always stays.
    n
        Order of the norm, also ``inf`` and ``-inf``: the slices with the smallest go. "random":
        those with the lowest draws do.
    dim
        Along which dimension of the weight, also negative.
    layers
        Names; None: all but the output layer.
    masks
        By layer name, what stays of a plan before this one: slices that are wholly gone do not
        count, and what was gone stays gone.
    generator
        Of the draws; None for torch's own.

    Raises
    ------
    SpecError
        If a layer is unknown, has no such dimension, or `amount` is more than is left.
    """
    tensors = tensors_of(model, graph)
    layers = [layers] if isinstance(layers, str) else layers
    names = [n for n, layer in graph.layers.items() if not layer.is_output]
    found: dict[str, Any] = {}
    before = plan_from_masks(graph, masks or {}).masks
    for name in names if layers is None else layers:
        if name not in graph.layers:
            raise SpecError(f"There is no layer called {name!r}.", expected=", ".join(graph.layers))
        weight = tensors[graph.layers[name].weight].cpu()
        if not -weight.dim() <= dim < weight.dim():
            raise SpecError(
                f"The weight of `{name}` has no dimension {dim}.",
                expected=f"0 to {weight.dim() - 1}",
                got=dim,
                where=name,
            )
        mask = before.get(name, torch.ones(weight.shape, dtype=torch.bool))
        found[name] = _kept(name, weight, mask, amount, n, dim % weight.dim(), generator)
    return plan_from_masks(graph, {**before, **found})


def _kept(
    name: str,
    weight: Tensor,
    mask: Tensor,
    amount: float | int,
    n: float | Literal["random"],
    dim: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Return the mask of one layer with the lowest of the slices left taken too."""
    others = [d for d in range(weight.dim()) if d != dim]
    left = mask.sum(dim=others).nonzero().flatten() if others else mask.nonzero().flatten()
    count = min(amount_of(amount, len(left), [name]), max(0, len(left) - 1))
    if not count:
        return mask
    if n == "random":
        scores = torch.rand(len(left), generator=generator)
    elif isinstance(n, (int, float)) and not isinstance(n, bool):
        part = (weight * mask).index_select(dim, left)
        scores = torch.linalg.vector_norm(part, ord=n, dim=others)
    else:
        raise SpecError("The order of a norm is a number.", got=repr(n), fix='Or n="random".')
    stays = torch.ones(weight.shape[dim], dtype=torch.bool)
    stays[left[scores.sort(stable=True).indices[:count]]] = False
    view = [1] * weight.dim()
    view[dim] = -1
    return mask & stays.view(view)
