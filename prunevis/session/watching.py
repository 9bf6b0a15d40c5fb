"""Watching a training: its reports and, at every measurement, its weights become the session's."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from prunevis.graph.layers import ModelGraph
from prunevis.session.state import Stage
from prunevis.session.tuned import Sight
from prunevis.statistics import Histogram, count_within, weight_histogram
from prunevis.training import FineTuneProgress

if TYPE_CHECKING:
    from prunevis.session.staging import Staging

BINS = 80
#: A layer with more weights than this takes too long to be counted between two steps.
MOST_WEIGHTS = 20_000_000


class Watcher:
    """Writes what a training reports into the session.

    Parameters
    ----------
    controller
        Whose session it is.
    stage
        The network that training began at; `began` of a `Sight` counts its weights.
    """

    def __init__(self, controller: Staging, stage: Stage) -> None:
        self.controller, self.stage = controller, stage
        self.model: nn.Module | None = None
        self.graph = stage.graph
        self.masks: Mapping[str, Tensor] = {}
        self.spent = 0.0
        self.steps: list[int] = []
        self.loss: list[float] = []
        self.accuracy: list[tuple[int, float]] = []
        self.events: list[tuple[int, str]] = []

    def watch(self, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        """Look at these from now on; they are only read."""
        self.model, self.masks = model, masks

    def follow(self, steps: Generator[Any, None, Any]) -> Generator[None, None, Any]:
        """Run `steps` to their end, writing down every report; return what they return."""
        try:
            while True:
                began = time.perf_counter()
                try:
                    report = next(steps)
                except StopIteration as stop:
                    return stop.value
                # what others do between two steps, or a pause, is no time of training
                self.spent += time.perf_counter() - began
                if report is not None:
                    self._note(report)
                yield
        finally:
            steps.close()

    def _note(self, report: FineTuneProgress) -> None:
        step = report.step
        if report.loss is not None:
            self.steps.append(step)
            self.loss.append(report.loss)
        if report.event is not None:
            self.events.append((step, report.event))
        state = self.controller.session.fine_tuning
        sight = state.sight
        if report.measured and report.accuracy is not None:
            self.accuracy.append((step, report.accuracy))
            if self.model is not None:
                layer = self.controller.session.view.layer
                sight = seen(self.model, self.masks, self.graph, self.stage, layer, step)
        left = self.spent / step * (report.steps - step) if step else None
        where = f"{report.phase}, " if report.phase else ""
        self.controller.session.fine_tuning = replace(
            state,
            progress=step / max(1, report.steps),
            text=f"{where}epoch {max(1, report.epoch)} of {report.epochs}, {in_time(left)} left",
            steps=tuple(self.steps),
            loss=tuple(self.loss),
            accuracy=tuple(self.accuracy),
            events=tuple(self.events),
            step=step,
            phase=report.phase,
            sparsity=state.sparsity if report.sparsity is None else report.sparsity,
            seconds_left=left,
            sight=sight,
        )
        self.controller.show_status()


def seen(
    model: nn.Module,
    masks: Mapping[str, Tensor],
    graph: ModelGraph,
    stage: Stage,
    layer: str,
    step: int,
) -> Sight | None:
    """Return what the weights of `layer` look like now; None where there is no such layer."""
    if layer not in graph.layers or layer not in stage.graph.layers:
        return None
    name = graph.layers[layer].weight
    weight = model.get_parameter(name).detach().cpu()
    if weight.numel() > MOST_WEIGHTS:
        return None
    start = stage.model.get_parameter(stage.graph.layers[layer].weight).detach().cpu()
    mask = masks.get(name)
    stays = weight if mask is None else weight[mask.cpu()]
    wide = weight_histogram(weight, BINS)
    limit = max(float(wide.edges[-1]), float(weight_histogram(start, BINS).edges[-1]))
    bins = Histogram(np.linspace(-limit, limit, BINS + 1), np.zeros(BINS, np.int64))
    pixel_layer, pixels, most = _pixels(model, masks, graph)
    return Sight(
        step=step,
        layer=layer,
        edges=bins.edges,
        kept=count_within(stays, bins),
        began=count_within(start, bins),
        gone=weight.numel() - stays.numel(),
        total=weight.numel(),
        pixels=pixels,
        pixel_layer=pixel_layer,
        most=most,
    )


def _pixels(
    model: nn.Module, masks: Mapping[str, Tensor], graph: ModelGraph
) -> tuple[str, np.ndarray | None, int]:
    """Fold the mask of a first layer that reads all pixels at once back into the image."""
    first = next(iter(graph.layers.values()), None)
    shape = tuple(graph.input_shape)
    if first is None or len(shape) != 3 or len(first.weight_shape) != 2:
        return "", None, 0
    units, read = first.weight_shape
    if read != shape[0] * shape[1] * shape[2]:
        return "", None, 0
    mask = masks.get(first.weight)
    if mask is None:
        mask = model.get_parameter(first.weight).detach() != 0
    counts = mask.cpu().reshape(units * shape[0], shape[1], shape[2]).sum(0)
    return first.name, counts.numpy().astype(np.int64), units * shape[0]


def in_time(seconds: float | None) -> str:
    """Return a time in words, e.g. "12 s", "3 min"."""
    if seconds is None:
        return "some time"
    if seconds >= 90:
        return f"{seconds / 60:.0f} min"
    return f"{max(1, round(seconds))} s"
