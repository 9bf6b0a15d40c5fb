"""How much each layer can lose by itself: one layer pruned at a time, all others left alone.

The scan by which Han et al. (2015) chose the threshold of each layer.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from prunevis.errors import NothingToPruneError, SpecError
from prunevis.evaluation.engine import Engine
from prunevis.evaluation.estimate import AccuracyEstimate
from prunevis.evaluation.exact import Evaluation, examples_of
from prunevis.evaluation.positions import blocks, measure_plans, prepare_steps
from prunevis.evaluation.tradeoff import check_images, check_sparsities
from prunevis.graph.checks import check_graph
from prunevis.graph.layers import ModelGraph
from prunevis.graph.trace import trace
from prunevis.pruning.cuts import Ranking
from prunevis.pruning.ranking import rank
from prunevis.pruning.repairs.mending import Mending, mending_of
from prunevis.pruning.scoring import classes_stay, collected
from prunevis.pruning.spec import PruningSpec
from prunevis.steps import finished, reported

#: 10, 20, ..., 90 %.
DEFAULT_SPARSITIES = tuple(k / 10 for k in range(1, 10))


@dataclass(frozen=True, eq=False, slots=True)
class Sensitivity:
    """Accuracy with one layer pruned at a time.

    Attributes
    ----------
    criterion, granularity
        How each layer was pruned.
    sparsities
        Ascending, in [0, 1).
    estimates
        By layer, in the order of execution: one estimate a sparsity.
    baseline
        The unpruned network on the same data.
    skipped
        Layers without estimates, each with a sentence that says why.
    achieved
        By layer: the share that went at each of `sparsities`. A pattern, a multiple or units that
        stay may allow less than was asked, or something in between.
    spec
        What was asked, but for the layers and the sparsity.
    """

    criterion: str
    granularity: str
    sparsities: tuple[float, ...]
    estimates: Mapping[str, tuple[AccuracyEstimate, ...]] = field(repr=False)
    baseline: Evaluation
    skipped: Mapping[str, str] = field(repr=False)
    achieved: Mapping[str, tuple[float, ...]] = field(repr=False)
    spec: PruningSpec = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"Sensitivity({self.criterion}, {self.granularity}: {len(self.estimates)} layers at "
            f"{len(self.sparsities)} sparsities)"
        )


@dataclass(frozen=True, eq=False, slots=True)
class SensitivityProgress:
    """How far a scan is.

    Attributes
    ----------
    done, total
        Measured pairs of layer and sparsity, of how many; 0 while the baseline is measured.
    estimates
        By layer, then by sparsity, those measured.
    result
        With the last report; None before.
    """

    done: int
    total: int
    estimates: Mapping[str, Mapping[float, AccuracyEstimate]] = field(repr=False)
    result: Sensitivity | None = field(default=None, repr=False)


def _chosen(
    graph: ModelGraph, granularity: str, layers: Iterable[str] | None
) -> tuple[list[str], dict[str, str]]:
    """Return the layers to scan, and why others are not."""
    if layers is not None:
        return list(layers), {}
    chosen: list[str] = []
    skipped: dict[str, str] = {}
    scanned: dict[str, str] = {}
    for name, layer in graph.layers.items():
        weights = granularity == "weight"
        reason = layer.weight_reason if weights else layer.reason
        shared = layer.weight if weights else layer.group or name
        if reason is not None:
            skipped[name] = reason
        elif layer.is_output:
            skipped[name] = "It gives the model's outputs; name it in `layers` to scan it too."
        elif shared in scanned:
            what = "weight is" if weights else "units are"
            skipped[name] = f"Its {what} also those of `{scanned[shared]}`, which is scanned."
        else:
            scanned[shared] = name
            chosen.append(name)
    return chosen, skipped


def sensitivity_steps(
    model: nn.Module,
    data: Any,
    *,
    criterion: str = "magnitude",
    granularity: str = "weight",
    sparsities: Sequence[float] = DEFAULT_SPARSITIES,
    layers: Iterable[str] | None = None,
    images: int | None = 1000,
    seed: int = 0,
    repair: str = "none",
    multiple_of: int = 1,
    min_units: int = 1,
    pattern: str | None = None,
    mending: Mending | None = None,
    graph: ModelGraph | None = None,
    statistics: Any = None,
    baseline: Evaluation | None = None,
    device: torch.device | str | None = None,
) -> Generator[SensitivityProgress, None, Sensitivity]:
    """Scan pair by pair; the last report carries the `Sensitivity`, also returned.

    Parameters as for `sensitivity`. All layers get their coarse points before any gets fine ones.
    """
    asked = PruningSpec.make(
        criterion,
        granularity,
        "layer",
        0.0,
        layers,
        seed,
        repair,
        multiple_of=multiple_of,
        min_units=min_units,
        pattern=pattern,
    )
    # mended below: the order is the same without
    spec = replace(asked, repair="none")
    positions = check_sparsities(sparsities)
    check_images(images)
    examples = examples_of(data)
    graph = trace(model, examples.inputs[:1]) if graph is None else check_graph(graph)
    classes_stay(graph, spec)
    statistics = collected(model, data, graph, criterion, statistics)
    if mending is None:
        mending = mending_of(repair, model, graph, statistics=statistics, data=data)
    # For its checks of the request as a whole: what it raises holds for every layer.
    whole = rank(model, spec, graph=graph, statistics=statistics)
    chosen, skipped = _chosen(graph, granularity, spec.layer_names)
    rankings: dict[str, Ranking] = {}
    for name in chosen:
        alone = replace(spec, layers=((name, None),))
        try:
            ranking = rank(model, alone, graph=graph, statistics=statistics)
            rankings[name] = ranking.mended(mending)
        except (SpecError, NothingToPruneError) as error:
            # a layer too small for what is to stay of it keeps no other from being scanned
            if layers is not None and multiple_of == min_units == 1:
                raise
            key = name if granularity == "weight" else graph.layers[name].group
            skipped[name] = whole.skipped.get(key or name, error.problem)
        yield SensitivityProgress(0, len(chosen) * len(positions), {})
    total = len(rankings) * len(positions)
    found: dict[str, dict[float, AccuracyEstimate]] = {name: {} for name in rankings}
    done = 0
    engine = Engine(model, graph, examples.count)
    some = positions[len(positions) // 2 :][:1]
    middle = next((ranking.plan(*some) for ranking in rankings.values()), None)
    sampler, baseline = yield from reported(
        prepare_steps(engine, examples, baseline, middle, seed=seed, device=device),
        SensitivityProgress(0, total, {}),
    )
    for block in blocks(len(positions), engine.block):
        for name, ranking in rankings.items():
            plans = [ranking.plan(positions[place]) for place in block]
            estimates = yield from reported(
                measure_plans(engine, sampler, plans, images),
                SensitivityProgress(done, total, _copied(found)),
            )
            for place, estimate in zip(block, estimates, strict=True):
                found[name][positions[place]] = estimate
            done += len(block)
            if done < total:
                yield SensitivityProgress(done, total, _copied(found))
    result = Sensitivity(
        criterion,
        granularity,
        tuple(positions),
        {name: tuple(points[s] for s in positions) for name, points in found.items()},
        baseline,
        skipped,
        {
            name: tuple(ranking.plan(s).achieved_sparsity for s in positions)
            for name, ranking in rankings.items()
        },
        replace(asked, layers=None),
    )
    yield SensitivityProgress(total, total, _copied(found), result)
    return result


def _copied(
    found: Mapping[str, Mapping[float, AccuracyEstimate]],
) -> dict[str, dict[float, AccuracyEstimate]]:
    return {name: dict(points) for name, points in found.items()}


def sensitivity(
    model: nn.Module,
    data: Any,
    *,
    criterion: str = "magnitude",
    granularity: str = "weight",
    sparsities: Sequence[float] = DEFAULT_SPARSITIES,
    layers: Iterable[str] | None = None,
    images: int | None = 1000,
    seed: int = 0,
    repair: str = "none",
    multiple_of: int = 1,
    min_units: int = 1,
    pattern: str | None = None,
    mending: Mending | None = None,
    graph: ModelGraph | None = None,
    statistics: Any = None,
    baseline: Evaluation | None = None,
    device: torch.device | str | None = None,
) -> Sensitivity:
    """Measure what pruning each layer alone does to the accuracy, without fine-tuning.

    Parameters
    ----------
    model, data, device
        As for `evaluate`; the model must be a module and is not changed.
    criterion, granularity
        As for `PruningSpec.make`. Units that must leave together with those of other layers (a
        residual sum) do so here too; such a group is scanned once, under its first layer.
    sparsities
        In [0, 1).
    layers
        Names; None for all that can be pruned but the output layer.
    images
        Test images run for each pair; None for all.
    repair, multiple_of, min_units, pattern
        As for `PruningSpec.make`.
    mending
        What the repair reads, if at hand; otherwise taken from `data`.
    seed, graph, statistics, baseline
        As for `tradeoff`.

    Raises
    ------
    SpecError, NothingToPruneError
        As `rank`.
    ModelError, DataError, NonFiniteError
        As `evaluate`.
    """
    steps = sensitivity_steps(
        model,
        data,
        criterion=criterion,
        granularity=granularity,
        sparsities=sparsities,
        layers=layers,
        images=images,
        seed=seed,
        repair=repair,
        multiple_of=multiple_of,
        min_units=min_units,
        pattern=pattern,
        mending=mending,
        graph=graph,
        statistics=statistics,
        baseline=baseline,
        device=device,
    )
    return finished(steps)
