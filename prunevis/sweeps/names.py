"""Networks and data by name: those that come along, and "module:function" of one's own."""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import nn

from prunevis.data import Data, as_data
from prunevis.errors import ModelError, SpecError
from prunevis.registry import Registry
from prunevis.zoo import DATASETS, MODELS, load_data, load_model


def is_own(name: str) -> bool:
    """Whether a name is "module:function"."""
    return ":" in name


def check_name(name: str, registry: Registry[Any]) -> str:
    """Return `name` if `registry` holds it or it reads "module:function"; imports nothing.

    Raises
    ------
    UnknownNameError
        If it is a plain name that the registry does not hold.
    SpecError
        If it has a colon and is not of that form.
    """
    if not is_own(name):
        _ = registry[name]
        return name
    module, _, function = name.partition(":")
    parts = [*module.split("."), *function.split(".")]
    if not all(part.isidentifier() for part in parts):
        raise SpecError(
            f"{name!r} names no function.",
            expected="module:function",
            fix='Write e.g. model = "my_networks:small", for small() in my_networks.py.',
        )
    return name


@contextmanager
def looking_in(folder: str | None) -> Iterator[None]:
    """Let modules be found in `folder` first, inside the block."""
    if folder is None or folder in sys.path:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Let Python, NumPy and torch draw from `seed` on inside the block; then as before."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 other people's draws
    try:
        with torch.random.fork_rng(devices=[]):
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def function_of(name: str) -> Callable[..., Any]:
    """Return the function that "module:function" names.

    Raises
    ------
    SpecError
        If the module cannot be imported, or holds no such function.
    """
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
    except Exception as error:
        raise SpecError(
            f"The module {module!r} cannot be imported.",
            got=f"{type(error).__name__}: {error}",
            where=name,
            fix="Put it beside the grid's file, or install it where the cells run.",
        ) from error
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise SpecError(f"The module {module!r} holds no function {path!r}.", where=name)
    return found


def takes_seed(name: str) -> bool:
    """Whether the network called `name` is another one for another seed."""
    if not is_own(name):
        return False
    try:
        return "seed" in inspect.signature(function_of(name)).parameters
    except ValueError:  # a function of C without a signature
        return False


def model_named(name: str, seed: int) -> nn.Module:
    """Return the network called `name`, in evaluation mode.

    Raises
    ------
    UnknownNameError, SpecError
        If there is no such network or function.
    ModelError
        If the function returns no network.
    """
    if not is_own(name):
        return load_model(check_name(name, MODELS))
    options = {"seed": seed} if takes_seed(name) else {}
    model = function_of(name)(**options)
    if not isinstance(model, nn.Module):
        raise ModelError(
            "The function returns no network.",
            expected="a torch.nn.Module",
            got=type(model).__name__,
            where=name,
        )
    return model.eval()


def data_named(name: str) -> Data:
    """Return the data called `name`, checked.

    Raises
    ------
    UnknownNameError, SpecError, DataError
        If there are no such data, or they cannot be read.
    """
    if not is_own(name):
        return as_data(load_data(check_name(name, DATASETS)))
    return as_data(function_of(name)())
