"""Training with pruning on the way, in one call."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from torch import Tensor, nn

from prunevis.errors import SpecError
from prunevis.graph import trace
from prunevis.graph.layers import ModelGraph
from prunevis.pruning import PruningSpec
from prunevis.steps import finished
from prunevis.training.finetune import nonzero_weights, settings_of, train_and_test
from prunevis.training.records import FineTuneProgress
from prunevis.training.running import Scheduled, ScheduleRun
from prunevis.training.schedules import Schedule, make_schedule
from prunevis.training.settings import FineTuneSettings


def run_schedule(
    model: nn.Module,
    data: Any,
    schedule: str | Schedule = "iterative",
    *,
    sparsity: float = 0.8,
    criterion: str | None = None,
    granularity: str | None = None,
    scope: str | None = None,
    layers: Any = None,
    repair: str | None = None,
    spec: PruningSpec | None = None,
    settings: FineTuneSettings | None = None,
    example_input: Any = None,
    hold_zeros: bool = False,
    **options: Any,
) -> Scheduled:
    """Train a copy of `model` and prune it on the way; the model itself is not touched.

    Parameters
    ----------
    model
        Any module that gives logits (N, classes).
    data
        `Data(train=..., test=...)`.
    schedule
        A name in `prunevis.SCHEDULES`, or a schedule with values of your own.
    sparsity
        Removed / prunable at the end, in [0, 1).
    criterion, granularity, scope, layers, repair
        As for `prune`. What is None is what the schedule's source uses, or magnitude (of weights)
        and L2 norm (of units), global; weights, unless the schedule is one of units.
    spec
        In the place of these, with a sparsity of its own.
    settings, **options
        A `FineTuneSettings`, or its fields: ``lr=0.01, batch_size=128, seed=0``; fields of the
        schedule too: ``rounds=3, epochs=2``. Epochs are always the schedule's.
    example_input
        A batch to trace with, if it should not be taken from the data.
    hold_zeros
        Whether weights of layers that are zero already stay so: for a network that was pruned
        before. Sparsities count them as gone.

    Raises
    ------
    SpecError
        If the schedule does not fit what is pruned, or a value is outside of its range.
    DataError, ModelError, NonFiniteError
        As `fine_tune` and `prune`.

    Examples
    --------
    >>> run_schedule(load_model("lenet-300-100"), load_data(), "iterative", sparsity=0.95)
    """
    made = make_schedule(schedule)
    own = {knob.name for knob in made.knobs()} | {"epochs"}
    made = make_schedule(made, **{name: options.pop(name) for name in own & options.keys()})
    settings = settings_of(settings, options)
    if spec is None:
        spec = advised_spec(
            made,
            sparsity,
            granularity,
            criterion,
            scope,
            layers=layers,
            repair=repair,
            seed=settings.seed,
        )
    graph = masks = None
    if hold_zeros:
        example = train_and_test(data)[1].inputs[:1] if example_input is None else example_input
        graph = trace(model, example)
        masks = nonzero_weights(graph, model)
    return finished(
        run_schedule_steps(
            model,
            data,
            made,
            spec=spec,
            settings=settings,
            graph=graph,
            example_input=example_input,
            masks=masks,
        )
    )


def advised_spec(
    schedule: Schedule,
    sparsity: float,
    granularity: str | None = None,
    criterion: str | None = None,
    scope: str | None = None,
    *,
    layers: Any = None,
    repair: str | None = None,
    seed: int = 0,
) -> PruningSpec:
    """Return a spec, with what is None filled in as the schedule's source has it."""
    granularity = granularity or schedule.granularities[0]
    advice = schedule.advice.get(granularity, {})
    usual = "magnitude" if granularity == "weight" else "l2"
    return PruningSpec.make(
        criterion or advice.get("criterion", usual),
        granularity,
        scope or advice.get("scope", "global"),
        sparsity,
        layers,
        seed,
        repair or advice.get("repair", "none"),
    )


def run_schedule_steps(
    model: nn.Module,
    data: Any,
    schedule: str | Schedule,
    *,
    spec: PruningSpec,
    settings: FineTuneSettings | None = None,
    graph: ModelGraph | None = None,
    example_input: Any = None,
    watch: Any = None,
    masks: Mapping[str, Tensor] | None = None,
) -> Generator[FineTuneProgress | None, None, Scheduled]:
    """Run a schedule as `run_schedule` does, reporting at least every 50 ms or so.

    Close the generator to cancel; nothing is left behind.

    Parameters
    ----------
    graph
        From `trace(model, ...)`, if there is one.
    watch
        Called with the network that is trained and its masks when there is something to see: once
        before the first report, and after every event; both must only be read.
    masks
        By tensor name, True = keep: what is held at zero from the first step on, because it was
        pruned before. Sparsities count it as gone.

    Raises
    ------
    SpecError, DataError, ModelError, NonFiniteError
        As `run_schedule`.
    """
    schedule = make_schedule(schedule)
    unable = schedule.unavailable(spec.granularity)
    if unable is not None:
        raise SpecError(unable, fix=f"Pass granularity={schedule.granularities[0]!r}.")
    parts = train_and_test(data)
    settings = settings_of(settings, {})
    if graph is None:
        graph = trace(model, parts[1].inputs[:1] if example_input is None else example_input)
    running = ScheduleRun(model, parts, graph, schedule, spec, settings, masks)
    return (yield from running.steps(watch))
