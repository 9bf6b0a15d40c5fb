"""How well each criterion guesses the oracle: the table of Molchanov et al. 2016, on any network.

Spearman's ρ between a criterion's importance of units and the oracle's ``|ΔC|``: within each layer,
and over the units of all layers at once, with scores as they are and divided by the L2 norm of
their layer's (``Θ̂ = Θ / ‖Θ‖₂``). The oracle itself is never divided: a change of loss compares.
A layer here is a channel group, since units that leave together have one oracle.

Dividing by the norm alone says something: scores of a narrow layer come out larger, and narrow
layers tend to matter more. So normalised figures are to be held against those of random scores,
which are then not 0, not against 0.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunevis.criteria import CRITERIA
from prunevis.errors import NothingToPruneError, PrunevisError, SpecError
from prunevis.evaluation.calibration import first_input, needs_of, statistics_steps
from prunevis.evaluation.oracle import Oracle, oracle_steps
from prunevis.evaluation.spearman import spearman
from prunevis.graph.layers import ModelGraph
from prunevis.graph.trace import trace
from prunevis.pruning.ranking import rank_steps
from prunevis.pruning.spec import PruningSpec
from prunevis.statistics import Statistics
from prunevis.steps import finished, reported

#: Draws of a criterion at random, whose ρ are averaged: of one draw it is far from 0 by chance.
DRAWS = 20


@dataclass(frozen=True, eq=False, slots=True)
class CriterionAgreement:
    """How one criterion agrees with the oracle; every ρ is NaN where it is not defined.

    Attributes
    ----------
    criterion, label
        Name in `prunevis.CRITERIA`, and its label.
    layers
        ρ by channel group; NaN where the criterion gives all units one score.
    mean
        Mean of those that are not NaN.
    raw, normalised
        ρ over the units of all layers that it scores: scores as they are, and divided by the L2
        norm of their layer's.
    units
        How many units that is.
    seconds
        What scoring took, without the pass over the data that criteria share.
    note
        A sentence where the figures need one, else "".
    """

    criterion: str
    label: str
    layers: Mapping[str, float]
    mean: float
    raw: float
    normalised: float
    units: int
    seconds: float
    note: str = ""

    def __repr__(self) -> str:
        return (
            f"CriterionAgreement({self.criterion}: per layer {self.mean:.2f}, "
            f"all layers {self.raw:.2f}, normalised {self.normalised:.2f})"
        )


@dataclass(frozen=True, eq=False, slots=True)
class Agreement:
    """How criteria agree with the oracle on one network.

    Attributes
    ----------
    rows
        One a criterion, in the order of the registry.
    oracle
        What they were held against.
    skipped
        Criteria that cannot score this network, and why.
    num_examples
        Examples that statistics were taken from; 0 if none were needed.
    statistics_seconds
        What the shared pass over these examples took.
    """

    rows: tuple[CriterionAgreement, ...]
    oracle: Oracle
    skipped: Mapping[str, str] = field(repr=False)
    num_examples: int
    statistics_seconds: float

    def __getitem__(self, criterion: str) -> CriterionAgreement:
        """Return the row of a criterion; KeyError if there is none."""
        for row in self.rows:
            if row.criterion == criterion:
                return row
        raise KeyError(criterion)

    def __repr__(self) -> str:
        lines = [
            f"  {row.label:<28} {_number(row.mean)} {_number(row.raw)} {_number(row.normalised)}"
            for row in self.rows
        ]
        head = f"  {'Spearman ρ against the oracle':<28} layer   raw   L2"
        return "\n".join([f"Agreement on {self.oracle!r}:", head, *lines])


@dataclass(frozen=True, eq=False, slots=True)
class AgreementProgress:
    """How far a comparison is.

    Attributes
    ----------
    done, total
        Units removed and criteria scored, of how many.
    text
        What is being done, in words.
    result
        With the last report; None before.
    """

    done: int
    total: int
    text: str
    result: Agreement | None = field(default=None, repr=False)


def unit_criteria(names: Iterable[str] | None = None) -> list[str]:
    """Return the criteria that score units, all but the oracle itself if none are named.

    Raises
    ------
    UnknownNameError
        If there is no such criterion.
    SpecError
        If one of them does not score units, or the list is empty.
    """
    if names is None:
        return [n for n, c in CRITERIA.items() if "unit" in c.granularities and n != "oracle"]
    chosen = list(dict.fromkeys([names] if isinstance(names, str) else names))
    for name in chosen:
        if "unit" not in CRITERIA[name].granularities:
            raise SpecError(
                f"The criterion {name!r} does not score units.",
                fix=f"Choose among {', '.join(unit_criteria())}.",
            )
    if not chosen:
        raise SpecError("No criterion is named.", fix="Name at least one, or pass None for all.")
    return chosen


def agreement_steps(
    model: nn.Module,
    data: Any,
    criteria: Iterable[str] | None = None,
    *,
    images: int | None = 256,
    max_examples: int = 1024,
    seed: int = 0,
    graph: ModelGraph | None = None,
    statistics: Statistics | None = None,
    oracle: Oracle | None = None,
    device: torch.device | str | None = None,
) -> Generator[AgreementProgress, None, Agreement]:
    """Compare step by step; the last report carries the `Agreement`, also returned.

    Parameters as for `agreement`. Closing the generator cancels.
    """
    names = unit_criteria(criteria)
    total = len(names)
    yield AgreementProgress(0, total, "Tracing the network")
    graph = graph or trace(model, first_input(data))
    if oracle is None:
        for step in oracle_steps(model, data, images=images, seed=seed, graph=graph, device=device):
            total = step.total + len(names)
            text = f"Removing unit {min(step.done + 1, step.total):,} of {step.total:,}"
            yield AgreementProgress(step.done, total, text)
            oracle = step.result
        assert oracle is not None
    done = total - len(names)
    begin = time.perf_counter()
    if statistics is None and needs_of(names):
        for step in statistics_steps(
            model, data, graph, names, max_examples=max_examples, seed=seed
        ):
            yield AgreementProgress(done, total, "Watching the units")
            statistics = step.statistics
    spent = time.perf_counter() - begin
    rows: list[CriterionAgreement] = []
    skipped: dict[str, str] = {}
    for number, name in enumerate(names):
        text = f"Scoring by {CRITERIA[name].label}"
        yield AgreementProgress(done + number, total, text)
        try:
            row = yield from reported(
                _row(model, name, graph, statistics, oracle, seed),
                AgreementProgress(done + number, total, text),
            )
            rows.append(row)
        except PrunevisError as error:
            if criteria is not None:
                raise
            skipped[name] = CRITERIA[name]().unavailable(graph) or error.problem
    if not rows:
        raise NothingToPruneError("No criterion can score this network.", got=str(skipped))
    count = 0 if statistics is None else statistics.num_examples
    result = Agreement(tuple(rows), oracle, skipped, count, spent)
    yield AgreementProgress(total, total, "Done", result)
    return result


def agreement(
    model: nn.Module,
    data: Any,
    criteria: Iterable[str] | None = None,
    *,
    images: int | None = 256,
    max_examples: int = 1024,
    seed: int = 0,
    graph: ModelGraph | None = None,
    statistics: Statistics | None = None,
    oracle: Oracle | None = None,
    device: torch.device | str | None = None,
) -> Agreement:
    """Hold criteria against the true change of loss, unit by unit (Spearman's ρ).

    Parameters
    ----------
    model, data
        As for `oracle`; the model is not changed.
    criteria
        Names; None for all in `prunevis.CRITERIA` that score units. Those that cannot score this
        network are then left out, with the reason in `Agreement.skipped`.
    images
        Examples of the oracle; see `oracle_cost` for what they take.
    max_examples
        Examples that statistics are taken from.
    seed
        Of both samples, which so begin with the same examples (pass `oracle` of another seed to
        hold criteria against examples that they have not seen), and of criteria that draw at
        random, whose ρ is a mean of `DRAWS` draws.
    graph, statistics, oracle
        If at hand; made here otherwise.
    device
        As for `evaluate`.

    Raises
    ------
    UnknownNameError, SpecError
        If a criterion is unknown or does not score units.
    NothingToPruneError
        If no unit can be removed.
    ModelError, DataError, NonFiniteError
        As `evaluate`.
    """
    steps = agreement_steps(
        model,
        data,
        criteria,
        images=images,
        max_examples=max_examples,
        seed=seed,
        graph=graph,
        statistics=statistics,
        oracle=oracle,
        device=device,
    )
    return finished(steps)


def compare(
    importance: Mapping[str, Tensor], oracle: Mapping[str, Tensor]
) -> tuple[dict[str, float], float, float]:
    """Return ρ by layer, over all layers, and over all layers with scores L2-normalised.

    Parameters
    ----------
    importance, oracle
        By layer, shape (units,), higher = keep; layers that only one of them has are left out.
    """
    names = [name for name in oracle if name in importance]
    scores = {name: importance[name].detach().cpu().double().numpy() for name in names}
    truth = {name: oracle[name].detach().cpu().double().numpy() for name in names}
    layers = {name: spearman(scores[name], truth[name]) for name in names}
    if not names:
        return layers, math.nan, math.nan
    every = np.concatenate([truth[name] for name in names])
    raw = spearman(np.concatenate([scores[name] for name in names]), every)
    scaled = [scores[n] / (float(np.linalg.norm(scores[n])) or 1.0) for n in names]
    return layers, raw, spearman(np.concatenate(scaled), every)


def _row(
    model: nn.Module,
    name: str,
    graph: ModelGraph,
    statistics: Statistics | None,
    oracle: Oracle,
    seed: int,
) -> Generator[None, None, CriterionAgreement]:
    criterion, truth = CRITERIA[name], oracle.absolute
    found: list[tuple[dict[str, float], float, float]] = []
    begin, seconds = time.perf_counter(), 0.0
    draws = DRAWS if criterion.random else 1
    for draw in range(draws):
        spec = PruningSpec.make(name, "unit", "layer", 0.0, None, seed + draw)
        ranking = yield from rank_steps(model, spec, graph=graph, statistics=statistics)
        seconds += time.perf_counter() - begin
        found.append(compare(ranking.importance, truth))
        begin = time.perf_counter()
        yield
    layers = {layer: _mean([each[0][layer] for each in found]) for layer in found[0][0]}
    notes = [f"Mean of {draws} draws."] if draws > 1 else []
    missing = [layer for layer in truth if layer not in layers]
    if missing:
        notes.append(f"Without {', '.join(missing)}, which it cannot score.")
    flat = [layer for layer, value in layers.items() if math.isnan(value)]
    if flat:
        notes.append(f"Undefined in {', '.join(flat)}: all scores are equal.")
    return CriterionAgreement(
        name,
        criterion.label,
        layers,
        _mean(list(layers.values())),
        _mean([each[1] for each in found]),
        _mean([each[2] for each in found]),
        sum(truth[layer].numel() for layer in layers),
        seconds / draws,
        " ".join(notes),
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _number(value: float) -> str:
    return "  –  " if math.isnan(value) else f"{value:+.2f}"
