"""Schedules that begin at a trained network: one shot, rounds, one unit at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from prunevis.training.schedules.base import (
    SCHEDULES,
    SPACINGS,
    Schedule,
    choice,
    in_steps,
    number,
    one_after_another,
    rising,
)
from prunevis.training.schedules.timeline import Event, Phase, Timeline


@SCHEDULES.register("one-shot")
@dataclass(frozen=True)
class OneShot(Schedule):
    """Prune once, then fine-tune."""

    label = "One shot"
    summary = "Prune all at once, then fine-tune what is left."
    source = "Han et al. 2015; Li et al. 2017"
    url = "https://arxiv.org/abs/1608.08710"

    epochs: float = number(3.0, "Epochs of fine-tuning", 0.0, 1000.0)

    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """One event before the first step."""
        steps = in_steps(self.epochs, per_epoch)
        return Timeline(
            one_after_another((steps, "Fine-tuning")), (Event(0, sparsity, "Pruned at once"),)
        )


@SCHEDULES.register("iterative")
@dataclass(frozen=True)
class Iterative(Schedule):
    """Prune a little, retrain, and again; each round has a learning-rate schedule of its own."""

    label = "Iterative"
    summary = "Prune a little and retrain, round after round: accuracy falls and recovers as a saw."
    source = "Han et al. 2015"
    url = "https://arxiv.org/abs/1506.02626"

    rounds: int = number(5, "Rounds", 1, 100)
    epochs: float = number(1.0, "Epochs a round", 0.0, 1000.0)
    spacing: str = choice("exponential", "Steps in sparsity", SPACINGS)
    final_epochs: float = number(0.0, "Epochs after the last round", 0.0, 1000.0)

    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """An event at the start of each round."""
        steps = in_steps(self.epochs, per_epoch)
        events = _rounds(sparsity, self.rounds, self.spacing, steps)
        phases = [(steps, e.label) for e in events]
        phases.append((in_steps(self.final_epochs, per_epoch), "Last fine-tuning"))
        return Timeline(one_after_another(*phases), events)


@SCHEDULES.register("rate-rewinding")
@dataclass(frozen=True)
class RateRewinding(Schedule):
    """As iterative pruning, but each round replays the end of the original learning-rate schedule.

    The weights that stay keep their values; `factor` is the learning rate that the network was
    trained with over that asked for (fine-tuning takes a tenth).
    """

    label = "Learning-rate rewinding"
    summary = (
        "Each round retrains with the learning rates of the first training, not with low ones."
    )
    source = "Renda et al. 2020"
    url = "https://arxiv.org/abs/2003.02389"

    rounds: int = number(3, "Rounds", 1, 100)
    epochs: float = number(2.0, "Epochs a round", 0.0, 1000.0)
    replay: float = number(1.0, "Share of the schedule replayed", 0.01, 1.0)
    factor: float = number(10.0, "Times the learning rate", 0.01, 1000.0)
    spacing: str = choice("exponential", "Steps in sparsity", SPACINGS)

    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """An event at the start of each round."""
        steps = in_steps(self.epochs, per_epoch)
        events = _rounds(sparsity, self.rounds, self.spacing, steps)
        phases = one_after_another(
            *((steps, e.label) for e in events), rate=self.factor, begin=1.0 - self.replay
        )
        return Timeline(phases, events)


@SCHEDULES.register("unit-by-unit")
@dataclass(frozen=True)
class UnitByUnit(Schedule):
    """Remove the least important unit, take some steps, look again; at last fine-tune."""

    label = "One unit at a time"
    summary = "The least important unit leaves, a few steps follow, importance is measured anew."
    source = "Molchanov et al. 2016"
    url = "https://arxiv.org/abs/1611.06440"
    granularities = ("unit",)
    advice: ClassVar[dict[str, dict[str, str]]] = {
        "unit": {"criterion": "taylor-2016", "scope": "global"}
    }
    # importance is measured anew after every few steps: a small sample, another one each time
    examples = 128

    updates: int = number(10, "Steps between removals", 0, 100_000)
    units: int = number(1, "Units at a time", 1, 10_000)
    epochs: float = number(1.0, "Epochs of fine-tuning", 0.0, 1000.0)

    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """An event before every `updates` steps, at a learning rate that stands still."""
        goal = round(sparsity * prunable)
        number_of = math.ceil(goal / self.units)
        events = []
        for k in range(1, number_of + 1):
            gone = min(goal, k * self.units)
            share = sparsity if gone == goal else gone / prunable
            events.append(
                Event((k - 1) * self.updates, min(share, sparsity), f"{gone:,} units gone")
            )
        first = number_of * self.updates
        phases = []
        if first:
            phases.append(Phase(0, first, "Removing", end=0.0))
        if rest := in_steps(self.epochs, per_epoch):
            phases.append(Phase(first, first + rest, "Fine-tuning"))
        return Timeline(tuple(phases), tuple(events))


@SCHEDULES.register("scratch")
@dataclass(frozen=True)
class Scratch(Schedule):
    """The control: what is left is trained from new random weights."""

    label = "From scratch"
    summary = "The control: keep what pruning chose, forget the weights, and train anew."
    source = "Liu et al. 2019, Rethinking the Value of Network Pruning"
    url = "https://arxiv.org/abs/1810.05270"

    epochs: float = number(5.0, "Epochs of training", 0.0, 1000.0)
    factor: float = number(10.0, "Times the learning rate", 0.01, 1000.0)

    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """One event before the first step, with new weights."""
        phases = one_after_another((in_steps(self.epochs, per_epoch), "Training"), rate=self.factor)
        return Timeline(phases, (Event(0, sparsity, "Pruned, weights drawn anew", "fresh"),))


def _rounds(sparsity: float, rounds: int, spacing: str, steps: int) -> tuple[Event, ...]:
    found = rising(sparsity, rounds, spacing)
    return tuple(
        Event(k * steps, value, f"Round {k + 1} of {rounds}") for k, value in enumerate(found)
    )
