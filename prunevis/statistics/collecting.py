"""One pass over calibration examples: answers of units, inputs of layers, gradients.

Units are observed where the next layer reads them from, after normalisation and activation
(`prunevis.graph.observe`): a share of zeros means nothing before the ReLU. Every position of a
feature map counts as a sample. All sums run over the same examples in the same order.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.data import as_data
from prunevis.errors import DataError, SpecError
from prunevis.graph.checks import check_graph, check_weights
from prunevis.graph.identity import fingerprint
from prunevis.graph.layers import ModelGraph
from prunevis.graph.observe import Observed, observe_all, unreadable
from prunevis.graph.trace import trace
from prunevis.statistics.gradients import GradientSums
from prunevis.statistics.inputs import MOMENT_BYTES, InputSums
from prunevis.statistics.records import Statistics, StatisticsProgress
from prunevis.statistics.responses import RESPONSE_BYTES, ResponseSums
from prunevis.statistics.sums import LayerSums
from prunevis.steps import finished

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
    activations: bool = True,
    correlation: bool = True,
    responses: bool = False,
    maps: bool = False,
    inputs: bool | Iterable[str] = False,
    moments: bool = True,
    gradients: bool = False,
    gradient_examples: int = 512,
    labels: bool = False,
    seed: int = 0,
) -> Statistics:
    """Return what the units of `model` answer to a random sample of `data`, and more if asked.

    Parameters
    ----------
    model
        Any module; run in evaluation mode and left as it was.
    data
        A pair of tensors, a `Dataset`, a `DataLoader` or `prunevis.Data`, of which the training
        part is used if there is one. A tensor of inputs alone will do where no labels are read:
        only gradients read them, and criteria that say so.
    graph
        From `prunevis.trace`; traced here if not given.
    max_examples, batch_size
        At least 1. Batches are smaller where units would give more than `BATCH_ANSWERS`.
    num_top
        How many of the most exciting examples of each unit are kept.
    activations
        Whether to look at what units answer.
    correlation
        Whether to accumulate second moments of the answers, which cost units² an answer.
    responses, maps
        Whether to keep answers example by example (`Statistics.response`), and with them the mean
        rank of feature maps.
    inputs
        Whether to collect moments of what layers read (`Statistics.input`): True for every layer
        that allows it, or the names of some.
    moments
        Whether these include second moments, columns² a layer (see `prunevis.statistics.inputs`).
    gradients
        Whether to take gradients of the loss, example by example (`Statistics.gradient`).
    gradient_examples
        Of how many examples, the first in order; at least 1.
    labels
        Whether labels must be there; they are kept in any case if they are.
    seed
        For the sample of examples and positions.

    Raises
    ------
    DataError
        If the data cannot be read, or gradients are asked for and there are no labels or they do
        not fit the model's outputs.
    ModelError
        If gradients are asked for and the weights are not floating point.
    NonFiniteError
        If a unit answers NaN or infinity.
    SpecError
        If a number is below 1, or a layer named in `inputs` cannot be collected.
    """
    if graph is None:
        graph = trace(model, _calibration(data).inputs[:1])
    steps = collect_steps(
        model,
        data,
        graph,
        max_examples=max_examples,
        batch_size=batch_size,
        num_top=num_top,
        activations=activations,
        correlation=correlation,
        responses=responses,
        maps=maps,
        inputs=inputs,
        moments=moments,
        gradients=gradients,
        gradient_examples=gradient_examples,
        labels=labels,
        seed=seed,
    )
    return finished(steps)


def collect_steps(
    model: nn.Module,
    data: Any,
    graph: ModelGraph,
    *,
    max_examples: int = 1024,
    batch_size: int = 128,
    num_top: int = 9,
    activations: bool = True,
    correlation: bool = True,
    responses: bool = False,
    maps: bool = False,
    inputs: bool | Iterable[str] = False,
    moments: bool = True,
    gradients: bool = False,
    gradient_examples: int = 512,
    labels: bool = False,
    seed: int = 0,
) -> Generator[StatisticsProgress, None, Statistics]:
    """Do the same batch by batch; the last report carries the outcome, also returned.

    A report comes at least after every batch. Closing the generator cancels. Parameters and errors
    as for `collect_statistics`.
    """
    for name, value in (
        ("max_examples", max_examples),
        ("batch_size", batch_size),
        ("num_top", num_top),
        ("gradient_examples", gradient_examples),
    ):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise SpecError(f"`{name}` must be at least 1, a whole number.", got=repr(value)[:80])
    source = _calibration(data)
    check_graph(graph)
    check_weights(model)
    network = fingerprint(model)
    generator = torch.Generator().manual_seed(seed)
    # A random order, not only a random subset: the first batch sets the scale of "near zero".
    count = len(source.inputs)
    indices = torch.randperm(count, generator=generator)[:max_examples]
    total = int(indices.shape[0])
    wanted, reasons = _readable(graph, inputs)
    answers = activations or responses or maps
    looking = _Looking(
        graph, total, seed, num_top, activations, correlation, responses or maps, maps, moments
    )
    if (gradients or labels) and source.targets is None:
        raise DataError(
            f"{'Gradients need' if gradients else 'This needs'} labels, and the data are inputs "
            "alone.",
            fix="Give pairs of inputs and class indices.",
        )
    slopes = GradientSums(model, graph) if gradients else None
    sloped = min(total, gradient_examples) if slopes is not None else 0
    end = total if answers or wanted else sloped
    step = _batch_size(graph, batch_size, bool(wanted))
    for start in range(0, end, step):
        chosen = indices[start : min(start + step, end)]
        rows = chosen.to(source.inputs.device)
        batch = source.inputs[rows]
        begin = time.perf_counter()
        pieces = looking.add(model, batch, chosen, None if answers else (), wanted)
        for _ in pieces if answers or wanted else ():
            if time.perf_counter() - begin > STEP:
                # one picture through a large network is more than one step
                yield StatisticsProgress(start, end, None)
                begin = time.perf_counter()
        if slopes is not None and start < sloped:
            left = sloped - start
            assert source.targets is not None
            targets = source.targets[chosen.to(source.targets.device)]
            for _ in slopes.add(batch[:left], targets[:left]):
                if time.perf_counter() - begin > STEP:
                    yield StatisticsProgress(slopes.count, end, None)
                    begin = time.perf_counter()
        seen = min(start + step, end)
        if seen < end:
            yield StatisticsProgress(seen, end, None)
    classes = None if source.targets is None else source.targets[indices].cpu()
    asked = {
        "activations": activations,
        "correlation": activations and correlation,
        "responses": responses or maps,
        "maps": maps,
        "inputs": inputs is True,
        "moments": inputs is True and moments,
        "gradients": gradients,
    }
    outcome = Statistics(
        activations=looking.activations(),
        num_examples=total,
        split=source.split,
        indices=indices,
        inputs={name: sums.result() for name, sums in looking.reads.items()},
        input_reasons=reasons,
        gradients={} if slopes is None else slopes.result(),
        responses={name: sums.result() for name, sums in looking.responses.items()},
        labels=classes,
        source=source.inputs,
        collected=frozenset(name for name, wanted in asked.items() if wanted),
        network=network,
    )
    yield StatisticsProgress(end, end, outcome)
    return outcome


class _Looking:
    """Running sums of what one run shows: answers of units and inputs of layers."""

    def __init__(
        self,
        graph: ModelGraph,
        total: int,
        seed: int,
        num_top: int,
        activations: bool,
        correlation: bool,
        responses: bool,
        maps: bool,
        moments: bool,
    ) -> None:
        self._graph, self._total, self._seed = graph, total, seed
        self._num_top, self._correlation = num_top, correlation
        self._wanted, self._responding = activations, responses
        self._maps, self._moments = maps, moments
        self.sums: dict[str, LayerSums] = {}
        self.responses: dict[str, ResponseSums] = {}
        self.reads: dict[str, InputSums] = {}

    def add(
        self,
        model: nn.Module,
        batch: Tensor,
        chosen: Tensor,
        looked: Iterable[str] | None,
        wanted: Iterable[str],
    ) -> Iterator[None]:
        """Run a batch, the examples `chosen` of the split, and take in what is seen."""
        found = observe_all(model, self._graph, batch, looked, wanted)
        # Popped one by one, so that a layer's memory is free before the next one is worked on.
        for name in list(found.answers):
            yield
            yield from self._answers(name, found, chosen)
        for name in list(found.reads):
            if name not in self.reads:
                room = MOMENT_BYTES - sum(known.nbytes for known in self.reads.values())
                layer = self._graph.layers[name]
                self.reads[name] = InputSums(
                    layer, self._total, self._seed, moments=self._moments, room=room
                )
            yield from self.reads[name].add(found.reads.pop(name), len(chosen))

    def _answers(self, name: str, found: Observed, chosen: Tensor) -> Iterator[None]:
        answers, layer = found.answers.pop(name), self._graph.layers[name]
        if self._wanted:
            if name not in self.sums:
                self.sums[name] = LayerSums(layer, self._num_top, self._correlation, self._seed)
            self.sums[name].add(answers, chosen)
        if self._responding:
            if name not in self.responses:
                room = RESPONSE_BYTES - sum(known.nbytes for known in self.responses.values())
                self.responses[name] = ResponseSums(
                    layer, self._total, self._seed, self._maps, room
                )
            yield from self.responses[name].add(answers, found.space[name])

    def activations(self) -> dict[str, Any]:
        """Return statistics by layer, in the order of the network."""
        return {n: self.sums[n].result() for n in self._graph.layers if n in self.sums}


def collection(needs: Iterable[str]) -> dict[str, bool]:
    """Return the options of `collect_statistics` that give what a criterion needs.

    Parameters
    ----------
    needs
        Any of `prunevis.statistics.COLLECTABLE`; other words are passed over.
    """
    wanted = set(needs)
    return {
        "activations": bool({"activations", "correlation"} & wanted),
        "correlation": "correlation" in wanted,
        "responses": "responses" in wanted,
        "maps": "maps" in wanted,
        "inputs": bool({"inputs", "moments"} & wanted),
        "moments": "moments" in wanted,
        "gradients": "gradients" in wanted,
        "labels": "labels" in wanted,
    }


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


@dataclass(frozen=True, eq=False, slots=True)
class _Source:
    """Calibration examples, and "train" or "test"; targets are None for inputs alone."""

    inputs: Tensor
    targets: Tensor | None
    split: str


def _calibration(data: Any) -> _Source:
    if isinstance(data, Tensor):
        stand_ins = torch.zeros(len(data) if data.ndim else 0, dtype=torch.int64)
        return _Source(as_data((data, stand_ins)).test.inputs, None, "test")
    checked = as_data(data)
    if checked.train is None:
        return _Source(checked.test.inputs, checked.test.targets, "test")
    return _Source(checked.train.inputs, checked.train.targets, "train")


def _batch_size(graph: ModelGraph, wanted: int, reads: bool) -> int:
    answers = sum(layer.num_units * layer.positions for layer in graph.layers.values())
    if reads:  # what one layer answers another reads
        answers *= 2
    return max(1, min(wanted, BATCH_ANSWERS // max(1, answers)))
