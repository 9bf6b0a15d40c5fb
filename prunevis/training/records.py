"""What fine-tuning is told and what it tells: settings, progress, result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from prunevis.errors import SpecError
from prunevis.evaluation.exact import Evaluation


@dataclass(frozen=True, slots=True)
class FineTuneProgress:
    """How far fine-tuning is.

    Attributes
    ----------
    epoch, epochs
        The epoch it is in (from 1; 0 before the first step), of how many.
    step, steps
        Optimiser steps done, of how many.
    loss
        Mean training loss in nats over the steps since the last measurement (with a measurement:
        over those that led to it); None before the first step.
    accuracy
        On a fixed subset of the test data, in [0, 1], as last measured; on all of them with the
        last report. None before the first measurement.
    measured
        Whether `accuracy` is new with this report.
    seconds, seconds_left
        Time spent, and an extrapolation of what remains; None before the first step.
    learning_rate
        Of the last step.
    evaluation
        On all test data, with the last report; None before.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None
    accuracy: float | None
    measured: bool
    seconds: float
    seconds_left: float | None
    learning_rate: float
    evaluation: Evaluation | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False, slots=True)
class FineTuned:
    """What fine-tuning gave.

    Attributes
    ----------
    model
        The fine-tuned network, a new one.
    history
        The reports with a new accuracy, from before the first step to after the last.
    before, after
        On all test data.
    masks
        What was held at zero, by tensor name; empty if nothing was or the units were removed.
    """

    model: nn.Module = field(repr=False)
    history: tuple[FineTuneProgress, ...] = field(repr=False)
    before: Evaluation
    after: Evaluation
    masks: Mapping[str, Tensor] = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"FineTuned({self.before.accuracy:.2%} → {self.after.accuracy:.2%}, "
            f"{self.history[-1].steps:,} steps)"
        )


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """How to fine-tune.

    Attributes
    ----------
    epochs
        Passes over the training data, from 1.
    lr
        Learning rate at the start, above 0.
    batch_size
        Examples a step, from 1.
    momentum
        In [0, 1); Nesterov's unless 0.
    weight_decay
        L2 penalty, at least 0.
    schedule
        "cosine" (to 0 at the last step) or "constant".
    seed
        Of the shuffle and of dropout.
    subset
        Test examples that the accuracy on the way is measured on.

    Raises
    ------
    SpecError
        If a value is outside of its range.
    """

    epochs: int = 1
    lr: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    seed: int = 0
    subset: int = 500

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("subset", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise SpecError(f"`{name}` is a whole number from {least}.", got=repr(value))
        for name, fits, text in (
            ("lr", lambda x: 0 < x < math.inf, "above 0"),
            ("momentum", lambda x: 0 <= x < 1, "at least 0 and below 1"),
            ("weight_decay", lambda x: 0 <= x < math.inf, "at least 0"),
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not fits(value):
                raise SpecError(f"`{name}` must be {text}.", got=repr(value))
        if self.schedule not in ("cosine", "constant"):
            raise SpecError(
                f"There is no schedule {self.schedule!r}.", expected="'cosine' or 'constant'"
            )

    def learning_rate(self, step: int, steps: int) -> float:
        """Return the learning rate of `step` (from 0) of `steps`."""
        if self.schedule == "constant":
            return self.lr
        return self.lr * 0.5 * (1 + math.cos(math.pi * step / steps))
