"""Pruning in one call: rank, cut, mask or remove, and what it cost."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from prunevis.data import as_data
from prunevis.errors import ModelError
from prunevis.evaluation.exact import Evaluation, evaluate
from prunevis.graph import trace
from prunevis.graph.cost import CostModel, ModelCost
from prunevis.graph.products import Attention
from prunevis.pruning import PruningPlan, PruningSpec, masked_tensors, rank, remove
from prunevis.pruning.scoring import classes_stay


@dataclass(frozen=True, eq=False)
class Pruned:
    """What pruning gave, and what it cost.

    Attributes
    ----------
    model
        A new network: with zeros in place (granularity "weight"), or smaller ("unit").
    plan
        What went.
    cost_before, cost_after
        `ModelCost` of the network as it came, and pruned.
    before, after
        `Evaluation` on the test examples.
    skipped
        Layers or groups that were left out although nobody asked for that, with the reason.
    """

    model: nn.Module = field(repr=False)
    plan: PruningPlan
    cost_before: ModelCost
    cost_after: ModelCost
    before: Evaluation
    after: Evaluation
    skipped: Mapping[str, str]

    @property
    def accuracy_before(self) -> float:
        """In [0, 1]."""
        return self.before.accuracy

    @property
    def accuracy_after(self) -> float:
        """In [0, 1]."""
        return self.after.accuracy

    def __repr__(self) -> str:
        old, new, plan = self.cost_before, self.cost_after, self.plan
        units = plan.granularity == "unit"
        change = 100 * (self.accuracy_after - self.accuracy_before)
        flops = "after removal" if units else "if zeros were skipped"
        rows = [
            ("accuracy", f"{self.accuracy_before:.2%}", f"{self.accuracy_after:.2%}",
             f"{change:+.2f} points"),
            ("parameters", f"{old.num_params:,}", f"{new.nonzero_params:,}",
             f"{new.compression_ratio:.1f}× fewer"),
            ("FLOPs", f"{old.flops:,}", f"{new.effective_flops:,}",
             f"{new.theoretical_speedup:.1f}× fewer {flops}"),
            ("bytes", f"{old.bytes:,}", f"{new.bytes:,}",
             f"{old.bytes / max(1, new.bytes):.1f}× smaller as {new.storage}"),
        ]  # fmt: skip
        left = [max(len(row[k]) for row in rows) for k in range(3)]
        lines = [
            f"  {name:<{left[0]}}  {a:>{left[1]}} → {b:>{left[2]}}  ({note})"
            for name, a, b, note in rows
        ]
        kind = "taken out" if units else "set to zero"
        what = "units" if units else "weights"
        head = (
            f"Pruned: {plan.num_removed:,} of {plan.num_prunable:,} {what} {kind} "
            f"({plan.achieved_sparsity:.1%}) by {plan.spec.criterion}, scope {plan.spec.scope}"
        )
        notes = [f"  left out {name}: {why}" for name, why in self.skipped.items()]
        return "\n".join([head, *lines, *notes])


def prune(
    model: nn.Module,
    data: Any,
    *,
    criterion: str = "magnitude",
    granularity: str = "weight",
    scope: str = "global",
    sparsity: float | None = None,
    layers: Iterable[str] | Mapping[str, float | None] | None = None,
    seed: int = 0,
    repair: str = "none",
    keep: float | None = None,
    of: str = "sparsity",
    multiple_of: int = 1,
    min_units: int = 1,
    pattern: str | None = None,
    example_input: Any = None,
    attention: Attention = "heads",
    statistics: Any = None,
    calibration: tuple[int, int] | None = None,
) -> Pruned:
    """Prune a copy of `model` and measure what that cost; `model` itself is not changed.

    Parameters
    ----------
    model
        Any module that gives logits (N, classes).
    data
        As for `evaluate`; accuracy is measured on its test part, statistics are taken from its
        training part if there is one.
    criterion
        A name in `prunevis.CRITERIA`.
    granularity
        "weight" or "unit".
    scope
        "layer" or "global".
    sparsity
        Removed / prunable, in [0, 1); 0.5 if neither this nor `keep` is given.
    layers
        Names, or a mapping from names to a sparsity of their own; None: all but the output layer.
    seed
        For criteria that draw at random.
    repair
        A name in `prunevis.REPAIRS`: what is done for what stays, without training.
    keep, of
        In the place of `sparsity`: the share that stays, in (0, 1], of "params", "macs", "bytes",
        "units" or "sparsity". Both `sparsity` and `keep`, or `of` alone, are refused.
    multiple_of, min_units
        Units that layers keep a multiple of, and the least of each.
    pattern
        Of weights: "2:4" (N:M), "4x4" (blocks), or None.
    example_input
        A batch to trace with, if it should not be taken from the data.
    attention
        What leaves attention layers: whole "heads", or the same "dimensions" of every head.
    statistics
        From `collect_statistics`, to save the pass that some criteria need.
    calibration
        How many examples a repair reads and runs, as for `rank`.

    Raises
    ------
    SpecError, DataError, ModelError
        With a sentence that says what to do.

    Examples
    --------
    >>> prune(load_model("lenet5"), load_data(), sparsity=0.8)
    Pruned: 340,400 of 425,500 weights set to zero (80.0%) by magnitude, scope global
    ...
    """
    spec = PruningSpec.make(
        criterion,
        granularity,
        scope,
        sparsity,
        layers,
        seed,
        repair,
        keep=keep,
        of=of,
        multiple_of=multiple_of,
        min_units=min_units,
        pattern=pattern,
    )
    checked = as_data(data)
    example = checked.test.inputs[:1] if example_input is None else example_input
    graph = trace(model, example, attention=attention)
    classes_stay(graph, spec)
    before = evaluate(model, checked.test)
    ranking = rank(
        model, spec, graph=graph, statistics=statistics, data=checked, calibration=calibration
    )
    plan = ranking.plan()
    pruned = remove(model, plan) if plan.granularity == "unit" else zeroed(model, plan)
    costs = CostModel(graph)
    return Pruned(
        model=pruned,
        plan=plan,
        cost_before=costs.cost(),
        cost_after=costs.cost(plan),
        before=before,
        after=evaluate(pruned, checked.test),
        skipped=ranking.skipped,
    )


def zeroed(model: nn.Module, plan: PruningPlan) -> nn.Module:
    """Return a copy of `model` with the zeros of `plan` in place, and what its repair makes.

    Raises
    ------
    ModelError
        If the model cannot be copied, or the plan was made for another network.
    """
    try:
        pruned = copy.deepcopy(model)
    except Exception as error:
        raise ModelError(
            "The model cannot be copied, so it could not be pruned without changing it.",
            got=f"{type(error).__name__}: {error}",
            fix="Make copy.deepcopy(model) work, or use prunevis.masked(model, plan).",
        ) from error
    tensors = {**dict(pruned.named_parameters()), **dict(pruned.named_buffers())}
    with torch.no_grad():
        for name, value in masked_tensors(model, plan).items():
            tensors[name].copy_(value)
    return pruned
