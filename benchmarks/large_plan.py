"""A move on a network of 25 million weights: counts and costs, and the masks that have changed.

The baseline, in the same run and in turn with ours, is `torch.nn.utils.prune.global_unstructured`
at the same sparsity on the same ResNet-50: on a fresh copy of the network, as one must to try one
sparsity after another, and the call alone, on a copy that was made before the clock was started.
Both must keep as many weights.
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
from benchmarks.resnets import resnet
from prunevis.evaluation.pace import threads

TITLE = "A slider move on ResNet-50, 25 million parameters: plan, costs and masks at a new sparsity"
COUNTS_MS, MASKS_MS, RATIO = 10.0, 60.0, 50.0

COUNTS = "plan and costs at a new sparsity"
MASKS = "masks of the layers that changed, one percent further"
CALL = "baseline: torch.nn.utils.prune.global_unstructured, the call alone"
COPY = "baseline: the same on a copy of the network, made within the time"


def measure(*, quick: bool = False) -> Report:
    """Return times in ms at random sparsities, and how many times faster than the baseline."""
    count, warm = (1, 0) if quick else (30, 3)
    with threads(1):
        return _measure(count, warm)


def _measure(count: int, warm: int) -> Report:
    model = resnet("resnet50")
    graph = pv.trace(model, torch.zeros(1, 3, 224, 224))
    costs = pv.CostModel(graph)
    start = perf_counter()
    ranking = pv.rank(model, pv.PruningSpec("magnitude", "weight", "global"), graph=graph)
    ranked = perf_counter() - start
    names = list(ranking.total)
    times: dict[str, list[float]] = {name: [] for name in (COUNTS, MASKS, CALL, COPY)}
    draw = random.Random(0)
    for run in range(warm + count):
        sparsity = draw.uniform(0.011, 0.999)
        # the slider stands one percent lower; what is known there may be used
        here = ranking.plan(sparsity - 0.01)
        here.masks  # noqa: B018
        plan, counting = timed(lambda s=sparsity: _counted(costs, ranking.plan(s)))
        _, masking = timed(lambda p=plan: p.masks)
        pruned = copy.deepcopy(model)
        _, calling = timed(lambda m=pruned, s=sparsity: usual(m, names, s))
        _check(plan, pruned)
        del pruned
        _, copying = timed(lambda s=sparsity: usual(copy.deepcopy(model), names, s))
        if run >= warm:
            for name, seconds in zip(times, (counting, masking, calling, copying), strict=True):
                times[name].append(1000 * seconds)
    bars = {COUNTS: COUNTS_MS, MASKS: MASKS_MS}
    pairs = zip(times[CALL], times[COUNTS], strict=True)
    whole = zip(times[CALL], times[COUNTS], times[MASKS], strict=True)
    faster = Figure(
        "plan and costs: how many times faster than the call alone",
        "×",
        tuple(theirs / ours for theirs, ours in pairs),
        RATIO,
        "p5",
    )
    with_masks = Figure(
        "plan, costs and masks: how many times faster than the call alone",
        "×",
        tuple(theirs / (counts + masks) for theirs, counts, masks in whole),
        RATIO,
        "p5",
    )
    return Report(
        (
            *(Figure(name, "ms", tuple(runs), bars.get(name)) for name, runs in times.items()),
            faster,
            with_masks,
        ),
        notes=(
            f"One thread. Ranking, once for a criterion, took {ranked:.2f} s.",
            f"It holds {ranking.nbytes / 1e6:.0f} MB, scores included; the network is "
            f"{costs.base_bytes / 1e6:.0f} MB.",
        ),
    )


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what `call` gives, and the seconds it took."""
    start = perf_counter()
    found = call()
    return found, perf_counter() - start


def _counted(costs: pv.CostModel, plan: pv.PruningPlan) -> pv.PruningPlan:
    costs.cost(plan)
    return plan


def usual(model: nn.Module, names: list[str], sparsity: float) -> None:
    """Mask the layers called `names` of `model` itself, as torch does."""
    layers = [(model.get_submodule(name), "weight") for name in names]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=sparsity)


def _check(plan: pv.PruningPlan, pruned: nn.Module) -> None:
    """Raise unless both keep as many; which of equal magnitudes go, torch leaves open."""
    masks = [pruned.get_submodule(name).get_buffer("weight_mask") for name in plan.masks]
    theirs = sum(int(mask.sum()) for mask in masks)
    ours = sum(int(mask.sum()) for mask in plan.masks.values())
    if not theirs == ours == plan.num_prunable - plan.num_removed:
        raise AssertionError(
            f"At sparsity {plan.sparsity} we keep {ours:,} weights, torch.nn.utils.prune "
            f"{theirs:,}."
        )
