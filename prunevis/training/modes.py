"""What training changes around a model and must put back: flags, random state; and its masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from prunevis.errors import ModelError


@contextmanager
def training_mode(model: nn.Module) -> Iterator[None]:
    """Set every submodule to training mode inside the block; each flag is put back as it was.

    A BatchNorm with parameters that are all frozen stays in eval mode: its statistics belong to
    what was frozen.
    """
    before = [(module, module.training) for module in model.modules()]
    for module, _ in before:
        frozen = isinstance(module, _BatchNorm) and not any(
            p.requires_grad for p in module.parameters(recurse=False)
        )
        module.training = not (frozen and module.affine)
    try:
        yield
    finally:
        for module, flag in before:
            module.training = flag


@contextmanager
def fixed_statistics(model: nn.Module) -> Iterator[None]:
    """Keep BatchNorm at its running statistics inside the block: one example has no variance."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
    for norm in norms:
        norm.training = False
    try:
        yield
    finally:
        for norm in norms:
            norm.training = True


class RandomStream:
    """A random state of its own that dropout draws from, next to torch's global one.

    Parameters
    ----------
    seed
        Where it starts.
    device
        Of the model; a GPU has a random state of its own too.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._gpu = device if device.type == "cuda" else None
        with self._forked():
            torch.manual_seed(seed)
            self._save()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Draw from this stream inside the block; torch's own state is as before afterwards."""
        with self._forked():
            torch.set_rng_state(self._cpu_state)
            if self._gpu is not None:
                torch.cuda.set_rng_state(self._gpu_state, self._gpu)
            try:
                yield
            finally:
                self._save()

    def state(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return copies of the states, of the CPU and of the GPU."""
        return self._cpu_state.clone(), None if self._gpu is None else self._gpu_state.clone()

    def load(self, state: tuple[torch.Tensor, torch.Tensor | None]) -> None:
        """Take back what `state` returned."""
        self._cpu_state = state[0].clone()
        if self._gpu is not None and state[1] is not None:
            self._gpu_state = state[1].clone()

    def _forked(self) -> AbstractContextManager[None]:
        return torch.random.fork_rng(devices=[self._gpu] if self._gpu is not None else [])

    def _save(self) -> None:
        self._cpu_state = torch.get_rng_state()
        if self._gpu is not None:
            self._gpu_state = torch.cuda.get_rng_state(self._gpu)


class MaskHolder:
    """Sets what was pruned to zero again, exactly, as often as asked.

    Gradients are left alone: with momentum and weight decay an optimiser moves a weight whose
    gradient is zero as well, so what counts is that zeros are written after every step.

    Written they are by "and" on the bits of the numbers: a product would leave −0 and NaN where
    these were, and `masked_fill_` or `where` take ten times as long on a CPU.

    Parameters
    ----------
    model
        The network that is trained.
    masks
        By dotted tensor name, bool, shape of the tensor, True = keep.

    Raises
    ------
    ModelError
        If a name or shape is not the model's.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        # a tied tensor is found under each of its names
        self._found: dict[str, Tensor] = {
            **dict(model.named_parameters(remove_duplicate=False)),
            **dict(model.named_buffers(remove_duplicate=False)),
        }
        self._cut: list[tuple[Tensor, Tensor]] = []
        self.hold(masks)

    def hold(self, masks: Mapping[str, Tensor]) -> None:
        """Hold these from now on, in the place of all before; nothing is written yet."""
        self._cut = []
        for name, mask in masks.items():
            tensor = self._found.get(name)
            if tensor is None or tensor.shape != mask.shape:
                raise ModelError(
                    "A mask does not fit the model.",
                    expected=f"a tensor {name!r} of shape {tuple(mask.shape)}",
                    got="no such tensor" if tensor is None else tuple(tensor.shape),
                    fix="Make the masks from a plan for this very network.",
                )
            bits, kind = _bits(tensor)
            stays = mask.to(device=tensor.device, dtype=torch.bool)
            self._cut.append((bits, stays.to(kind).neg_()))

    def apply(self) -> None:
        """Write zeros."""
        for bits, kept in self._cut:
            bits.bitwise_and_(kept)


def _bits(tensor: Tensor) -> tuple[Tensor, torch.dtype]:
    """Return the memory of a tensor as whole numbers of the same size, and their dtype."""
    kind = _WHOLE[tensor.element_size()]
    return tensor.detach().view(kind), kind


#: By bytes.
_WHOLE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
