"""How well every criterion agrees with the oracle on the networks of the zoo: `docs/agreement.md`.

Spearman's ρ as in table 1 of Molchanov et al. 2016, for LeNet-300-100, LeNet-5 and ResNet-8 on
Fashion-MNIST; on one thread, some minutes.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

import prunevis as pv
from benchmarks import page
from prunevis.evaluation import Agreement, Oracle
from prunevis.evaluation.agreement import compare
from prunevis.evaluation.pace import threads

TITLE = "Criteria against the oracle: Spearman's rank correlation on the zoo"
MODELS = ("lenet-300-100", "lenet5", "resnet8")
#: Examples of the oracle, and of the statistics that criteria read.
IMAGES, EXAMPLES = 1024, 1024

#: Molchanov et al. 2016, first version, tables 1 and 2: per layer, all layers raw, all layers L2.
PUBLISHED = (
    ("Taylor", "VGG-16, Birds-200", "0.73", "0.14", "0.73"),
    ("Activation, std", "VGG-16, Birds-200", "0.57", "0.30", "0.66"),
    ("Activation, mean", "VGG-16, Birds-200", "0.56", "0.35", "0.64"),
    ("Mutual information", "VGG-16, Birds-200", "0.28", "0.35", "0.47"),
    ("Weight (L2)", "VGG-16, Birds-200", "0.27", "0.34", "0.33"),
    ("Taylor", "AlexNet, ImageNet", "0.58", "–", "0.55"),
    ("Weight (L2)", "AlexNet, ImageNet", "0.57", "0.67", "0.44"),
    ("Activation", "AlexNet, ImageNet", "0.11", "0.0", "0.1"),
)

INTRODUCTION = """\
# How good is a criterion?

    python -m benchmarks agreement

The oracle removes each unit by itself and measures how much the loss changes: `|C(D; W without i)
− C(D; W)|`, the "oracle-abs" of Molchanov et al. 2016. A criterion is as good as its order of units
is like the oracle's, which Spearman's ρ measures: 1 the same order, 0 chance, −1 the reverse.

* **per layer**: ρ within each layer (channel group), averaged over layers;
* **all, raw**: ρ over the units of all layers, scores as they are;
* **all, L2**: the same with scores divided by the L2 norm of their layer's. Dividing says
  something by itself, since scores of a narrow layer come out larger and narrow layers matter more:
  hold these figures against the row of random scores, not against 0.

Criteria read the same examples as the oracle, as in the paper, and so share its noise: the column
**others** is ρ per layer with scores from other examples (the same where a criterion reads none).
The row *oracle, other examples* is the oracle measured again on these: of so few examples it is
noisy itself, and that row says how much. A criterion may do better than that row even on other
examples: Taylor's mean of absolute values is steadier than the absolute value of a mean.

Random is a mean of 20 draws. Time is that of scoring alone; the pass over the data is shared by
all.

In code: `pv.agreement(model, data)`; on the page: the tab *Criteria*.
"""

FOR_CONTEXT = """\
## For context: other networks, other data

Molchanov, Tyree, Karras, Aila and Kautz, *Pruning Convolutional Neural Networks for Resource
Efficient Inference* (arXiv 1611.06440), first version, tables 1 and 2. **None of these was measured
here**; networks, data and numbers of units are others, so compare the order of criteria, not the
figures.
"""


def write(folder: Path, *, quick: bool = False) -> Path:
    """Measure and write ``agreement.md`` with its figures into `folder`; return the page."""
    begin = time.perf_counter()
    parts = [INTRODUCTION]
    images, examples = (32, 64) if quick else (IMAGES, EXAMPLES)
    with threads(1):
        for name in MODELS[:1] if quick else MODELS:
            parts.append(section(folder, name, images, examples))
        parts.append(FOR_CONTEXT)
        head = ("criterion", "network", "per layer", "all, raw", "all, L2")
        parts.append(page.table(head, PUBLISHED))
        parts.append(page.made_on(time.perf_counter() - begin))
    path = folder / "agreement.md"
    path.write_text("\n\n".join(part.strip() for part in parts) + "\n", "utf-8")
    return path


def section(folder: Path, name: str, images: int, examples: int) -> str:
    """Measure one network; return its part of the page."""
    model, data = pv.load_model(name), pv.load_data()
    found = pv.agreement(model, data, images=images, max_examples=examples)
    # other examples: for the oracle, and for the criteria against the first oracle
    again = pv.oracle(model, data, images=images, seed=1)
    other = pv.agreement(model, data, max_examples=examples, oracle=found.oracle, seed=1)
    pictures = [
        page.figure(
            folder,
            f"agreement-{name}{'' if show == 'summary' else '-layers'}",
            pv.plots.agreement(found, show=show),
            pv.plots.alt.agreement(found),
        )
        for show in ("summary", "layers")
    ]
    return "\n\n".join(
        [
            f"## {pv.MODELS[name].label}",
            said(found),
            rows(found, other, again),
            " ".join(pictures),
            left_out(found),
        ]
    ).strip()


def said(found: Agreement) -> str:
    """Return what was measured, and which criteria came out best."""
    oracle, known = found.oracle, [row for row in found.rows if row.mean == row.mean]
    best = sorted(known, key=lambda row: -row.mean)[:3]
    names = ", ".join(f"{row.label} ({page.number(row.mean)})" for row in best)
    worse = [row.label for row in known if row.criterion != "random" and row.mean <= 0]
    text = (
        f"{oracle.num_units:,} units, oracle on {oracle.num_examples:,} {oracle.split}ing images "
        f"in {page.seconds(oracle.seconds)}, statistics from {found.num_examples:,} in "
        f"{page.seconds(found.statistics_seconds)}. Loss {oracle.loss:.3f} nats; the most that one "
        f"unit changes it is {max(float(c.abs().max()) for c in oracle.change.values()):.3f}, and "
        f"{better(oracle):.0%} of the units are better left out. Best within layers: {names}."
    )
    if worse:
        text += f" Within layers no better than chance: {', '.join(worse)}."
    return text


def better(oracle: Oracle) -> float:
    """Return the share of units without which the loss is lower."""
    every = torch.cat(list(oracle.change.values()))
    return float((every < 0).double().mean())


def rows(found: Agreement, other: Agreement, again: Oracle) -> str:
    """Return the table of a network, best within layers first."""
    layers, raw, scaled = compare(again.absolute, found.oracle.absolute)
    mean = sum(layers.values()) / len(layers)
    lines = [("*oracle, other examples*", *map(page.number, (mean, raw, scaled, mean)), "")]
    for row in sorted(found.rows, key=lambda r: -r.mean if r.mean == r.mean else 9):
        values = map(page.number, (row.mean, row.raw, row.normalised, other[row.criterion].mean))
        lines.append((f"{row.label} (`{row.criterion}`)", *values, page.seconds(row.seconds)))
    head = ("criterion", "per layer", "all, raw", "all, L2", "others", "scoring")
    return page.table(head, lines)


def left_out(found: Agreement) -> str:
    """Return which criteria have no row or gaps, and why."""
    lines = [f"* `{name}` has no row: {why}" for name, why in found.skipped.items()]
    for row in found.rows:
        if row.note and row.criterion != "random":
            lines.append(f"* `{row.criterion}`: {row.note}")
    return "\n".join(lines)
