"""Schedules that prune while the network is being trained, or before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from prunevis.training.schedules.base import (
    SCHEDULES,
    SPACINGS,
    Schedule,
    choice,
    flag,
    in_steps,
    number,
    one_after_another,
    rising,
)
from prunevis.training.schedules.timeline import Event, Phase, Timeline

#: What the targets of noise outputs can be drawn from.
NOISES = ("gaussian", "binomial", "constant")


@SCHEDULES.register("cubic")
@dataclass(frozen=True)
class Cubic(Schedule):
    """``s(t) = s_f + (s_i - s_f) (1 - (t - t₀) / (t₁ - t₀))^power``, every `frequency` steps.

    Keras calls it `PolynomialDecay`. `begin` and `end` are shares of all steps; the last event is
    at the end exactly, whatever the frequency.
    """

    label = "Gradual (cubic)"
    summary = "While training goes on, sparsity rises fast at first and slowly towards the end."
    source = "Zhu & Gupta 2017; Keras' PolynomialDecay"
    url = "https://arxiv.org/abs/1710.01878"

    epochs: float = number(4.0, "Epochs", 0.01, 1000.0)
    begin: float = number(0.0, "Begins at this share of the steps", 0.0, 1.0)
    end: float = number(0.75, "Ends at this share", 0.0, 1.0)
    frequency: int = number(50, "Steps between prunings", 1, 1_000_000)
    power: float = number(3.0, "Power", 0.1, 10.0)
    initial: float = number(0.0, "Sparsity at the beginning", 0.0, 0.999)
    untrained: bool = flag("From random weights")

    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """An event every `frequency` steps from the beginning to the end."""
        steps = in_steps(self.epochs, per_epoch)
        first, last = round(self.begin * steps), round(max(self.begin, self.end) * steps)
        start = min(self.initial, sparsity)
        events = []
        for at in [*range(first, last, self.frequency), last]:
            left = 1.0 - (at - first) / (last - first) if last > first else 0.0
            value = sparsity + (start - sparsity) * left**self.power
            if value > 0 or at == last:
                events.append(Event(at, min(max(value, 0.0), sparsity), f"Pruned to {value:.1%}"))
        phases = one_after_another((steps, "Training"))
        return Timeline(phases, tuple(events), untrained=self.untrained)


@SCHEDULES.register("constant")
@dataclass(frozen=True)
class Constant(Schedule):
    """The same sparsity from one step on; Keras calls it `ConstantSparsity`.

    Keras looks for the mask anew every so many steps. Here what was pruned stays exactly zero, so
    the mask that is found first is the one found ever after.
    """

    label = "Constant sparsity"
    summary = "Train for a while, prune all at once, and train on at that sparsity."
    source = "Keras' ConstantSparsity"
    url = "https://www.tensorflow.org/model_optimization/guide/pruning"

    epochs: float = number(3.0, "Epochs", 0.01, 1000.0)
    begin: float = number(0.25, "Prunes at this share of the steps", 0.0, 1.0)
    untrained: bool = flag("From random weights")

    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """One event in the midst of one run of training."""
        steps = in_steps(self.epochs, per_epoch)
        event = Event(round(self.begin * steps), sparsity, "Pruned at once")
        phases = one_after_another((steps, "Training"))
        return Timeline(phases, (event,), untrained=self.untrained)


@SCHEDULES.register("lottery")
@dataclass(frozen=True)
class Lottery(Schedule):
    """Train, prune, put what stays back to what it was at the beginning (or at step k), repeat.

    With `control` the last round draws new random weights for the same mask: how much of a
    ticket's worth lies in its numbers, and not in where they are.
    """

    label = "Lottery ticket"
    summary = "Train, prune, rewind what is left to its first weights, and train that again."
    source = "Frankle & Carbin 2019; rewinding to step k: Frankle et al. 2020"
    url = "https://arxiv.org/abs/1803.03635"
    granularities = ("weight",)
    advice: ClassVar[dict[str, dict[str, str]]] = {
        "weight": {"criterion": "magnitude", "scope": "layer"}
    }

    rounds: int = number(3, "Rounds", 1, 50)
    epochs: float = number(2.0, "Epochs a round", 0.01, 1000.0)
    rewind: float = number(0.0, "Rewind to this epoch", 0.0, 1000.0)
    spacing: str = choice("exponential", "Steps in sparsity", SPACINGS)
    control: bool = flag("Control: new random weights")

    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """One training more than there are rounds, an event between each two."""
        steps = max(1, in_steps(self.epochs, per_epoch))
        saved = min(in_steps(self.rewind, per_epoch), steps - 1)
        events = []
        for k, value in enumerate(rising(sparsity, self.rounds, self.spacing), 1):
            last = k == self.rounds and self.control
            text = f"Round {k} of {self.rounds}, " + ("drawn anew" if last else "rewound")
            at = steps + (k - 1) * (steps - saved)
            events.append(Event(at, value, text, "fresh" if last else "rewind"))
        # a ticket is trained from step k on, as the first training went on from there
        phases = [Phase(0, steps, "First training")]
        for k in range(1, self.rounds + 1):
            first = phases[-1].last
            last = first + steps - saved
            phases.append(Phase(first, last, f"Ticket {k}", begin=saved / steps))
        return Timeline(tuple(phases), tuple(events), untrained=True, saved_at=saved)


@SCHEDULES.register("at-init")
@dataclass(frozen=True)
class AtInitialisation(Schedule):
    """Prune a network that was never trained, then train it: SNIP, GraSP, SynFlow."""

    label = "At initialisation"
    summary = "Prune random weights before any training, then train what is left once."
    source = "Lee et al. 2019 (SNIP)"
    url = "https://arxiv.org/abs/1810.02340"
    granularities = ("weight",)
    advice: ClassVar[dict[str, dict[str, str]]] = {
        "weight": {"criterion": "snip", "scope": "global"}
    }

    epochs: float = number(5.0, "Epochs of training", 0.0, 1000.0)

    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """One event before the first step, at random weights."""
        phases = one_after_another((in_steps(self.epochs, per_epoch), "Training"))
        event = Event(0, sparsity, "Pruned before training")
        return Timeline(phases, (event,), untrained=True)


@SCHEDULES.register("slimming")
@dataclass(frozen=True)
class Slimming(Schedule):
    """Train with an L1 penalty on the scales of BatchNorm, prune by them, fine-tune."""

    label = "Network slimming"
    summary = "A penalty drives scales of BatchNorm to zero first; the channels at zero leave."
    source = "Liu et al. 2017 (Network Slimming)"
    url = "https://arxiv.org/abs/1708.06519"
    granularities = ("unit",)
    advice: ClassVar[dict[str, dict[str, str]]] = {
        "unit": {"criterion": "bn-scale", "scope": "global"}
    }

    sparse_epochs: float = number(2.0, "Epochs with the penalty", 0.01, 1000.0)
    strength: float = number(1e-3, "Strength of the penalty", 0.0, 1.0)
    epochs: float = number(2.0, "Epochs of fine-tuning", 0.0, 1000.0)

    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """Sparse training, one event, fine-tuning."""
        first = max(1, in_steps(self.sparse_epochs, per_epoch))
        rest = in_steps(self.epochs, per_epoch)
        phases = [Phase(0, first, "Sparse training", penalty=self.strength)]
        if rest:
            phases.append(Phase(first, first + rest, "Fine-tuning"))
        return Timeline(tuple(phases), (Event(first, sparsity, "Channels removed"),))


@SCHEDULES.register("noiseout")
@dataclass(frozen=True)
class NoiseOut(Schedule):
    """Train extra outputs on noise, so that units become alike; then merge those that are.

    The noise outputs read what the last layer reads; they are no part of the network that comes
    out.
    """

    label = "NoiseOut"
    summary = "Outputs that must predict noise make units more alike, and one of two alike can go."
    source = "Babaeizadeh et al. 2016 (NoiseOut)"
    url = "https://arxiv.org/abs/1611.06211"
    granularities = ("unit",)
    advice: ClassVar[dict[str, dict[str, str]]] = {
        "unit": {"criterion": "activation-correlation", "scope": "layer", "repair": "noiseout"}
    }

    noise: int = number(512, "Noise outputs", 0, 65_536)
    kind: str = choice("gaussian", "Noise", NOISES)
    noise_epochs: float = number(2.0, "Epochs before the first removal", 0.0, 1000.0)
    rounds: int = number(5, "Rounds of removal", 1, 1000)
    epochs: float = number(0.5, "Epochs a round", 0.0, 1000.0)

    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """Training with noise, then as many removals as there are rounds."""
        first, each = in_steps(self.noise_epochs, per_epoch), in_steps(self.epochs, per_epoch)
        events = tuple(
            Event(first + k * each, value, f"Round {k + 1} of {self.rounds}")
            for k, value in enumerate(rising(sparsity, self.rounds, "linear"))
        )
        phases = one_after_another(
            (first, "Training with noise"),
            *((each, event.label) for event in events),
            noise=self.noise,
        )
        return Timeline(phases, events, noise_kind=self.kind)
