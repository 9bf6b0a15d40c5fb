"""A race: several criteria on one trade-off, at equal sparsity, parameters or multiply-adds.

Which criterion looks best depends on what is held equal: at equal size one that thins out the wide
layers, at equal multiply-adds one that spares the small ones (Blalock et al. 2020). Chance always
takes part. Each criterion runs once a seed, which draws the calibration sample (and random scores);
the network is the same, so the spread is that of the criterion, not of training. Where nothing is
drawn all seeds give one result, and it is measured once.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from prunevis.criteria import CRITERIA
from prunevis.errors import SpecError
from prunevis.evaluation.calibration import first_input, needs_of, statistics_steps
from prunevis.evaluation.engine import Engine
from prunevis.evaluation.equal import check_measure, equal_steps
from prunevis.evaluation.estimate import Sampler
from prunevis.evaluation.exact import Evaluation, examples_of
from prunevis.evaluation.positions import blocks, measure_plans, prepare_steps
from prunevis.evaluation.race_records import Race, RacePoint, Racer, RaceRun
from prunevis.evaluation.tradeoff import check_images, check_sparsities
from prunevis.graph.cost import CostModel
from prunevis.graph.layers import ModelGraph
from prunevis.graph.trace import trace
from prunevis.pruning.cuts import Ranking
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.ranking import rank_steps
from prunevis.pruning.repairs.mending import Mending, mending_of
from prunevis.pruning.spec import PruningSpec
from prunevis.steps import finished, reported

#: 10, 20, ..., 90 % gone.
DEFAULT_SHARES = tuple(k / 10 for k in range(1, 10))
#: Most criteria, chance included, and most seeds of one race.
MOST_CRITERIA, MOST_SEEDS = 20, 20


@dataclass(frozen=True, eq=False, slots=True)
class RaceProgress:
    """How far a race is: pruned networks measured, of how many, and what runs, in words."""

    done: int
    total: int
    text: str
    result: Race | None = field(default=None, repr=False)


def racing(criteria: Iterable[str], granularity: str) -> list[str]:
    """Return the criteria of a race, each once, with chance among them.

    Raises
    ------
    UnknownNameError
        If there is no such criterion.
    SpecError
        If one cannot score such pieces, or there are none or too many.
    """
    names = list(dict.fromkeys([criteria] if isinstance(criteria, str) else criteria))
    for name in names:
        if granularity not in CRITERIA[name].granularities:
            able = ", ".join(n for n, c in CRITERIA.items() if granularity in c.granularities)
            raise SpecError(
                f"The criterion {name!r} does not score single {granularity}s.",
                fix=f'Pass granularity="{CRITERIA[name].granularities[0]}" to use it. '
                f"For granularity {granularity!r} choose among: {able}.",
            )
    if not names:
        raise SpecError("No criterion is named.", fix="Name at least one; chance is added.")
    names += [] if "random" in names else ["random"]
    if len(names) > MOST_CRITERIA:
        raise SpecError("These are too many criteria.", expected=f"at most {MOST_CRITERIA}")
    return names


def _checked_seeds(seeds: Iterable[int]) -> tuple[int, ...]:
    if isinstance(seeds, (str, bytes)) or not isinstance(seeds, Iterable):
        raise SpecError(
            "Seeds are several whole numbers.",
            expected="a sequence such as (0, 1, 2)",
            got=repr(seeds)[:80],
            where="seeds",
            fix="Write range(3) for three seeds.",
        )
    found = tuple(dict.fromkeys(PruningSpec.make(seed=seed).seed for seed in seeds))
    if not 1 <= len(found) <= MOST_SEEDS:
        raise SpecError(
            "A race needs seeds.", expected=f"1 to {MOST_SEEDS} whole numbers", got=len(found)
        )
    return found


def draws(name: str) -> bool:
    """Whether a criterion's scores depend on the seed: by chance, or by the calibration sample."""
    return CRITERIA[name].random or bool(needs_of([name]))


def race_steps(
    model: nn.Module,
    data: Any,
    criteria: Iterable[str] = ("l2",),
    *,
    seeds: Iterable[int] = (0, 1, 2),
    at: str = "sparsity",
    granularity: str = "unit",
    scope: str = "global",
    shares: Sequence[float] = DEFAULT_SHARES,
    images: int | None = None,
    max_examples: int = 1024,
    repair: str = "none",
    multiple_of: int = 1,
    min_units: int = 1,
    pattern: str | None = None,
    mending: Mending | None = None,
    graph: ModelGraph | None = None,
    baseline: Evaluation | None = None,
    device: torch.device | str | None = None,
) -> Generator[RaceProgress, None, Race]:
    """Race step by step; the last report carries the `Race`, also returned.

    Parameters as for `race`. Closing the generator cancels.
    """
    spec = PruningSpec.make(
        "random",
        granularity,
        scope,
        0.0,
        repair=repair,
        multiple_of=multiple_of,
        min_units=min_units,
        pattern=pattern,
    )
    names, drawn, at = racing(criteria, granularity), _checked_seeds(seeds), check_measure(at)
    places = check_sparsities(shares, "shares")
    check_images(images)
    examples = examples_of(data)
    laps = [(name, seed) for name in names for seed in (drawn if draws(name) else drawn[:1])]
    total, done = len(laps) * len(places), 0
    yield RaceProgress(0, total, "Tracing the network")
    graph = graph or trace(model, first_input(data))
    costs = CostModel(graph)
    if mending is None:
        mending = mending_of(repair, model, graph, data=data)
    engine = Engine(model, graph, examples.count)
    sampler: Sampler | None = None
    runs: dict[str, list[RaceRun]] = {name: [] for name in names}
    counted = 0
    for name, seed in laps:
        seeds_of = f", seed {seed}" if draws(name) else ""
        text = f"{CRITERIA[name].label}{seeds_of}"
        scored = yield from reported(
            # mended below: the order is the same without
            _scored(model, data, graph, replace(spec, criterion=name, seed=seed, repair="none"),
                    max_examples),
            RaceProgress(done, total, f"{text}: scoring"),
        )  # fmt: skip
        ranking, seconds, count = scored
        ranking = ranking.mended(mending)
        counted = max(counted, count)
        if sampler is None:
            sampler, baseline = yield from reported(
                prepare_steps(engine, examples, baseline, ranking.plan(0.5), seed=0, device=device),
                RaceProgress(done, total, "Trying out how to run it fastest"),
            )
        plans = yield from reported(
            equal_steps(ranking, costs, at, places), RaceProgress(done, total, text)
        )
        yield RaceProgress(done, total, text)
        points = yield from reported(
            _measured(engine, sampler, costs, places, plans, images),
            RaceProgress(done, total, text),
        )
        runs[name].append(RaceRun(seed, seconds, points))
        done += len(places)
        if done < total:
            yield RaceProgress(done, total, text)
    assert baseline is not None  # there is at least one lap
    racers = tuple(Racer(n, CRITERIA[n].label, tuple(runs[n]), _note(n)) for n in names)
    result = Race(at, granularity, scope, tuple(places), racers, drawn, baseline, counted, spec)
    yield RaceProgress(total, total, "Done", result)
    return result


def race(
    model: nn.Module,
    data: Any,
    criteria: Iterable[str] = ("l2",),
    *,
    seeds: Iterable[int] = (0, 1, 2),
    at: str = "sparsity",
    granularity: str = "unit",
    scope: str = "global",
    shares: Sequence[float] = DEFAULT_SHARES,
    images: int | None = None,
    max_examples: int = 1024,
    repair: str = "none",
    multiple_of: int = 1,
    min_units: int = 1,
    pattern: str | None = None,
    mending: Mending | None = None,
    graph: ModelGraph | None = None,
    baseline: Evaluation | None = None,
    device: torch.device | str | None = None,
) -> Race:
    """Prune one network by several criteria to equal cost and measure each, without fine-tuning.

    Parameters
    ----------
    model, data, device
        As for `evaluate`: accuracy is measured on the test part, statistics are taken from the
        training part if there is one. The model is not changed.
    criteria
        Names in `prunevis.CRITERIA`; "random" is added if it is not among them.
    seeds
        Each draws another calibration sample and other random scores. Criteria that read weights
        only are the same for every seed and run once.
    at
        What is equal: "sparsity" (share of prunable weights or units), "params" or "macs" (share of
        all of the network's that is gone; of weights, as if zeros were skipped).
    granularity, scope
        As for `PruningSpec.make`.
    shares
        How much is to go, in [0, 1). A network that cannot be made that small has no point there.
    images
        Test images for each network; None for all, which makes every figure that of `evaluate`.
    max_examples
        Size of each calibration sample.
    repair, multiple_of, min_units, pattern
        As for `PruningSpec.make`; the same for all.
    mending
        What the repair reads, if at hand; otherwise taken from `data`.
    graph, baseline
        From `trace` and `evaluate`, if at hand.

    Raises
    ------
    UnknownNameError, SpecError
        If a criterion, a seed, a share or `at` is not allowed.
    NothingToPruneError
        If a criterion can score no layer of the network.
    ModelError, DataError, NonFiniteError
        As `evaluate`.
    """
    steps = race_steps(
        model,
        data,
        criteria,
        seeds=seeds,
        at=at,
        granularity=granularity,
        scope=scope,
        shares=shares,
        images=images,
        max_examples=max_examples,
        repair=repair,
        multiple_of=multiple_of,
        min_units=min_units,
        pattern=pattern,
        mending=mending,
        graph=graph,
        baseline=baseline,
        device=device,
    )
    return finished(steps)


def _scored(
    model: nn.Module, data: Any, graph: ModelGraph, spec: PruningSpec, max_examples: int
) -> Generator[None, None, tuple[Ranking, float, int]]:
    """Return a ranking, the seconds of work it took, and how many examples it looked at."""
    statistics, seconds, begin = None, 0.0, time.perf_counter()
    if needs_of([spec.criterion]):
        for step in statistics_steps(
            model, data, graph, [spec.criterion], max_examples=max_examples, seed=spec.seed
        ):
            statistics = step.statistics
            seconds += time.perf_counter() - begin
            yield  # what others do meanwhile is not its time
            begin = time.perf_counter()
    steps = rank_steps(model, spec, graph=graph, statistics=statistics)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            seconds += time.perf_counter() - begin
            return stop.value, seconds, 0 if statistics is None else statistics.num_examples
        seconds += time.perf_counter() - begin
        yield
        begin = time.perf_counter()


def _measured(
    engine: Engine,
    sampler: Sampler,
    costs: CostModel,
    shares: Sequence[float],
    plans: Sequence[PruningPlan | None],
    images: int | None,
) -> Generator[None, None, tuple[RacePoint | None, ...]]:
    """Return the accuracy of each plan; ascending shares share what they have in common."""
    found: dict[int, RacePoint] = {}
    there = [place for place, plan in enumerate(plans) if plan is not None]
    for block in blocks(len(there), engine.block):
        chosen = [(there[k], plan) for k in block if (plan := plans[there[k]]) is not None]
        estimates = yield from measure_plans(engine, sampler, [p for _, p in chosen], images)
        for (place, plan), estimate in zip(chosen, estimates, strict=True):
            found[place] = RacePoint(
                shares[place], plan.achieved_sparsity, estimate, costs.cost(plan)
            )
    return tuple(found.get(place) for place in range(len(plans)))


def _note(name: str) -> str:
    return "" if draws(name) else "The same for every seed: it reads weights only."
