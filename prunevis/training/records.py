"""What fine-tuning tells: progress and result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

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
    phase
        What the training is doing, for a person to read; empty for plain fine-tuning.
    sparsity
        Removed / prunable by now, in [0, 1); None where nothing is pruned on the way.
    event
        What has just been pruned, with the first report after it; else None.
    validation
        Accuracy in [0, 1] on the training examples held out, as last measured; None without.
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
    phase: str = ""
    sparsity: float | None = None
    event: str | None = None
    validation: float | None = None


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
