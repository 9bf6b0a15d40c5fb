"""What is known of a training: how it was filled in, how it goes, what was seen on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from prunevis.training.schedules import Schedule, Timeline

if TYPE_CHECKING:
    from prunevis.session.state import Stage


@dataclass(frozen=True, eq=False)
class Draft:
    """The schedule as it is being filled in, before it runs.

    Attributes
    ----------
    name
        In `SCHEDULES`.
    made
        Schedules by name as they were last filled in; those missing are at their defaults.
    more
        Fields of `FineTuneSettings` that are not in the short form.
    error
        What is wrong with what was filled in last, in words; "" if nothing is.
    """

    name: str = "one-shot"
    made: Mapping[str, Schedule] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, eq=False)
class Sight:
    """The weights of one layer in the midst of training.

    Attributes
    ----------
    step
        Optimiser steps taken by then.
    layer
        Its name.
    edges
        float64, shape (bins + 1,), of the bins of both counts.
    kept
        int64, shape (bins,): weights that stay.
    began
        int64, shape (bins,): all weights of the layer as training found it.
    gone, total
        How many weights are held at zero, of how many.
    pixels
        int64, shape (rows, columns): weights that stay of each input pixel, summed over the units
        and the colours of the first layer; None where that layer does not read pixels.
    pixel_layer, most
        The name of that layer, and its weights per pixel.
    """

    step: int
    layer: str
    edges: np.ndarray = field(repr=False)
    kept: np.ndarray = field(repr=False)
    began: np.ndarray = field(repr=False)
    gone: int
    total: int
    pixels: np.ndarray | None = field(default=None, repr=False)
    pixel_layer: str = ""
    most: int = 0


@dataclass(frozen=True, eq=False)
class FineTuning:
    """Where fine-tuning stands.

    Attributes
    ----------
    state
        "ready", "running", "paused", "done", "cancelled" or "failed".
    progress, text
        Share done in [0, 1], and the same in words.
    steps, loss, accuracy
        What was seen on the way; `accuracy` as (step, value) pairs.
    events
        (step, label) of what has been pruned on the way.
    before, after
        Accuracy in [0, 1], None until known.
    result
        The stage that keeping would add.
    step
        Optimiser steps taken.
    phase
        What training is doing.
    sparsity
        Removed / prunable by now, in [0, 1); None before the first measurement.
    seconds_left
        An extrapolation; None before the first step.
    timeline
        What is run.
    sight
        The weights at the last measurement.
    """

    state: str = "ready"
    epochs: int = 2
    learning_rate: float = 0.01
    source: str = "train"
    progress: float = 0.0
    text: str = ""
    steps: tuple[int, ...] = ()
    loss: tuple[float, ...] = ()
    accuracy: tuple[tuple[int, float], ...] = ()
    events: tuple[tuple[int, str], ...] = ()
    before: float | None = None
    after: float | None = None
    result: Stage | None = field(default=None, repr=False)
    step: int = 0
    phase: str = ""
    sparsity: float | None = None
    seconds_left: float | None = None
    timeline: Timeline | None = field(default=None, repr=False)
    sight: Sight | None = field(default=None, repr=False)

    @property
    def under_way(self) -> bool:
        """Whether it has begun and not ended."""
        return self.state in ("running", "paused")

    def cleared(self) -> FineTuning:
        """Return the form as it was filled in, without what came of it."""
        return FineTuning(epochs=self.epochs, learning_rate=self.learning_rate, source=self.source)
