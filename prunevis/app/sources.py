"""Where a network and its data come from: the zoo, or a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from prunevis.data import Data, Examples, as_data
from prunevis.errors import PrunevisError, SpecError
from prunevis.graph.checks import check_model
from prunevis.session.opening import Source, private_copy


def zoo_models() -> list[dict[str, str]]:
    """Return the networks of the zoo, for a menu: name, label, detail."""
    from prunevis.zoo import MODELS

    return [
        {"name": name, "label": entry.label, "detail": entry.description}
        for name, entry in MODELS.items()
    ]


#: Data of the zoo that all pages of this process, and of those forked from it, look at.
_shared: dict[str, Data] = {}


def share() -> None:
    """Read the zoo's data once for all pages of this process; nothing of a page changes them."""
    from prunevis.zoo import MODELS, load_data

    for dataset in sorted({entry.dataset for entry in MODELS.values()}):
        _shared[dataset] = load_data(dataset)


def source(
    model: nn.Module | str | None, data: Any, calibration: Any, images: int | None = None
) -> Source:
    """Return what opens `model` on `data`: a function that gives model, data, name and label.

    Of the zoo's test images, only the first `images` are used, if that is given.

    Raises
    ------
    SpecError
        If it is no network, or comes without data.
    UnknownNameError
        If it is a name that the zoo does not have.
    """
    from prunevis.zoo import MODELS, load_data, load_model

    if isinstance(model, nn.Module):
        if data is None:
            raise SpecError(
                "A model of your own needs data to be measured on.",
                fix="Pass explore(model, (inputs, targets)), a Dataset, a DataLoader or Data.",
            )
        return _own_source(model, data, calibration)
    if model is not None and not isinstance(model, str):
        raise SpecError(
            "This is not a network.",
            expected="a torch.nn.Module, or a name in prunevis.MODELS",
            got=type(model).__name__,
        )
    name = "lenet5" if model is None else model
    entry = MODELS[name]

    def load() -> tuple[nn.Module, Any, str, str]:
        chosen = data
        if chosen is None:
            chosen = _shared.get(entry.dataset) or load_data(entry.dataset)
            chosen = first(chosen, images)
        return load_model(name), _with_calibration(chosen, calibration), name, entry.label

    return load


def first(data: Data, images: int | None) -> Data:
    """Return `data` with at most so many test images, those that are measured on."""
    if images is None or images >= len(data.test.inputs):
        return data
    test = Examples(data.test.inputs[:images], data.test.targets[:images])
    return replace(data, test=test)


def _own_source(
    model: nn.Module, data: Any, calibration: Any
) -> Callable[[], tuple[nn.Module, Any, str, str]]:
    """Copy the model and read the data here, on the person's thread.

    Afterwards they may go on using both while the worker has its own. What is wrong with them is
    said on the page, like everything else.
    """
    name = type(model).__name__
    try:
        check_model(model)
        own = private_copy(model)
        read = as_data(_with_calibration(data, calibration))
    except PrunevisError as error:
        return _failing(error)
    return lambda: (own, read, name, name)


def _failing(error: PrunevisError) -> Callable[[], tuple[nn.Module, Any, str, str]]:
    def fail() -> tuple[nn.Module, Any, str, str]:
        raise error

    return fail


def _with_calibration(data: Any, calibration: Any) -> Any:
    if calibration is None:
        return data
    if isinstance(data, Data):
        return replace(data, train=calibration)
    return Data(train=calibration, test=data)
