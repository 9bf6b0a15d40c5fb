"""The data that come along, by name.

`DATASETS` maps a name to a `DatasetEntry`; `load_data` reads the packed images in `files/` and
returns them as `Data`, normalised. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from prunevis.data import Data, Examples
from prunevis.errors import DataError
from prunevis.registry import Registry
from prunevis.zoo.models import FILES
from prunevis.zoo.packing import unpack


@dataclass(frozen=True)
class DatasetEntry:
    """What is known of a data set before it is read.

    Attributes
    ----------
    name
        Its name in the registry.
    label
        What a menu shows.
    description
        One sentence on what it holds.
    license
        Its licence and whose it is.
    source
        Where it comes from: an address.
    class_names
        One name a class, by index.
    mean, std
        Pixels x in [0, 1] are given to networks as ``(x - mean) / std``.
    factory
        Reads it.
    """

    name: str
    label: str
    description: str
    license: str
    source: str
    class_names: tuple[str, ...]
    mean: float
    std: float
    factory: Callable[[DatasetEntry], Data]

    def build(self) -> Data:
        """Read the data; every call returns new tensors."""
        return self.factory(self)


#: The data sets, by name.
DATASETS: Registry[DatasetEntry] = Registry("dataset")


def load_data(name: str = "fashion-mnist") -> Data:
    """Return the data set called `name`.

    Returns
    -------
    Data
        `train` and `test` are pairs of inputs, float32 (N, 1, 28, 28), normalised, and targets,
        int64 (N,). For Fashion-MNIST `test` is the whole test set of 10,000 and `train` holds
        1,200 images of each class, 12,000 of the 60,000.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    DataError
        If its files are missing or damaged.

    Examples
    --------
    >>> data = load_data()
    >>> data.test.inputs.shape
    torch.Size([10000, 1, 28, 28])
    """
    return DATASETS[name].build()


def normalise(images: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """Return uint8 images (N, S, S) as network inputs: float32 (N, 1, S, S), normalised."""
    inputs = images.unsqueeze(1).to(torch.float32)
    return inputs.div_(255).sub_(mean).div_(std)


def _read_packed(entry: DatasetEntry) -> Data:
    def read(part: str) -> Examples:
        path = FILES / f"{entry.name}-{part}.xz"
        try:
            packed = path.read_bytes()
        except FileNotFoundError as error:
            raise DataError(
                f"A file of the data set {entry.name!r} is missing.",
                where=path,
                fix="Reinstall prunevis, or make it again: "
                "python -m prunevis.zoo.build --dataset-only.",
            ) from error
        images, labels = unpack(packed)
        inputs = normalise(torch.from_numpy(images), entry.mean, entry.std)
        return Examples(inputs, torch.from_numpy(labels).to(torch.int64))

    # Decompression lets go of the interpreter lock, so the two parts take the time of one.
    with ThreadPoolExecutor(2) as pool:
        train, test = pool.map(read, ("train", "test"))
    return Data(
        train=train,
        test=test,
        class_names=entry.class_names,
        name=entry.label,
        license=entry.license,
        source=entry.source,
        mean=entry.mean,
        std=entry.std,
    )


DATASETS.register("fashion-mnist")(
    DatasetEntry(
        name="fashion-mnist",
        label="Fashion-MNIST",
        description="Grey pictures of clothes, 28 × 28 pixels, in ten classes (Xiao et al., 2017).",
        license="MIT, Copyright (c) 2017 Zalando SE",
        source="https://github.com/zalandoresearch/fashion-mnist",
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        # Of the 60,000 training images, to four digits (prunevis.zoo.build checks them).
        mean=0.2860,
        std=0.3530,
        factory=_read_packed,
    )
)
