"""Running a model on chosen examples and boiling each down to numbers: right, margin, metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from prunevis.data import Data, Examples
from prunevis.errors import DataError, ModelError
from prunevis.evaluation.inference import BatchSizer, Predictor

Array = NDArray[Any]
#: From a model's outputs and the targets of a batch to one number an example, shape (N,).
Metric = Callable[[Any, Tensor], Tensor]


def pairs_of(data: Any) -> Examples:
    """Return a pair of tensors as `Examples`, whatever the targets are."""
    pair = data.test if isinstance(data, Data) else data
    is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
    if not (is_pair and isinstance(pair[0], Tensor) and isinstance(pair[1], Tensor)):
        raise DataError(
            "A metric of one's own needs its data as tensors.",
            expected="a pair of tensors (inputs, targets)",
            got=type(pair).__name__,
            fix="Stack the examples: (torch.stack(inputs), torch.stack(targets)).",
        )
    inputs, targets = pair
    if inputs.ndim == 0 or targets.ndim == 0 or not len(inputs) or len(inputs) != len(targets):
        raise DataError(
            "There are not as many targets as inputs, or none.",
            expected="two tensors of shape (N, ...), N from 1",
            got=f"{tuple(inputs.shape)} and {tuple(targets.shape)}",
        )
    return Examples(inputs, targets)


class Batches:
    """Runs a model on chosen examples.

    Parameters
    ----------
    model, examples, metric, device
        As for `estimate`. A function as metric is run with the model, where its outputs are.
    """

    def __init__(
        self,
        model: Any,
        examples: Examples,
        metric: str | Metric,
        device: torch.device | str | None,
    ) -> None:
        self.examples = examples
        self.sizer = BatchSizer(first=64)
        self.measured = None if isinstance(metric, str) else Measured(model, metric)
        needed = 1 if self.measured else int(examples.targets.max()) + 1
        runs = self.measured or model
        self._predict = Predictor(runs, needed, device=device, sizer=self.sizer)

    def __call__(self, images: Array) -> tuple[Tensor, Tensor]:
        """Return logits (or, from a function as metric, numbers (n, 1)) and targets, on the CPU."""
        inputs, targets = self.examples
        where = torch.from_numpy(images)
        targets = targets[where.to(targets.device)]
        if self.measured is not None:
            self.measured.targets = targets
        return self._predict(inputs[where.to(inputs.device)]), targets.cpu()


class Measured(nn.Module):
    """A model with a function behind it, so that both run under the model's own flags and device.

    Parameters
    ----------
    model
        A module or a callable.
    metric
        From (outputs, targets) to numbers of shape (N,).
    """

    def __init__(self, model: Any, metric: Metric) -> None:
        super().__init__()
        if not callable(model):
            raise ModelError(
                "The model cannot be called.",
                expected="a torch.nn.Module or a function",
                got=type(model).__name__,
            )
        self.model = model
        self.metric = metric
        self.targets = torch.zeros(0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the metric of `inputs` (N, ...) and the targets set before, float64, (N, 1)."""
        outputs = self.model(inputs)
        targets = self.targets.to(inputs.device)
        try:
            values = self.metric(outputs, targets)
        except Exception as error:
            raise ModelError(
                "The metric raised an error.",
                got=f"{type(error).__name__}: {error}",
                where=f"a batch of inputs of shape {tuple(inputs.shape)}",
                fix="Call metric(model(inputs), targets) on a few examples yourself.",
            ) from error
        if not isinstance(values, Tensor) or values.shape != inputs.shape[:1]:
            raise ModelError(
                "The metric does not give one number an example.",
                expected=f"a tensor of shape ({len(inputs)},)",
                got=tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__,
                fix="Average over everything but the first axis, e.g. error.flatten(1).mean(1).",
            )
        return values.detach().double()[:, None]


def numbers(outputs: Tensor, targets: Tensor, metric: str | Metric) -> Array:
    """Return one float64 number an example, shape (n,): the metric's, or the cross-entropy."""
    if metric == "loss":
        return F.cross_entropy(outputs, targets, reduction="none").double().numpy()
    return outputs[:, 0].double().numpy()


def placed(logits: Tensor, targets: Tensor, top: int) -> tuple[Array, Array]:
    """Return whether each target is among the `top` largest logits, and by how much.

    Both of shape (n,): bool; and float64, the target's logit minus the `top`-th largest other one,
    infinite where there are fewer others. With ``top=1`` the first of tied logits is the answer.
    """
    own = logits.gather(1, targets[:, None])[:, 0]
    others = logits.scatter(1, targets[:, None], -torch.inf)
    if top >= logits.shape[1]:
        return np.ones(len(own), dtype=bool), np.full(len(own), np.inf)
    rival = others.topk(top, dim=1).values[:, -1]
    margin = torch.where(own == rival, 0.0, own - rival).double()
    right = logits.argmax(1) == targets if top == 1 else margin >= 0
    return right.numpy(), margin.numpy()
