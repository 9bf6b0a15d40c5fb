"""The training loop: steps, measurements and what is kept when something goes wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn

from prunevis.data import Examples
from prunevis.errors import ModelError, NonFiniteError, PrunevisError, SpecError
from prunevis.evaluation.exact import Evaluation, evaluate_steps
from prunevis.evaluation.inference import device_of
from prunevis.training.keeping import Checkpoint, Keeper, copied_state, held_out
from prunevis.training.modes import MaskHolder, RandomStream, fixed_statistics, training_mode
from prunevis.training.objectives import NoiseOutputs, Objective, ScalePenalty
from prunevis.training.optimizers import make_optimizer
from prunevis.training.records import FineTuneProgress
from prunevis.training.schedules.timeline import Phase, phase_at
from prunevis.training.settings import FineTuneSettings

#: Seconds of work between two progress reports.
STEP_SECONDS = 0.04
#: What a checkpoint keeps of a run besides tensors and states.
_PLAIN = (
    "rate",
    "loss",
    "accuracy",
    "validation",
    "sparsity",
    "measured_at",
    "patient",
    "spent",
)


class TrainingRun:
    """One training, from the first step to the last; `model` is trained in place.

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
    phases
        How the learning rate goes over the steps; None: one phase of `settings.epochs`.
    teacher
        The network as it came, for `settings.distil`; also what an optimiser object belongs to.
    noise
        Noise outputs, trained in phases that ask for them.

    Raises
    ------
    ModelError
        If all parameters are frozen, a mask does not fit, or a phase has a penalty of scales and
        the model no BatchNorm.
    SpecError
        If the optimiser does not fit, or mixed precision is asked for without a GPU.
    """

    def __init__(
        self,
        model: nn.Module,
        data: tuple[Examples, Examples],
        masks: Mapping[str, Tensor],
        settings: FineTuneSettings,
        *,
        phases: Sequence[Phase] | None = None,
        teacher: nn.Module | None = None,
        noise: NoiseOutputs | None = None,
    ) -> None:
        self.model, self.settings = model, settings
        train, self.test = data
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not named:
            raise ModelError(
                "All parameters are frozen, so nothing can be trained.",
                fix="Call model.requires_grad_(True), or on the layers that may change.",
            )
        self.device = device_of(model) or train.inputs.device
        if settings.mixed_precision and self.device.type != "cuda":
            raise SpecError(
                "Mixed precision is for a model on a GPU.",
                got=f"a model on {self.device}",
                fix="Leave mixed_precision=False.",
            )
        self.train, self.held_out = held_out(train, settings)
        self.per_epoch = -(-self.train.count // settings.batch_size)
        if phases is None:
            phases = (Phase(0, settings.epochs * self.per_epoch, ""),)
        self.phases = tuple(phases)
        self.total_steps = self.phases[-1].last if self.phases else 0
        self.noise = noise
        trained = dict(named)
        if noise is not None:
            trained |= {"noise outputs: weight": noise.weight, "noise outputs: bias": noise.bias}
        self.optimizer = make_optimizer(
            settings.optimizer,
            trained,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            original=teacher,
        )
        penalised = any(phase.penalty for phase in self.phases)
        self.penalty = ScalePenalty(model) if penalised else None
        self.objective = Objective(
            settings.label_smoothing, teacher, settings.distil, settings.temperature
        )
        self.objective.prepare(self.train)
        self.masks = MaskHolder(model, masks)
        self.random = RandomStream(settings.seed, self.device)
        self.shuffle = torch.Generator().manual_seed(settings.seed)
        chosen = torch.randperm(self.test.count, generator=torch.Generator().manual_seed(0))
        self.subset = self.test.take(chosen[: settings.subset].sort().values)
        # Four times an epoch and at most 40 times: some 5 % of the work.
        self.every = max(1, self.per_epoch // 4, self.total_steps // 40)
        self.step, self.rate = 0, self._rate(0)
        self.order = torch.empty(0, dtype=torch.int64)
        self.losses: list[float] = []  # of the steps since the last measurement
        self.loss: float | None = None
        self.accuracy: float | None = None
        self.validation: float | None = None
        self.sparsity: float | None = None
        self.measured_at = -1  # step of the last measurement
        self.keeper = Keeper(model, settings.patience)
        self.patient = True  # False: it is too early to stop
        self.spent = 0.0
        self.begin = time.perf_counter()

    def steps(self) -> Generator[FineTuneProgress, None, Evaluation]:
        """Train to the end; see `prunevis.training.finetune.fine_tune_steps`."""
        with self.kept_finite():
            self.masks.apply()
            if not self.step:
                yield from self.measure()
            yield from self.train_until(self.total_steps)
            return (yield from self.finish())

    @contextmanager
    def kept_finite(self) -> Iterator[None]:
        """Leave weights that are numbers and no gradients behind, whatever ends the block."""
        try:
            yield
        finally:
            self.optimizer.clear_gradients()
            tensors = self.model.state_dict().values()
            if not all(bool(t.isfinite().all()) for t in tensors):
                self.keeper.restore()
            # an optimiser that was interrupted may have moved some of what is held
            self.masks.apply()

    def train_until(self, stop: int) -> Generator[FineTuneProgress, None, None]:
        """Take steps until `stop` have been taken in all, measuring every so often."""
        self.begin = time.perf_counter() - self.spent
        while not self.stopped:
            due = self.step % self.every == 0 and 0 < self.step < self.total_steps
            if due and self.measured_at != self.step:
                yield from self.measure()
            elif self.step < stop:
                yield from self._train_to(min(stop, (self.step // self.every + 1) * self.every))
            else:
                return

    def finish(self) -> Generator[FineTuneProgress, None, Evaluation]:
        """Measure on all test data; the last report carries the evaluation."""
        self.optimizer.clear_gradients()
        if self.keeper.best:
            if not self.stopped:
                yield from self._validate()
            self.model.load_state_dict(self.keeper.best)
            self.masks.apply()
            self.validation = self.keeper.best_accuracy
        return (yield from self.measure(last=True))

    @property
    def stopped(self) -> bool:
        """Whether the accuracy on held-out examples has stopped rising."""
        return self.patient and self.keeper.exhausted

    def checkpoint(self) -> Checkpoint:
        """Return all that `resume` needs to go on bit for bit; for between two reports."""
        return Checkpoint(
            self.step,
            copied_state(self.model),
            {
                "optimizer": self.optimizer.state(),
                "random": self.random.state(),
                "shuffle": self.shuffle.get_state(),
                "noise": None if self.noise is None else self.noise.state(),
                "order": self.order.clone(),
                "losses": list(self.losses),
                "kept": self.keeper.state(),
                **{name: getattr(self, name) for name in _PLAIN},
            },
        )

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on where `checkpoint` was taken, in a run of the same model, data and settings.

        Raises
        ------
        ModelError
            If it was taken of another network.
        """
        checkpoint.put_into(self.model)
        rest = checkpoint.rest
        self.step = checkpoint.step
        self.optimizer.load(rest["optimizer"])
        self.random.load(rest["random"])
        self.shuffle.set_state(rest["shuffle"])
        if self.noise is not None:
            self.noise.load(rest["noise"])
        self.order, self.losses = rest["order"].clone(), list(rest["losses"])
        self.keeper.load(rest["kept"])
        for name in _PLAIN:
            setattr(self, name, rest[name])

    def _rate(self, step: int) -> float:
        if not self.phases:
            return 0.0
        phase = phase_at(self.phases, step)
        factor = self.settings.factor_at(phase.position(step))
        return factor * phase.rate * self.optimizer.base

    def _train_to(self, stop: int) -> Generator[FineTuneProgress, None, None]:
        while self.step < stop:
            first, until = self.step, time.perf_counter() + STEP_SECONDS
            with training_mode(self.model), self.random.active(), torch.enable_grad():
                while self.step < stop and (self.step == first or time.perf_counter() < until):
                    if not len(self.order):
                        self.order = torch.randperm(self.train.count, generator=self.shuffle)
                    size = self.settings.batch_size
                    self.losses.append(self._train_on(self.order[:size]))
                    self.order = self.order[size:]
            self.loss = sum(self.losses) / len(self.losses)
            self.spent = time.perf_counter() - self.begin
            yield self.report()

    def _train_on(self, where: Tensor) -> float:
        inputs = self.train.inputs[where.to(self.train.inputs.device)].to(self.device)
        targets = self.train.targets[where.to(self.train.targets.device)].to(self.device)
        phase = phase_at(self.phases, self.step)
        self.rate = self._rate(self.step)
        self.optimizer.clear_gradients()
        noise = self.noise if phase.noise else None
        lone = fixed_statistics(self.model) if len(where) == 1 else nullcontext()
        precise = self.settings.mixed_precision
        halved = torch.autocast("cuda", torch.bfloat16) if precise else nullcontext()
        try:
            with lone, halved, nullcontext() if noise is None else noise.listening():
                loss = self.objective(self.model(inputs), targets, inputs, where)
                total = loss if noise is None else loss + noise.loss()
            total.backward()
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
        if self.penalty is not None and phase.penalty:
            self.penalty.add(phase.penalty)
        try:
            self.optimizer.step(self.rate)
        except Exception as error:
            raise SpecError(
                "The optimiser's step raised an error.",
                got=f"{type(error).__name__}: {str(error).strip().rstrip('.')}",
                fix="Choose an optimiser whose step() needs no closure and takes dense gradients.",
            ) from error
        self.masks.apply()
        self.step += 1
        return value

    def measure(
        self, *, last: bool = False, event: str | None = None
    ) -> Generator[FineTuneProgress, None, Evaluation]:
        """Measure accuracy, on all test data if it is the `last` time; keep the weights."""
        evaluation = None
        try:
            for progress in evaluate_steps(self.model, self.test if last else self.subset):
                evaluation = progress.evaluation
                if evaluation is None:
                    yield self.report()
            if self.held_out is not None and not last:
                yield from self._validate()
        except NonFiniteError as error:
            if not self.keeper.good:
                raise
            self._restore()
            raise NonFiniteError(
                "Fine-tuning diverged: the model gives NaN or infinite outputs.",
                where=f"step {self.step} of {self.total_steps}, learning rate {self.rate:g}",
                fix="Use a smaller learning rate. The last good weights were kept.",
            ) from error
        assert evaluation is not None, "the last step carries the evaluation"
        self.accuracy, self.measured_at = evaluation.accuracy, self.step
        self.losses.clear()
        self.keeper.remember()
        yield replace(
            self.report(), measured=True, evaluation=evaluation if last else None, event=event
        )
        return evaluation

    def _validate(self) -> Generator[FineTuneProgress, None, None]:
        assert self.held_out is not None, "only called where examples are held out"
        evaluation = None
        for progress in evaluate_steps(self.model, self.held_out):
            evaluation = progress.evaluation
            yield self.report()
        assert evaluation is not None, "the last step carries the evaluation"
        self.validation = evaluation.accuracy
        if self.settings.patience and self.patient:
            self.keeper.judge(self.validation)

    def _restore(self) -> None:
        """Put back the weights of the last measurement."""
        self.keeper.restore()
        self.masks.apply()

    def report(self) -> FineTuneProgress:
        """Return how far it is."""
        seconds = self.spent
        to_go = 0 if self.stopped else self.total_steps - self.step
        left = seconds / self.step * to_go if self.step else None
        return FineTuneProgress(
            epoch=-(-self.step // self.per_epoch),
            epochs=-(-self.total_steps // self.per_epoch),
            step=self.step,
            steps=self.total_steps,
            loss=self.loss,
            accuracy=self.accuracy,
            measured=False,
            seconds=seconds,
            seconds_left=left,
            learning_rate=self.rate,
            phase=phase_at(self.phases, self.step).label if self.phases else "",
            sparsity=self.sparsity,
            validation=self.validation,
        )
