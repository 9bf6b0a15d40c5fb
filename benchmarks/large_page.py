"""The page of a large network: does it stay responsive, and how much memory does it take?

ResNet-18 and ResNet-50 with random weights and 512 random pictures of 224×224, each in a process of
its own, opened with `Explorer(..., threaded=False)`: the benchmark is the worker thread, so it can
time every single step of it. The slider is moved while the accuracy at the last position and the
sweep are still being measured. What a person waits for is a look-up in the browser; measured here
is what Python does for it, and the longest step that it may have to wait for.
"""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.record import Figure, Report
from benchmarks.resnets import pictures, resnet
from prunevis.app.explorer import Explorer
from prunevis.evaluation.engine import BLOCK_BYTES
from prunevis.evaluation.kept import KEPT_BYTES
from prunevis.session.tables import OTHER_RANKINGS

TITLE = "The page of ResNet-18 and ResNet-50 with 512 pictures: responsiveness and memory"
#: The most that a move may take Python, p95.
BAR_MS = 50.0
#: Memory beyond model and data may be this many times the model, and the caches' own budgets.
BAR_SIZES = 2.5
#: Bytes that caches may take whatever the network: activations kept between positions, rankings of
#: other settings, weights of positions measured together.
BUDGET = KEPT_BYTES + OTHER_RANKINGS + BLOCK_BYTES
MB = 1e6


def measure(*, quick: bool = False) -> Report:
    """Return the figures of both networks; a quick run has ResNet-18 only, and few pictures."""
    figures: list[Figure] = []
    notes = [f"One thread. Budget of the caches: {BUDGET / MB:.0f} MB."]
    for name in ("resnet18",) if quick else ("resnet18", "resnet50"):
        command = [sys.executable, "-m", "benchmarks.large_page", name, *(["quick"] * quick)]
        done = subprocess.run(
            command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        figures += _figures(name, found)
        notes.append(
            f"{name}: model {found['model']:.0f} MB, pictures {found['data']:.0f} MB, memory "
            f"beyond them when settled {found['settled']:.0f} MB; longest steps in ms: "
            + ", ".join(f"{job} {ms:.0f}" for job, ms in found["longest"].items())
            + "."
        )
    return Report(tuple(figures), notes=tuple(notes))


def _figures(name: str, found: dict[str, Any]) -> list[Figure]:
    return [
        Figure(f"{name}: a move, plan, costs and slices", "ms", tuple(found["moves"]), BAR_MS),
        Figure(f"{name}: a move to a typed position", "ms", tuple(found["typed"]), BAR_MS),
        Figure(f"{name}: a step that a move may wait for", "ms", tuple(found["steps"])),
        Figure(f"{name}: from opening to the slider's table", "s", (found["table"],)),
        Figure(
            f"{name}: most memory beyond model and data",
            "MB",
            (found["peak"],),
            BAR_SIZES * found["model"] + BUDGET / MB,
            "max",
        ),
    ]


class _Memory(threading.Thread):
    """Watches how much memory this process holds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.base, self.peak = resident(), 0.0
        self.start()

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, self.now())
            time.sleep(0.005)

    def now(self) -> float:
        return resident() - self.base


def resident() -> float:
    """Return the resident memory of this process in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / MB


class _Worker:
    """Does the worker's work step by step, and notes how long each took, by job."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer, self.worker = explorer, explorer.controller.worker
        self.seconds: dict[str, list[float]] = {}
        inner = self.worker._step
        self._job = ""

        def step(job: Any) -> None:
            self._job = job.name
            inner(job)

        self.worker._step = step

    def once(self) -> bool:
        self._job = "request"
        start = time.perf_counter()
        worked = self.worker._once()
        self.seconds.setdefault(self._job, []).append(time.perf_counter() - start)
        return worked

    def until(self, done: Callable[[], bool], limit: float = 600.0) -> None:
        end = time.perf_counter() + limit
        while not done() and time.perf_counter() < end and self.once():
            pass

    def move(self, sparsity: float) -> float:
        """Return the ms from a move's turn until the numbers of its position are published."""
        explorer, published = self.explorer, [0.0]

        def note(change: Any) -> None:
            published.append(time.perf_counter())

        self.worker.request(lambda: explorer.controller.move(sparsity), "move")
        explorer._published = -1.0  # its turn to be published, too
        explorer.page.observe(note, ["table", "curve", "steps", "status"])
        start = time.perf_counter()
        self.once()
        explorer.page.unobserve(note, ["table", "curve", "steps", "status"])
        return 1000 * (max(published) - start)


def _warm() -> None:
    """Open the page of a tiny network, so that the code of libraries is loaded and not counted."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(1), nn.Linear(144, 2))
    explorer = Explorer(net, (torch.zeros(4, 3, 8, 8), [0, 1, 0, 1]), threaded=False)
    for tab in ("weights", "redundancy", "layers", "neurons"):
        explorer.run_until_idle()
        explorer.controller.look(tab=tab)
    explorer.run_until_idle()
    explorer.close()


def _child(name: str, quick: bool) -> dict[str, Any]:
    torch.set_num_threads(1)
    moves, count = (3, 2) if quick else (60, 512)
    _warm()
    model, data = resnet(name), pictures(count)
    gc.collect()
    memory = _Memory()
    start = time.perf_counter()
    explorer = Explorer(model, data, threaded=False)
    work, session = _Worker(explorer), explorer.session
    work.until(lambda: session.table is not None)
    table = time.perf_counter() - start
    work.until(lambda: session.network.stage.baseline is not None)
    draw = random.Random(0)
    positions = [draw.randrange(1, 100) / 100 for _ in range(moves)]
    moved = [_move(work, position) for position in positions]
    typed = [_move(work, draw.randrange(10, 9900) / 1e4 + 0.005) for _ in range(min(20, moves))]
    steps = [1000 * s for job in ("estimate", "sweep") for s in work.seconds.get(job, [])]
    explorer.controller.worker.cancel("estimate")
    for _ in range(1 if quick else 20):
        work.once()
    busiest = max(session.network.stage.graph.layers.values(), key=lambda layer: layer.num_weights)
    for tab in ("weights", "redundancy", "layers", "neurons"):
        explorer.controller.look(tab=tab, layer=busiest.name)
        work.until(lambda: False, 1.0 if quick else 15.0)
    for change in (("scope", "layer"), ("granularity", "unit"), ("granularity", "weight")):
        explorer.controller.choose(*change)
        work.until(lambda: not work.worker.running("rank"))
    gc.collect()
    found = {
        "model": sum(tensor.nbytes for tensor in model.state_dict().values()) / MB,
        "data": data[0].nbytes / MB,
        "moves": moved,
        "typed": typed,
        "steps": steps,
        "table": table,
        "peak": memory.peak,
        "settled": memory.now(),
        "longest": {job: 1000 * max(seconds) for job, seconds in work.seconds.items()},
        "problem": None if session.problem is None else session.problem.text,
    }
    explorer.close()
    return found


def _move(work: _Worker, sparsity: float) -> float:
    """Move while the last position and the sweep are being measured."""
    took = work.move(sparsity)
    for _ in range(2):
        work.once()
    return took


if __name__ == "__main__":
    print(json.dumps(_child(sys.argv[1], "quick" in sys.argv)))
