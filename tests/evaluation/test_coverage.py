"""The promise of every interval: it holds the exact figure in at least 93 % of repetitions."""

import numpy as np
import pytest

from prunevis.evaluation.intervals import Z, wilson
from prunevis.evaluation.references import Reference
from prunevis.evaluation.sampling import FlipDesign, MeanDesign
from prunevis.evaluation.tallies import FlipTally, MeanTally

TOTAL = 4000
STAGES = (128, 512, 2000)
REPEATS = 500


def population(kind):
    """Return a reference, and a candidate's correctness and margins on the same examples."""
    rng = np.random.default_rng(0)
    margin = np.where(rng.random(TOTAL) < 0.1, -rng.exponential(2, TOTAL), rng.gamma(2, 3, TOTAL))
    noise = {"slight": 0.2, "medium": 1.0, "ruined": 15.0, "two flips": 0.0, "class lost": 0.1}
    now = margin + noise[kind] * rng.standard_t(4, TOTAL)
    if kind == "ruined":
        now -= 8
    if kind == "class lost":  # whatever the margin
        now = np.where(rng.random(TOTAL) < 0.3, -1.0, now)
    if kind == "two flips":
        now[np.argsort(np.abs(margin))[[3, 40]]] *= -1
    return Reference(margin > 0, margin.astype(np.float32)), now > 0, now


def simulate(make, stages, record):
    """Return value, low and high of shape (repeats, stages, 3)."""
    found = np.empty((REPEATS, len(stages), 3))
    for seed in range(REPEATS):
        tally = make(seed)
        for k, stage in enumerate(stages):
            for images in tally.batches(stage - tally.seen):
                record(tally, images)
            found[seed, k] = tally.interval()
    return found


def check(found, truth, kind, *, smallest):
    """Assert coverage, and widths near the ideal where that is at least `smallest`."""
    value, low, high = np.moveaxis(found, 2, 0)
    ideal = 2 * Z * value.std(0)
    for k, stage in enumerate(STAGES):
        covered = ((low[:, k] <= truth) & (truth <= high[:, k])).mean()
        assert covered >= 0.93, f"{kind}, {stage} images: {covered:.3f}"
        if ideal[k] >= smallest:
            ratio = (high - low)[:, k].mean() / ideal[k]
            assert ratio < 1.3, f"{kind}, {stage} images: {ratio:.2f}"
        assert abs(value[:, k].mean() - truth) < max(0.1 * ideal[k], 0.001 * TOTAL)


@pytest.mark.parametrize("kind", ["two flips", "slight", "medium", "ruined", "class lost"])
def test_intervals_of_the_paired_estimate_cover(kind):
    reference, correct, margin = population(kind)
    found = simulate(
        lambda seed: FlipTally(FlipDesign.of(reference, seed)),
        STAGES,
        lambda tally, images: tally.record(correct[images], margin[images]),
    )
    check(found, correct.sum(), kind, smallest=0.01 * TOTAL)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_plain_intervals_cover(share):
    rng, right = np.random.default_rng(2), round(share * TOTAL)
    for stage in STAGES:
        drawn = rng.hypergeometric(right, TOTAL - right, stage, 2000)
        bounds = {x: wilson(int(x), stage, population=TOTAL) for x in set(drawn)}
        covered = np.mean([bounds[x][0] <= right / TOTAL <= bounds[x][1] for x in drawn])
        assert covered >= 0.93, f"{share}, {stage} images: {covered:.3f}"


@pytest.mark.parametrize("kind", ["loss", "error", "nothing known"])
def test_intervals_of_a_mean_cover(kind):
    rng = np.random.default_rng(3)
    known = rng.exponential(0.3, TOTAL) ** 2 if kind == "loss" else rng.normal(0, 1, TOTAL) ** 2
    noise = 0.3 * rng.normal(0.2, 1, TOTAL)
    values = known * np.exp(noise) if kind == "loss" else known + noise
    reference = None if kind == "nothing known" else known
    found = simulate(
        lambda seed: MeanTally(MeanDesign.of(reference, TOTAL, seed)),
        STAGES,
        lambda tally, images: tally.record(values[images]),
    )
    ideal = 2 * Z * found[:, :, 0].std(0)
    check(found, values.mean(), kind, smallest=ideal.min())
