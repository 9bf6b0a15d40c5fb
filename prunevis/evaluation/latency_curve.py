"""Measured latency along a trade-off: the networks of its points, timed in turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from prunevis.data import as_data
from prunevis.evaluation.latency import REPEATS, latency_steps
from prunevis.evaluation.latency_records import Latency
from prunevis.evaluation.oneshot import zeroed
from prunevis.evaluation.tradeoff import Tradeoff
from prunevis.graph.trace import trace
from prunevis.pruning.ranking import rank
from prunevis.pruning.removal import remove
from prunevis.pruning.targets import Shares
from prunevis.steps import finished


def tradeoff_latency(
    model: nn.Module,
    tradeoff: Tradeoff,
    data: Any,
    *,
    batch: int = 1,
    shares: Sequence[float] | None = None,
    repeats: int = REPEATS,
    threads: int | None = None,
    limit: float = 30.0,
) -> dict[float, Latency]:
    """Return how long the networks of a trade-off take, by the share removed; dense at 0.

    All are timed in turns in one run. Units are removed; single weights are only set to zero, which
    saves no time, and the figures will say so.

    Parameters
    ----------
    model, data
        What the trade-off was measured on.
    tradeoff
        From `prunevis.tradeoff`.
    batch, repeats, threads, limit
        As for `prunevis.latency`.
    shares
        Which of the trade-off's points, as asked there; None for all of them.

    Raises
    ------
    SpecError, ModelError
        As `prunevis.latency`, `rank` and `remove`.
    """
    checked = as_data(data)
    example = checked.test.inputs[:1]
    ranking = rank(model, tradeoff.spec, graph=trace(model, example), data=checked)
    cuts = Shares(ranking, tradeoff.spec.of)
    models: dict[str, nn.Module] = {"dense": model}
    names: dict[float, str] = {0.0: "dense"}
    for point in tradeoff.points:
        share = point.sparsity
        if share > 0 and (shares is None or share in shares):
            by_pieces = tradeoff.spec.of == "sparsity"
            plan = ranking.plan(share if by_pieces else cuts.sparsity(1 - share))
            names[share] = f"{share:g} removed"
            models[names[share]] = (
                remove(model, plan) if plan.granularity == "unit" else zeroed(model, plan)
            )
    steps = latency_steps(
        models, example, batches=batch, repeats=repeats, threads=threads, limit=limit
    )
    found = finished(steps)
    return {share: found[name, batch] for share, name in names.items()}
