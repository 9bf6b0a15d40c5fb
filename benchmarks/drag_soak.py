"""Minutes of hard dragging on every network of the zoo: stalls, stale numbers, memory.

A mouse drags to and fro as fast as the browser takes it, the arrow key repeats, the slider jumps;
now and then what is removed, and by which rule, is chosen anew. Watched in the page: the longest
time between two updates while a hand moves. At the end, at a position of weights by magnitude, the
page must settle on exact figures that equal an evaluation made afresh in this process. Memory is
read each minute: the kernel's, and the browser's heap and nodes after a collection; its growth is
the slope of a line through the second half.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import prunevis as pv
from benchmarks import served
from benchmarks.record import Figure, Report

TITLE = "A hard drag on every network of the zoo"
SECONDS, QUICK_SECONDS = 300.0, 5.0
#: Milliseconds without an update, while a hand moves, from which on the page is said to stall.
STALL_MS = 500.0
#: Megabytes a minute from which on memory is said to grow.
GROWTH = 1.0
#: Where the hand comes to rest; typed, so that it is in no table before.
LAST = 0.634

#: Whether the costs shown are those of what is chosen.
SETTLED = "() => !document.querySelector(\"[data-testid='card-params'][data-dim]\")"

#: Notes every change of the costs and of the accuracy, and of a hand the longest wait for one.
WATCH = """
() => {
  const probe = window.probe = { moving: false, last: 0, since: 0, gaps: [], updates: 0 };
  const changed = () => {
    const now = performance.now();
    if (probe.moving) probe.longest = Math.max(probe.longest, now - probe.last);
    probe.last = now;
    probe.updates += 1;
  };
  new MutationObserver(changed).observe(document.querySelector("[data-testid='card-params']"),
    { subtree: true, childList: true, characterData: true });
  window.hand = (on) => {
    changed();
    if (on) probe.longest = 0;
    else if (probe.moving) probe.gaps.push(probe.longest);
    probe.moving = on;
  };
}
"""


@dataclass
class Memory:
    """What is held: seconds since the start, megabytes, nodes of the document."""

    at: list[float] = field(default_factory=list)
    kernel: list[float] = field(default_factory=list)
    heap: list[float] = field(default_factory=list)
    nodes: list[float] = field(default_factory=list)

    def slope(self, values: list[float]) -> float:
        """Return how much `values` grow a minute over the second half of the time."""
        half = [k for k, at in enumerate(self.at) if at >= self.at[-1] / 2]
        if len(half) < 2:
            return 0.0
        times = np.array([self.at[k] for k in half]) / 60
        return float(np.polyfit(times, [values[k] for k in half], 1)[0])


def measure(*, quick: bool = False, seconds: float | None = None) -> Report:
    """Return the longest wait of each network's drags, and how memory grew."""
    seconds = (QUICK_SECONDS if quick else SECONDS) if seconds is None else seconds
    figures: list[Figure] = []
    notes: list[str] = []
    with served.chromium() as browser:
        version = browser.version
        for name in pv.MODELS:
            with served.demo() as server, served.visit(browser, server.address) as page:
                waits, memory, updates = soak(page, server, name, seconds)
                check(page, name)
            figures += [
                Figure(f"{name}: longest wait in a drag", "ms", tuple(waits), STALL_MS, "max"),
                grown(f"{name}: kernel, growth a minute", memory, memory.kernel),
                grown(f"{name}: browser's heap, growth a minute", memory, memory.heap),
            ]
            notes.append(
                f"{name}: {seconds:.0f} s, {updates:,} updates; kernel {memory.kernel[0]:.0f} to "
                f"{memory.kernel[-1]:.0f} MB, heap {memory.heap[0]:.1f} to "
                f"{memory.heap[-1]:.1f} MB, {memory.nodes[0]:.0f} to {memory.nodes[-1]:.0f} nodes; "
                f"the figures it came to rest on are those of a fresh evaluation."
            )
    return Report(tuple(figures), chromium=version, notes=tuple(notes))


def grown(name: str, memory: Memory, values: list[float]) -> Figure:
    # of a minute or less nothing can be said: what is used for the first time looks like growth
    return Figure(
        name, "MB", (memory.slope(values),), GROWTH if memory.at[-1] > 120 else None, "max"
    )


def soak(
    page: Any, server: served.Demo, name: str, seconds: float
) -> tuple[list[float], Memory, int]:
    """Drag for `seconds`; return the longest wait of each drag in ms, memory, and updates."""
    if page.get_by_test_id("model").input_value() != name:
        page.get_by_test_id("model").select_option(name)
    page.wait_for_function(
        "(label) => document.querySelector('.pv-title').innerText.startsWith(label)"
        " && page().dataset.ready === '1' && page().dataset.state === 'exact'",
        arg=pv.MODELS[name].label,
    )
    page.evaluate(WATCH)
    kernel = max(server.kernels(), key=lambda process: sum(process.cpu_times()[:2]))
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    draw, memory = random.Random(0), Memory()
    begin = time.perf_counter()

    def look() -> None:
        devtools.send("HeapProfiler.collectGarbage")
        found = {m["name"]: m["value"] for m in devtools.send("Performance.getMetrics")["metrics"]}
        memory.at.append(time.perf_counter() - begin)
        memory.kernel.append(kernel.memory_info().rss / 1e6)
        memory.heap.append(found["JSHeapUsedSize"] / 1e6)
        memory.nodes.append(found["Nodes"])

    look()
    every = min(60.0, seconds / 10)
    ways: tuple[Callable[[Any, random.Random], None], ...] = (drag, drag, keys, jumps)
    turn = 0
    while time.perf_counter() - begin < seconds:
        ways[turn % len(ways)](page, draw)
        turn += 1
        if turn % 9 == 0:
            choose(page, draw)
        if time.perf_counter() - begin - memory.at[-1] >= every:
            look()
    look()
    waits, updates = page.evaluate("() => [probe.gaps, probe.updates]")
    return waits, memory, updates


def drag(page: Any, draw: random.Random) -> None:
    """Drag to and fro a few times, as fast as the browser takes it."""
    page.get_by_test_id("slider").scroll_into_view_if_needed()
    box = page.get_by_test_id("slider").bounding_box()
    y = box["y"] + box["height"] / 2
    place = draw.uniform(0.05, 0.95)
    page.mouse.move(box["x"] + box["width"] * place, y)
    page.mouse.down()
    page.evaluate("() => hand(true)")
    for _ in range(4):
        # far enough that every step moves the slider: where nothing changes nothing is updated
        place += draw.uniform(0.4, 0.5) * (1 if place < 0.5 else -1)
        page.mouse.move(box["x"] + box["width"] * place, y, steps=30)
    page.evaluate("() => hand(false)")
    page.mouse.up()


def keys(page: Any, draw: random.Random) -> None:
    """Hold an arrow key down: it repeats."""
    page.get_by_test_id("slider").focus()
    page.keyboard.press("Home")
    page.evaluate("() => hand(true)")
    for _ in range(draw.randrange(20, 60)):
        page.keyboard.down("ArrowRight")
    page.evaluate("() => hand(false)")
    page.keyboard.up("ArrowRight")


def jumps(page: Any, draw: random.Random) -> None:
    """Press here and there on the rail, and type a sparsity in between."""
    box = page.get_by_test_id("slider").bounding_box()
    for _ in range(8):
        where = box["x"] + box["width"] * draw.uniform(0.03, 0.97)
        page.mouse.click(where, box["y"] + box["height"] / 2)
    field_ = page.get_by_test_id("sparsity")
    field_.fill(f"{draw.uniform(1, 95):.1f}")
    field_.press("Enter")


def choose(page: Any, draw: random.Random) -> None:
    """Choose what is removed, and by which rule; wait until its costs are there."""
    if draw.random() < 0.5:
        name = draw.choice(["weight", "unit"])
        page.get_by_test_id(f"granularity-{name}").check(force=True)
    else:
        select = page.get_by_test_id("criterion")
        names = select.locator("option:not([disabled])").evaluate_all("o => o.map((x) => x.value)")
        select.select_option(draw.choice(names))
    page.wait_for_function(SETTLED)


def check(page: Any, name: str) -> None:
    """Come to rest at `LAST`, weights by magnitude; every figure must be that of a fresh run."""
    page.get_by_test_id("granularity-weight").check(force=True)
    page.wait_for_function(SETTLED)
    page.get_by_test_id("criterion").select_option("magnitude")
    page.wait_for_function(SETTLED)
    page.get_by_test_id("sparsity").fill(f"{100 * LAST:.1f}")
    page.get_by_test_id("sparsity").press("Enter")
    page.wait_for_function(
        "(last) => page().dataset.sparsity === last && page().dataset.state === 'exact'"
        " && !document.querySelector(\"[data-testid='card-params'][data-dim]\")",
        arg=f"{LAST:.4f}",
    )
    accuracy, params = (
        page.get_by_test_id(f"card-{card}").inner_text() for card in ("accuracy", "params")
    )
    entry = pv.MODELS[name]
    data = pv.load_data(entry.dataset).test
    model = pv.load_model(name).eval()
    graph = pv.trace(model, data.inputs[:2])
    plan = pv.rank(model, pv.PruningSpec("magnitude", "weight", "global"), graph=graph).plan(LAST)
    dense = pv.evaluate(model, data)
    with pv.masked(model, plan):
        pruned = pv.evaluate(model, data)
    zeros = pv.cost(graph, plan)
    wanted = [
        f"{100 * pruned.accuracy:.1f}",
        f"exact, {pruned.total:,} of {pruned.total:,}",
    ]
    fewer = dense.correct - pruned.correct
    if fewer:
        wanted.append(f"{abs(fewer):,} {'fewer' if fewer > 0 else 'more'} image")
    for text in wanted:
        if text not in accuracy:
            raise AssertionError(f"{name}: the page says {accuracy!r}, a fresh run {text!r}.")
    gone = graph.num_params - zeros.nonzero_params
    if f"{gone:,}" not in params:
        raise AssertionError(f"{name}: the page says {params!r}, a fresh plan cuts {gone:,}.")
