"""The loss of a network as a function of its tensors: what gradients are taken of."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from prunevis.errors import DataError, ModelError, PrunevisError
from prunevis.graph.state import untouched

#: Multiply-adds of a step.
STEP_MACS = 200_000_000


class Loss:
    """Mean cross-entropy of a network's logits, with tensors of the caller's in place of its own.

    The network runs in evaluation mode and stays as it is: its parameters, frozen or not, are only
    read, and buffers are copies. Work inside ``with loss.running():``.

    Parameters
    ----------
    model
        Its forward gives one tensor of logits, shape (N, classes).

    Raises
    ------
    ModelError
        If a parameter is not floating point.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        for name, parameter in model.named_parameters():
            if not parameter.is_floating_point():
                raise ModelError(
                    f"The gradient of `{name}` does not exist: its numbers are "
                    f"{str(parameter.dtype).removeprefix('torch.')}, not floating point.",
                    where=name,
                    fix="Choose a criterion that needs no gradients, or load the float network.",
                )
        with torch.inference_mode(False):
            self.parameters = {n: _plain(p) for n, p in model.named_parameters()}
            self.buffers = {n: b.detach().clone() for n, b in model.named_buffers()}
        self.device = next((t.device for t in self.parameters.values()), torch.device("cpu"))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Evaluation mode, gradients on, whatever modes the caller is in.

        Attention runs as plain products: its fused kernels cannot be differentiated twice.
        """
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            untouched(self.model),
            sdpa_kernel(SDPBackend.MATH),
        ):
            yield

    def output(self, tensors: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """Return the logits (N, classes) of `inputs` (N, ...) with `tensors` put in by name.

        Raises
        ------
        ModelError
            If the forward raises or does not give logits.
        """
        own = _plain(inputs).to(self.device)
        try:
            found = functional_call(self.model, {**self.buffers, **self.parameters, **tensors}, own)
        except PrunevisError:
            raise
        except Exception as error:
            text = str(error).strip().splitlines() or ["no message"]
            raise ModelError(
                "The model's forward raised an error when its gradients were taken.",
                got=f"{type(error).__name__}: {text[0]}",
                fix="Choose a criterion that needs no gradients.",
            ) from error
        if not isinstance(found, Tensor) or found.ndim != 2 or found.shape[0] != inputs.shape[0]:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ModelError(
                "The labels do not fit the model's output.",
                expected=f"({inputs.shape[0]}, classes)",
                got=shape,
                fix="Wrap the model in a module whose forward returns logits, one row an example.",
            )
        return found

    def __call__(
        self, tensors: Mapping[str, Tensor], inputs: Tensor, targets: Tensor, scale: float = 1.0
    ) -> Tensor:
        """Return the mean cross-entropy in nats, the logits multiplied by `scale` before.

        Raises
        ------
        ModelError
            As `output`.
        """
        logits = self.output(tensors, inputs)
        return F.cross_entropy(logits * scale, targets.to(self.device))

    def gradient_steps(
        self,
        tensors: Mapping[str, Tensor],
        inputs: Tensor,
        targets: Tensor,
        *,
        at_once: int,
        scale: float = 1.0,
        along: Mapping[str, Tensor] | None = None,
    ) -> Generator[None, None, dict[str, Tensor]]:
        """Return the gradient of the mean loss by `tensors`, or of that gradient along a direction.

        Parameters
        ----------
        tensors
            By name; only read.
        inputs, targets
            Labelled examples.
        at_once
            Examples that go through the network between two yields.
        scale
            What logits are multiplied by.
        along
            A direction v for every tensor: the Hessian times v is returned instead of the gradient.

        Raises
        ------
        ModelError
            As `output`, or if the network cannot be differentiated (twice).
        """
        total = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
        for start in range(0, len(inputs), at_once):
            x, y = inputs[start : start + at_once], targets[start : start + at_once]
            with self.running():
                own = {n: _plain(t).requires_grad_() for n, t in tensors.items()}
                loss = self(own, x, y.clone(), scale) * (len(x) / len(inputs))
                found = _gradients(loss, own, again=along is not None)
                if along is not None:
                    pairs = [
                        (g * _plain(along[n])).sum() for n, g in found.items() if g.requires_grad
                    ]
                    inner = torch.stack(pairs).sum() if pairs else loss.new_zeros(())
                    found = _gradients(inner, own)
            for name, gradient in found.items():
                total[name] += gradient.detach()
            yield
        return total

    def pace(self, macs: int, passes: int = 3) -> int:
        """Return how many examples of `macs` multiply-adds go through in some tens of ms."""
        return max(1, min(64, STEP_MACS // max(1, passes * macs)))

    def check_labels(self, inputs: Tensor, targets: Tensor) -> None:
        """Raise DataError if `targets` name classes for which the model has no output."""
        with self.running(), torch.no_grad():
            classes = int(self.output({}, inputs[:1]).shape[1])
        highest = int(targets.max())
        if highest >= classes or int(targets.min()) < 0:
            raise DataError(
                "The labels do not fit the model's outputs.",
                expected=f"class indices from 0 to {classes - 1}",
                got=highest if highest >= classes else int(targets.min()),
                fix="Check that labels start at 0 and that the model has one output a class.",
            )


def _gradients(value: Tensor, tensors: dict[str, Tensor], again: bool = False) -> dict[str, Tensor]:
    """Return the gradient of `value` by each tensor, zero where it does not depend on it."""
    if not value.requires_grad:
        return {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    try:
        found = torch.autograd.grad(
            value, list(tensors.values()), create_graph=again, allow_unused=True
        )
    except RuntimeError as error:
        raise ModelError(
            "The network cannot be differentiated as this criterion needs it.",
            got=str(error).strip().splitlines()[0],
            fix="Choose another criterion.",
        ) from error
    pairs = zip(tensors.items(), found, strict=True)
    return {n: torch.zeros_like(t) if g is None else g for (n, t), g in pairs}


def _plain(tensor: Tensor) -> Tensor:
    """Return a detached tensor that autograd may save, sharing memory where it can."""
    own = tensor.detach()
    return own.clone() if own.is_inference() else own
