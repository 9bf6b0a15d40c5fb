"""How many of 10,000 images an accuracy within 0.5 points takes, against a plain sample.

For every zoo model and granularity, at all positions of the slider where pruning costs at most two
points of accuracy: the first number of images whose 95 % interval is no wider than ±0.5 points
(whether the interval is true is what `coverage` measures, from 128 images up, so no fewer are
counted here), and no wider than ±1 point. The baseline is a plain sample without replacement with
Wilson's interval.
"""

from __future__ import annotations

import statistics
from collections import defaultdict

import numpy as np

from benchmarks.outcomes import POSITIONS, cells, one_thread, outcome
from benchmarks.record import Figure, Report
from prunevis.evaluation import Reference
from prunevis.evaluation.sampling import FlipDesign, Strata
from prunevis.evaluation.tallies import FlipTally, PlainTally

TITLE = "Images for an accuracy within 0.5 points, where pruning costs at most 2 points"
#: Points that pruning may cost.
LARGEST_DROP = 2.0
#: Half-widths in points.
WIDTHS = (0.5, 1.0)
#: Images between two looks at the interval.
STEP = 16
PLAIN, DENSE = "plain sample", "unpruned model known"
#: Ours at most, in % of the plain sample's images: 8 times fewer.
SHARE = 12.5
#: Images of the first answer, the fewest that are counted.
FIRST = 128
GAPS = (1, 2, 5, 10)


def measure(*, quick: bool = False) -> Report:
    """Return images needed at every position, by what is known, and ours in % of the plain."""
    where = [("lenet-300-100", "weight")] if quick else cells()
    places = (20, 40) if quick else tuple(range(1, len(POSITIONS)))
    gaps = GAPS[:1] if quick else GAPS
    seeds = 1 if quick else 5
    needed: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    shares: dict[str, list[tuple[float, str]]] = defaultdict(list)
    with one_thread():
        for name, granularity in where:
            dense = outcome(name, granularity, 0)
            for place in places:
                truth = outcome(name, granularity, POSITIONS[place])
                drop = 100 * (dense.right.mean() - truth.right.mean())
                if drop > LARGEST_DROP:
                    continue
                label = f"{name}, {granularity}, {POSITIONS[place]} %, drop {drop:.2f}"
                plain = images(None, truth, seeds)
                needed[PLAIN].append((*plain, label))
                for way, known in references(name, granularity, place, gaps).items():
                    found = images(known, truth, seeds)
                    needed[way].append((*found, label))
                    shares[way].append((100 * found[0] / plain[0], label))
    return summary(needed, shares)


def references(
    name: str, granularity: str, place: int, gaps: tuple[int, ...]
) -> dict[str, Reference]:
    """Return what may be known at a position, by name."""
    dense = outcome(name, granularity, 0)
    found = {DENSE: dense}
    at = float(place)
    for gap in gaps:
        below = {0.0: dense, at - gap: outcome(name, granularity, POSITIONS[max(0, place - gap)])}
        if place > gap:
            found[f"exact {gap} below"] = Reference.nearest(at, below)
        if place > gap and place + gap < len(POSITIONS):
            above = {at + gap: outcome(name, granularity, POSITIONS[place + gap])}
            found[f"exact {gap} on both sides"] = Reference.nearest(at, {**below, **above})
    return found


def images(known: Reference | None, truth: Reference, seeds: int) -> tuple[float, float]:
    """Return the median number of images for each of `WIDTHS`."""
    found = []
    for seed in range(seeds):
        tally = (
            PlainTally(Strata.of([np.arange(truth.total)], seed))
            if known is None
            else FlipTally(FlipDesign.of(known, seed))
        )
        need = [0, 0]
        while not all(need):
            for part in tally.batches(STEP if tally.seen else FIRST):
                tally.record(truth.right[part], truth.margin[part])
            _, low, high = tally.interval()
            half = 50 * (high - low) / truth.total
            need = [
                n or (tally.seen if half <= w else 0) for n, w in zip(need, WIDTHS, strict=True)
            ]
        found.append(need)
    half_point, point = (statistics.median(column) for column in zip(*found, strict=True))
    return half_point, point


def summary(
    needed: dict[str, list[tuple[float, float, str]]], shares: dict[str, list[tuple[float, str]]]
) -> Report:
    """Return figures by what is known; notes name the positions that need most."""
    figures, notes = [], []
    for way, rows in needed.items():
        figures.append(
            Figure(f"±{WIDTHS[0]} points, {way}", "images", tuple(row[0] for row in rows))
        )
    for way, found in shares.items():
        figures.append(
            Figure(
                f"±{WIDTHS[0]} points, {way}, of the plain sample",
                "%",
                tuple(share for share, _ in found),
                SHARE,
                "median" if way == DENSE else "p95",
            )
        )
        worst, label = max(found)
        notes.append(
            f"{way}: {100 / statistics.median(s for s, _ in found):.1f} times fewer in the median, "
            f"{100 / worst:.1f} times at worst ({label}); "
            f"{sum(s > SHARE for s, _ in found)} of {len(found)} positions under 8 times."
        )
    for way, rows in needed.items():
        if way != PLAIN:
            figures.append(
                Figure(f"±{WIDTHS[1]:g} point, {way}", "images", tuple(r[1] for r in rows), FIRST)
            )
    return Report(tuple(figures), notes=tuple(notes))
