"""What is kept of a training: good weights, the best ones, and all that it goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.data import Examples
from prunevis.errors import ModelError, SpecError
from prunevis.training.settings import FineTuneSettings


@dataclass(frozen=True, eq=False, slots=True)
class Checkpoint:
    """All that a training goes on from, as if it had never stopped; see `TrainingRun.checkpoint`.

    Attributes
    ----------
    step
        Optimiser steps done.
    tensors
        The model's state dict, copied.
    rest
        Moments of the optimiser, random states, the order of examples.
    """

    step: int
    tensors: Mapping[str, Tensor] = field(repr=False)
    rest: Mapping[str, Any] = field(repr=False)

    def put_into(self, model: nn.Module) -> None:
        """Load the tensors.

        Raises
        ------
        ModelError
            If they are another network's; `model` is as it was then.
        """
        known = {name: tensor.shape for name, tensor in model.state_dict().items()}
        saved = {name: tensor.shape for name, tensor in self.tensors.items()}
        if known != saved:
            first = next(n for n in [*known, *saved] if n not in known or known[n] != saved.get(n))
            raise ModelError(
                "This checkpoint is of another network.",
                expected=f"{first} of shape {tuple(known[first])}" if first in known else None,
                got=f"{first} of shape {tuple(saved[first])}" if first in saved else f"no {first}",
                fix="Resume a run of the network, the plan and the data that it was taken from.",
            )
        model.load_state_dict(dict(self.tensors))


class Keeper:
    """Remembers the weights of the last measurement, and the best ones by held-out examples.

    Parameters
    ----------
    model
        What is trained.
    patience
        Measurements without a better accuracy until it is time to stop; 0: never.
    """

    def __init__(self, model: nn.Module, patience: int) -> None:
        self.model, self.patience = model, patience
        self.good: dict[str, Tensor] = {}
        self.best: dict[str, Tensor] = {}
        self.best_accuracy, self.waited = -1.0, 0

    @property
    def exhausted(self) -> bool:
        """Whether the accuracy on held-out examples has stopped rising."""
        return 0 < self.patience <= self.waited

    def remember(self) -> None:
        """Keep the weights as good ones."""
        self.good = copied_state(self.model)

    def judge(self, accuracy: float) -> None:
        """Take note of an accuracy in [0, 1] on held-out examples."""
        self.waited += 1
        if accuracy > self.best_accuracy:
            self.best_accuracy, self.waited = accuracy, 0
            self.best = copied_state(self.model)

    def restore(self) -> None:
        """Put back the weights of the last measurement, if there was one."""
        if self.good:
            self.model.load_state_dict(self.good)

    def state(self) -> dict[str, Any]:
        """Return what `load` takes; tensors that are kept are never written to."""
        return {name: value for name, value in vars(self).items() if name not in _FIXED}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        vars(self).update(state)


_FIXED = frozenset({"model", "patience"})


def copied_state(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of all that the state dict of `model` holds."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def held_out(train: Examples, settings: FineTuneSettings) -> tuple[Examples, Examples | None]:
    """Return what is trained on and what is held out; both in the order of `train`.

    Raises
    ------
    SpecError
        If one of the two would be empty.
    """
    count = round(settings.validation * train.count)
    if settings.patience and not count:
        raise SpecError(
            "No example is held out, so nothing says when to stop.",
            got=f"validation={settings.validation:g} of {train.count:,} training examples",
            fix="Hold out a larger share, or pass patience=0.",
        )
    if not count:
        return train, None
    if count >= train.count:
        raise SpecError(
            "Nothing is left to train on.", got=f"{count} of {train.count} examples held out"
        )
    order = torch.randperm(train.count, generator=torch.Generator().manual_seed(settings.seed))
    return train.take(order[count:].sort().values), train.take(order[:count].sort().values)
