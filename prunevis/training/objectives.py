"""What is minimised: cross-entropy, what a teacher says, and what two schedules add to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from prunevis.data import Examples
from prunevis.errors import ModelError, SpecError
from prunevis.evaluation.inference import evaluation_mode

#: Targets of noise outputs (Babaeizadeh et al. 2016): mean and spread, probability, value.
GAUSSIAN, BINOMIAL, CONSTANT = (0.1, 0.4), 0.1, 1.0


class Objective:
    """Cross-entropy with label smoothing, mixed with a teacher's answers if there is one.

    ``(1 - α) CE(y, z) + α T² KL(softmax(t / T) ‖ softmax(z / T))`` (Hinton et al. 2015), z and t
    the logits of the network and of the teacher.

    Parameters
    ----------
    smoothing
        Share of the target spread over all classes, in [0, 1).
    teacher
        The network as it came; None: labels alone.
    share, temperature
        α in [0, 1] and T above 0.
    """

    def __init__(
        self,
        smoothing: float = 0.0,
        teacher: nn.Module | None = None,
        share: float = 0.0,
        temperature: float = 2.0,
    ) -> None:
        self.smoothing, self.share, self.temperature = smoothing, share, temperature
        self.teacher = teacher if share > 0 else None
        self._answers: Tensor | None = None
        self._known: Tensor | None = None

    def __call__(self, logits: Tensor, targets: Tensor, inputs: Tensor, where: Tensor) -> Tensor:
        """Return the loss of a batch, in nats; `where` are its places in the training data."""
        loss = F.cross_entropy(logits, targets, label_smoothing=self.smoothing)
        if self.teacher is None:
            return loss
        soft = self._taught(inputs, where) / self.temperature
        mine = F.log_softmax(logits / self.temperature, dim=1)
        distance = F.kl_div(
            mine, F.log_softmax(soft, dim=1), reduction="batchmean", log_target=True
        )
        return (1 - self.share) * loss + self.share * self.temperature**2 * distance

    def prepare(self, examples: Examples) -> None:
        """Make room for the teacher's answers to `examples`: each is asked for once."""
        self._answers = None
        self._known = torch.zeros(examples.count, dtype=torch.bool)

    def _taught(self, inputs: Tensor, where: Tensor) -> Tensor:
        assert self.teacher is not None, "only asked for where there is one"
        assert self._known is not None, "prepared before the first step"
        if self._answers is None or not bool(self._known[where].all()):
            with evaluation_mode(self.teacher), torch.inference_mode():
                fresh = self.teacher(inputs)
            if self._answers is None:
                shape = (len(self._known), fresh.shape[1])
                self._answers = torch.zeros(shape, dtype=fresh.dtype, device=fresh.device)
            self._answers[where.to(fresh.device)] = fresh.clone()
            self._known[where] = True
        return self._answers[where.to(self._answers.device)]


class ScalePenalty:
    """``λ Σ|γ|`` over the scales of all BatchNorms, as a subgradient (Liu et al. 2017).

    Raises
    ------
    ModelError
        If the network has no such scale.
    """

    def __init__(self, model: nn.Module) -> None:
        self.scales = [
            module.weight
            for module in model.modules()
            if isinstance(module, _BatchNorm) and module.affine and module.weight.requires_grad
        ]
        if not self.scales:
            raise ModelError(
                "There is no BatchNorm whose scales could be driven to zero.",
                fix="Choose another schedule for this network.",
            )

    def add(self, strength: float) -> None:
        """Add the penalty's subgradient to the gradients of the scales."""
        for scale in self.scales:
            if scale.grad is not None:
                scale.grad.add_(scale.detach().sign(), alpha=strength)


class NoiseOutputs:
    """Outputs beside the last layer's, trained on targets that are drawn anew every step.

    They are a linear layer of their own that reads what the network's last layer reads; the
    network itself is not changed. The loss added is their mean squared error.

    Parameters
    ----------
    model
        The network.
    layer
        Dotted name of its last layer, an `nn.Linear`.
    count
        Noise outputs, from 1.
    kind
        "gaussian" (mean 0.1, standard deviation 0.4), "binomial" (1 with probability 0.1) or
        "constant" (1).
    seed
        Of the weights and the targets.

    Raises
    ------
    SpecError
        If the last layer is no linear layer, or the kind is unknown.
    """

    def __init__(self, model: nn.Module, layer: str, count: int, kind: str, seed: int) -> None:
        last = dict(model.named_modules()).get(layer)
        if not isinstance(last, nn.Linear):
            raise SpecError(
                "Noise outputs stand beside a last layer that is linear.",
                got=f"`{layer}`, {type(last).__name__}",
            )
        if kind not in ("gaussian", "binomial", "constant"):
            raise SpecError(f"There is no noise called {kind[:80]!r}.")
        self.last, self.kind = last, kind
        self.random = torch.Generator().manual_seed(seed)
        bound = last.in_features**-0.5
        device, dtype = last.weight.device, last.weight.dtype
        weight = torch.empty(count, last.in_features).uniform_(-bound, bound, generator=self.random)
        self.weight = weight.to(device, dtype).requires_grad_()
        self.bias = torch.zeros(count, device=device, dtype=dtype, requires_grad=True)
        self._read: list[Tensor] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note what the last layer reads inside the block."""
        handle = self.last.register_forward_pre_hook(
            lambda module, inputs: self._read.append(inputs[0])
        )
        try:
            yield
        finally:
            handle.remove()
            self._read.clear()

    def state(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return copies of the weights, the biases and the random state."""
        return self.weight.detach().clone(), self.bias.detach().clone(), self.random.get_state()

    def load(self, state: tuple[Tensor, Tensor, Tensor]) -> None:
        """Take back what `state` returned."""
        with torch.no_grad():
            self.weight.copy_(state[0])
            self.bias.copy_(state[1])
        self.random.set_state(state[2])

    def loss(self) -> Tensor:
        """Return the mean squared error of the noise outputs for the batch just run."""
        read = self._read[-1]
        self._read.clear()
        outputs = F.linear(read, self.weight, self.bias)
        shape = outputs.shape
        if self.kind == "gaussian":
            mean, spread = GAUSSIAN
            targets = torch.randn(shape, generator=self.random) * spread + mean
        elif self.kind == "binomial":
            targets = (torch.rand(shape, generator=self.random) < BINOMIAL).to(outputs.dtype)
        else:
            targets = torch.full(shape, CONSTANT)
        return F.mse_loss(outputs, targets.to(outputs.device, outputs.dtype))
