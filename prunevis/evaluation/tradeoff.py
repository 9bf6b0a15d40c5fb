"""Accuracy against what is left: one point a sparsity, ends first, then ever finer."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from prunevis.errors import SpecError
from prunevis.evaluation.estimate import AccuracyEstimate, Sampler
from prunevis.evaluation.exact import Evaluation, evaluate_steps, examples_of
from prunevis.graph.cost import CostModel, ModelCost
from prunevis.graph.layers import ModelGraph
from prunevis.pruning.masking import candidate
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.ranking import rank
from prunevis.pruning.spec import PruningSpec, check_sparsity

#: 0, 5, ..., 95 %.
DEFAULT_SPARSITIES = tuple(k / 20 for k in range(20))


@dataclass(frozen=True, slots=True)
class TradeoffPoint:
    """One position on the curve.

    Attributes
    ----------
    sparsity, achieved
        Asked for, and as it came out, both in [0, 1).
    estimate
        Accuracy; exact if all images were run.
    cost
        What the network costs there.
    """

    sparsity: float
    achieved: float
    estimate: AccuracyEstimate
    cost: ModelCost = field(repr=False)


@dataclass(frozen=True, eq=False, slots=True)
class Tradeoff:
    """Accuracy and costs over sparsity.

    Attributes
    ----------
    spec
        What was asked, but for the sparsity.
    points
        In ascending order of sparsity.
    baseline
        The unpruned network on the same data.
    """

    spec: PruningSpec
    points: tuple[TradeoffPoint, ...] = field(repr=False)
    baseline: Evaluation

    def __repr__(self) -> str:
        first, last = self.points[0], self.points[-1]
        return (
            f"Tradeoff({self.spec.criterion}, {self.spec.granularity}, {self.spec.scope}: "
            f"{first.estimate.value:.2%} at sparsity {first.sparsity:.0%} to "
            f"{last.estimate.value:.2%} at {last.sparsity:.0%}, {len(self.points)} points)"
        )


@dataclass(frozen=True, eq=False, slots=True)
class TradeoffProgress:
    """How far a sweep is.

    Attributes
    ----------
    done, total
        Finished points, of how many; 0 while the baseline is measured.
    points
        Those finished, ascending.
    result
        With the last report; None before.
    """

    done: int
    total: int
    points: tuple[TradeoffPoint, ...] = field(repr=False)
    result: Tradeoff | None = field(default=None, repr=False)


def coarse_to_fine(count: int) -> list[int]:
    """Return the positions 0 to `count` - 1: both ends, the middle, the quarters, and so on.

    Examples
    --------
    >>> coarse_to_fine(9)
    [0, 8, 4, 2, 6, 1, 3, 5, 7]
    """
    order = [0, count - 1][:count]
    gaps = [(0, count - 1)]
    for low, high in gaps:  # grows while it is read: breadth first
        if high - low > 1:
            middle = (low + high) // 2
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return order


def check_images(images: int | None) -> int | None:
    """Return `images` if it is None or a whole number from 1; else raise SpecError."""
    whole = isinstance(images, int) and not isinstance(images, bool)
    if images is not None and not (whole and images >= 1):
        raise SpecError("`images` is a whole number from 1, or None for all.", got=repr(images))
    return images


def estimate_plan(
    model: nn.Module, plan: PruningPlan, sampler: Sampler, images: int | None
) -> Generator[AccuracyEstimate, None, AccuracyEstimate]:
    """Yield estimates of the accuracy under `plan` until `images` are run; return the last.

    Where nothing goes the baseline's own figure is returned, without a run.
    """
    pruned = candidate(model, plan)
    if pruned is model and sampler.baseline is not None:
        known = sampler.baseline.accuracy
        return AccuracyEstimate(known, known, known, sampler.total, sampler.total, True)
    stream = sampler.stream(pruned)
    wanted = min(sampler.total, images or sampler.total)
    estimate = stream.step(wanted)
    while stream.seen < wanted:
        yield estimate
        estimate = stream.step(wanted - stream.seen)
    return estimate


def tradeoff_steps(
    model: nn.Module,
    data: Any,
    *,
    criterion: str = "magnitude",
    granularity: str = "weight",
    scope: str = "global",
    layers: Iterable[str] | Mapping[str, float | None] | None = None,
    sparsities: Sequence[float] | None = None,
    images: int | None = None,
    seed: int = 0,
    graph: ModelGraph | None = None,
    statistics: Any = None,
    baseline: Evaluation | None = None,
    device: torch.device | str | None = None,
) -> Generator[TradeoffProgress, None, Tradeoff]:
    """Sweep point by point, coarse to fine; the last report carries the `Tradeoff`, also returned.

    Parameters as for `tradeoff`. Closing the generator cancels; a report comes at least after
    every batch.
    """
    spec = PruningSpec.make(criterion, granularity, scope, 0.0, layers, seed)
    positions = sorted({check_sparsity(s) for s in sparsities or DEFAULT_SPARSITIES})
    check_images(images)
    examples = examples_of(data)
    ranking = rank(model, spec, graph=graph, statistics=statistics, data=data)
    total = len(positions)
    if baseline is None:
        for progress in evaluate_steps(model, examples, device=device):
            baseline = progress.evaluation
            yield TradeoffProgress(0, total, ())
    sampler = Sampler(examples, baseline, seed=seed, device=device)
    costs = CostModel(ranking.graph)
    found: dict[int, TradeoffPoint] = {}
    for place in coarse_to_fine(total):
        plan = ranking.plan(positions[place])
        steps = estimate_plan(model, plan, sampler, images)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                estimate = stop.value
                break
            yield TradeoffProgress(len(found), total, _ascending(found))
        found[place] = TradeoffPoint(
            positions[place], plan.achieved_sparsity, estimate, costs.cost(plan)
        )
        if len(found) < total:
            yield TradeoffProgress(len(found), total, _ascending(found))
    assert baseline is not None, "the last step of the evaluation carries it"
    result = Tradeoff(spec, _ascending(found), baseline)
    yield TradeoffProgress(total, total, result.points, result)
    return result


def _ascending(found: Mapping[int, TradeoffPoint]) -> tuple[TradeoffPoint, ...]:
    return tuple(found[place] for place in sorted(found))


def tradeoff(
    model: nn.Module,
    data: Any,
    *,
    criterion: str = "magnitude",
    granularity: str = "weight",
    scope: str = "global",
    layers: Iterable[str] | Mapping[str, float | None] | None = None,
    sparsities: Sequence[float] | None = None,
    images: int | None = None,
    seed: int = 0,
    graph: ModelGraph | None = None,
    statistics: Any = None,
    baseline: Evaluation | None = None,
    device: torch.device | str | None = None,
) -> Tradeoff:
    """Measure accuracy and costs over sparsity, without fine-tuning.

    Parameters
    ----------
    model, data, device
        As for `evaluate`; the model must be a module and is not changed.
    criterion, granularity, scope, layers
        As for `PruningSpec.make`. Layers with a sparsity of their own keep it at every point.
    sparsities
        In [0, 1); None for 0, 0.05, ..., 0.95.
    images
        Test images run at each point; None for all, which makes every point exact.
    seed
        Of the criterion, where it draws at random, and of the order of images.
    graph, statistics
        From `trace` and `collect_statistics`; made from `data` where needed and not given.
    baseline
        ``evaluate(model, data)``, if at hand.

    Raises
    ------
    SpecError, NothingToPruneError
        As `rank`; SpecError too for a sparsity outside of [0, 1).
    ModelError, DataError, NonFiniteError
        As `evaluate`.
    """
    steps = tradeoff_steps(
        model,
        data,
        criterion=criterion,
        granularity=granularity,
        scope=scope,
        layers=layers,
        sparsities=sparsities,
        images=images,
        seed=seed,
        graph=graph,
        statistics=statistics,
        baseline=baseline,
        device=device,
    )
    for progress in steps:
        if progress.result is not None:
            return progress.result
    raise AssertionError("unreachable: the last report carries the result")
