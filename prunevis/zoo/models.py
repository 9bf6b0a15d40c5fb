"""The networks that come along, by name, trained.

`MODELS` maps a name to a `ZooEntry`; `load_model` gives the network with its weights, which lie
in `files/` as safetensors (made by ``python -m prunevis.zoo.build``). Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from prunevis.errors import ModelError, SpecError
from prunevis.registry import Registry
from prunevis.zoo.architectures import LeNet5, LeNet300100, Mobile, ResNet8

#: Where the shipped weights, data and manifest lie.
FILES = Path(__file__).parent / "files"


@dataclass(frozen=True)
class ZooEntry:
    """What is known of a network before it is built.

    Attributes
    ----------
    name
        Its name in the registry.
    label
        What a menu shows.
    description
        One sentence on what it is and what it is good for.
    credit
        Who thought of it: authors and year.
    license
        Under which licence architecture and weights come.
    dataset
        Name in `DATASETS` of the data it was trained on.
    factory
        Makes the untrained network.
    weights
        The safetensors file with its trained weights, or None if there is none.
    """

    name: str
    label: str
    description: str
    credit: str
    license: str
    dataset: str
    factory: Callable[[], nn.Module]
    weights: Path | None = None

    def build(self) -> nn.Module:
        """Return a new, untrained network in training mode."""
        return self.factory()

    @property
    def test_accuracy(self) -> float | None:
        """Recorded accuracy on the test set of `dataset`, in [0, 1]; None if not recorded."""
        record = manifest()["models"].get(self.name)
        if record is None or self.weights is None or self.weights.parent != FILES:
            return None
        return record["test_correct"] / record["test_total"]


#: The networks, by name.
MODELS: Registry[ZooEntry] = Registry("model")


def _add(
    name: str, label: str, description: str, credit: str, factory: Callable[[], nn.Module]
) -> None:
    MODELS.register(name)(
        ZooEntry(
            name=name,
            label=label,
            description=description,
            credit=credit,
            license="MIT",
            dataset="fashion-mnist",
            factory=factory,
            weights=FILES / f"{name}.safetensors",
        )
    )


_add(
    "lenet-300-100",
    "LeNet-300-100",
    "Three linear layers, 784-300-100-10: the smallest network of the pruning papers.",
    "LeCun, Bottou, Bengio and Haffner, 1998",
    LeNet300100,
)
_add(
    "lenet5",
    "LeNet-5 (Caffe)",
    "Two convolutions and two linear layers; nine tenths of the weights are in one of them.",
    "LeCun, Bottou, Bengio and Haffner, 1998; sizes as in Caffe (Jia et al., 2014)",
    LeNet5,
)
_add(
    "resnet8",
    "ResNet-8",
    "Residual adds and BatchNorm: channels that are added together must leave together.",
    "He, Zhang, Ren and Sun, 2016",
    ResNet8,
)
_add(
    "mobile",
    "Mobile (depthwise)",
    "Depthwise separable convolutions: already small, so there is little to spare.",
    "Howard et al., 2017 (MobileNet)",
    Mobile,
)


def load_model(name: str, pretrained: bool = True) -> nn.Module:
    """Return a new copy of the network called `name`, in evaluation mode.

    Parameters
    ----------
    name
        A name in `MODELS`.
    pretrained
        With its trained weights (the default), or as initialised at random. With them torch's
        random state is left as it was.

    Raises
    ------
    UnknownNameError
        If there is no such network.
    SpecError
        If trained weights are asked for and the entry has none.
    ModelError
        If the file with the weights is missing or does not fit the network.

    Examples
    --------
    >>> model = load_model("lenet-300-100")
    >>> model.fc1
    Linear(in_features=784, out_features=300, bias=True)
    """
    entry = MODELS[name]
    if not pretrained:
        return entry.build().eval()
    if entry.weights is None:
        raise SpecError(
            f"The model {name!r} comes without trained weights.", fix="Pass pretrained=False."
        )
    # Initialising draws random numbers only for them to be overwritten; the caller's stay put.
    with torch.random.fork_rng(devices=[]):
        model = entry.build()
    _load_weights(model, entry.weights)
    return model.eval()


def _load_weights(model: nn.Module, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        # Copied into the model's own tensors: those of the file share one block of memory,
        # which code that looks for tied parameters may take for a tie.
        model.load_state_dict(load_file(path), strict=True)
    except FileNotFoundError as error:
        raise ModelError(
            "The file with the trained weights is missing.",
            where=path,
            fix="Reinstall prunevis, or make it again: python -m prunevis.zoo.build.",
        ) from error
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"The file with the trained weights does not fit {type(model).__name__}.",
            got=str(error).splitlines()[-1].strip(),
            where=path,
            fix="Reinstall prunevis, or make it again: python -m prunevis.zoo.build.",
        ) from error


@cache
def manifest() -> dict[str, Any]:
    """Return what `prunevis.zoo.build` recorded of the shipped files (`files/manifest.json`).

    Keys: ``models`` (by name: recipe, seed, epochs, seconds, accuracy, size), ``datasets`` and
    ``files`` (by file name: bytes and sha256). Empty parts if there is no manifest.
    """
    path = FILES / "manifest.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {"models": {}, "datasets": {}, "files": {}, **found}
