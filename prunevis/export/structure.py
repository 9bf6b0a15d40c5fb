"""What became smaller, as plain numbers: written beside the weights, and put back into a base.

A smaller network is its base with other tensors, and with whole numbers on modules that agree with
these (``out_channels``, ``num_heads``, ...). So the numbers and the tensors are all that has to be
kept; the base's own code does the rest, and nothing of a file is ever executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.errors import ModelError
from prunevis.graph.attention import NarrowAttention
from prunevis.graph.shrinking import shrunk

#: A whole number, or several, as modules hold them and JSON does.
Number = int | tuple[int, ...]

_OTHER_BASE = "Make the base as it was made before pruning: the same class, the same arguments."


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by dotted name, each once; buffers also if not persistent."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def kind_of(module: nn.Module) -> str:
    """Return the name of a module's class; narrowed attention counts as what it was."""
    return (nn.MultiheadAttention if type(module) is NarrowAttention else type(module)).__name__


def numbers_of(module: nn.Module) -> dict[str, Number]:
    """Return the whole numbers that a module holds as public attributes."""
    found: dict[str, Number] = {}
    for name, value in vars(module).items():
        several = type(value) is tuple and value and all(type(one) is int for one in value)
        if not name.startswith("_") and (type(value) is int or several):
            found[name] = value
    return found


def modules_of(model: nn.Module, base: nn.Module | None) -> dict[str, dict[str, Any]]:
    """Return what has to be known of modules besides their tensors.

    Parameters
    ----------
    model
        The smaller network.
    base
        What it was made from; only what differs is returned then, with what it ``was``. None: all
        numbers of all modules.

    Returns
    -------
    dict
        By dotted name: ``{"type": class, "numbers": {attribute: number}}``.
    """
    before = {} if base is None else dict(base.named_modules())
    found: dict[str, dict[str, Any]] = {}
    for name, module in model.named_modules():
        numbers = numbers_of(module)
        was: dict[str, Number] = {}
        if name in before:
            old = numbers_of(before[name])
            numbers = {key: n for key, n in numbers.items() if old.get(key) != n}
            was = {key: old[key] for key in numbers if key in old}
        if numbers:
            found[name] = {"type": kind_of(module), "numbers": numbers}
            if was:
                found[name]["was"] = was
    return found


def rebuilt(
    base: nn.Module, tensors: Mapping[str, Tensor], modules: Mapping[str, Mapping[str, Any]]
) -> nn.Module:
    """Return a copy of `base` with `tensors` and the numbers of `modules`, in evaluation mode.

    Parameters
    ----------
    base
        It is not changed.
    tensors
        All parameters and buffers of the smaller network.
    modules
        As `modules_of` returns them.

    Raises
    ------
    ModelError
        If they are of another network than `base`.
    """
    known = tensors_of(base)
    _check_names(known, tensors)
    for name, old in known.items():
        _check_tensor(name, old, tensors[name])
    made = shrunk(base, {name: value.to(known[name].device) for name, value in tensors.items()})
    found = dict(made.named_modules())
    for name, entry in modules.items():
        if name not in found:
            raise ModelError(
                f"The file has a module `{name}` that the base has not.", fix=_OTHER_BASE
            )
        module = found[name]
        if kind_of(module) != entry["type"]:
            raise ModelError(
                f"`{name}` is of another type in the base.",
                expected=entry["type"],
                got=kind_of(module),
                fix=_OTHER_BASE,
            )
        _set_numbers(name, module, entry["numbers"])
    return made.eval()


def _set_numbers(name: str, module: nn.Module, numbers: Mapping[str, Any]) -> None:
    """Make a module's numbers those of the file, as far as removal can have changed them."""
    own = numbers_of(module)
    # what a module of torch says of itself follows from its tensors, heads excepted
    follows = type(module).__module__.startswith("torch.nn.")
    for key, number in numbers.items():
        number = tuple(number) if isinstance(number, list) else number
        if key not in own or type(own[key]) is not type(number):
            raise ModelError(
                f"`{name}` has no such number in the base.",
                got=f"{key} = {number}",
                fix=_OTHER_BASE,
            )
        if own[key] == number:
            continue
        smaller = type(number) is int and 0 < number < own[key]  # type: ignore[operator]
        if follows or not smaller:
            raise ModelError(
                f"`{name}.{key}` does not fit: the file and the base disagree.",
                expected=own[key],
                got=number,
                fix=_OTHER_BASE,
            )
        setattr(module, key, number)


def _check_names(known: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    missing = [name for name in known if name not in tensors]
    others = [name for name in tensors if name not in known]
    if missing or others:
        raise ModelError(
            "This file is of another network than the base.",
            expected=f"the tensors of the base, among them {_some(missing)}" if missing else None,
            got=f"tensors that the base has not: {_some(others)}" if others else None,
            fix=_OTHER_BASE,
        )


def _check_tensor(name: str, old: Tensor, new: Tensor) -> None:
    fits = old.dim() == new.dim() and all(
        n == m or 0 < n < m for n, m in zip(new.shape, old.shape, strict=True)
    )
    if not fits:
        raise ModelError(
            f"`{name}` does not fit into the base.",
            expected=f"at most {tuple(old.shape)}",
            got=tuple(new.shape),
            fix=_OTHER_BASE,
        )
    if old.dtype != new.dtype and not (old.is_floating_point() and new.is_floating_point()):
        raise ModelError(
            f"`{name}` holds another type of numbers than in the base.",
            expected=str(old.dtype).removeprefix("torch."),
            got=str(new.dtype).removeprefix("torch."),
            fix=_OTHER_BASE,
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"`{name}`" for name in names[:3]) + more


def order_of(tensor: Tensor) -> list[int] | None:
    """Return the axes from the widest stride to the narrowest, or None if they are in order.

    The order in memory decides which kernel multiplies, and so the last bit of an answer.
    """
    if tensor.is_contiguous():
        return None
    order = sorted(range(tensor.dim()), key=lambda axis: -tensor.stride(axis))
    return order if tensor.permute(order).is_contiguous() else None


def in_order(tensor: Tensor, order: list[int]) -> Tensor:
    """Return the same numbers, laid out in memory as `order_of` says."""
    inverse = torch.argsort(torch.tensor(order)).tolist()
    return tensor.permute(order).contiguous().permute(inverse)
