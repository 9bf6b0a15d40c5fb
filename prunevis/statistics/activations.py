"""What the units of a network answer and its layers read: one pass over calibration examples.

Units are observed where the next layer reads them from, after normalisation and activation
(`prunevis.graph.observe`): a share of zeros means nothing before the ReLU. Every position of a
feature map counts as a sample.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from prunevis.data import Examples, as_data
from prunevis.errors import SpecError
from prunevis.graph.layers import ModelGraph
from prunevis.graph.observe import observe_all, unreadable
from prunevis.graph.trace import trace
from prunevis.statistics.inputs import MOMENT_BYTES, InputSums
from prunevis.statistics.records import Statistics, StatisticsProgress
from prunevis.statistics.sums import LayerSums

#: Most answers of units that a batch holds at once, all layers together: it bounds memory
#: (8 MiB in float64) and the time of a step (20 to 50 ms on one idle core).
BATCH_ANSWERS = 2**20
#: Seconds of work on a batch between two yields.
STEP = 0.03


def collect_statistics(
    model: nn.Module,
    data: Any,
    *,
    graph: ModelGraph | None = None,
    max_examples: int = 1024,
    batch_size: int = 128,
    num_top: int = 9,
    correlation: bool = True,
    activations: bool = True,
    inputs: bool | Iterable[str] = False,
    moments: bool = True,
    seed: int = 0,
) -> Statistics:
    """Return what the units of `model` answer to a random sample of `data`.

    Parameters
    ----------
    model
        Any module; run in evaluation mode and left as it was.
    data
        A pair of tensors, a `Dataset`, a `DataLoader` or `prunevis.Data`, of which the training
        part is used if there is one. Targets are not read.
    graph
        From `prunevis.trace`; traced here if not given.
    max_examples, batch_size
        At least 1. Batches are smaller where units would give more than `BATCH_ANSWERS`.
    num_top
        How many of the most exciting examples of each unit are kept.
    correlation
        Whether to accumulate second moments of the answers, which cost units² an answer.
    activations
        Whether to look at what units answer.
    inputs
        Whether to collect moments of what layers read (`Statistics.input`): True for every layer
        that allows it, or the names of some.
    moments
        Whether these include second moments, columns² a layer (see `prunevis.statistics.inputs`).
    seed
        For the sample of examples and positions.

    Raises
    ------
    DataError
        If the data cannot be read.
    NonFiniteError
        If a unit answers NaN or infinity.
    SpecError
        If a number is below 1, or a layer named in `inputs` cannot be collected.
    """
    if graph is None:
        first, _ = _calibration_split(data)
        graph = trace(model, first.inputs[:1])
    last = None
    for progress in collect_steps(
        model,
        data,
        graph,
        max_examples=max_examples,
        batch_size=batch_size,
        num_top=num_top,
        correlation=correlation,
        activations=activations,
        inputs=inputs,
        moments=moments,
        seed=seed,
    ):
        last = progress.statistics
    assert last is not None  # the last step always carries the outcome
    return last


def collect_steps(
    model: nn.Module,
    data: Any,
    graph: ModelGraph,
    *,
    max_examples: int = 1024,
    batch_size: int = 128,
    num_top: int = 9,
    correlation: bool = True,
    activations: bool = True,
    inputs: bool | Iterable[str] = False,
    moments: bool = True,
    seed: int = 0,
) -> Iterator[StatisticsProgress]:
    """Do the same batch by batch; yield after each one at least, with the outcome in the last.

    Close the generator to cancel. Parameters and errors as for `collect_statistics`.
    """
    for name, value in (
        ("max_examples", max_examples),
        ("batch_size", batch_size),
        ("num_top", num_top),
    ):
        if value < 1:
            raise SpecError(f"`{name}` must be at least 1.", got=value)
    examples, split = _calibration_split(data)
    generator = torch.Generator().manual_seed(seed)
    # A random order, not only a random subset: the first batch sets the scale of "near zero".
    indices = torch.randperm(examples.count, generator=generator)[:max_examples]
    total = int(indices.shape[0])
    sums: dict[str, LayerSums] = {}
    wanted, reasons = _readable(graph, inputs)
    reads: dict[str, InputSums] = {}
    looked = None if activations else ()
    step = _batch_size(graph, batch_size, bool(wanted))
    for start in range(0, total, step):
        chosen = indices[start : start + step]
        batch = examples.inputs[chosen.to(examples.inputs.device)]
        # Popped one by one, so that a layer's memory is free before the next one is worked on.
        found = observe_all(model, graph, batch, looked, wanted)
        begin = time.perf_counter()
        for name in list(found.answers):
            if time.perf_counter() - begin > STEP:
                # one picture through a large network: what its layers answer is more than one step
                yield StatisticsProgress(start, total, None)
                begin = time.perf_counter()
            if name not in sums:
                sums[name] = LayerSums(graph.layers[name], num_top, correlation, seed)
            sums[name].add(found.answers.pop(name), chosen)
        for name in list(found.reads):
            if name not in reads:
                room = MOMENT_BYTES - sum(known.nbytes for known in reads.values())
                layer = graph.layers[name]
                reads[name] = InputSums(layer, total, seed, moments=moments, room=room)
            for _ in reads[name].add(found.reads.pop(name), len(chosen)):
                if time.perf_counter() - begin > STEP:
                    yield StatisticsProgress(start, total, None)
                    begin = time.perf_counter()
        seen = min(start + step, total)
        if seen < total:
            yield StatisticsProgress(seen, total, None)
    outcome = Statistics(
        {name: sums[name].result() for name in graph.layers if name in sums},
        total,
        split,
        indices,
        {name: known.result() for name, known in reads.items()},
        reasons,
    )
    yield StatisticsProgress(total, total, outcome)


def _readable(
    graph: ModelGraph, inputs: bool | Iterable[str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the layers whose inputs are to be collected, and why others cannot be."""
    if inputs is False:
        return (), {}
    asked = graph.layers if inputs is True else tuple(inputs)
    wanted: list[str] = []
    reasons: dict[str, str] = {}
    for name in asked:
        if name not in graph.layers:
            raise SpecError(f"There is no layer `{name}`.", expected=", ".join(graph.layers))
        reason = unreadable(graph, graph.layers[name])
        if reason is None:
            wanted.append(name)
        elif inputs is True:
            reasons[name] = reason
        else:
            raise SpecError(reason, where=name, fix="Leave this layer out of `inputs`.")
    return tuple(wanted), reasons


def _calibration_split(data: Any) -> tuple[Examples, str]:
    checked = as_data(data)
    return (checked.test, "test") if checked.train is None else (checked.train, "train")


def _batch_size(graph: ModelGraph, wanted: int, reads: bool) -> int:
    answers = sum(layer.num_units * layer.positions for layer in graph.layers.values())
    if reads:  # what one layer answers another reads
        answers *= 2
    return max(1, min(wanted, BATCH_ANSWERS // max(1, answers)))
