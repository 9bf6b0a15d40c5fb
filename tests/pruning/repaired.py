"""Plans made by hand, and how far apart what they make of a network lies, for tests of repairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from prunevis.graph import ModelGraph, trace
from prunevis.pruning import Mending, PruningPlan, PruningSpec, masked, remove
from prunevis.statistics import collect_statistics


def plan_of(
    graph: ModelGraph, gone: Mapping[str, Iterable[int]], repair: str, **what
) -> PruningPlan:
    """Return a plan that takes the units `gone` out of each group."""
    ranks, cuts, total = {}, {}, {}
    for name, units in gone.items():
        size = graph.groups[name].size
        first = [*units]
        order = first + [unit for unit in range(size) if unit not in first]
        ranks[name] = torch.argsort(torch.tensor(order)).to(torch.int32)
        cuts[name], total[name] = len(first), size
    spec = PruningSpec(criterion="l2", granularity="unit", scope="layer", repair=repair)
    return PruningPlan(graph, spec, ranks, cuts, dict(cuts), total, mending=Mending(repair, **what))


def planned(
    model: nn.Module, inputs: Tensor, gone: Mapping[str, Iterable[int]], repair: str
) -> PruningPlan:
    """Return the same with statistics of `model` on `inputs`."""
    graph = trace(model, inputs[:1])
    targets = torch.zeros(len(inputs), dtype=torch.int64)
    statistics = collect_statistics(
        model, (inputs, targets), graph=graph, activations=False, inputs=True,
        max_examples=len(inputs),
    )  # fmt: skip
    return plan_of(graph, gone, repair, statistics=statistics, inputs=inputs)


def outputs(model: nn.Module, plan: PruningPlan, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the network, the masked and the removed one give."""
    with torch.no_grad():
        dense = model(inputs)
        with masked(model, plan):
            zeros = model(inputs)
        return dense, zeros, remove(model, plan).eval()(inputs)


def change(model: nn.Module, plan: PruningPlan, inputs: Tensor) -> float:
    """Return the mean squared change of the outputs, summed over outputs; masked equals removed."""
    dense, zeros, smaller = outputs(model, plan, inputs)
    assert torch.allclose(zeros, smaller, atol=1e-5)
    return float(
        (zeros - dense).double().square().flatten(2 if dense.dim() > 2 else 1).sum(1).mean()
    )
