"""Many positions of a curve, measured so that neighbours share what they have in common."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch

from prunevis.data import Examples
from prunevis.evaluation.engine import Engine
from prunevis.evaluation.estimate import AccuracyEstimate, Sampler
from prunevis.evaluation.exact import Evaluation
from prunevis.evaluation.together import Together
from prunevis.pruning.plan import PruningPlan
from prunevis.steps import reported


def baseline_steps(
    engine: Engine, sampler: Sampler
) -> Generator[AccuracyEstimate | None, None, Evaluation]:
    """Choose how to run the network and return its exact evaluation; yields between batches.

    Parameters
    ----------
    engine
        Of the network.
    sampler
        Without a baseline: this is to be one.

    Raises
    ------
    ModelError, DataError, NonFiniteError
        As `evaluate`.
    """
    for _ in engine.tune_steps(sampler.examples.inputs):
        yield None
    together = Together(engine, sampler, [None])
    for _, estimate in together.steps():
        yield estimate
    return together.streams[0].evaluation()


def prepare_steps(
    engine: Engine,
    examples: Examples,
    baseline: Evaluation | None,
    plan: PruningPlan | None,
    *,
    seed: int,
    device: torch.device | str | None,
) -> Generator[None, None, tuple[Sampler, Evaluation]]:
    """Choose how to run candidates like that of `plan`; return what they are measured with.

    Parameters
    ----------
    engine, examples
        Of the network.
    baseline
        Of the network on the examples; None to measure it.
    plan
        A typical one, if there is one.
    seed, device
        As for `Sampler`.
    """
    if baseline is None:
        alone = Sampler(examples, seed=seed, device=device)
        baseline = yield from reported(baseline_steps(engine, alone), None)
    else:
        yield from engine.tune_steps(examples.inputs)
    if plan is not None and plan.granularity == "unit" and not engine.large:
        yield from engine.tune_steps(examples.inputs, plan)
    return Sampler(examples, baseline, seed=seed, device=device), baseline


def measure_plans(
    engine: Engine, sampler: Sampler, plans: Sequence[PruningPlan], images: int | None = None
) -> Generator[None, None, list[AccuracyEstimate]]:
    """Return the accuracy under each of `plans`, as `Together` takes them; yields between batches.

    Plans that remove the same are measured once, and one that removes nothing has the accuracy of
    the sampler's baseline.

    Parameters
    ----------
    images
        Images run for each; None for all.
    """
    found: dict[tuple[int, ...], AccuracyEstimate] = {}
    keys = [tuple(plan.removed.values()) for plan in plans]
    if sampler.baseline is not None:
        known, total = sampler.baseline.accuracy, sampler.total
        nothing = AccuracyEstimate(known, known, known, total, total, True)
        found.update({key: nothing for key in keys if not any(key)})
    wanted = {key: plan for key, plan in zip(keys, plans, strict=True) if key not in found}
    if wanted:
        together = Together(engine, sampler, list(wanted.values()))
        for _ in together.steps(images, every=False):
            yield
        for key, stream in zip(wanted, together.streams, strict=True):
            assert stream.estimate is not None
            found[key] = stream.estimate
    return [found[key] for key in keys]


def blocks(count: int, size: int) -> list[list[int]]:
    """Return the positions 0 to `count` - 1 in blocks: ends, a coarse grid, then neighbours.

    Neighbours share most of what is computed; but a curve of which the ends and every eighth is
    known says more than one known in full up to somewhere.

    Parameters
    ----------
    count
        Number of positions.
    size
        Most positions in a block, from 1.

    Examples
    --------
    >>> blocks(12, 3)
    [[0, 11], [1, 2, 3], [5, 6, 8], [9], [4, 7, 10]]
    """
    order = coarse_to_fine(count)
    parts = [sorted(order[:2]), sorted(order[2:9]), sorted(order[9:])]
    return [part[k : k + size] for part in parts for k in range(0, len(part), size)]


def coarse_to_fine(count: int) -> list[int]:
    """Return the positions 0 to `count` - 1: both ends, the middle, the quarters, and so on.

    Examples
    --------
    >>> coarse_to_fine(9)
    [0, 8, 4, 2, 6, 1, 3, 5, 7]
    """
    order = [0, count - 1][:count]
    gaps = [(0, count - 1)]
    for low, high in gaps:  # grows while it is read: breadth first
        if high - low > 1:
            middle = (low + high) // 2
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return order
