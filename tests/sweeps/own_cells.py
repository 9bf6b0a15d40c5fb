"""A folder with a module of one's own, whose networks say when they start and can be held."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

#: The module's text. A cell is told by its seed: each seed is a network of its own.
MODULE = '''
import os
import time
from pathlib import Path

import torch
from torch import nn

from prunevis import Data

HERE = Path(__file__).parent


def network(seed):
    with open(HERE / "starts.log", "a") as log:
        log.write(f"{seed} {os.getpid()}\\n")
    while (HERE / f"hold-{seed}").exists():
        time.sleep(0.02)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def mortal(seed):
    """Seed 1 ends its process the first time, seed 2 each time."""
    first = not (HERE / "died").exists()
    if seed == 2 or (seed == 1 and first):
        (HERE / "died").touch()
        os._exit(3)
    return network(seed)


def fixed():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def examples(count, seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 6, generator=generator)
    return inputs, inputs[:, :3].argmax(1)


def data():
    return Data(train=examples(64, 0), test=examples(90, 1))


def test_only():
    return examples(90, 1)


def no_network():
    return 3


def broken():
    raise RuntimeError("the disk is full")
'''


class Folder:
    """Where a grid and the module lie."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        (path / f"{name}.py").write_text(MODULE, encoding="utf-8")

    @property
    def out(self) -> Path:
        return self.path / "results"

    def of(self, function: str) -> str:
        return f"{self.name}:{function}"

    def grid(self, text: str) -> Path:
        """Write a grid; NAME stands for the module."""
        place = self.path / "grid.toml"
        place.write_text(text.replace("NAME", self.name), encoding="utf-8")
        return place

    def hold(self, seed: int) -> None:
        (self.path / f"hold-{seed}").touch()

    def let_go(self) -> None:
        for file in self.path.glob("hold-*"):
            file.unlink()

    @property
    def starts(self) -> list[tuple[int, int]]:
        """Seed and process of each start."""
        log = self.path / "starts.log"
        lines = log.read_text("utf-8").splitlines() if log.exists() else []
        return [(int(seed), int(pid)) for seed, pid in (line.split() for line in lines)]

    @property
    def started(self) -> list[int]:
        return [seed for seed, _ in self.starts]

    def written(self) -> set[str]:
        return {file.stem for file in (self.out / "cells").glob("[0-9a-f]*.json")}

    def command(self, *options: str) -> subprocess.Popen[str]:
        """Start `prunevis sweep` in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "prunevis.app", "sweep", str(self.path / "grid.toml"),
             "--out", str(self.out), *options],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.02)
