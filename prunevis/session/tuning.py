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
from prunevis.graph.layers import ModelGraph
from prunevis.pruning import REPAIRS, PruningPlan, masked_tensors, remove
from prunevis.session.opening import checked_units, costs_of, private_copy, traced_again
from prunevis.session.state import Stage, Status, Table
from prunevis.training import fine_tune_steps

if TYPE_CHECKING:
    from prunevis.session.desk import Desk
    from prunevis.session.staging import Staging

#: More epochs than this are a job for a script, not for a page.
MAX_EPOCHS = 50


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


def held_masks(graph: ModelGraph, model: nn.Module) -> dict[str, torch.Tensor]:
    """Return which weights of the layers must stay zero: those that are (True = may change)."""
    tensors = dict(model.named_parameters())
    return {layer.weight: tensors[layer.weight] != 0 for layer in graph.layers.values()}


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
) -> Stage:
    weights = plan.granularity == "weight"
    return Stage(
        controller.next_stage_number(),
        label,
        model,
        graph,
        costs_of(model, graph),
        baseline,
        sparsity=plan.sparsity if weights else 0.0,
        holds_zeros=before.holds_zeros or (weights and plan.num_removed > 0),
    )


def present_table(controller: Desk, otherwise: str) -> Table:
    """Return the table of the present network.

    Raises
    ------
    SpecError
        If there is none (`otherwise` says so), or the network is still being looked at.
    """
    table, network = controller.session.table, controller.session.network
    if table is None or network is None:
        raise SpecError(otherwise)
    if table.stage is not network.stage:
        raise SpecError(
            "The network has just changed and is not ranked yet.", fix="Try again in a moment."
        )
    if table.stage.baseline is None and controller.worker.running("baseline"):
        raise SpecError(
            "The network as it came is still being measured.", fix="Try again in a moment."
        )
    if table.stage.baseline is None:
        raise SpecError("The network could not be measured on these data.")
    return table


def checked_form(data: Data, epochs: Any, learning_rate: Any, source: Any) -> dict[str, Any]:
    """Return what a person filled in, checked.

    Raises
    ------
    SpecError
        If a value is no number or out of range, or there are no training examples.
    """
    if not isinstance(epochs, int) or isinstance(epochs, bool) or not 1 <= epochs <= MAX_EPOCHS:
        raise SpecError(
            "Epochs are a whole number.", expected=f"1 to {MAX_EPOCHS}", got=str(epochs)[:20]
        )
    number = isinstance(learning_rate, (int, float)) and not isinstance(learning_rate, bool)
    if not number or not 0 < learning_rate <= 10:
        raise SpecError(
            "The learning rate must be above 0 and at most 10.", got=str(learning_rate)[:20]
        )
    if not isinstance(source, str) or source not in sources(data):
        raise SpecError(
            "There are no such training examples.",
            got=str(source)[:40],
            fix="Give explore() Data(train=..., test=...) to fine-tune."
            if data.train is None
            else f"Choose one of: {', '.join(sources(data))}.",
        )
    return {"epochs": epochs, "learning_rate": float(learning_rate), "source": source}


def sources(data: Data) -> dict[str, str]:
    """Return what can be trained on: name and label."""
    if data.train is None:
        return {}
    count = data.train.count
    what = "images" if data.train.inputs.ndim == 4 else "examples"
    found = {"train": f"All {count:,} training {what}"}
    if count >= 4000:
        found["quarter"] = f"A quarter of them, {count // 4:,}"
    return found


def fine_tune(controller: Staging, plan: PruningPlan) -> Generator[None, None, None]:
    """Train a pruned copy; what comes out waits to be kept or discarded."""
    session = controller.session
    stage, data = session.network.stage, session.network.data
    form = session.fine_tuning
    train = data.train
    if form.source == "quarter":
        order = torch.randperm(train.count, generator=torch.Generator().manual_seed(0))
        train = train.take(order[: train.count // 4])
    yield
    model = pruned_copy(stage, plan)
    weights = plan.granularity == "weight"
    graph = stage.graph
    if not weights:
        graph = yield from checked_units(model, traced_again(model, graph, data))
    masks = held_masks(graph, model) if weights or stage.holds_zeros else {}
    yield
    before = None
    for progress in evaluate_steps(model, data.test):
        before = progress.evaluation
        session.fine_tuning = replace(session.fine_tuning, text="Measuring before")
        yield
    assert before is not None, "the last step carries the evaluation"
    session.fine_tuning = replace(session.fine_tuning, before=before.accuracy)
    steps = fine_tune_steps(
        model,
        replace(data, train=train),
        masks=masks,
        epochs=form.epochs,
        lr=form.learning_rate,
        seed=session.setting.seed,
    )
    seen: list[int] = []
    loss: list[float] = []
    accuracy: list[tuple[int, float]] = []
    after = None
    for progress in steps:
        if progress.loss is not None:
            seen.append(progress.step)
            loss.append(progress.loss)
        if progress.measured and progress.accuracy is not None:
            accuracy.append((progress.step, progress.accuracy))
        after = progress.evaluation
        session.fine_tuning = replace(
            session.fine_tuning,
            progress=progress.step / max(1, progress.steps),
            text=f"epoch {max(1, progress.epoch)} of {progress.epochs}, "
            f"{_left(progress.seconds_left)} left",
            steps=tuple(seen),
            loss=tuple(loss),
            accuracy=tuple(accuracy),
        )
        controller.show_status()
        yield
    assert after is not None, "the last report carries the evaluation"
    epochs = f"{form.epochs} epoch{'s' if form.epochs > 1 else ''}"
    label = f"{in_words(plan)}, fine-tuned {epochs}" if plan.num_removed else f"Trained {epochs}"
    session.fine_tuning = replace(
        session.fine_tuning,
        state="done",
        progress=1.0,
        text=f"Done: {label}",
        after=after.accuracy,
        result=_stage(controller, stage, label, model, graph, after, plan),
    )
    controller.show_status()


def _left(seconds: float | None) -> str:
    if seconds is None:
        return "some time"
    if seconds >= 90:
        return f"{seconds / 60:.0f} min"
    return f"{max(1, round(seconds))} s"
