"""The jobs that change the network under study: applying a plan, fine-tuning."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from prunevis.criteria import CRITERIA
from prunevis.data import Data
from prunevis.errors import SpecError
from prunevis.evaluation import Evaluation, evaluate_steps
from prunevis.export.code import Step
from prunevis.graph.cost import costs_of
from prunevis.graph.layers import ModelGraph
from prunevis.pruning import REPAIRS, PruningPlan, PruningSpec, masked_tensors, remove
from prunevis.session.opening import checked_units, private_copy, traced_again
from prunevis.session.state import Stage, Status, Table
from prunevis.session.watching import Watcher
from prunevis.training import FineTuneSettings, fine_tune_steps, nonzero_weights
from prunevis.training.scheduled import run_schedule_steps
from prunevis.training.schedules import Schedule

if TYPE_CHECKING:
    from prunevis.session.desk import Desk
    from prunevis.session.staging import Staging


def in_words(plan: PruningPlan) -> str:
    """Return what a plan does, e.g. "80 % of weights by magnitude"."""
    what = "weights" if plan.granularity == "weight" else "units"
    share = f"{plan.achieved_sparsity:.1%}".replace(".0%", "%").replace("%", " %")
    repair = plan.spec.repair
    mended = "" if repair == "none" else f", repaired: {REPAIRS[repair].label}"
    return f"{share} of {what} by {CRITERIA[plan.spec.criterion].label}{mended}"


def pruned_copy(stage: Stage, plan: PruningPlan) -> nn.Module:
    """Return a new network pruned for good: zeros written in, or units taken out."""
    if plan.granularity == "unit":
        return remove(stage.model, plan)
    model = private_copy(stage.model)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        for name, value in masked_tensors(stage.model, plan).items():
            tensors[name].copy_(value)
    return model


def apply_plan(controller: Staging, plan: PruningPlan) -> Generator[None, None, None]:
    """Prune for good, measure, and make the outcome the present stage."""
    session = controller.session
    stage, data = session.network.stage, session.network.data
    session.status = Status("busy", "Applying")
    yield
    model = pruned_copy(stage, plan)
    graph = stage.graph
    if plan.granularity == "unit":
        graph = yield from checked_units(model, traced_again(model, graph, data))
    yield
    yield from _arrive(controller, in_words(plan), model, graph, plan)


def _arrive(
    controller: Staging,
    label: str,
    model: nn.Module,
    graph: ModelGraph,
    plan: PruningPlan,
) -> Generator[None, None, None]:
    stage = controller.session.network.stage
    baseline = None
    for progress in evaluate_steps(model, controller.session.network.data.test):
        baseline = progress.evaluation
        yield
    assert isinstance(baseline, Evaluation), "the last step carries the evaluation"
    controller.push(_stage(controller, stage, label, model, graph, baseline, plan))


def _stage(
    controller: Staging,
    before: Stage,
    label: str,
    model: nn.Module,
    graph: ModelGraph,
    baseline: Evaluation,
    plan: PruningPlan,
    **how: Any,
) -> Stage:
    weights = plan.granularity == "weight"
    how = {"spec": plan.spec if plan.num_removed else None, **how}
    step = Step(label, hold_zeros=before.holds_zeros, **how)
    return Stage(
        controller.next_stage_number(),
        label,
        model,
        graph,
        costs_of(model, graph),
        baseline,
        sparsity=plan.sparsity if weights else 0.0,
        holds_zeros=before.holds_zeros or (weights and plan.num_removed > 0),
        step=step,
        parent=before.number,
    )


def present_table(controller: Desk, otherwise: str) -> Table:
    """Return the table of the present network, which was measured.

    Raises
    ------
    SpecError
        If there is none (`otherwise` says so), or the network cannot be measured.
    """
    table, network = controller.session.table, controller.session.network
    if table is None or network is None:
        raise SpecError(otherwise)
    if table.stage is not network.stage:
        raise SpecError(
            "The network has just changed and is not ranked yet.", fix="Try again in a moment."
        )
    if table.stage.baseline is None:
        raise SpecError("The network could not be measured on these data.")
    return table


def _chosen(data: Data, source: str) -> Data:
    """Return `data` with the training examples that `source` names."""
    if source != "quarter":
        return data
    train = data.train
    order = torch.randperm(train.count, generator=torch.Generator().manual_seed(0))
    return replace(data, train=train.take(order[: train.count // 4]))


def fine_tune(
    controller: Staging, plan: PruningPlan, settings: FineTuneSettings
) -> Generator[None, None, None]:
    """Train a pruned copy; what comes out waits to be kept or discarded."""
    session = controller.session
    stage, data = session.network.stage, session.network.data
    data = _chosen(data, session.fine_tuning.source)
    yield
    model = pruned_copy(stage, plan)
    weights = plan.granularity == "weight"
    graph = stage.graph
    if not weights:
        graph = yield from checked_units(model, traced_again(model, graph, data))
    masks = nonzero_weights(graph, model) if weights or stage.holds_zeros else {}
    yield
    before = None
    for progress in evaluate_steps(model, data.test):
        before = progress.evaluation
        session.fine_tuning = replace(session.fine_tuning, text="Measuring before")
        yield
    assert before is not None, "the last step carries the evaluation"
    session.fine_tuning = replace(
        session.fine_tuning, before=before.accuracy, sparsity=plan.achieved_sparsity
    )
    watcher = Watcher(controller, stage)
    watcher.graph = graph
    watcher.watch(model, masks)
    steps = fine_tune_steps(model, data, masks=masks, teacher=stage.model, settings=settings)
    after = yield from watcher.follow(steps)
    epochs = f"{settings.epochs} epoch{'s' if settings.epochs > 1 else ''}"
    label = f"{in_words(plan)}, fine-tuned {epochs}" if plan.num_removed else f"Trained {epochs}"
    how = {"settings": settings, "source": session.fine_tuning.source}
    result = _stage(controller, stage, label, model, graph, after, plan, **how)
    _finish(controller, label, after, result)


def run_on_schedule(
    controller: Staging, schedule: Schedule, spec: PruningSpec, settings: FineTuneSettings
) -> Generator[None, None, None]:
    """Train a copy and prune it on the way; what comes out waits to be kept or discarded."""
    session = controller.session
    stage, data = session.network.stage, session.network.data
    data = _chosen(data, session.fine_tuning.source)
    yield
    watcher = Watcher(controller, stage)
    steps = run_schedule_steps(
        stage.model,
        data,
        schedule,
        spec=spec,
        settings=settings,
        graph=stage.graph,
        watch=watcher.watch,
        masks=nonzero_weights(stage.graph, stage.model) if stage.holds_zeros else {},
    )
    done = yield from watcher.follow(steps)
    model, graph, plan = done.model, stage.graph, done.plan
    if plan is None:
        raise SpecError("The schedule pruned nothing.", fix="Move the slider, or add a point.")
    if plan.granularity == "unit" and plan.num_removed:
        graph = yield from checked_units(model, traced_again(model, graph, data))
    label = f"{in_words(plan)}, schedule: {schedule.label}"
    how = {"settings": settings, "source": session.fine_tuning.source, "schedule": schedule}
    how["spec"] = spec  # as it was asked for; the plan that came out may say it otherwise
    result = _stage(controller, stage, label, model, graph, done.after, plan, **how)
    _finish(controller, label, done.after, result)


def _finish(controller: Staging, label: str, after: Evaluation, result: Stage) -> None:
    state = controller.session.fine_tuning
    controller.session.fine_tuning = replace(
        state,
        state="done",
        progress=1.0,
        text=f"Done: {label}",
        after=after.accuracy,
        seconds_left=0.0,
        result=result,
    )
    controller.show_status()
    controller.trained()
