"""Criteria on one trade-off, at equal sparsity, parameters or multiply-adds: `docs/race.md`.

On the networks of the zoo, without fine-tuning; on one thread, some minutes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import prunevis as pv
from benchmarks import page
from prunevis.evaluation import Race
from prunevis.evaluation.pace import threads

TITLE = "A race of criteria at equal cost on the zoo"
SEEDS = (0, 1, 2)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
UNITS = ("l2", "taylor-2019", "mean-activation", "apoz", "thinet", "activation-correlation")
WEIGHTS = ("magnitude", "wanda", "snip", "obd", "synflow")
WORDS = {"sparsity": "sparsity", "params": "parameters", "macs": "multiply-adds"}


@dataclass(frozen=True)
class Heat:
    """One race: which network and criteria, in what pieces, what is equal, on how many images."""

    model: str
    criteria: Sequence[str]
    granularity: str
    scope: str
    at: str
    images: int | None = None

    @property
    def name(self) -> str:
        return f"race-{self.model}-{self.granularity}-{self.at}"


HEATS = (
    Heat("lenet-300-100", UNITS, "unit", "layer", "params"),
    Heat("lenet5", UNITS, "unit", "layer", "params"),
    Heat("lenet5", UNITS, "unit", "layer", "macs"),
    Heat("resnet8", UNITS, "unit", "layer", "macs", 2000),
    Heat("lenet-300-100", WEIGHTS, "weight", "global", "sparsity"),
)

INTRODUCTION = """\
# A race of criteria

    python -m benchmarks race

Every criterion prunes the same trained network until the same share of its parameters or
multiply-adds is gone (to within one unit or weight), and what is left is measured on the test
images, without fine-tuning and without repair. Chance takes part.

Criteria run with three seeds: each draws another calibration sample of 1,024 training images, and
other random scores. The network stays the same, so the spread (± one sample standard deviation, the
band from worst to best) is that of the criterion and its sample, not of training. Criteria that
read weights only draw nothing: they are one line, run once and without ±. **time** is that of
scoring: the pass over the data that this criterion needs alone, and ranking; the median of its
seeds. What is equal matters: look at LeNet-5 twice.

A criterion that knows best what *one* unit is worth (`agreement.md`: Taylor) need not lead here,
where many leave at once and stand in for each other: greedy reconstruction sees that, a score unit
by unit does not.

In code: `pv.race(model, data, criteria, at="macs")`; on the page: the tab *Criteria*.
"""


def write(folder: Path, *, quick: bool = False) -> Path:
    """Run all races and write ``race.md`` with its figures into `folder`; return the page."""
    begin = time.perf_counter()
    parts = [INTRODUCTION]
    with threads(1):
        for heat in HEATS[:1] if quick else HEATS:
            parts.append(section(folder, heat, quick=quick))
        parts.append(page.made_on(time.perf_counter() - begin))
    path = folder / "race.md"
    path.write_text("\n\n".join(part.strip() for part in parts) + "\n", "utf-8")
    return path


def section(folder: Path, heat: Heat, *, quick: bool) -> str:
    """Run one race; return its part of the page."""
    found = pv.race(
        pv.load_model(heat.model),
        pv.load_data(),
        ("l2", "apoz") if quick else heat.criteria,
        seeds=SEEDS[:2] if quick else SEEDS,
        at=heat.at,
        granularity=heat.granularity,
        scope=heat.scope,
        shares=(0.3, 0.6) if quick else SHARES,
        images=50 if quick else heat.images,
    )
    picture = page.figure(folder, heat.name, pv.plots.race(found), pv.plots.alt.race(found))
    pieces = "units" if heat.granularity == "unit" else "weights"
    scope = "each layer its share" if heat.scope == "layer" else "one ranking over all layers"
    images = "all 10,000 test images, exact"
    if heat.images is not None:
        images = (
            f"{heat.images:,} test images for each network, an estimate within about "
            f"{100 * widest(found):.1f} points"
        )
    of = "" if heat.at == "sparsity" else f" of all {WORDS[heat.at]}"
    about = (
        f"Pruned by {pieces}, {scope}; dense {found.baseline.accuracy:.2%}. Accuracy in % where as "
        f"much as a column's head says is gone{of}, on {images}. {order(found)}"
    )
    title = f"## {pv.MODELS[heat.model].label}, {pieces}, at equal {WORDS[heat.at]}"
    return "\n\n".join([title, about, rows(found), picture])


def widest(found: Race) -> float:
    """Return the largest half-width of an estimate's interval."""
    points = (p for racer in found.racers for run in racer.runs for p in run.points if p)
    return max((p.estimate.high - p.estimate.low) / 2 for p in points)


def order(found: Race) -> str:
    """Return who leads where half is gone, and who does no better than chance there."""
    place = int(np.argmin(np.abs(np.array(found.shares) - 0.5)))
    at = {racer.label: float(racer.mean[place]) for racer in found.racers}
    chance = float(found["random"].mean[place])
    known = {label: value for label, value in at.items() if value == value}
    if not known:
        return ""
    best = max(known, key=lambda label: known[label])
    text = f"With {found.shares[place]:.0%} gone {best} leads with {known[best]:.1%}"
    beaten = [n for n, value in known.items() if value <= chance and n != found["random"].label]
    if beaten:
        text += f"; no better than chance ({chance:.1%}): {', '.join(beaten)}"
    return text + "."


def rows(found: Race) -> str:
    """Return the table of a race."""
    lines = []
    for racer in found.racers:
        several = len(racer.runs) > 1
        cells = []
        for mean, std in zip(racer.mean, racer.std, strict=True):
            spread = f" ± {100 * std:.1f}" if several and std == std else ""
            cells.append("–" if mean != mean else f"{100 * mean:.1f}{spread}")
        name = f"{racer.label} (`{racer.criterion}`)"
        lines.append((name, *cells, page.seconds(racer.seconds)))
    head = ("criterion", *(f"{share:.0%}" for share in found.shares), "time")
    return page.table(head, lines)
