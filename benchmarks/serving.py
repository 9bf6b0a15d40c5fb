"""Many visitors on one machine: `prunevis serve`, and visitors that speak its websocket.

Visitors move the slider once a second, each at a moment of their own, to whole percents drawn at
random. What a position costs the browser knows by itself; what counts here are moves to positions
whose accuracy is not known yet, until one has come over the websocket. The visitors run in one
process beside the server, on the same cores. Memory is read from the kernel's own account of each
process (Linux).

The baseline is plain Voila with the same notebook, nothing kept warm and nothing shared.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

import psutil
from tornado.websocket import WebSocketClosedError

from benchmarks import served
from benchmarks.record import Figure, Report
from benchmarks.visitor import Visitor
from prunevis.hosting.configuration import NOTEBOOK

TITLE = "Many visitors: `prunevis serve`, visitors that move the slider once a second"
VISITORS, SECONDS, IN_SEQUENCE = 20, 60, 200
BAR_MS, BAR_MB, BAR_S = 300.0, 200.0, 2.0
#: MB that the server and the process that kernels are forked from may grow by in 200 visits.
LEFT_MB = 20.0
#: Kernels that are kept warm.
WARM = 2


@dataclass(frozen=True)
class Served:
    """A running server."""

    address: str
    process: psutil.Process
    folder: Path

    def kernels(self) -> list[psutil.Process]:
        """Return the processes that each serve one visitor, or wait for one."""
        found = []
        for child in self.process.children():
            if "prunevis.hosting.zygote" in child.cmdline():
                found += child.children()
            elif any("ipykernel" in part for part in child.cmdline()):
                found.append(child)
        return found

    def health(self) -> dict[str, Any]:
        with urlopen(f"{self.address}health", timeout=60) as answer:
            return json.load(answer)

    def rest(self) -> None:
        """Wait until nobody is here, kernels are warm, and nothing is being done."""
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            health = self.health()
            if (health["visitors"], health["warm"]) == (0, WARM):
                watched = [self.process, *self.process.children(recursive=True)]
                before = served.seconds_used(watched)
                time.sleep(1)
                if served.seconds_used(watched) - before < 0.1:
                    return
            time.sleep(0.2)
        raise TimeoutError("The server did not come to rest.")

    def left(self) -> dict[str, float]:
        """Return what there is now: kernels, files, open descriptors, MB."""
        loaded = [self.process, *self.process.children()]
        return {
            "kernels": len(self.kernels()),
            "files": sum(path.is_file() for path in self.folder.rglob("*")),
            "descriptors": sum(process.num_fds() for process in loaded),
            "MB": sum(map(unique, loaded)),
        }


def unique(process: psutil.Process) -> float:
    """Return the MB (10⁶ bytes) of a process that no other shares."""
    return _pages(process, "Private_Clean:", "Private_Dirty:")


def proportional(process: psutil.Process) -> float:
    """Return the MB of a process, where shared pages count by their share."""
    return _pages(process, "Pss:")


def _pages(process: psutil.Process, *names: str) -> float:
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text("utf-8").splitlines()
    return sum(1.024e-3 * int(line.split()[1]) for line in lines if line.startswith(names))


@contextmanager
def server(*command: str, probe: str) -> Iterator[Served]:
    """Start a server with folders of its own, give it once it answers, end it afterwards."""
    port = served.free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
        own |= {"IPYTHONDIR": str(folder / "ipython"), "TMPDIR": name, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", *command, f"--port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **own},
        )
        try:
            found = Served(f"http://127.0.0.1:{port}/", psutil.Process(process.pid), folder)
            _wait_for(found.address + probe, process)
            yield found
        finally:
            served.end(process)


def _wait_for(address: str, process: Any) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urlopen(address, timeout=10).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("The server did not start.")


def ours() -> Any:
    """Start `prunevis serve`."""
    return server("prunevis.app", "serve", f"--warm={WARM}", "--visitors=0", probe="health")


def plain() -> Any:
    """Start Voila alone with the page's notebook."""
    return server("voila", str(NOTEBOOK), "--no-browser", probe="voila/static/voila.js")


def measure(*, quick: bool = False) -> Report:
    """Return what visitors wait for, what they cost, and what they leave behind."""
    count, seconds, visits = (2, 4, 3) if quick else (VISITORS, SECONDS, IN_SEQUENCE)
    singles = 1 if quick else 10
    with ours() as found:
        ready = asyncio.run(warm_ones(found, singles))
        crowd = asyncio.run(crowded(found, count, seconds))
        found.rest()
        before = found.left()
        asyncio.run(in_sequence(found, visits))
        found.rest()
        after = found.left()
    slow, large = one_by_one(plain, 1 if quick else 5)
    left = {name: after[name] - before[name] for name in after}
    if left["kernels"] > 0 or left["files"] > 0:
        raise AssertionError(f"{visits} visits in sequence left something behind: {left}.")
    grown = max(left["MB"], 0.001)
    figures = (
        Figure(f"{count} visitors: accuracy at a new position", "ms", crowd.moves, BAR_MS),
        Figure(f"{count} visitors: any move taken in", "ms", crowd.taken),
        Figure(f"{count} visitors: memory of its own, each", "MB", crowd.unique, BAR_MB),
        Figure(f"{count} visitors: with its share of what is shared", "MB", crowd.shared),
        Figure("plain Voila: memory of a kernel of its own", "MB", large),
        Figure("plain Voila: times as large", "×", (median(large) / median(crowd.unique),)),
        Figure("a new visitor, until its page can be used", "s", ready, BAR_S),
        Figure("plain Voila: a new visitor", "s", slow),
        Figure("plain Voila: times as long", "×", (median(slow) / median(ready),)),
        Figure(
            f"{visits} visits in sequence: growth of the server", "MB", (grown,), LEFT_MB, "max"
        ),
    )
    notes = (
        f"{crowd.lost} of {count} visitors were disconnected; load average at the end of the "
        f"crowd {crowd.load:.1f}, cores busy {crowd.busy:.0%}.",
        f"{crowd.known} further moves went to positions that were known, and wait for nothing.",
        f"{visits} visits in sequence left {left['kernels']:.0f} kernels, {left['files']:.0f} "
        f"files and {left['descriptors']:.0f} open descriptors more than before.",
    )
    return Report(figures, notes=notes)


def one_by_one(start: Callable[[], Any], count: int) -> tuple[tuple[float, ...], ...]:
    """Return seconds until each of `count` visitors is ready, and the MB of its kernel.

    Each finds a server that nobody visited: plain Voila refuses the beacon of a closing tab, keeps
    the kernel, and does not come to an end with a message in the older form that has buffers.
    """
    took, memory = [], []
    for _ in range(count):
        with start() as found:
            seconds, size = asyncio.run(_single(found))
            took.append(seconds)
            memory.append(size)
            for kernel in found.kernels():
                kernel.kill()
            found.process.kill()
    return tuple(took), tuple(memory)


async def _single(found: Served) -> tuple[float, float]:
    visitor = Visitor(found.address)
    start = time.perf_counter()
    await visitor.come()
    took = time.perf_counter() - start
    (kernel,) = found.kernels()
    size = unique(kernel)
    visitor.close()
    return took, size


async def warm_ones(found: Served, count: int) -> tuple[float, ...]:
    """Return seconds until each of `count` visitors is ready, one after the other."""
    took = []
    for _ in range(count):
        await asyncio.to_thread(found.rest)
        visitor = Visitor(found.address)
        start = time.perf_counter()
        await visitor.come()
        took.append(time.perf_counter() - start)
        await visitor.leave()
    return tuple(took)


@dataclass(frozen=True)
class Crowd:
    """What many visitors at once found."""

    moves: tuple[float, ...]
    taken: tuple[float, ...]
    known: int
    lost: int
    unique: tuple[float, ...]
    shared: tuple[float, ...]
    load: float
    busy: float


async def crowded(found: Served, count: int, seconds: float) -> Crowd:
    """Let `count` visitors come, one after the other, and move their sliders for a while."""
    visitors = [Visitor(found.address) for _ in range(count)]
    for visitor in visitors:
        await visitor.come()
    psutil.cpu_percent()
    end = time.monotonic() + seconds
    hands = [Hand(visitor, number, count, end) for number, visitor in enumerate(visitors)]
    await asyncio.gather(*(hand.play() for hand in hands))
    busy, load = psutil.cpu_percent() / 100, os.getloadavg()[0]
    names = {f"pv-{visitor.kernel_id[:8]}" for visitor in visitors}
    kernels = [kernel for kernel in found.kernels() if kernel.name() in names]
    crowd = Crowd(
        moves=tuple(took for hand in hands for took in hand.moves),
        taken=tuple(took for hand in hands for took in hand.taken),
        known=sum(hand.known for hand in hands),
        lost=sum(visitor.lost for visitor in visitors),
        unique=tuple(map(unique, kernels)),
        shared=tuple(map(proportional, kernels)),
        load=load,
        busy=busy,
    )
    await asyncio.gather(*(visitor.leave() for visitor in visitors))
    if not crowd.moves:
        raise AssertionError("No visitor was answered.")
    return crowd


class Hand:
    """Moves a visitor's slider once a second until `end`, and waits for what it asked for."""

    def __init__(self, visitor: Visitor, number: int, count: int, end: float) -> None:
        self.visitor, self.end = visitor, end
        self.draw = random.Random(number)
        self.offset = number / count
        self.moves: list[float] = []
        self.taken: list[float] = []
        self.known = 0

    async def play(self) -> None:
        """Move until the end; a lost visitor stops."""
        await asyncio.sleep(self.offset)
        due = time.monotonic()
        while time.monotonic() < self.end and not self.visitor.lost:
            try:
                await self._move()
            except (TimeoutError, WebSocketClosedError):
                self.visitor.lost = True  # counted; the others play on
                return
            # a visitor who waited longer than a second goes on from there
            due = max(due + 1, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _move(self) -> None:
        visitor, percent = self.visitor, self.draw.randrange(5, 96)
        known = self._known(percent)
        start = time.perf_counter()
        number = visitor.update({"position": percent / 100})
        await visitor.handled(number)
        self.taken.append(1000 * (time.perf_counter() - start))
        if known:
            self.known += 1
            return
        await visitor.until(lambda: self._known(percent))
        self.moves.append(1000 * (time.perf_counter() - start))

    def _known(self, percent: int) -> bool:
        table, curve = self.visitor.state["table"], self.visitor.state.get("curve", {})
        if not table or curve.get("key") != table["key"]:
            return False
        return curve["value"][table["sparsity"].index(percent / 100)] is not None


async def in_sequence(found: Served, count: int) -> None:
    """Let `count` visitors come, move once and leave, one after the other."""
    for _ in range(count):
        visitor = Visitor(found.address)
        await visitor.come()
        await visitor.handled(visitor.update({"position": 0.5}))
        await visitor.leave()
