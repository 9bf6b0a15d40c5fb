"""MNIST, from a folder, from ``$PRUNEVIS_DATA``, or downloaded once and checked."""

from __future__ import annotations

import gzip
import hashlib
import os
import urllib.request
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prunevis.data import Data, Examples
from prunevis.errors import DataError
from prunevis.zoo.datasets import normalise

#: Of the 60,000 training images, in [0, 1].
MEAN, STD = 0.1307, 0.3081
#: Where the files can be had, and the SHA-256 of what is in them.
SOURCE = "https://storage.googleapis.com/cvdf-datasets/mnist/"
FILES = {
    "train-images-idx3-ubyte.gz": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}
#: Seconds to wait for the server.
PATIENCE = 30


def load_mnist(folder: Path | None = None) -> Data:
    """Return MNIST, 60,000 and 10,000 images, normalised: float32 (N, 1, 28, 28), int64 (N,).

    Parameters
    ----------
    folder
        With the four files, packed (``.gz``) or not. None: ``$PRUNEVIS_DATA`` or its subfolder
        ``mnist``; without that, ``~/.cache/prunevis/mnist``, where they are downloaded to and
        checked by their SHA-256.

    Raises
    ------
    DataError
        If a file is missing or damaged, or cannot be downloaded.
    """
    where = _folder(folder)
    parts = []
    for part in ("train", "t10k"):
        images = _read(where, f"{part}-images-idx3-ubyte", 3)
        labels = _read(where, f"{part}-labels-idx1-ubyte", 1)
        if len(images) != len(labels):
            raise DataError(
                "Images and labels differ in number.",
                expected=f"{len(images):,} labels",
                got=f"{len(labels):,}",
                where=where,
            )
        inputs: Tensor = normalise(torch.from_numpy(images), MEAN, STD)
        parts.append(Examples(inputs, torch.from_numpy(labels).to(torch.int64)))
    return Data(
        train=parts[0],
        test=parts[1],
        class_names=tuple("0123456789"),
        name="MNIST",
        license="CC BY-SA 3.0",
        source="LeCun, Cortes, Burges 1998",
        mean=MEAN,
        std=STD,
    )


def _folder(folder: Path | None) -> Path:
    if folder is not None:
        return folder
    named = os.environ.get("PRUNEVIS_DATA")
    if named:
        inside = Path(named) / "mnist"
        return inside if inside.is_dir() else Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prunevis" / "mnist"
    for name, digest in FILES.items():
        _download(cache / name, digest)
    return cache


def _download(path: Path, digest: str) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with urllib.request.urlopen(SOURCE + path.name, timeout=PATIENCE) as answer:
            content = answer.read()
    except OSError as error:
        raise DataError(
            "MNIST is not here, and could not be downloaded.",
            got=f"{type(error).__name__}: {error}",
            where=SOURCE + path.name,
            fix=f"Put the four files {', '.join(FILES)} in a folder and pass it: --data DIR, or "
            "set PRUNEVIS_DATA.",
        ) from error
    try:
        found = hashlib.sha256(gzip.decompress(content)).hexdigest()
    except (OSError, EOFError):
        found = "no gzip file"
    if found != digest:
        raise DataError(
            "What was downloaded is not the file that was expected.",
            expected=f"unpacked, SHA-256 {digest}",
            got=found,
            where=SOURCE + path.name,
        )
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def _read(folder: Path, name: str, dimensions: int) -> np.ndarray:
    """Return an idx file, uint8 with so many axes, packed or not."""
    packed, plain = folder / f"{name}.gz", folder / name
    path = packed if packed.exists() else plain
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if path is packed else raw
    except FileNotFoundError as error:
        raise DataError(
            "A file of MNIST is missing.",
            expected=f"{name}.gz",
            where=folder,
            fix=f"The folder must hold {', '.join(FILES)}.",
        ) from error
    except (OSError, EOFError) as error:
        raise DataError(f"A file of MNIST cannot be read: {error}.", where=path) from error
    head = 4 + 4 * dimensions
    shape = tuple(int(n) for n in np.frombuffer(content[4:head], ">i4"))
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) != head + int(np.prod(shape)):
        raise DataError(
            "A file of MNIST is damaged.",
            expected=f"an idx file of bytes with {dimensions} axes",
            where=path,
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape).copy()
