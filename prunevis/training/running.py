"""One run of a schedule: a copy of a network is trained, and pruned when its timeline says so.

Weights and units are held at exactly zero from the event on that takes them; units are taken out
at the end. Each event ranks the network as it is by then: what is gone comes first in every order,
so that what was pruned stays pruned.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.criteria import CRITERIA
from prunevis.data import Data, Examples
from prunevis.errors import ModelError, SpecError
from prunevis.evaluation.exact import Evaluation, evaluate_steps
from prunevis.graph.cost import CostModel, ModelCost
from prunevis.graph.layers import ModelGraph
from prunevis.pruning import REPAIRS, PruningPlan, PruningSpec, remove
from prunevis.pruning.masking import masked_tensors, tensor_masks
from prunevis.pruning.ranking import rank_steps
from prunevis.pruning.repairs.mending import EXAMPLES, Mending
from prunevis.statistics import COLLECTABLE, Statistics, collect_steps, collection
from prunevis.training.fresh import draw_anew
from prunevis.training.keeping import held_out
from prunevis.training.loop import TrainingRun
from prunevis.training.objectives import NoiseOutputs
from prunevis.training.records import FineTuneProgress
from prunevis.training.schedules import Event, Schedule, Timeline
from prunevis.training.settings import FineTuneSettings

#: With more events than this, accuracy is not measured before and after each.
MOST_MEASURED = 30


@dataclass(frozen=True, eq=False, slots=True)
class Scheduled:
    """What training on a schedule gave.

    Attributes
    ----------
    model
        A new network: smaller (granularity "unit"), or with zeros in place.
    plan
        What is gone at the end, of the network as it came; None if nothing was pruned.
    masks
        What was held at zero at the end, by tensor name of the network as it came, True = keep.
    history
        The reports with a new accuracy, in order.
    before, after
        On all test data: the network as it came, and what came out.
    cost_before, cost_after
        `ModelCost` of both.
    schedule, timeline, spec, settings
        What was run.
    """

    model: nn.Module = field(repr=False)
    plan: PruningPlan | None
    masks: dict[str, Tensor] = field(repr=False)
    history: tuple[FineTuneProgress, ...] = field(repr=False)
    before: Evaluation
    after: Evaluation
    cost_before: ModelCost = field(repr=False)
    cost_after: ModelCost = field(repr=False)
    schedule: Schedule
    timeline: Timeline = field(repr=False)
    spec: PruningSpec = field(repr=False)
    settings: FineTuneSettings = field(repr=False)

    def __repr__(self) -> str:
        gone = 0.0 if self.plan is None else self.plan.achieved_sparsity
        return (
            f"Scheduled({self.schedule.label}: {self.before.accuracy:.2%} → "
            f"{self.after.accuracy:.2%} at {gone:.1%} sparsity, {self.timeline.steps:,} steps)"
        )


class ScheduleRun:
    """One run of a schedule: the copy that is trained, and what is held at zero.

    Parameters
    ----------
    model
        The network; it is copied.
    parts
        Training and test examples, checked.
    graph
        From `trace(model, ...)`.
    schedule, spec, settings
        When, what and how.
    masks
        By tensor name, True = keep: what is held at zero from the first step on.

    Raises
    ------
    ModelError
        If the model cannot be copied.
    SpecError
        If the spec asks for a share to keep, which a schedule does not follow.
    """

    def __init__(
        self,
        model: nn.Module,
        parts: tuple[Examples, Examples],
        graph: ModelGraph,
        schedule: Schedule,
        spec: PruningSpec,
        settings: FineTuneSettings,
        masks: Mapping[str, Tensor] | None = None,
    ) -> None:
        if spec.keep is not None:
            raise SpecError(
                "A schedule is laid out over sparsity.",
                got=f"keep={spec.keep:g} of {spec.of}",
                fix="Pass sparsity=; the achieved_sparsity of Ranking.plan(keep=...) says which.",
            )
        self.held = dict(masks or {})
        self.original, self.parts, self.graph = model, parts, graph
        # what is held out to see when to stop is not looked at for anything else
        self.train = held_out(parts[0], settings)[0]
        self.schedule, self.spec, self.settings = schedule, spec, settings
        try:
            self.model = copy.deepcopy(model)
        except Exception as error:
            raise ModelError(
                "The model cannot be copied.", got=f"{type(error).__name__}: {error}"
            ) from error
        self.plan: PruningPlan | None = None
        self.saved: dict[str, Tensor] = {}
        self.history: list[FineTuneProgress] = []

    def steps(self, watch: Any) -> Generator[FineTuneProgress | None, None, Scheduled]:
        """Run it; see `run_schedule_steps`."""
        before = yield from _evaluated(self.model, self.parts[1])
        # how much can go is known when it has been ranked once
        total = (yield from self._ranked()).total
        per_epoch = -(-self.train.count // self.settings.batch_size)
        timeline = self.schedule.timeline(self.spec.sparsity, per_epoch, sum(total.values()))
        resets = [event.label for event in timeline.events if event.reset != "none"]
        if resets and self.spec.repair != "none":
            raise SpecError(
                "Weights that are rewound or drawn anew cannot be repaired as well.",
                got=f"repair={self.spec.repair!r}, and {resets[0]!r}",
                fix='Pass repair="none".',
            )
        if timeline.untrained:
            draw_anew(self.model, self.settings.seed)
        noise = None
        counts = [phase.noise for phase in timeline.phases if phase.noise]
        if counts:
            last = [layer.name for layer in self.graph.layers.values() if layer.is_output]
            name = last[-1] if last else ""
            seed = self.settings.seed
            noise = NoiseOutputs(self.model, name, max(counts), timeline.noise_kind, seed)
        run = TrainingRun(
            self.model,
            self.parts,
            self.held,
            self.settings,
            phases=timeline.phases,
            teacher=self.original,
            noise=noise,
        )
        few = len(timeline.events) <= MOST_MEASURED
        run.sparsity = 0.0
        run.patient = not timeline.events
        if watch is not None:
            watch(self.model, self._masks())
        run.masks.apply()
        with run.kept_finite():
            yield from self._noted(run.measure())
            for event in timeline.events:
                yield from self._train(run, timeline, event.step)
                if few and run.measured_at != run.step:
                    yield from self._noted(run.measure())
                yield from self._happen(event, run)
                if watch is not None:
                    watch(self.model, self._masks())
                if few:
                    yield from self._noted(run.measure(event=event.label))
            run.patient = True
            yield from self._train(run, timeline, timeline.steps)
            after = yield from self._noted(run.finish())
        return self._outcome(timeline, before, after)

    def _train(
        self, run: TrainingRun, timeline: Timeline, stop: int
    ) -> Generator[FineTuneProgress | None, None, None]:
        """Train up to a step; the weights that are rewound to are saved on the way."""
        rewinds = any(event.reset == "rewind" for event in timeline.events)
        if rewinds and not self.saved and timeline.saved_at <= stop:
            yield from self._noted(run.train_until(timeline.saved_at))
            self.saved = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        yield from self._noted(run.train_until(stop))

    def _noted(self, reports: Generator[FineTuneProgress, None, Any]) -> Generator[Any, None, Any]:
        """Pass reports on and keep those with a new accuracy."""
        while True:
            try:
                report = next(reports)
            except StopIteration as stop:
                return stop.value
            if report.measured:
                self.history.append(report)
            yield report

    def _happen(self, event: Event, run: TrainingRun) -> Generator[None, None, None]:
        """Prune, and put what stays to what the event says."""
        ranking = yield from self._ranked(event.sparsity)
        plan = ranking.plan(event.sparsity)
        with torch.no_grad():
            tensors = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
            for name, value in masked_tensors(self.model, plan).items():
                tensors[name].copy_(value)
        if event.reset == "rewind":
            self.model.load_state_dict(self.saved)
        elif event.reset == "fresh":
            # a seed next to that of the first weights, so that they differ
            draw_anew(self.model, self.settings.seed + 1)
        if event.reset != "none":
            run.optimizer.forget()
        self.plan = plan
        run.masks.hold(self._masks())
        run.masks.apply()
        run.sparsity, run.measured_at = plan.achieved_sparsity, -1
        yield

    def _masks(self) -> dict[str, Tensor]:
        """Return what is held by now: what was from the start, and what the last event took."""
        found = {} if self.plan is None else tensor_masks(self.plan)
        return {
            **found,
            **{k: v & found[k].to(v.device) if k in found else v for k, v in self.held.items()},
        }

    def _ranked(self, sparsity: float | None = None) -> Generator[None, None, Any]:
        """Rank the network as it is; statistics are of the training examples.

        Layers with a sparsity of their own come to it as the others do to theirs.
        """
        spacing = getattr(self.schedule, "spacing", "linear")
        spec, graph = _on_the_way(self.spec, sparsity, spacing), self.graph
        criterion, repair = CRITERIA[spec.criterion], REPAIRS[spec.repair]
        data = Data(train=self.train, test=self.parts[1])
        statistics: Statistics | None = None
        if frozenset(criterion.needs) & COLLECTABLE:
            statistics = yield from _collected(
                self.model,
                data,
                graph,
                self.schedule.examples,
                gradient_examples=self.schedule.examples,
                # other examples every time
                seed=self.settings.seed + len(self.history),
                **collection(frozenset(criterion.needs)),
            )
        mending = None
        if spec.repair != "none":
            read = None
            if {"inputs", "moments"} & set(repair.needs):
                read = yield from _collected(
                    self.model,
                    data,
                    graph,
                    EXAMPLES,
                    activations=False,
                    inputs=True,
                    moments="moments" in repair.needs,
                )
            inputs = self.train.inputs[:EXAMPLES] if "examples" in repair.needs else None
            mending = Mending(spec.repair, read, inputs)
        return (
            yield from rank_steps(
                self.model,
                spec,
                graph=graph,
                statistics=statistics,
                keep_scores=False,
                mending=mending,
            )
        )

    def _outcome(self, timeline: Timeline, before: Evaluation, after: Evaluation) -> Scheduled:
        plan, model = self.plan, self.model
        costs = CostModel(self.graph)
        if plan is not None:
            # what was repaired is trained by now: it must not be repaired again
            plan = replace(plan, spec=replace(plan.spec, repair="none"), mending=None)
            if plan.granularity == "unit" and plan.num_removed:
                model = remove(self.model, plan)
        return Scheduled(
            model=model,
            plan=plan,
            masks=self._masks(),
            history=tuple(self.history),
            before=before,
            after=after,
            cost_before=costs.cost(),
            cost_after=costs.cost(plan) if plan is not None else costs.cost(),
            schedule=self.schedule,
            timeline=timeline,
            spec=self.spec,
            settings=self.settings,
        )


def _on_the_way(spec: PruningSpec, sparsity: float | None, spacing: str) -> PruningSpec:
    """Return `spec` with layers' own sparsities as far along as `sparsity` is to the final one.

    With "exponential" spacing that is so in what is left, as in `rising`; else in what is gone.
    """
    if sparsity is None or not spec.own_sparsity or not spec.sparsity > 0:
        return spec
    if spacing == "exponential":
        share = math.log1p(-sparsity) / math.log1p(-spec.sparsity)
        own = {name: 1 - (1 - value) ** share for name, value in spec.own_sparsity.items()}
    else:
        share = sparsity / spec.sparsity
        own = {name: value * share for name, value in spec.own_sparsity.items()}
    assert spec.layers is not None, "layers of their own sparsity are named"
    return replace(spec, layers=tuple((name, own.get(name, at)) for name, at in spec.layers))


def _collected(
    model: nn.Module, data: Data, graph: ModelGraph, count: int, **options: Any
) -> Generator[None, None, Statistics]:
    found = None
    for progress in collect_steps(model, data, graph, max_examples=count, **options):
        found = progress.statistics
        yield
    assert found is not None, "the last step carries the outcome"
    return found


def _evaluated(model: nn.Module, examples: Examples) -> Generator[None, None, Evaluation]:
    found = None
    for progress in evaluate_steps(model, examples):
        found = progress.evaluation
        yield
    assert found is not None, "the last step carries the evaluation"
    return found
