"""The loss of a network as a function of its tensors: what gradients are taken of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from prunevis.errors import DataError, ModelError, PrunevisError
from prunevis.graph.state import untouched


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
        """Evaluation mode, gradients on, whatever modes the caller is in."""
        with torch.inference_mode(False), torch.enable_grad(), untouched(self.model):
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


def _plain(tensor: Tensor) -> Tensor:
    """Return a detached tensor that autograd may save, sharing memory where it can."""
    own = tensor.detach()
    return own.clone() if own.is_inference() else own
