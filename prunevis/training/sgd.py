"""Stochastic gradient descent, as in `torch.optim.SGD`.

Written out because making the first optimiser of a process imports torch's compiler, which takes
seconds, and the page would stand still that long when somebody first presses "Fine-tune".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Sgd:
    """Gradient descent with weight decay and momentum; the same numbers as `torch.optim.SGD`.

    Parameters
    ----------
    parameters
        What is moved.
    momentum
        In [0, 1); Nesterov's (Sutskever et al. 2013) unless 0.
    weight_decay
        L2 penalty, at least 0.
    base
        Learning rate at factor 1, above 0.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        base: float = 0.01,
    ) -> None:
        self.parameters, self.base = list(parameters), base
        self.momentum, self.weight_decay = momentum, weight_decay
        self._velocity: list[Tensor | None] = [None] * len(self.parameters)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move each parameter that has a gradient."""
        for place, parameter in enumerate(self.parameters):
            if parameter.grad is None:
                continue
            change = parameter.grad
            if self.weight_decay:
                change = change.add(parameter, alpha=self.weight_decay)
            if self.momentum:
                velocity = self._velocity[place]
                if velocity is None:
                    velocity = self._velocity[place] = change.clone()
                else:
                    velocity.mul_(self.momentum).add_(change)
                change = change.add(velocity, alpha=self.momentum)
            parameter.add_(change, alpha=-learning_rate)

    def clear_gradients(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def forget(self) -> None:
        """Forget the velocities, as if no step had been taken."""
        self._velocity = [None] * len(self.parameters)

    def state(self) -> list[Tensor | None]:
        """Return copies of the velocities."""
        return [None if v is None else v.clone() for v in self._velocity]

    def load(self, state: list[Tensor | None]) -> None:
        """Take back what `state` returned."""
        self._velocity = [None if v is None else v.clone() for v in state]
