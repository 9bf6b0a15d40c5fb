"""Plans of one ranking at a given cost: so much sparsity, so many parameters or multiply-adds."""

from __future__ import annotations

from prunevis.errors import SpecError
from prunevis.graph.cost import CostModel, ModelCost
from prunevis.pruning.cuts import Ranking
from prunevis.pruning.plan import PruningPlan

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


def gone(cost: ModelCost, at: str) -> float:
    """Return the share of the parameters or multiply-adds that is gone, in [0, 1].

    Of weights: those that are zero, and what would be saved if zeros were skipped. Of units: what
    removal saves.
    """
    if at == "params":
        return 1 - cost.nonzero_params / max(1, cost.base_params)
    return 1 - cost.effective_macs / max(1, cost.base_macs)


def equal_plan(ranking: Ranking, costs: CostModel, at: str, share: float) -> PruningPlan | None:
    """Return the plan after which at least `share` is gone and no more than has to be.

    Parameters
    ----------
    ranking
        Every cut of it is a candidate: one more weight or unit at a time.
    costs
        The arithmetic of the same network.
    at
        One of `MEASURES`. "sparsity": the share of prunable weights or units, which needs no
        search. Otherwise of all parameters or multiply-adds of the network.
    share
        In [0, 1).

    Returns
    -------
    PruningPlan or None
        None where even the last cut leaves more: something of each layer always stays.
    """
    if at == "sparsity":
        return ranking.plan(share)
    total = sum(ranking.total.values())

    def plan(count: int) -> PruningPlan:
        return ranking.plan(min(count / total, 1 - 1e-9))

    low, high = 0, total
    if gone(costs.cost(plan(high)), at) < share:
        return None
    while low < high:  # costs never rise along a ranking
        middle = (low + high) // 2
        if gone(costs.cost(plan(middle)), at) >= share:
            high = middle
        else:
            low = middle + 1
    return plan(low)
