"""The exact accuracy of a model on all examples, with what it did on each of them."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from prunevis.data import Examples, as_examples
from prunevis.errors import SpecError
from prunevis.evaluation.inference import BatchSizer, Classifier, Predictor
from prunevis.evaluation.intervals import wilson


@dataclass(frozen=True, eq=False, slots=True)
class Outcomes:
    """What a model did on each of N examples, in the order of the data.

    Attributes
    ----------
    correct
        bool, shape (N,): whether the largest logit is the target's (the first one, if tied).
    margin
        float32, shape (N,): logit of the target minus the largest other logit; infinite where the
        model has a single output.
    loss
        float32, shape (N,): cross-entropy in nats, >= 0.
    predicted
        int64, shape (N,): class with the largest logit.
    """

    correct: Tensor
    margin: Tensor
    loss: Tensor
    predicted: Tensor

    @staticmethod
    def empty(count: int) -> Outcomes:
        """Return room for `count` examples, to be filled with `write`."""
        return Outcomes(
            torch.zeros(count, dtype=torch.bool),
            torch.zeros(count),
            torch.zeros(count),
            torch.zeros(count, dtype=torch.int64),
        )

    def write(self, where: Tensor | slice, logits: Tensor, targets: Tensor) -> Tensor:
        """Fill in the examples at `where` from their `logits` (n, classes); return `correct`."""
        targets = targets.cpu()
        with torch.inference_mode():
            predicted = logits.argmax(1)
            own = logits.gather(1, targets[:, None])
            others = logits.scatter(1, targets[:, None], -torch.inf).amax(1)
            # Two classes ruled out with -inf each would give NaN; they are a tie.
            margin = torch.where(own[:, 0] == others, 0.0, own[:, 0] - others)
            correct = predicted == targets
            self.correct[where] = correct
            self.margin[where] = margin.float()
            self.loss[where] = F.cross_entropy(logits, targets, reduction="none").float()
            self.predicted[where] = predicted
        return correct


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """How well a model does on a set of examples.

    Attributes
    ----------
    accuracy
        correct / total, in [0, 1].
    loss
        Mean cross-entropy in nats.
    correct, total
        Numbers of examples.
    examples
        The outcome of each example.
    per_class
        Accuracy on the examples of each class, in [0, 1]; NaN for a class without examples.
    note
        A sentence where the figures need one, else "".
    """

    accuracy: float
    loss: float
    correct: int
    total: int
    examples: Outcomes = field(repr=False)
    per_class: tuple[float, ...] = field(repr=False)
    note: str = ""

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval (Wilson) of the accuracy on the population these examples were drawn from.

        The accuracy on the examples themselves is exact and needs none.
        """
        return wilson(self.correct, self.total)

    def __repr__(self) -> str:
        note = f", {self.note}" if self.note else ""
        return (
            f"Evaluation({self.accuracy:.2%}, {self.correct:,} of {self.total:,}, "
            f"loss {self.loss:.4f}{note})"
        )

    @staticmethod
    def of(outcomes: Outcomes, targets: Tensor, num_classes: int) -> Evaluation:
        """Sum up `outcomes` of a model with `num_classes` outputs on `targets` (N,)."""
        targets = targets.cpu()
        total = int(targets.shape[0])
        per_class = torch.bincount(targets, minlength=num_classes)
        right = torch.bincount(targets[outcomes.correct], minlength=num_classes)
        correct = int(outcomes.correct.sum())
        note = ""
        if num_classes == 1:
            note = "The model has a single output, so every answer is right."
        elif int((per_class > 0).sum()) == 1:
            only = int(targets[0])
            note = f"All examples are of class {only}; this says nothing about the others."
        return Evaluation(
            accuracy=correct / total,
            loss=float(outcomes.loss.double().mean()),
            correct=correct,
            total=total,
            examples=outcomes,
            per_class=tuple(
                int(r) / int(n) if n else math.nan
                for r, n in zip(right.tolist(), per_class.tolist(), strict=True)
            ),
            note=note,
        )


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """How far an evaluation is.

    Attributes
    ----------
    seen, total
        Examples done, of how many.
    correct
        How many of those seen are right (in the order of the data, so not a fair sample).
    evaluation
        The result, with the last step; None before.
    """

    seen: int
    total: int
    correct: int
    evaluation: Evaluation | None = field(default=None, repr=False)


def examples_of(data: Any) -> Examples:
    """Return the examples that `data` is measured on; `Examples` are taken as checked already."""
    return data if isinstance(data, Examples) and data.count else as_examples(data)[0]


def check_batch_size(batch_size: int | None) -> int | None:
    """Return `batch_size` if it is None or a whole number from 1; else raise SpecError."""
    whole = isinstance(batch_size, int) and not isinstance(batch_size, bool)
    if batch_size is not None and not (whole and batch_size >= 1):
        raise SpecError("A batch size is a whole number from 1.", got=repr(batch_size))
    return batch_size


def evaluate_steps(
    model: Classifier,
    data: Any,
    *,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
) -> Generator[EvaluationProgress, None, Evaluation]:
    """Evaluate batch by batch; the last progress carries the `Evaluation`, also returned.

    Parameters
    ----------
    model, data, batch_size, device
        As for `evaluate`. With `batch_size` None batches are sized to take about 30 ms each.
    """
    examples = examples_of(data)
    sizer = BatchSizer()
    needed = int(examples.targets.max()) + 1
    predict = Predictor(model, needed, device=device, sizer=sizer)
    fixed = check_batch_size(batch_size)
    outcomes = Outcomes.empty(examples.count)
    seen = correct = num_classes = 0
    while seen < examples.count:
        part = slice(seen, min(examples.count, seen + (fixed or sizer.size)))
        logits = predict(examples.inputs[part])
        num_classes = int(logits.shape[1])
        correct += int(outcomes.write(part, logits, examples.targets[part]).sum())
        seen = part.stop
        if seen < examples.count:
            yield EvaluationProgress(seen, examples.count, correct)
    result = Evaluation.of(outcomes, examples.targets, num_classes)
    yield EvaluationProgress(seen, examples.count, correct, result)
    return result


def evaluate(
    model: Classifier,
    data: Any,
    *,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
) -> Evaluation:
    """Measure the accuracy of `model` on all examples of `data`.

    Parameters
    ----------
    model
        A module, run in eval mode (the flag of every submodule is put back), or a callable from
        inputs (N, ...) to logits (N, classes), run as it is.
    data
        A ``(inputs, targets)`` pair, a `Dataset`, a `DataLoader` or `Data`, of which the test part
        is used. `Examples` are taken as checked already.
    batch_size
        None: measured on the first batches, about 30 ms each.
    device
        Where inputs are moved to; None for the device of the model's parameters.

    Raises
    ------
    ModelError
        If the forward raises or its output is not of shape (N, classes).
    NonFiniteError
        If an output is NaN or infinite.
    DataError
        If the data cannot be read, or have more classes than the model has outputs.
    SpecError
        If `batch_size` is not a whole number from 1.
    """
    for progress in evaluate_steps(model, data, batch_size=batch_size, device=device):
        if progress.evaluation is not None:
            return progress.evaluation
    raise AssertionError("unreachable: the last step carries the evaluation")
