"""The training loop: steps, measurements and what is kept when something goes wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunevis.data import Examples
from prunevis.errors import ModelError, NonFiniteError, PrunevisError
from prunevis.evaluation.exact import Evaluation, evaluate_steps
from prunevis.evaluation.inference import device_of
from prunevis.training.modes import MaskHolder, RandomStream, fixed_statistics, training_mode
from prunevis.training.records import FineTuneProgress, FineTuneSettings
from prunevis.training.sgd import Sgd

#: Seconds of work between two progress reports.
STEP_SECONDS = 0.04


class TrainingRun:
    """One fine-tuning, from the first step to the last; `model` is trained in place.

    Parameters
    ----------
    model
        What is trained.
    data
        Training and test examples.
    masks
        By dotted tensor name, what stays (True); the rest is held at zero.
    settings
        How.

    Raises
    ------
    ModelError
        If all parameters are frozen, or a mask does not fit.
    """

    def __init__(
        self,
        model: nn.Module,
        data: tuple[Examples, Examples],
        masks: Mapping[str, Tensor],
        settings: FineTuneSettings,
    ) -> None:
        self.model, self.settings = model, settings
        self.train, self.test = data
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if not self.parameters:
            raise ModelError(
                "All parameters are frozen, so nothing can be trained.",
                fix="Call model.requires_grad_(True), or on the layers that may change.",
            )
        self.sgd = Sgd(self.parameters, settings.momentum, settings.weight_decay)
        self.device = device_of(model) or self.train.inputs.device
        self.masks = MaskHolder(model, masks)
        self.random = RandomStream(settings.seed, self.device)
        generator = torch.Generator().manual_seed(settings.seed)
        self.shuffle = generator
        chosen = torch.randperm(self.test.count, generator=torch.Generator().manual_seed(0))
        self.subset = self.test.take(chosen[: settings.subset].sort().values)
        self.per_epoch = -(-self.train.count // settings.batch_size)
        self.total_steps = settings.epochs * self.per_epoch
        # Four times an epoch and at most 40 times: some 5 % of the work.
        self.every = max(1, self.per_epoch // 4, self.total_steps // 40)
        self.step, self.rate = 0, settings.learning_rate(0, self.total_steps)
        self.losses: list[float] = []  # of the steps since the last measurement
        self.loss: float | None = None
        self.accuracy: float | None = None
        self.begin = time.perf_counter()
        self.good: dict[str, Tensor] = {}

    def steps(self) -> Generator[FineTuneProgress, None, Evaluation]:
        """Train; see `prunevis.training.finetune.fine_tune_steps`."""
        self.begin = time.perf_counter()
        self.masks.apply()
        try:
            yield from self._measure(self.subset)
            order = torch.empty(0, dtype=torch.int64)
            while self.step < self.total_steps:
                order = yield from self._train_until_measurement(order)
                if self.step < self.total_steps:
                    yield from self._measure(self.subset)
            self.sgd.clear_gradients()
            return (yield from self._measure(self.test, last=True))
        finally:
            self.sgd.clear_gradients()
            tensors = self.model.state_dict().values()
            if not all(bool(t.isfinite().all()) for t in tensors):
                self._restore()

    def _train_until_measurement(self, order: Tensor) -> Generator[FineTuneProgress, None, Tensor]:
        """Take steps up to the next measurement; return the rest of the epoch's order."""
        stop = min(self.total_steps, (self.step // self.every + 1) * self.every)
        while self.step < stop:
            first, until = self.step, time.perf_counter() + STEP_SECONDS
            with training_mode(self.model), self.random.active(), torch.enable_grad():
                while self.step < stop and (self.step == first or time.perf_counter() < until):
                    if not len(order):
                        order = torch.randperm(self.train.count, generator=self.shuffle)
                    size = self.settings.batch_size
                    self.losses.append(self._train_on(order[:size]))
                    order = order[size:]
            self.loss = sum(self.losses) / len(self.losses)
            yield self._report()
        return order

    def _train_on(self, where: Tensor) -> float:
        inputs = self.train.inputs[where.to(self.train.inputs.device)].to(self.device)
        targets = self.train.targets[where.to(self.train.targets.device)].to(self.device)
        self.rate = self.settings.learning_rate(self.step, self.total_steps)
        self.sgd.clear_gradients()
        try:
            if len(where) == 1:
                with fixed_statistics(self.model):
                    loss = F.cross_entropy(self.model(inputs), targets)
            else:
                loss = F.cross_entropy(self.model(inputs), targets)
            loss.backward()
        except PrunevisError:
            raise
        except Exception as error:
            raise ModelError(
                "The model's forward or backward raised an error in training mode.",
                got=f"{type(error).__name__}: {str(error).strip().rstrip('.')}",
                where=f"a batch of inputs of shape {tuple(inputs.shape)}",
                fix="A model must give logits (N, classes) in training mode too.",
            ) from error
        value = float(loss.detach())
        if not math.isfinite(value):
            self._restore()
            raise NonFiniteError(
                "Fine-tuning diverged: the loss became NaN or infinite.",
                where=f"step {self.step + 1} of {self.total_steps}, learning rate {self.rate:g}",
                fix="Use a smaller learning rate. The last good weights were kept.",
            )
        self.sgd.step(self.rate)
        self.masks.apply()
        self.step += 1
        return value

    def _measure(
        self, examples: Examples, last: bool = False
    ) -> Generator[FineTuneProgress, None, Evaluation]:
        evaluation = None
        try:
            for progress in evaluate_steps(self.model, examples):
                evaluation = progress.evaluation
                if evaluation is None:
                    yield self._report()
        except NonFiniteError as error:
            if not self.good:
                raise
            self._restore()
            raise NonFiniteError(
                "Fine-tuning diverged: the model gives NaN or infinite outputs.",
                where=f"step {self.step} of {self.total_steps}, learning rate {self.rate:g}",
                fix="Use a smaller learning rate. The last good weights were kept.",
            ) from error
        assert evaluation is not None, "the last step carries the evaluation"
        self.accuracy = evaluation.accuracy
        self.losses.clear()
        self.good = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        yield replace(self._report(), measured=True, evaluation=evaluation if last else None)
        return evaluation

    def _restore(self) -> None:
        """Put back the weights of the last measurement."""
        if self.good:
            self.model.load_state_dict(self.good)
            self.masks.apply()

    def _report(self) -> FineTuneProgress:
        seconds = time.perf_counter() - self.begin
        left = seconds / self.step * (self.total_steps - self.step) if self.step else None
        return FineTuneProgress(
            epoch=-(-self.step // self.per_epoch),
            epochs=self.settings.epochs,
            step=self.step,
            steps=self.total_steps,
            loss=self.loss,
            accuracy=self.accuracy,
            measured=False,
            seconds=seconds,
            seconds_left=left,
            learning_rate=self.rate,
        )
