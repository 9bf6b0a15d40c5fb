"""What a forward is given: one tensor, several in a row, or several by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from prunevis.errors import TraceError


@dataclass(frozen=True, eq=False, slots=True)
class Example:
    """One example of what a model takes.

    Attributes
    ----------
    args, kwargs
        Positional and named arguments of the forward; every tensor holds one example along
        `batch_axis`, or has no axis at all.
    batch_axis
        Which axis counts the examples.
    """

    args: tuple[Any, ...] = field(repr=False)
    kwargs: Mapping[str, Any] = field(repr=False)
    batch_axis: int = 0

    @staticmethod
    def first_of(batch: Any, batch_axis: int = 0) -> Example:
        """Return the first example of a batch.

        Parameters
        ----------
        batch
            A tensor; a tuple or list of what the forward takes in a row; or a mapping of what it
            takes by name.
        batch_axis
            Which axis of its tensors counts the examples.

        Raises
        ------
        TraceError
            If there is no tensor in it, or one holds no example.
        """
        if isinstance(batch, Mapping):
            args, kwargs = (), dict(batch)
        else:
            args, kwargs = tuple(batch) if isinstance(batch, tuple | list) else (batch,), {}
        leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not leaves:
            raise TraceError(
                "The example input is not a tensor.",
                expected="one batch as a tensor, a tuple of tensors, or a mapping by name",
                got=type(batch).__name__,
            )
        for leaf in leaves:
            if leaf.dim() or len(leaves) == 1:
                _check_batch(leaf, batch_axis)
        axis = batch_axis % max(1, max(leaf.dim() for leaf in leaves))

        def first(leaf: Any) -> Any:
            if isinstance(leaf, Tensor) and leaf.dim():
                return leaf.detach().narrow(axis, 0, 1).clone()
            return leaf

        return Example(tree_map(first, args), tree_map(first, kwargs), axis)

    @property
    def first(self) -> Tensor:
        """The first tensor among the arguments."""
        leaves = tree_leaves((self.args, dict(self.kwargs)))
        return next(leaf for leaf in leaves if isinstance(leaf, Tensor))

    def batch(
        self, change: Callable[[Tensor], Tensor], copies: int = 2
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments with every example `copies` times, each tensor passed to `change`."""

        def several(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            many = torch.cat([leaf] * copies, dim=self.batch_axis) if leaf.dim() else leaf
            return change(many)

        return tree_map(several, self.args), tree_map(several, dict(self.kwargs))

    def noise(self, device: torch.device) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return two random examples of the same shapes; whole numbers stay those of the example.

        The draw is always the same and leaves the global random state alone.
        """
        generator = torch.Generator().manual_seed(0)

        def random(leaf: Tensor) -> Tensor:
            if leaf.is_floating_point():
                leaf = torch.randn(leaf.shape, generator=generator).to(leaf.dtype)
            return leaf.to(device)

        return self.batch(random)


def _check_batch(leaf: Tensor, batch_axis: int) -> None:
    rank = leaf.dim()
    if rank == 0 or not -rank <= batch_axis < rank or leaf.shape[batch_axis] == 0:
        raise TraceError(
            "The example input holds no example.",
            expected=f"at least one along axis {batch_axis}",
            got=f"shape {tuple(leaf.shape)}",
        )


def tensors_in(result: Any) -> list[Tensor]:
    """Return the tensors of what a forward returned: nested, by name, or in a dataclass."""
    found: list[Tensor] = []
    for leaf in tree_leaves(result):
        if isinstance(leaf, Tensor):
            found.append(leaf)
        elif isinstance(leaf, Mapping):
            found += tensors_in(dict(leaf))
        elif is_dataclass(leaf) and not isinstance(leaf, type):
            found += tensors_in([getattr(leaf, one.name) for one in fields(leaf)])
    return found
