"""Do the 95 % intervals of the anytime estimate hold the exact figure, and what do they cost?

Every cell is a zoo model, a granularity, a sparsity and what is known when the estimate starts:
nothing, the unpruned model, or the nearest exact positions on one or on both sides too. A cell is
repeated with many seeds; the estimate itself runs, only the model's answers are looked up. Per
stage (images seen) and cell: how many intervals miss the exact figure, and their mean width over
the ideal, which is the normal interval's for the variance that the estimates really have.

Where pruning changes next to nothing the ideal is next to zero, and no true interval is near it:
a sample without a flip is likely as long as fewer than three are expected in it, so the interval
must hold that many. So cells with an ideal half-width under `NEAR_ZERO` are held against an
absolute width instead.

The plain sample with Wilson's interval is the control: it misses in 5 % by construction, so what
its worst cell shows beyond that is the noise of as many repetitions.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from benchmarks.outcomes import cells, one_thread, outcome
from benchmarks.record import Figure, Report
from prunevis.evaluation import Reference
from prunevis.evaluation.intervals import Z
from prunevis.evaluation.sampling import FlipDesign, Strata
from prunevis.evaluation.tallies import FlipTally, PlainTally

TITLE = (
    "Coverage and width of the 95 % intervals: zoo models, both granularities, 5 to 95 % removed"
)
STAGES = (128, 256, 512, 1024, 2048, 4096)
#: Name -> how many percent below and above lies what is exact; None: the unpruned model only.
KNOWN: dict[str, tuple[int | None, int | None]] = {
    "unpruned model known": (None, None),
    "exact 5 points below": (5, None),
    "exact 5 points on both sides": (5, 5),
    "exact 1 point on both sides": (1, 1),
}
PLAIN = "plain sample"
#: An ideal half-width in points under which widths are reported as they are.
NEAR_ZERO = 0.1
MOST_MISSES, WIDEST, WIDEST_NEAR_ZERO = 7.0, 1.3, 1.0


def measure(*, quick: bool = False) -> Report:
    """Return misses in % and widths over the ideal, the worst cell and all, by stage."""
    repeats = 20 if quick else 500
    where = [("lenet-300-100", "weight")] if quick else cells()
    percents = (50,) if quick else tuple(range(5, 100, 5))
    ways = (PLAIN, *list(KNOWN)[:1]) if quick else (PLAIN, *KNOWN)
    rows: dict[tuple[str, int], list[tuple[float, float, float, str]]] = defaultdict(list)
    with one_thread():
        for name, granularity in where:
            for percent in percents:
                truth = outcome(name, granularity, percent)
                for way in ways:
                    known = reference(name, granularity, percent, way)
                    label = f"{name}, {granularity}, {percent} %, {way}"
                    for stage, row in zip(STAGES, cell(known, truth, repeats), strict=True):
                        rows[way, stage].append((*row, label))
    return summary(rows, repeats)


def reference(name: str, granularity: str, percent: int, way: str) -> Reference | None:
    """Return what is known in this way, None for nothing."""
    if way == PLAIN:
        return None
    known = {0.0: outcome(name, granularity, 0)}
    for side, gap in zip((-1, 1), KNOWN[way], strict=True):
        if gap is not None and 0 <= percent + side * gap <= 99:
            there = percent + side * gap
            known[float(there)] = outcome(name, granularity, there)
    return Reference.nearest(float(percent), known)


def cell(
    known: Reference | None, truth: Reference, repeats: int
) -> list[tuple[float, float, float]]:
    """Return (misses in %, mean half-width and ideal half-width in points) at each stage."""
    total = truth.total
    found = np.empty((repeats, len(STAGES), 3))
    for seed in range(repeats):
        tally = (
            PlainTally(Strata.of([np.arange(total)], seed))
            if known is None
            else FlipTally(FlipDesign.of(known, seed))
        )
        for k, stage in enumerate(STAGES):
            for images in tally.batches(stage - tally.seen):
                tally.record(truth.right[images], truth.margin[images])
            found[seed, k] = tally.interval()
    value, low, high = np.moveaxis(found, 2, 0)
    right = truth.right.sum()
    misses = 100 * ((right < low) | (right > high)).mean(0)
    points = 100 / total
    half = (high - low).mean(0) / 2 * points
    ideal = Z * value.std(0) * points
    return [(float(m), float(h), float(i)) for m, h, i in zip(misses, half, ideal, strict=True)]


def summary(
    rows: dict[tuple[str, int], list[tuple[float, float, float, str]]], repeats: int
) -> Report:
    """Return the worst cells against the bars, all cells, and the table as notes."""
    figures: list[Figure] = []
    notes = [
        f"{repeats} repetitions a cell. Misses: at most 7 % promised. Width: mean over the ideal, "
        f"where that is {NEAR_ZERO} points or more; where it is less, the half-width itself.",
    ]
    worst = defaultdict(list)
    for (way, stage), found in rows.items():
        missed = max(found)
        usual = [(h / i, label) for _, h, i, label in found if i >= NEAR_ZERO]
        near = [(h, label) for _, h, i, label in found if i < NEAR_ZERO]
        worst["plain" if way == PLAIN else "misses", stage].append(missed[0])
        worst["ratio", stage] += [r for r, _ in usual]
        worst["near", stage] += [h for h, _ in near]
        text = f"{way}, {stage:,} images: misses at most {missed[0]:.1f} % ({missed[3]})"
        if usual:
            mean = np.mean([r for r, _ in usual])
            text += f"; width {mean:.2f} of the ideal, at most {max(usual)[0]:.2f}"
            text += f" ({max(usual)[1]})" if max(usual)[0] > WIDEST else ""
        if near:
            text += f"; {len(near)} cells near zero, at most ±{max(near)[0]:.2f} points"
        notes.append(text + ".")
    for stage in STAGES:
        figures += [
            Figure(
                f"{stage:,} images, worst cell: intervals that miss",
                "%",
                (max(worst["misses", stage]),),
                MOST_MISSES,
            ),
            Figure(
                f"{stage:,} images, worst cell of the plain sample: intervals that miss",
                "%",
                (max(worst["plain", stage]),),
            ),
        ]
        if worst["ratio", stage]:
            ratios = tuple(worst["ratio", stage])
            figures += [
                Figure(f"{stage:,} images, all cells: width over ideal", "x", ratios, WIDEST),
                Figure(
                    f"{stage:,} images, worst cell: width over ideal", "x", (max(ratios),), WIDEST
                ),
            ]
        if worst["near", stage]:
            figures.append(
                Figure(
                    f"{stage:,} images, cells near zero: half-width",
                    "points",
                    tuple(worst["near", stage]),
                    WIDEST_NEAR_ZERO,
                )
            )
    return Report(tuple(figures), notes=tuple(notes))
