"""What happens when, as data: phases of training and the events between their steps.

Steps are steps of the optimiser, counted from 0. An event at step t happens when t steps have been
taken; a phase covers the steps from `first` up to but not including `last`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prunevis.errors import SpecError

#: What survivors are set to at an event: nothing, the weights saved at `Timeline.saved_at`, or
#: new random values.
Reset = Literal["none", "rewind", "fresh"]


@dataclass(frozen=True, slots=True)
class Event:
    """Pruning, between two steps.

    Attributes
    ----------
    step
        Steps taken before it, from 0.
    sparsity
        Removed / prunable after it, in [0, 1), of the network as it came.
    label
        What a person reads: "Round 2 of 5".
    reset
        What becomes of the weights that stay: "none" (they keep their values), "rewind" (those they
        had at `Timeline.saved_at`), "fresh" (new random ones).
    """

    step: int
    sparsity: float
    label: str
    reset: Reset = "none"


@dataclass(frozen=True, slots=True)
class Phase:
    """Training steps under one run of the learning rate.

    Attributes
    ----------
    first, last
        Its steps, from `first` up to but not including `last`.
    label
        What a person reads: "Training", "Fine-tuning".
    rate
        Factor of the learning rate asked for, above 0.
    begin, end
        The part of the learning-rate schedule that it runs through, in [0, 1]; equal: the rate
        stands still there.
    penalty
        L1 penalty of the scales of BatchNorm, at least 0 (Liu et al. 2017).
    noise
        Noise outputs that are trained beside the others, from 0 (Babaeizadeh et al. 2016).
    """

    first: int
    last: int
    label: str
    rate: float = 1.0
    begin: float = 0.0
    end: float = 1.0
    penalty: float = 0.0
    noise: int = 0

    def position(self, step: int) -> float:
        """Return where in the learning-rate schedule `step` is, in [0, 1]."""
        share = (step - self.first) / max(1, self.last - self.first)
        return self.begin + (self.end - self.begin) * share


@dataclass(frozen=True, slots=True)
class Timeline:
    """A schedule laid out for one network, one amount of data and one sparsity.

    Attributes
    ----------
    phases
        In order, one after the other, from step 0; together all steps.
    events
        In order of their steps.
    untrained
        Whether training begins at new random weights in place of those that the network has.
    saved_at
        The step whose weights an event's "rewind" puts back.
    noise_kind
        What the targets of noise outputs are drawn from: "gaussian", "binomial" or "constant".

    Raises
    ------
    SpecError
        If phases have gaps, events are out of order or outside, or sparsity falls.
    """

    phases: tuple[Phase, ...]
    events: tuple[Event, ...]
    untrained: bool = False
    saved_at: int = 0
    noise_kind: str = "gaussian"

    def __post_init__(self) -> None:
        at = 0
        for phase in self.phases:
            if phase.first != at or phase.last < at:
                raise SpecError(
                    "Phases of a timeline follow one another without a gap.",
                    expected=f"a phase that begins at step {at}",
                    got=f"{phase.label!r}, steps {phase.first} to {phase.last}",
                )
            at = phase.last
        step, sparsity = 0, 0.0
        for event in self.events:
            if not step <= event.step <= at:
                raise SpecError(
                    "An event lies outside of the steps, or before the event ahead of it.",
                    expected=f"a step from {step} to {at}",
                    got=f"{event.label!r} at step {event.step}",
                )
            if not sparsity <= event.sparsity < 1.0:
                raise SpecError(
                    "What was pruned stays pruned: sparsity never falls, and is below 1.",
                    expected=f"from {sparsity:g} up to 1",
                    got=f"{event.sparsity:g} at step {event.step}",
                )
            step, sparsity = event.step, event.sparsity

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return self.phases[-1].last if self.phases else 0

    @property
    def final(self) -> float:
        """Sparsity at the end, in [0, 1)."""
        return self.events[-1].sparsity if self.events else 0.0

    def phase(self, step: int) -> Phase:
        """Return the phase that `step`, from 0, belongs to; the last one after the end."""
        return phase_at(self.phases, step)

    def sparsity(self, step: int) -> float:
        """Return the sparsity when `step` steps have been taken and their events are over."""
        found = 0.0
        for event in self.events:
            if event.step > step:
                break
            found = event.sparsity
        return found

    def curve(self) -> tuple[tuple[int, float], ...]:
        """Return corners (step, sparsity) of the stairs that a person sees, from (0, 0)."""
        corners = [(0, 0.0)]
        for event in self.events:
            corners.append((event.step, corners[-1][1]))
            corners.append((event.step, event.sparsity))
        corners.append((self.steps, corners[-1][1]))
        return tuple(dict.fromkeys(corners))


def phase_at(phases: Sequence[Phase], step: int) -> Phase:
    """Return the phase that `step`, from 0, belongs to; the last one after the end."""
    return next((phase for phase in phases if step < phase.last), phases[-1])
