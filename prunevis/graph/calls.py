"""What every mode that watches a forward asks of an operator call."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import CodeType, FrameType
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prunevis.errors import TraceError

#: The code of a forward, and a line in it.
Site = tuple[CodeType, int]

_MODULE_CALL: CodeType = nn.Module._call_impl.__code__


class Deadline:
    """Ends a trace that takes too long.

    Parameters
    ----------
    seconds
        From now on.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        """Raise `TraceError` if the time is over."""
        if time.monotonic() > self._end:
            raise TraceError(
                f"Tracing took longer than {self.seconds:g} seconds.",
                fix="Pass a smaller example_input, or a larger time_limit.",
            )


def place_of(modules: Mapping[int, str]) -> str:
    """Return the dotted name of the innermost module that is being called."""
    return caller(modules)[0]


def caller(modules: Mapping[int, str]) -> tuple[str, Site | None]:
    """Return the innermost module that is being called, and the line of its forward."""
    frame: FrameType | None = sys._getframe(2)
    inner = None
    while frame is not None:
        if frame.f_code is _MODULE_CALL:
            name = modules.get(id(frame.f_locals.get("self")))
            if name is not None:
                return name, None if inner is None else (inner.f_code, inner.f_lineno)
        inner, frame = frame, frame.f_back
    return "", None


class Watch(TorchDispatchMode):
    """A mode that is shown each basic operator of a run, to run it and look at it in `call`."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: a wrapper round each call would cost time and an import of the compiler."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        with self:
            decomposed = _decomposed(func, args, kwargs)
        if decomposed is not NotImplemented:
            return decomposed
        return self.call(func, args, kwargs)

    def call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result of a basic operator; what it calls itself is not watched."""
        raise NotImplementedError


def _decomposed(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return the result of a composite operator by its parts, or NotImplemented if it is basic.

    PyTorch takes composites apart before a mode sees them, except for inference tensors.
    """
    key = "CompositeImplicitAutograd"
    # not func.has_kernel_for_dispatch_key, which also counts decompositions written in Python
    if counts(func) and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key):
        return func.decompose(*args, **kwargs)
    return NotImplemented


#: Operators in whose arguments a whole number is a number and not a size.
_ARITHMETIC = frozenset({"add", "sub", "rsub", "mul", "div", "pow"})


def numbers_in(func: Any, args: Any, kwargs: Any) -> list[float]:
    """Return the numbers that an operator computes with: no sizes, no axes."""
    kinds = (int, float) if func._opname.rstrip("_") in _ARITHMETIC else (float,)
    return [leaf for leaf in tree_leaves((args, kwargs)) if type(leaf) in kinds]


def counts(func: Any) -> bool:
    """Return whether a call belongs to the network: `prim.device` and its like do not."""
    return not func._schema.name.startswith("prim::")
