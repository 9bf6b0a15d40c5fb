"""What Python does when the slider moves: a plan, and what it costs.

The usual way to get the same numbers, in the same run and in turn with ours: copy the network, mask
it with `torch.nn.utils.prune`, count zeros. Both must count the same.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import nn
from torch.nn.utils import prune

import prunevis as pv
from benchmarks.record import Figure, Report
from prunevis.evaluation.pace import threads

TITLE = "A slider move: plan and costs of LeNet-5 at a new sparsity"
BAR_MS = 5.0


def measure(*, quick: bool = False) -> Report:
    """Return times of `Ranking.plan` and `CostModel.cost` at random sparsities, in ms."""
    count, warm = (10, 2) if quick else (200, 20)
    with threads(1):
        return _measure(count, warm)


def _measure(count: int, warm: int) -> Report:
    model = pv.load_model("lenet5")
    graph = pv.trace(model, torch.zeros(1, 1, 28, 28))
    costs = pv.CostModel(graph)
    weights = pv.rank(model, pv.PruningSpec("magnitude", "weight", "global"), graph=graph)
    units = pv.rank(model, pv.PruningSpec("l2", "unit", "global"), graph=graph)
    names = list(weights.importance)
    ways: dict[str, Callable[[float], Any]] = {
        "weights, one ranking over all layers": lambda s: costs.cost(weights.plan(s)),
        "units, one ranking over all layers": lambda s: costs.cost(units.plan(s)),
        "weights, their masks (made when accuracy is measured)": lambda s: weights.plan(s).masks,
        "the usual way: copy, global_unstructured, count zeros": lambda s: usual(model, names, s),
    }
    ours, _, _, theirs = ways
    times: dict[str, list[float]] = {name: [] for name in ways}
    draw = random.Random(0)
    for run in range(warm + count):
        sparsity = draw.uniform(0.001, 0.999)
        found = {}
        for name, way in ways.items():
            start = perf_counter()
            found[name] = way(sparsity)
            seconds = perf_counter() - start
            if run >= warm:
                times[name].append(1000 * seconds)
        if found[ours].nonzero_params != found[theirs]:
            raise AssertionError(
                f"At sparsity {sparsity} we count {found[ours].nonzero_params:,} parameters that "
                f"are not zero, torch.nn.utils.prune leaves {found[theirs]:,}."
            )
    promised = list(ways)[:2]
    return Report(
        tuple(
            Figure(name, "ms", tuple(runs), BAR_MS if name in promised else None)
            for name, runs in times.items()
        ),
        notes=("One thread.",),
    )


def usual(model: nn.Module, names: list[str], sparsity: float) -> int:
    """Return the nonzero parameters at `sparsity`, by copying, masking and counting."""
    pruned = copy.deepcopy(model)
    layers = [(pruned.get_submodule(name), "weight") for name in names]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=sparsity)
    for layer, tensor in layers:
        prune.remove(layer, tensor)
    return sum(int(torch.count_nonzero(tensor)) for tensor in pruned.parameters())
