"""New random weights for a network that has been trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from prunevis.errors import ModelError


def draw_anew(model: nn.Module, seed: int) -> None:
    """Give every module the random weights that PyTorch gives a new one of its kind, in place.

    Every module that has a `reset_parameters` (or PyTorch's own `_reset_parameters`) is asked for
    it, in the order of `modules`; torch's random state is as before afterwards.

    Raises
    ------
    ModelError
        If a module has parameters of its own and cannot draw them anew.
    """
    if unable := fixed_modules(model):
        raise ModelError(
            "Some parameters cannot be drawn anew, so training cannot begin at random weights.",
            expected="modules with a `reset_parameters()`",
            got=", ".join(unable[:3]),
            fix="Give these modules a reset_parameters() that draws their parameters; take weight "
            "normalisation and other parametrisations off first.",
        )
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=list(devices)), torch.no_grad():
        torch.manual_seed(seed)
        for module in model.modules():
            reset = _reset_of(module)
            if reset is not None:
                reset()


def fixed_modules(model: nn.Module) -> list[str]:
    """Return names and kinds of the modules whose parameters cannot be drawn anew."""
    return [
        f"`{name}` ({type(module).__name__})"
        for name, module in model.named_modules()
        if (any(True for _ in module.parameters(recurse=False)) and _reset_of(module) is None)
        or is_parametrized(module)
        or hasattr(module, "weight_g")
    ]


def _reset_of(module: nn.Module) -> Callable[[], Any] | None:
    """Return what draws a module's own parameters anew, if it has such."""
    for name in ("reset_parameters", "_reset_parameters"):
        found = getattr(module, name, None)
        if callable(found):
            return found
    return None
