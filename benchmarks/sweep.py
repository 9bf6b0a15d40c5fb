"""The exact accuracy at all 101 slider positions, against the loop that one would write oneself.

Loop (a), a position: copy the network, prune it with `torch.nn.utils.prune` (weights:
`global_unstructured`; units: `ln_structured` layer by layer), run a `DataLoader` with batches of
256 over the test images, torch's own number of threads. Loop (b): the same with everything a
patient person would tune: images as one tensor, masks made permanent, and the batch size, memory
layout and number of threads that are fastest for the network on this machine. A loop takes as long
at one position as at another, so it is timed at six, spread over the range, half of them before
ours and half after, and counted for 101. Ours is `prunevis.tradeoff` from the untraced network to
the last figure, measuring the network as it came and choosing how to run included.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import product
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

import prunevis as pv
from benchmarks.record import Figure, Report
from prunevis.evaluation import pace
from prunevis.session.tables import POSITIONS

TITLE = "Exact accuracy at all 101 slider positions, against the usual loop"
CRITERIA = {"weight": "magnitude", "unit": "l2"}
#: What is promised: times faster than loop (a), and than loop (b).
BARS: dict[str, tuple[float, float | None]] = {"weight": (3.0, None), "unit": (5.0, 2.5)}
BATCH = 256
#: Images by which counts may differ: the loops run other batches, and rounding decides near ties.
SLACK = 3


def measure(*, quick: bool = False) -> Report:
    """Return seconds for all positions and how many times faster than each loop ours is."""
    names = ["lenet-300-100"] if quick else list(pv.MODELS)
    data = pv.load_data("fashion-mnist")
    inputs, targets = data.test.inputs, data.test.targets
    if quick:
        inputs, targets = inputs[:500], targets[:500]
    figures: list[Figure] = []
    notes = [f"{torch.get_num_threads()} threads are torch's own choice, {len(targets):,} images."]
    for name in names:
        model = pv.load_model(name).eval()
        pv.trace(model, inputs[:1])  # loads modules of torch: once in a process, no part of a sweep
        tuned, choice = tune(model, inputs, targets)
        notes.append(f"{name}: the tuned loop uses {choice}.")
        for granularity in ("weight", "unit"):
            figures += compare(name, model, granularity, inputs, targets, tuned, quick=quick)
    return Report(tuple(figures), notes=tuple(notes))


def compare(
    name: str,
    model: nn.Module,
    granularity: str,
    inputs: Tensor,
    targets: Tensor,
    tuned: Callable[[nn.Module], int],
    *,
    quick: bool,
) -> list[Figure]:
    """Time ours and both loops for one network and granularity."""
    positions = POSITIONS[::25] if quick else POSITIONS[5::16]
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=BATCH)
    plain: list[float] = []
    best: list[float] = []
    counts: dict[float, int] = {}

    def loops(some: tuple[float, ...]) -> None:
        for sparsity in some:
            start = perf_counter()
            counts[sparsity] = loop(model, granularity, sparsity, loader)
            plain.append(perf_counter() - start)
            start = perf_counter()
            tuned(pruned(model, granularity, sparsity, lasting=True))
            best.append(perf_counter() - start)

    loops(positions[::2])
    start = perf_counter()
    curve = pv.tradeoff(
        model,
        (inputs, targets),
        criterion=CRITERIA[granularity],
        granularity=granularity,
        sparsities=POSITIONS,
    )
    seconds = perf_counter() - start
    loops(positions[1::2])
    assert all(point.estimate.exact for point in curve.points)
    values = {point.sparsity: point.estimate.value for point in curve.points}
    if granularity == "weight":
        check(model, inputs, counts, {s: round(v * len(targets)) for s, v in values.items()})
    what = f"{name}, {granularity}s"
    bar_plain, bar_best = BARS[granularity]
    times_plain, times_best = (len(POSITIONS) * median(s) / seconds for s in (plain, best))
    return [
        Figure(f"{what}: all positions", "s", (seconds,)),
        Figure(f"{what}: the usual loop (a)", "s", tuple(len(POSITIONS) * s for s in plain)),
        Figure(f"{what}: the same tuned (b)", "s", tuple(len(POSITIONS) * s for s in best)),
        Figure(f"{what}: times faster than (a)", "×", (times_plain,), bar_plain, "p5"),
        Figure(f"{what}: times faster than (b)", "×", (times_best,), bar_best, "p5"),
    ]


def check(
    model: nn.Module, inputs: Tensor, theirs: dict[float, int], ours: dict[float, int]
) -> None:
    """Compare right answers wherever the masks are the same: ties in |w| are broken otherwise."""
    ranking = pv.rank(model, graph=pv.trace(model, inputs[:1]))
    for sparsity, right in theirs.items():
        masks = ranking.plan(sparsity).masks
        other = pruned(model, "weight", sparsity, lasting=False)
        same = all(
            torch.equal(mask, other.get_buffer(f"{name}.weight_mask").bool())
            for name, mask in masks.items()
        )
        if same and abs(right - ours[sparsity]) > SLACK:
            raise AssertionError(f"At {sparsity}: {ours[sparsity]:,} is not {right:,}.")


def pruned(model: nn.Module, granularity: str, sparsity: float, *, lasting: bool) -> nn.Module:
    """Return a copy with masks by `torch.nn.utils.prune`."""
    copied = copy.deepcopy(model)
    layers = [m for m in copied.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    chosen: list[Any] = layers[:-1]  # the output layer stays, as it does with us
    if granularity == "weight":
        pairs = [(layer, "weight") for layer in chosen]
        prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=sparsity)
    else:
        for layer in chosen:
            amount = min(round(sparsity * layer.weight.shape[0]), layer.weight.shape[0] - 1)
            prune.ln_structured(layer, "weight", amount=amount, n=2, dim=0)
    for layer in chosen:
        if lasting:
            prune.remove(layer, "weight")
    return copied


def loop(model: nn.Module, granularity: str, sparsity: float, loader: DataLoader[Any]) -> int:
    """Return the right answers at a sparsity, the usual way."""
    copied = pruned(model, granularity, sparsity, lasting=False)
    with torch.no_grad():
        return sum(int((copied(x).argmax(1) == y).sum()) for x, y in loader)


def tune(
    model: nn.Module, inputs: Tensor, targets: Tensor
) -> tuple[Callable[[nn.Module], int], str]:
    """Return the fastest loop over tensors for this network, and what it uses."""
    usual = torch.get_num_threads()
    best: tuple[float, Callable[[nn.Module], int], str] | None = None
    sample, labels = inputs[:2000], targets[:2000]
    for threads, last, batch in product({1, usual}, (False, True), (32, 64, 128, 256, 512, 1000)):
        run = tensor_loop(sample, labels, batch, threads, channels_last=last)
        times = []
        for _ in range(3):
            copied = copy.deepcopy(model)
            start = perf_counter()
            run(copied)
            times.append(perf_counter() - start)
        if best is None or min(times) < best[0]:
            layout = "channels-last" if last else "usual"
            text = f"batches of {batch}, {threads} thread(s), {layout} layout"
            found = tensor_loop(inputs, targets, batch, threads, channels_last=last)
            best = min(times), found, text
    assert best is not None
    return best[1], best[2]


def tensor_loop(
    inputs: Tensor, targets: Tensor, batch: int, threads: int, *, channels_last: bool
) -> Callable[[nn.Module], int]:
    """Return a function that counts right answers with these settings."""

    def run(model: nn.Module) -> int:
        if channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.inference_mode(), pace.threads(threads):
            parts = zip(inputs.split(batch), targets.split(batch), strict=True)
            return sum(int((model(x).argmax(1) == y).sum()) for x, y in parts)

    return run
