"""A work that is done again: what it is, what it needs, and how it is run and resumed.

A reproduction is made of pieces (one network trained, one curve measured), each written to disk
when it is finished, so that a run that was ended goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from prunevis.data import Data
from prunevis.errors import DataError
from prunevis.registry import Registry
from prunevis.reproduce.mnist import load_mnist
from prunevis.reproduce.report import Report
from prunevis.zoo import load_data

#: Training and test examples of a short run.
SHORT = (2000, 1000)


class Context:
    """What a reproduction runs with.

    Parameters
    ----------
    out
        Folder of the report; pieces are kept in its subfolder ``pieces``.
    short
        Whether to run the short form: few examples of the images that come along, few steps. It
        shows that everything works, and nothing about the paper.
    seeds
        One run each.
    data
        Folder of MNIST's four files; None: see `load_mnist`.
    say
        Called with one line when a piece begins or ends.
    recipe
        Short name of how it is done: pieces that were made in another way are not read.
    """

    def __init__(
        self,
        out: Path,
        *,
        short: bool = False,
        seeds: tuple[int, ...] = (0, 1, 2),
        data: Path | None = None,
        say: Callable[[str], None] = lambda line: None,
        recipe: str = "any",
    ) -> None:
        self.out, self.short, self.folder, self.say = out, short, data, say
        self.recipe = recipe
        self.seeds = seeds[:1] if short else seeds
        self.seconds = 0.0  # of all pieces, also of those that were finished before
        self._data: dict[str, Data] = {}

    @property
    def pieces(self) -> Path:
        """Where finished pieces lie; a short run's do not mix with a full one's."""
        return self.out / "pieces" / f"{'short' if self.short else 'full'}-{self.recipe}"

    def data(self, name: str = "mnist") -> Data:
        """Return "mnist" or "fashion-mnist"; in a short run a few examples of the latter."""
        if name not in self._data:
            self._data[name] = self._load(name)
        return self._data[name]

    def _load(self, name: str) -> Data:
        if self.short:
            found = load_data("fashion-mnist")
            train, test = SHORT
            assert found.train is not None, "it comes with training examples"
            return Data(
                train=found.train.take(slice(0, train)),
                test=found.test.take(slice(0, test)),
                class_names=found.class_names,
                name=f"{found.name}, {train:,} training and {test:,} test images",
            )
        return load_mnist(self.folder) if name == "mnist" else load_data(name)

    def epochs(self, full: float) -> float:
        """Return epochs of training: `full`, or next to nothing in a short run."""
        return min(full, 1.0) if self.short else full

    def piece(self, key: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return what `compute` gives, from disk if it was finished before: plain JSON.

        Parameters
        ----------
        key
            Names the piece; all that decides its outcome besides the code.
        compute
            Makes it.
        """
        path = self.pieces / f"{key}.json"
        if path.exists():
            kept = json.loads(path.read_text("utf-8"))
            self.seconds += kept["seconds"]
            return kept["result"]
        self.say(f"{key} ...")
        begin = time.perf_counter()
        result = dict(compute())
        seconds = round(time.perf_counter() - begin, 2)
        self.seconds += seconds
        _write(path, json.dumps({"seconds": seconds, "result": result}).encode())
        self.say(f"{key}: {seconds:.1f} s")
        # as it will be read from disk
        return json.loads(json.dumps(result))

    def network(
        self, key: str, build: Callable[[], nn.Module], train: Callable[[nn.Module], nn.Module]
    ) -> nn.Module:
        """Return a trained network, from disk if it was trained before.

        Parameters
        ----------
        key
            Names it.
        build
            Makes one of its kind.
        train
            Returns it trained, from a new one; its seed is part of the key.
        """
        from safetensors.torch import load_file, save

        path, record = self.pieces / f"{key}.safetensors", self.pieces / f"{key}.json"
        if path.exists() and record.exists():
            self.piece(key, dict)  # for its time
            model = build()
            model.load_state_dict(load_file(path))
            return model.eval()
        found: dict[str, nn.Module] = {}

        def compute() -> dict[str, Any]:
            found["model"] = train(build()).eval()
            tensors: dict[str, Tensor] = {
                k: v.detach().contiguous() for k, v in found["model"].state_dict().items()
            }
            _write(path, save(tensors))
            return {}

        record.unlink(missing_ok=True)
        self.piece(key, compute)
        return found["model"]


class Reproduction:
    """A work that runs here, with its numbers beside ours.

    Attributes
    ----------
    title, citation, url
        Of the work.
    summary
        One sentence: what is done again.
    data
        What it is done on: "mnist" or "fashion-mnist".
    """

    title: ClassVar[str]
    citation: ClassVar[str]
    url: ClassVar[str]
    summary: ClassVar[str]
    data: ClassVar[str] = "mnist"

    @abstractmethod
    def run(self, context: Context) -> Report:
        """Do it; return the report."""


#: Works by name.
REPRODUCTIONS: Registry[type[Reproduction]] = Registry("reproduction")


def reproduce(
    name: str,
    out: str | os.PathLike[str],
    *,
    short: bool = False,
    seeds: tuple[int, ...] = (0, 1, 2),
    data: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Run one work and write its report; return the path of the Markdown file.

    Parameters
    ----------
    name
        In `REPRODUCTIONS`.
    out
        Folder: ``NAME.md``, its figures ``NAME-*.png`` and ``NAME.json`` are written there, pieces
        in ``pieces/``; a run that was ended goes on where it was.
    short, seeds, data, say
        As for `Context`.

    Raises
    ------
    UnknownNameError
        If there is no such work.
    DataError
        If the data are not there, or the folder cannot be written.
    """
    kind = REPRODUCTIONS[name]
    folder = Path(out) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError("The folder for the report cannot be made.", where=folder) from error
    context = Context(
        folder,
        short=short,
        seeds=seeds,
        data=None if data is None else Path(data),
        say=say,
        recipe=recipe_of(kind),
    )
    threads = torch.get_num_threads()
    report = kind().run(context)
    return report.write(
        Path(out),
        name,
        kind,
        {
            "short": short,
            "seeds": list(context.seeds),
            "data": context.data(kind.data).name,
            "seconds": round(context.seconds, 1),
            "threads": threads,
        },
    )


def recipe_of(kind: type[Reproduction]) -> str:
    """Return eight hexadecimal digits that change with any constant of the work's module."""
    module = vars(sys.modules[kind.__module__])
    plain = (str, int, float, bool, tuple, list, dict)
    constants = {
        name: value
        for name, value in sorted(module.items())
        if name.isupper() and isinstance(value, plain)
    }
    # what has no text of its own is named by where it lies in memory
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(constants))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _write(path: Path, content: bytes) -> None:
    """Write a file in one go: whoever finds it finds all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
