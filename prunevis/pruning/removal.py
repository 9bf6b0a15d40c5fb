"""A smaller network: units are taken out of every tensor that they lie in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prunevis.errors import ModelError, SpecError
from prunevis.graph.checks import check_model, check_weights
from prunevis.graph.coupling import is_only_output
from prunevis.graph.layers import ModelGraph
from prunevis.graph.shrinking import positions_kept, selected, shrunk
from prunevis.pruning.plan import check_plan
from prunevis.pruning.repairs.mending import repaired
from prunevis.pruning.trial import check_evaluation, check_training, masked_output

if TYPE_CHECKING:
    from prunevis.pruning.plan import PruningPlan


def remove(model: nn.Module, plan: PruningPlan, *, check: bool = True) -> nn.Module:
    """Return a smaller copy of `model` without the units that `plan` takes out.

    Parameters
    ----------
    model
        The network that the plan was made for; it is not changed.
    plan
        Of granularity "unit".
    check
        Whether to run the result (see `remove_units`).

    Raises
    ------
    SpecError
        If the plan zeroes weights: these are masked, not removed.
    ModelError
        As `remove_units`.
    """
    if check_plan(plan).granularity != "unit":
        raise SpecError(
            "Single weights cannot be removed, only masked.",
            expected='a plan of granularity "unit"',
            got=f'granularity "{plan.granularity}"',
            fix="Use prunevis.masked(model, plan), or rank with granularity='unit'.",
        )
    check_model(model)
    check_weights(model)
    _check_same(model, plan.graph)
    mended = repaired(model, plan).tensors
    # a plan touches the output layer only if its spec asked for it by name
    return remove_units(
        model, plan.graph, _leaving(plan), allow_output=True, check=check, mended=mended
    )


def positions_that_stay(plan: PruningPlan) -> dict[tuple[str, int], Tensor]:
    """Return, by tensor and axis, bool: the positions that stay; whole axes are left out.

    Raises
    ------
    SpecError
        If a tensor would be emptied.
    """
    return positions_kept(plan.graph.groups, _leaving(plan))


def _leaving(plan: PruningPlan) -> dict[str, Tensor]:
    """Return the kept units of the groups that lose some."""
    return {
        name: indices
        for name, indices in plan.kept.items()
        if len(indices) < plan.graph.groups[name].size
    }


def remove_units(
    model: nn.Module,
    graph: ModelGraph,
    kept: Mapping[str, Tensor],
    *,
    allow_output: bool = False,
    check: bool = True,
    mended: Mapping[str, Tensor] | None = None,
) -> nn.Module:
    """Return a smaller copy of `model` that holds only the units in `kept`.

    Parameters
    ----------
    model
        The network that `graph` is of; it stays bit for bit as it is.
    graph
        From `prunevis.trace`.
    kept
        By group name: int64, indices of the units that stay, each once. Groups that are not named
        stay whole.
    allow_output
        Whether units of the model's outputs may leave.
    check
        Whether to run the result before it is returned: once in evaluation mode, where it must give
        what the masked network gives, and once in training mode.
    mended
        Tensors of full size to take in the place of the model's own, from a repair.

    Raises
    ------
    SpecError
        If a group is unknown, may not be pruned, or would be emptied.
    ModelError
        If the model cannot be copied, is another than the graph's, or does not run afterwards.
    """
    chosen = {name: _checked(graph, name, ids, allow_output) for name, ids in kept.items()}
    check_model(model)
    _check_same(model, graph)
    positions = positions_kept(graph.groups, chosen)
    known: dict[str, Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        # masked first: its tensors are gone again before the smaller ones are made
        mended = {} if mended is None else mended
        expected = masked_output(model, graph, positions, mended) if check else None
        tensors = {**mended, **selected({**known, **mended}, positions)}
        smaller = shrunk(model, tensors, graph.sizes, chosen)
        if check:
            check_evaluation(smaller, graph, expected)
            check_training(smaller, graph, model)
    return smaller


def _checked(graph: ModelGraph, name: str, ids: object, allow_output: bool) -> Tensor:
    """Return the kept units of one group, ascending.

    Raises
    ------
    SpecError
        If they are not a choice that can be made.
    """
    if name not in graph.groups:
        raise SpecError(f"There is no channel group `{name}`.", expected=", ".join(graph.groups))
    group = graph.groups[name]
    if group.reason is not None and not (allow_output and is_only_output(group)):
        raise SpecError(
            f"Units of `{name}` cannot be removed.", got=group.reason.rstrip("."), where=name
        )
    units = torch.as_tensor(ids, device="cpu")
    if units.dtype == torch.bool or units.is_floating_point() or units.dim() != 1:
        raise SpecError(
            "Kept units are given by their numbers.",
            expected="int64 of shape (kept,)",
            got=f"{units.dtype} of shape {tuple(units.shape)}",
            where=name,
        )
    if not len(units):
        raise SpecError(
            f"No unit of `{name}` would be left.", where=name, fix="Keep at least one unit."
        )
    if int(units.min()) < 0 or int(units.max()) >= group.size or len(units.unique()) < len(units):
        raise SpecError(
            f"The kept units of `{name}` are not {len(units)} different units of it.",
            expected=f"numbers from 0 to {group.size - 1}, each once",
            got=f"from {int(units.min())} to {int(units.max())}",
            where=name,
        )
    return units.to(torch.int64).sort().values


def _check_same(model: nn.Module, graph: ModelGraph) -> None:
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, info in graph.tensors.items():
        got = tuple(tensors[name].shape) if name in tensors else None
        if got != info.shape:
            raise ModelError(
                "This graph is of another network.",
                expected=f"`{name}` of shape {info.shape}",
                got="no such tensor" if got is None else got,
                fix="Trace the network again after changing it.",
            )
