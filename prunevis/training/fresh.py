"""New random weights for a network that has been trained."""

from __future__ import annotations

import torch
from torch import nn

from prunevis.errors import ModelError


def draw_anew(model: nn.Module, seed: int) -> None:
    """Give every module the random weights that PyTorch gives a new one of its kind, in place.

    Every module with parameters or buffers of its own is asked for `reset_parameters`, in the order
    of `modules`; torch's random state is as before afterwards.

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
            fix="Give these modules a reset_parameters() that draws their parameters.",
        )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in model.modules():
            if _resets(module):
                module.reset_parameters()  # pyright: ignore[reportCallIssue]


def fixed_modules(model: nn.Module) -> list[str]:
    """Return names and kinds of the modules whose parameters cannot be drawn anew."""
    return [
        f"`{name}` ({type(module).__name__})"
        for name, module in model.named_modules()
        if any(True for _ in module.parameters(recurse=False)) and not _resets(module)
    ]


def _resets(module: nn.Module) -> bool:
    return callable(getattr(module, "reset_parameters", None))
