"""A share of what a person thinks in: units, parameters, multiply-adds or bytes, solved exactly.

What is left of each never grows along an order of removal, so the smallest removal that leaves no
more than a given share is found by bisection on sparsity. For one order over all layers sparsities
are whole counts, ``k / total``; where each layer loses its share they are dense enough to tell any
two plans apart.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunevis.errors import SpecError
from prunevis.graph.cost import CostModel
from prunevis.graph.layers import ModelGraph
from prunevis.pruning.spec import check_of

if TYPE_CHECKING:
    from prunevis.pruning.cuts import Ranking
    from prunevis.pruning.plan import PruningPlan

#: What is left may exceed a share by this much of it: 0.3 of 10 is 3, also in floating point.
SLACK = 1e-12

_DENSE = 2**52

NAMES = {
    "sparsity": "prunable weights or units",
    "units": "units",
    "params": "parameters",
    "macs": "multiply-adds",
    "bytes": "bytes",
}


class Shares:
    """What plans of a ranking leave of the network, as a share of all there is.

    Parameters
    ----------
    ranking
        Any.
    of
        "sparsity", "units", "params", "macs" or "bytes", as in `PruningSpec`.
    costs
        The arithmetic of the network; made here if it is not given.

    Raises
    ------
    SpecError
        If there is nothing of this name, or single weights go and units were asked for.
    """

    def __init__(self, ranking: Ranking, of: str, costs: CostModel | None = None) -> None:
        self.of = check_of(of, ranking.spec.granularity)
        self.ranking = ranking
        self._costs = costs or CostModel(ranking.graph)
        self._channels = _channels(ranking.graph, ranking.total) if of == "units" else {}
        self._steps = ranking.total_in_one_order or _DENSE
        self._known: dict[int, tuple[float, int]] = {}

    def left(self, plan: PruningPlan) -> float:
        """Return the share that `plan` leaves, in [0, 1]."""
        if self.of == "sparsity":
            return 1 - plan.num_removed / max(1, plan.num_prunable)
        if self.of == "units":
            whole = sum(int(each.sum()) for each in self._channels.values())
            kept = sum(
                int(each[plan.ranks[name] >= plan.cuts[name]].sum())
                for name, each in self._channels.items()
            )
            return kept / max(1, whole)
        cost = self._costs.cost(plan)
        if self.of == "params":
            return cost.nonzero_params / max(1, cost.base_params)
        if self.of == "macs":
            return cost.effective_macs / max(1, cost.base_macs)
        return cost.bytes / max(1, cost.base_bytes)

    @property
    def least(self) -> float:
        """The share that is left where as much goes as can, in [0, 1]."""
        return self._at(self._steps - 1)[0]

    def sparsity(self, keep: float) -> float:
        """Return a sparsity whose plan is the smallest removal that leaves no more than `keep`.

        Parameters
        ----------
        keep
            In [0, 1].

        Raises
        ------
        SpecError
            If more is left even where as much goes as can.
        """
        return self._solved(keep) / self._steps

    def _solved(self, keep: float) -> int:
        most = keep * (1 + SLACK)
        low, high = -1, self._steps - 1
        if self._at(high)[0] > most:
            raise SpecError(
                f"As little as {keep:.4g} of the {NAMES[self.of]} cannot be kept.",
                expected=f"at least {self.least:.4g}, which is left where as much goes as can",
                got=f"{keep:.4g}",
                fix="Let more layers take part, or keep more.",
            )
        # what is known already narrows it down
        for step, (left, _) in self._known.items():
            if left > most:
                low = max(low, step)
            else:
                high = min(high, step)
        straight = True
        while high - low > 1:
            middle = (low + high) // 2
            if low >= 0:
                (above, gone), (below, more) = self._at(low), self._at(high)
                if more - gone <= 1:  # nothing lies between
                    break
                if straight and above > below:
                    # as if it fell evenly, which it nearly does over a short way
                    share = (above - most) / (above - below)
                    middle = min(max(low + int(share * (high - low)), low + 1), high - 1)
                straight = not straight
            if self._at(middle)[0] > most:
                low = middle
            else:
                high = middle
        return high

    def _at(self, step: int) -> tuple[float, int]:
        """Return the share left at a step, and how many weights or units are gone there."""
        found = self._known.get(step)
        if found is None:
            plan = self.ranking.plan(step / self._steps)
            found = self._known[step] = (self.left(plan), plan.num_removed)
        return found


def positions_steps(
    shares: Shares, removed: Sequence[float]
) -> Generator[None, None, list[tuple[float, float]]]:
    """Return, for shares to be removed, the pairs (share, sparsity) that can be reached.

    Parameters
    ----------
    shares
        Of a ranking.
    removed
        Ascending shares in [0, 1).

    Returns
    -------
    list
        As far as it can be reached, and then the end itself; yields between two positions.
    """
    end = 1 - shares.least
    found: list[tuple[float, float]] = []
    for share in removed:
        if share > end * (1 + SLACK):
            break
        found.append((share, shares.sparsity(1 - share)))
        yield
    if not found or found[-1][0] < end - 5e-4:
        last = min(end, 1 - 1e-9)
        found.append((last, shares.sparsity(shares.least)))
    return found


def _channels(graph: ModelGraph, names: Iterable[str]) -> dict[str, Tensor]:
    """Return, by group, how many outputs of layers each unit is, int64, shape (units,)."""
    found: dict[str, Tensor] = {}
    for name in names:
        group = graph.groups[name]
        weights = {graph.layers[producer].weight for producer in group.producers}
        found[name] = torch.zeros(group.size, dtype=torch.int64)
        for member in group.members:
            if member.role == "producer" and member.tensor in weights:
                inside = member.units[member.units >= 0]
                found[name] += torch.bincount(inside, minlength=group.size)
    return found
