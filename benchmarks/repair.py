"""What repairs without training bring back on the networks of the zoo: `docs/repair.md`.

On one thread, some minutes. The last part needs the full Fashion-MNIST (``$PRUNEVIS_DATA`` or
Debian's package dataset-fashion-mnist): it trains a second LeNet-300-100 for ten epochs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import prunevis as pv
from benchmarks import record
from prunevis.data import Data, Examples
from prunevis.errors import DataError
from prunevis.evaluation.pace import threads
from prunevis.pruning import mending_of, rank
from prunevis.statistics import Statistics, collect_statistics
from prunevis.zoo.architectures import LeNet300100
from prunevis.zoo.build import DEBIAN, read_full

TITLE = "Repair without training"
EXAMPLES = 4096
SPARSITIES = (0.3, 0.5, 0.7, 0.8)
NORMS = ("least-squares", "batchnorm", "least-squares-batchnorm")
#: What ours is held against: Kim et al. 2020, table of LeNet-300-100 on Fashion-MNIST, L1.
PUBLISHED = {0.5: (88.40, 88.69), 0.7: (71.26, 82.75), 0.8: (66.76, 80.02)}

INTRODUCTION = """\
# Repair without training

    python -m benchmarks repair

Units are removed, the same share of every layer, and the test accuracy (10,000 images, exact, in %)
is measured at once: nothing is trained. What a repair reads comes from {examples:,} training
images; the last column is what the repair of all layers takes, in ms on one thread.
"""


def write(folder: Path, *, quick: bool = False) -> Path:
    """Measure, and write ``repair.md`` into `folder`."""
    models = ("lenet-300-100",) if quick else ("lenet-300-100", "lenet5", "resnet8", "mobile")
    sparsities = (0.7,) if quick else SPARSITIES
    parts = [INTRODUCTION.format(examples=EXAMPLES)]
    with threads(1):
        data = pv.load_data()
        for name in models:
            model = pv.load_model(name)
            parts.append(table(name, model, data, sparsities))
            if name == "lenet-300-100":
                parts.append(margins(model, data, "the network of the zoo"))
        if not quick:
            parts.append(brief())
    machine = record.conditions()["machine"]
    parts.append(
        f"Measured with torch {machine['torch']} on Python {machine['python']}, one thread of "
        f"{machine['cpus']} CPUs.\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "repair.md"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def read(model: nn.Module, data: Data, graph: pv.ModelGraph) -> Statistics:
    """Return what layers read."""
    return collect_statistics(
        model, data, graph=graph, max_examples=EXAMPLES, activations=False, inputs=True
    )


def accuracies(
    model: nn.Module,
    data: Data,
    statistics: Statistics,
    criterion: str,
    repair: str,
    sparsities: Sequence[float],
) -> tuple[list[float], float]:
    """Return test accuracies in %, and the mean milliseconds of a repair."""
    graph = pv.trace(model, data.test.inputs[:1])
    spec = pv.PruningSpec.make(criterion, "unit", "layer")
    ranking = rank(model, spec, graph=graph, statistics=statistics)
    ranking = ranking.mended(mending_of(repair, model, graph, statistics=statistics, data=data))
    found, took = [], 0.0
    for sparsity in sparsities:
        plan = ranking.plan(sparsity)
        start = time.perf_counter()
        pv.repaired(model, plan)
        took += time.perf_counter() - start
        found.append(100 * pv.evaluate(pv.remove(model, plan), data).accuracy)
    return found, 1000 * took / len(sparsities)


def table(name: str, model: nn.Module, data: Data, sparsities: Sequence[float]) -> str:
    """Return the accuracies of a network as a section of the page."""
    graph = pv.trace(model, data.test.inputs[:1])
    statistics = read(model, data, graph)
    dense = 100 * pv.evaluate(model, data).accuracy
    heads = [f"{sparsity:.0%}" for sparsity in sparsities]
    lines = [
        f"## {name}, {dense:.2f} % as it came\n",
        f"| chosen by | repair | {' | '.join(heads)} | ms |",
        f"|---|---|{'--:|' * len(heads)}--:|",
    ]
    normed = any(tensor.endswith("running_mean") for tensor in graph.tensors)
    repairs = [
        entry
        for entry in pv.REPAIRS
        if "unit" in pv.REPAIRS[entry].granularities and (normed or "batchnorm" not in entry)
    ]
    best = [entry for entry in repairs if entry in NORMS]
    rows = [("l2", entry) for entry in repairs]
    rows += [("reconstruction", entry) for entry in ("none", *best)]
    for criterion, repair in rows:
        found, took = accuracies(model, data, statistics, criterion, repair, sparsities)
        cells = " | ".join(f"{value:.2f}" for value in found)
        lines.append(f"| {criterion} | {repair} | {cells} | {took:.0f} |")
    return "\n".join(lines) + "\n"


def margins(model: nn.Module, data: Data, which: str) -> str:
    """Return our gains over deletion beside the published ones, by L1 as these are."""
    graph = pv.trace(model, data.test.inputs[:1])
    statistics = read(model, data, graph)
    found = {
        repair: accuracies(model, data, statistics, "l1", repair, list(PUBLISHED))[0]
        for repair in ("none", "merge", "noiseout", "least-squares")
    }
    lines = [
        f"Chosen by L1 as in Kim et al. 2020 (Neuron Merging), {which}; points gained over "
        "deletion in brackets:\n",
        "| removed | only deleted | merge | noiseout | least-squares "
        "| published: deleted, merged |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for k, (sparsity, (deleted, merged)) in enumerate(PUBLISHED.items()):
        plain = found["none"][k]
        cells = [f"{sparsity:.0%}", f"{plain:.2f}"]
        cells += [
            f"{found[repair][k]:.2f} ({found[repair][k] - plain:+.2f})"
            for repair in ("merge", "noiseout", "least-squares")
        ]
        cells.append(f"{deleted:.2f}, {merged:.2f} ({merged - deleted:+.2f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def brief() -> str:
    """Return the same for a LeNet-300-100 trained for ten epochs, as a textbook would."""
    folder = Path(os.environ.get("PRUNEVIS_DATA", DEBIAN))
    try:
        parts = {part: read_full(folder, part) for part in ("train", "t10k")}
    except DataError:
        return "The full Fashion-MNIST was not there, so no second network was trained.\n"
    pairs = {
        part: ((torch.tensor(images)[:, None] / 255 - 0.5) / 0.5, torch.tensor(labels).long())
        for part, (images, labels) in parts.items()
    }
    model = trained(*pairs["train"])
    chosen = torch.randperm(60_000, generator=torch.Generator().manual_seed(0))[: 2 * EXAMPLES]
    inputs, targets = pairs["train"]
    data = Data(train=Examples(inputs[chosen], targets[chosen]), test=Examples(*pairs["t10k"]))
    head = (
        "## A LeNet-300-100 trained for ten epochs\n\n"
        "On all 60,000 images scaled to [−1, 1], SGD with momentum 0.9, one cycle up to 0.1, "
        "weight decay 5e-4, seed 0: the networks of the zoo are trained longer, with shifted "
        "images, and have less to spare.\n"
    )
    found = table("lenet-300-100, ten epochs", model, data, SPARSITIES)
    return "\n".join([head, found, margins(model, data, "this network")])


def trained(inputs: torch.Tensor, targets: torch.Tensor) -> nn.Module:
    """Return a network after ten epochs; about a minute."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LeNet300100()
        steps = 10 * -(-len(inputs) // 128)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)
        for _ in range(10):
            for batch in torch.randperm(len(inputs)).split(128):
                optimizer.zero_grad()
                F.cross_entropy(model(inputs[batch]), targets[batch]).backward()
                optimizer.step()
                schedule.step()
    return model.eval()
