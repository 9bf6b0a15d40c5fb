"""Plans of one ranking at given costs: so much sparsity, so many parameters or multiply-adds."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from prunevis.errors import SpecError
from prunevis.graph.cost import CostModel
from prunevis.pruning.cuts import Ranking
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.targets import SLACK, Shares

#: What networks can be made equal in.
MEASURES = ("sparsity", "params", "macs")


def check_measure(at: object) -> str:
    """Return `at` if it is one of `MEASURES`; else raise SpecError."""
    if at not in MEASURES:
        raise SpecError(
            "Networks are compared at equal sparsity, parameters or multiply-adds.",
            expected=", ".join(map(repr, MEASURES)),
            got=repr(at)[:80],
            where="at",
        )
    return str(at)


def equal_steps(
    ranking: Ranking, costs: CostModel, at: str, shares: Sequence[float]
) -> Generator[None, None, list[PruningPlan | None]]:
    """Return, for each share, the plan after which at least that is gone, and no more than must be.

    It yields between two of them.

    Parameters
    ----------
    ranking
        Every cut of it is a candidate: one more weight or unit at a time.
    costs
        The arithmetic of the same network.
    at
        One of `MEASURES`. "sparsity": the share of prunable weights or units. Otherwise of all
        parameters or multiply-adds of the network; of weights, as if zeros were skipped.
    shares
        Each in [0, 1).

    Returns
    -------
    list
        None where even the last cut leaves more: something of each layer always stays.
    """
    if at == "sparsity":
        return [ranking.plan(share) for share in shares]
    solved = Shares(ranking, at, costs)
    end = (1 - solved.least) * (1 + SLACK)
    plans: list[PruningPlan | None] = []
    for share in shares:
        yield
        plans.append(ranking.plan(solved.sparsity(1 - share)) if share <= end else None)
    return plans
