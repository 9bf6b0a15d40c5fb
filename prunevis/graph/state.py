"""Run a network without leaving a trace on it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn


@contextmanager
def untouched(model: nn.Module, *, training: bool = False) -> Iterator[None]:
    """Set every submodule's training flag to `training`; on leaving, all is as it was.

    Restored, also after an exception: the attributes of every submodule (flags, hooks, what a
    forward stored on itself, the contents of its lists and dicts, which tensors are registered)
    and the random state of Python, NumPy, the CPU and the GPU of the model. What is written *into*
    a tensor is not: callers swap buffers by `torch.func.functional_call`.

    The random state is put back on the main thread only: elsewhere the person's own code may draw
    at the same moment, and would then draw the same numbers twice.

    Attention modules run without their fused shortcut, which hides its parts from a trace.
    """
    modules = list(model.modules())
    saved = [(module, dict(module.__dict__), _containers(module)) for module in modules]
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    alone = threading.current_thread() is threading.main_thread()
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 the user's own state
    shortcut = torch.backends.mha.get_fastpath_enabled()
    try:
        with torch.random.fork_rng(devices=list(devices), enabled=alone):
            torch.backends.mha.set_fastpath_enabled(False)
            for module in modules:
                module.__dict__["training"] = training
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(shortcut)
        if alone:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
        for module, attributes, containers in saved:
            module.__dict__.clear()
            module.__dict__.update(attributes)
            for container, contents in containers:
                if isinstance(container, list):
                    container[:] = contents
                else:
                    container.clear()
                    container.update(contents)


def _containers(module: nn.Module) -> list[tuple[Any, Any]]:
    """Return the lists, dicts and sets that hang on a module, with copies of their contents."""
    found = (v for v in module.__dict__.values() if isinstance(v, list | dict | set))
    return [(value, value.copy()) for value in found]
