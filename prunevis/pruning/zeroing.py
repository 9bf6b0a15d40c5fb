"""A network as if positions of its tensors were zero, without a second network in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

#: Bytes of zeroed copies that are kept for another use. Fresh memory costs several times what
#: filling it does, so the copies of a large network are made where they are read and let go again.
KEPT = 2**24


def zeroed(
    model: nn.Module,
    positions: Mapping[tuple[str, int], Tensor],
    mended: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], Zeroing]:
    """Return what to run the network with, so that it runs with zeros; variances are left alone.

    Parameters
    ----------
    model
        It is not changed.
    positions
        By tensor and axis, bool: the positions that stay.
    mended
        Tensors of full size to take in the place of the model's own.

    Returns
    -------
    Tensors for `torch.func.functional_call`, and the mode to call it under.
    """
    axes: dict[str, dict[int, Tensor]] = {}
    for (name, axis), along in positions.items():
        if name.rpartition(".")[2] != "running_var":
            axes.setdefault(name, {})[axis] = along
    parameters = dict(model.named_parameters())
    known: dict[str, Tensor] = {**parameters, **dict(model.named_buffers()), **mended}
    tensors = dict(mended)
    # a forward may write into buffers, so these have to be there
    tensors |= {n: with_zeros(known[n], axes[n]) for n in axes if n not in parameters}
    later = {id(known[name]): (known[name], axes[name]) for name in axes if name in parameters}
    return tensors, Zeroing(later)


def with_zeros(tensor: Tensor, axes: Mapping[int, Tensor]) -> Tensor:
    """Return a copy with zeros where an axis's bool is false, whatever number stood there."""
    stays = torch.ones((), dtype=tensor.dtype, device=tensor.device)
    for axis, along in axes.items():
        shape = [-1 if i == axis else 1 for i in range(tensor.dim())]
        stays = stays * along.to(tensor.device, tensor.dtype).view(shape)
    found = tensor.detach() * stays
    if tensor.is_floating_point() and not bool(torch.isfinite(found.sum())):
        # zero times infinity is no zero
        found = torch.where(stays != 0, tensor.detach(), torch.zeros_like(stays))
    return found


class Zeroing(TorchDispatchMode):
    """Operators get zeroed copies in the place of tensors, given by `id` with their axes.

    Whoever holds the tensor gets the copy: a module that reads another's weights too.
    """

    def __init__(self, tensors: Mapping[int, tuple[Tensor, Mapping[int, Tensor]]]) -> None:
        super().__init__()
        self.tensors = tensors
        self.copies: dict[int, Tensor] = {}
        self.kept = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        args, kwargs = tree_map_only(Tensor, self._copy, (args, kwargs or {}))
        return func(*args, **kwargs)

    def _copy(self, tensor: Tensor) -> Tensor:
        key = id(tensor)
        if key not in self.tensors:
            return tensor
        if key in self.copies:
            return self.copies[key]
        found = with_zeros(*self.tensors[key])
        if self.kept + found.nbytes <= KEPT:
            self.copies[key] = found
            self.kept += found.nbytes
        return found
