"""Accuracy against what is left: one point a sparsity, ends first, then ever finer."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from prunevis.errors import SpecError
from prunevis.evaluation.engine import Engine
from prunevis.evaluation.estimate import AccuracyEstimate
from prunevis.evaluation.exact import Evaluation, examples_of
from prunevis.evaluation.positions import blocks, measure_plans, prepare_steps
from prunevis.graph.checks import check_graph
from prunevis.graph.cost import CostModel, ModelCost
from prunevis.graph.layers import ModelGraph
from prunevis.pruning.patterns import pattern_of
from prunevis.pruning.ranking import rank
from prunevis.pruning.scoring import classes_stay, traced
from prunevis.pruning.spec import PruningSpec, check_of, check_sparsity
from prunevis.pruning.targets import Shares
from prunevis.steps import finished, reported

#: 0, 5, ..., 95 %.
DEFAULT_SPARSITIES = tuple(k / 20 for k in range(20))


@dataclass(frozen=True, slots=True)
class TradeoffPoint:
    """One position on the curve.

    Attributes
    ----------
    sparsity, achieved
        The share removed, asked for and as it came out, both in [0, 1); of what, `Tradeoff.spec.of`
        says.
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
        what = "sparsity" if self.spec.of == "sparsity" else f"{self.spec.of} removed"
        return (
            f"Tradeoff({self.spec.criterion}, {self.spec.granularity}, {self.spec.scope}: "
            f"{first.estimate.value:.2%} at {what} {first.sparsity:.0%} to "
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


def check_images(images: int | None) -> int | None:
    """Return `images` if it is None or a whole number from 1; else raise SpecError."""
    whole = isinstance(images, int) and not isinstance(images, bool)
    if images is not None and not (whole and images >= 1):
        raise SpecError("`images` is a whole number from 1, or None for all.", got=repr(images))
    return images


def check_sparsities(sparsities: object, where: str = "sparsities") -> list[float]:
    """Return several sparsities, checked and ascending, each once; else raise SpecError."""
    if not isinstance(sparsities, Iterable) or isinstance(sparsities, (str, bytes)):
        raise SpecError(
            "Sparsities are several numbers.",
            expected="a sequence such as (0.5, 0.8)",
            got=repr(sparsities)[:80],
            where=where,
            fix="Write [0.5] for a single one.",
        )
    found = sorted({check_sparsity(one, where) for one in sparsities})
    if not found:
        raise SpecError(f"`{where}` is empty.", fix="Give at least one, e.g. (0.5, 0.8).")
    return found


def _asked(sparsities: object, spec: PruningSpec) -> list[float]:
    """Return the shares to measure; what nobody asked for ends where the pattern does."""
    pattern = pattern_of(spec.pattern)
    most = 1.0 if pattern is None or spec.of != "sparsity" else pattern.most
    if sparsities is None:
        return [share for share in DEFAULT_SPARSITIES if share <= most]
    asked = check_sparsities(sparsities)
    if spec.of == "sparsity":
        replace(spec, sparsity=asked[-1])  # a request for more than the pattern takes is refused
    return asked


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
    of: str = "sparsity",
    multiple_of: int = 1,
    min_units: int = 1,
    pattern: str | None = None,
) -> Generator[TradeoffProgress, None, Tradeoff]:
    """Sweep in blocks, coarse to fine; the last report carries the `Tradeoff`, also returned.

    Parameters as for `tradeoff`. Closing the generator cancels; a report comes at least after
    every batch.
    """
    spec = PruningSpec.make(
        criterion,
        granularity,
        scope,
        0.0,
        layers,
        seed,
        multiple_of=multiple_of,
        min_units=min_units,
        pattern=pattern,
    ).at(0.0, None, check_of(of, granularity))
    asked = _asked(sparsities, spec)
    check_images(images)
    examples = examples_of(data)
    graph = traced(model, data) if graph is None else check_graph(graph)
    classes_stay(graph, spec)
    ranking = rank(model, spec, graph=graph, statistics=statistics, data=data)
    shares = Shares(ranking, of)
    if of == "sparsity":
        positions = [(share, share) for share in asked]
    else:
        # what nobody asked for by number ends where no more can go
        fits = [s for s in asked if sparsities is not None or 1 - s >= shares.least]
        positions = [(share, shares.sparsity(1 - share)) for share in fits]
    total = len(positions)
    engine = Engine(model, ranking.graph, examples.count)
    middle = ranking.plan(positions[total // 2][1])
    sampler, baseline = yield from reported(
        prepare_steps(engine, examples, baseline, middle, seed=seed, device=device),
        TradeoffProgress(0, total, ()),
    )
    costs = CostModel(ranking.graph)
    found: dict[int, TradeoffPoint] = {}
    points: tuple[TradeoffPoint, ...] = ()
    for block in blocks(total, engine.block):
        plans = [ranking.plan(positions[place][1]) for place in block]
        estimates = yield from reported(
            measure_plans(engine, sampler, plans, images),
            TradeoffProgress(len(found), total, points),
        )
        for place, plan, estimate in zip(block, plans, estimates, strict=True):
            achieved = plan.achieved_sparsity if of == "sparsity" else 1 - shares.left(plan)
            found[place] = TradeoffPoint(positions[place][0], achieved, estimate, costs.cost(plan))
        points = tuple(found[place] for place in sorted(found))
        if len(found) < total:
            yield TradeoffProgress(len(found), total, points)
    result = Tradeoff(spec, points, baseline)
    yield TradeoffProgress(total, total, points, result)
    return result


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
    of: str = "sparsity",
    multiple_of: int = 1,
    min_units: int = 1,
    pattern: str | None = None,
) -> Tradeoff:
    """Measure accuracy and costs over sparsity, without fine-tuning.

    Parameters
    ----------
    model, data, device
        As for `evaluate`; the model must be a module and is not changed.
    criterion, granularity, scope, layers
        As for `PruningSpec.make`. Layers with a sparsity of their own keep it at every point.
    sparsities
        Shares removed, in [0, 1); None for 0, 0.05, ..., 0.95, as far as can be.
    images
        Test images run at each point; None for all, which makes every point exact.
    seed
        Of the criterion, where it draws at random, and of the order of images.
    graph, statistics
        From `trace` and `collect_statistics`; made from `data` where needed and not given.
    baseline
        ``evaluate(model, data)``, if at hand.
    of
        What they are shares of: "sparsity" (prunable weights or units), "units", "params", "macs"
        or "bytes", as in `PruningSpec`.
    multiple_of, min_units, pattern
        As in `PruningSpec`.

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
        of=of,
        multiple_of=multiple_of,
        min_units=min_units,
        pattern=pattern,
    )
    return finished(steps)
