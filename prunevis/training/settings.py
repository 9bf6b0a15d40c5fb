"""What training is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prunevis.errors import SpecError

#: Learning-rate schedules: what is left of the rate when a share x in [0, 1] of it is over.
RATES: dict[str, Callable[[float], float]] = {
    "cosine": lambda x: 0.5 * (1 + math.cos(math.pi * x)),
    "constant": lambda x: 1.0,
    "linear": lambda x: 1.0 - x,
    "step": lambda x: 1.0 if x < 0.5 else 0.1 if x < 0.75 else 0.01,
}


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """How to train.

    Attributes
    ----------
    epochs
        Passes over the training data, from 1; a schedule of pruning has epochs of its own.
    lr
        Learning rate at the start, above 0. An optimiser that is passed as an object, or made by a
        function, has one of its own, and this one is not read.
    batch_size
        Examples a step, from 1.
    momentum
        In [0, 1); Nesterov's for "sgd" unless 0.
    weight_decay
        L2 penalty, at least 0; as `momentum` for optimisers by name that know it.
    schedule
        Of the learning rate: "cosine" (to 0 at the last step), "constant", "linear" (to 0), "step"
        (a tenth from half of the steps, a hundredth from three quarters), or a function from the
        share of the steps, in [0, 1], to a factor.
    warm_up
        Share of the steps in which the rate rises from 0, in [0, 1).
    optimizer
        "sgd", the lower-case name of any other in `torch.optim` ("adam", "adamw", "rmsprop"), a
        function from a list of parameters to an optimiser, or an optimiser over the parameters of
        the model that is passed; one of its kind is made for the copy that is trained.
    label_smoothing
        Share of the target spread over all classes, in [0, 1) (Szegedy et al. 2016).
    distil, temperature
        Share of the loss that asks for the answers of the network as it came, in [0, 1], and the
        temperature, above 0, that softens both (Hinton et al. 2015).
    validation
        Share of the training examples that is held out to see when to stop, in [0, 0.9].
    patience
        Stop when accuracy on these has not risen for so many measurements (four an epoch or
        fewer), and go back to the best; 0: never. The test data have no say in it.
    mixed_precision
        Whether to compute in bfloat16 where that is safe; for a model on a GPU.
    seed
        Of the shuffle, of dropout and of what is held out.
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
    schedule: str | Callable[[float], float] = "cosine"
    seed: int = 0
    subset: int = 500
    warm_up: float = 0.0
    optimizer: Any = "sgd"
    label_smoothing: float = 0.0
    distil: float = 0.0
    temperature: float = 2.0
    validation: float = 0.0
    patience: int = 0
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1),
            ("batch_size", 1),
            ("subset", 1),
            ("seed", 0),
            ("patience", 0),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise SpecError(f"`{name}` is a whole number from {least}.", got=repr(value))
        for name, fits, text in (
            ("lr", lambda x: 0 < x < math.inf, "above 0"),
            ("momentum", lambda x: 0 <= x < 1, "at least 0 and below 1"),
            ("weight_decay", lambda x: 0 <= x < math.inf, "at least 0"),
            ("warm_up", lambda x: 0 <= x < 1, "at least 0 and below 1"),
            ("label_smoothing", lambda x: 0 <= x < 1, "at least 0 and below 1"),
            ("distil", lambda x: 0 <= x <= 1, "from 0 to 1"),
            ("temperature", lambda x: 0 < x < math.inf, "above 0"),
            ("validation", lambda x: 0 <= x <= 0.9, "from 0 to 0.9"),
        ):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not fits(value):
                raise SpecError(f"`{name}` must be {text}.", got=repr(value))
        schedule = self.schedule
        if not callable(schedule) and not (isinstance(schedule, str) and schedule in RATES):
            raise SpecError(
                f"There is no schedule {repr(schedule)[:80]}.",
                expected=", ".join(repr(name) for name in RATES),
                fix="Schedules of pruning are in prunevis.SCHEDULES; this one is of the learning "
                "rate.",
            )
        if not isinstance(self.mixed_precision, bool):
            raise SpecError(
                "`mixed_precision` is True or False.", got=repr(self.mixed_precision)[:80]
            )
        if self.patience and not self.validation:
            raise SpecError(
                "Stopping early needs examples to see it by.",
                got=f"patience={self.patience}, validation=0",
                fix="Pass validation=0.1: a tenth of the training examples is held out.",
            )

    def factor_at(self, position: float) -> float:
        """Return what is left of the rate when a share `position` of training is over, in [0, 1].

        Raises
        ------
        SpecError
            If a function that was passed as `schedule` gives no number from 0.
        """
        if position < self.warm_up:
            return position / self.warm_up
        left = (position - self.warm_up) / (1 - self.warm_up)
        schedule = self.schedule
        if isinstance(schedule, str):
            return RATES[schedule](left)
        try:
            factor = float(schedule(left))
        except Exception as error:
            raise _no_factor(left, f"{type(error).__name__}: {error}") from error
        if not (math.isfinite(factor) and factor >= 0):
            raise _no_factor(left, factor)
        return factor

    def rate_at(self, position: float) -> float:
        """Return the learning rate when a share `position` of the training is over, in [0, 1]."""
        return self.lr * self.factor_at(position)

    def learning_rate(self, step: int, steps: int) -> float:
        """Return the learning rate of `step` (from 0) of `steps`."""
        return self.rate_at(step / steps)


def _no_factor(share: float, got: object) -> SpecError:
    return SpecError(
        "The schedule of the learning rate gave no factor.",
        expected="a number from 0",
        got=got,
        where=f"a share of {share:g}",
    )
