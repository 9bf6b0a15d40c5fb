"""Running a model on batches without leaving a trace: flags, random state, device, batch size.

A `Predictor` makes each step self-contained. Long work runs as a generator on a thread that does
other things between two steps, so nothing (eval mode, inference mode, random state) may stay
changed across a ``yield``: `torch.inference_mode` is thread-local, and the same model may be in
training there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.errors import DataError, ModelError, NonFiniteError
from prunevis.graph.checks import on_meta

#: A network, or any callable that gives logits (N, classes) for a batch of inputs.
Classifier = nn.Module | Callable[[Tensor], Tensor]


@contextmanager
def evaluation_mode(model: Any) -> Iterator[None]:
    """Set every submodule to eval mode inside the block; each flag is put back as it was.

    The flags are written directly, because `nn.Module.train` may be overridden (frozen BatchNorm)
    and would then not restore what it found. A callable that is no module is left alone.
    """
    training = [m for m in model.modules() if m.training] if isinstance(model, nn.Module) else []
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def same_random_state(device: torch.device | None = None) -> Iterator[None]:
    """Leave torch's global random state (CPU, and `device` if it is a GPU) as it was found.

    Only on the main thread. Elsewhere the state is left alone: the person's own code may draw at
    the same moment, and putting the old state back would make it draw the same numbers twice.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    gpus = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        yield


def device_of(model: Any) -> torch.device | None:
    """Return the device of the model's first parameter or buffer, None if it has neither."""
    if isinstance(model, nn.Module):
        for tensor in model.parameters():
            return tensor.device
        for tensor in model.buffers():
            return tensor.device
    return None


class BatchSizer:
    """Chooses batch sizes so that one step takes about `target` seconds.

    Parameters
    ----------
    target
        Seconds a step should take.
    first
        Size of the first batch, while nothing has been measured.
    largest
        Never more than this.
    """

    def __init__(self, target: float = 0.03, first: int = 32, largest: int = 1024) -> None:
        self.target, self.first, self.largest = target, first, largest
        self.seconds_per_example: float | None = None
        self._batch = first

    @property
    def size(self) -> int:
        """What the next batch should hold."""
        return self._batch

    def record(self, count: int, seconds: float) -> None:
        """Take note that `count` examples took `seconds`."""
        if 2 * count < self._batch and seconds < self.target:
            return  # the rest of a set: mostly the fixed cost of a call
        per_example = seconds / max(1, count)
        # The newest measurement counts most: a machine that gets busy must be noticed at once.
        old = self.seconds_per_example
        self.seconds_per_example = per_example if old is None else 0.3 * old + 0.7 * per_example
        wanted = int(self.target / max(self.seconds_per_example, 1e-9))
        # A small batch overstates the cost an example (fixed cost a call), hence at most ×4.
        wanted = max(1, min(wanted, 4 * max(count, self._batch), self.largest))
        self._batch = wanted if wanted < 16 else wanted // 16 * 16


class Predictor:
    """Gives checked logits of a model for batches of inputs.

    Parameters
    ----------
    model
        A module (run in eval mode) or a callable (run as it is).
    num_classes
        Outputs that the targets need at least: highest target + 1.
    device
        Where inputs are moved to; None for the model's own device.
    sizer
        Told how long each batch took; None to measure nothing.
    """

    def __init__(
        self,
        model: Classifier,
        num_classes: int,
        *,
        device: torch.device | str | None = None,
        sizer: BatchSizer | None = None,
    ) -> None:
        if not callable(model):
            raise ModelError(
                "The model cannot be called.",
                expected="a torch.nn.Module or a function from inputs to logits",
                got=type(model).__name__,
            )
        self.model = model
        self.num_classes = num_classes
        self.device = torch.device(device) if device is not None else device_of(model)
        self.sizer = sizer
        self._worked_with: int | None = None
        # whether the forward writes into what it is given; seen with the first batch
        self._writes: bool | None = None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return logits for `inputs`.

        Parameters
        ----------
        inputs
            Shape (N, ...), on any device.

        Returns
        -------
        Tensor
            float32 or float64, shape (N, classes), on the CPU.

        Raises
        ------
        ModelError
            If the forward raises, or gives no tensor of shape (N, classes).
        DataError
            If there are fewer outputs than the targets need.
        NonFiniteError
            If an output is NaN or plus infinity.
        """
        begin = time.perf_counter()
        device = self.device or inputs.device
        given = inputs.to(device)
        if self._writes is not False:
            given = given.clone()  # `inputs` are the person's data
        with evaluation_mode(self.model), same_random_state(device), torch.inference_mode():
            try:
                output = self.model(given)
            except ModelError:
                raise
            except Exception as error:
                raise self._forward_error(error, inputs) from error
            logits = self.checked(output, inputs.shape)
        if self._writes is None:
            self._writes = given.is_inference() or given._version > 0
        self._worked_with = int(inputs.shape[0])
        if self.sizer is not None:
            self.sizer.record(int(inputs.shape[0]), time.perf_counter() - begin)
        return logits

    def _forward_error(self, error: Exception, inputs: Tensor) -> ModelError:
        worked = self._worked_with
        fix = "Call model(inputs) on a few examples yourself to see the whole error."
        if worked is not None and worked != inputs.shape[0]:
            fix = (
                f"A batch of {worked} examples went through before: a forward pass must not "
                "depend on the size of the batch (look for a hard-coded size in a view or reshape)."
            )
        weights = self.model.parameters() if isinstance(self.model, nn.Module) else ()
        own = next((p.dtype for p in weights if p.is_floating_point()), None)
        if own is not None and inputs.is_floating_point() and inputs.dtype != own:
            fix = f"The model's weights are {own}, the inputs {inputs.dtype}: convert one of them."
        return ModelError(
            "The model's forward raised an error.",
            got=f"{type(error).__name__}: {str(error).strip().rstrip('.')}",
            where=f"a batch of inputs of shape {tuple(inputs.shape)}",
            fix=fix,
        )

    def checked(self, output: Any, shape: Sequence[int]) -> Tensor:
        """Return the logits on the CPU if `output`, from inputs of `shape`, is fit for that."""
        count = shape[0]
        if isinstance(output, Tensor) and output.is_meta:
            raise on_meta("the model's output")
        if not isinstance(output, Tensor):
            raise ModelError(
                "The model does not give one tensor of logits.",
                expected=f"a tensor of shape ({count}, classes)",
                got=type(output).__name__,
                fix="Wrap it in a module whose forward returns only the logits.",
            )
        if output.ndim != 2 or output.shape[0] != count:
            raise ModelError(
                "The model's output is not one row of logits an example.",
                expected=f"({count}, classes)",
                got=tuple(output.shape),
                where=f"a batch of inputs of shape {tuple(shape)}",
                fix="Wrap it in a module whose forward returns logits of shape (N, classes).",
            )
        if output.shape[1] < self.num_classes:
            fix = "Check that labels start at 0 and that the model has one output a class."
            if output.shape[1] == 1:
                fix = "A single logit for yes or no needs two outputs here: stack (-z / 2, z / 2)."
            raise DataError(
                "The model has fewer outputs than the data have classes.",
                expected=f"at least {self.num_classes} outputs",
                got=int(output.shape[1]),
                fix=fix,
            )
        logits = output if output.dtype == torch.float64 else output.float()
        # Minus infinity is how some models rule a class out; NaN fails this comparison too.
        bad = ~(logits < torch.inf).all(1)
        if bool(bad.any()):
            raise NonFiniteError(
                "The model gives NaN or infinite outputs.",
                got=f"{int(bad.sum()):,} of {count:,} examples of the batch",
                fix="Look for NaN or very large weights; a diverged training is the usual cause.",
            )
        return logits.cpu()
