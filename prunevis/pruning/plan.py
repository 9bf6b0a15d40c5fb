"""What goes: the outcome of a cut through a ranking, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from torch import Tensor

from prunevis.errors import SpecError
from prunevis.graph.layers import ModelGraph
from prunevis.pruning.spec import PruningSpec

if TYPE_CHECKING:
    from prunevis.pruning.cuts import Ranking
    from prunevis.pruning.repairs import Mending


def check_plan(plan: object) -> PruningPlan:
    """Return `plan` if it is one; else raise `SpecError`."""
    if not isinstance(plan, PruningPlan):
        raise SpecError(
            "This is no plan.",
            expected="a PruningPlan",
            got=type(plan).__name__,
            fix="Pass rank(model, spec, graph=graph).plan(0.5), or prune(...).plan.",
        )
    return plan


@dataclass(frozen=True, eq=False)
class PruningPlan:
    """Which weights become zero, or which units leave.

    A plan is cheap to make and holds only ranks and counts; masks and thresholds are computed when
    first read.

    Attributes
    ----------
    graph
        The network it was made for.
    spec
        What was asked, with the sparsity of this plan.
    ranks
        By layer name (granularity "weight": integers, shape of the weight) or by group name
        ("unit": integers, shape (units,)): the place of each in the order of removal, 0 first.
    cuts
        By the same names: everything with a rank below the cut goes.
    removed, total
        By the same names: how many go, of how many.
    ranking
        What it is a cut of; None for a plan made by hand, which has no thresholds.
    mending
        What the repair of the spec reads; None if it reads nothing.
    """

    graph: ModelGraph
    spec: PruningSpec
    ranks: Mapping[str, Tensor] = field(repr=False)
    cuts: Mapping[str, int] = field(repr=False)
    removed: Mapping[str, int]
    total: Mapping[str, int]
    ranking: Ranking | None = field(default=None, repr=False)
    mending: Mending | None = field(default=None, repr=False)

    @property
    def granularity(self) -> str:
        """ "weight" or "unit"."""
        return self.spec.granularity

    @property
    def sparsity(self) -> float:
        """What was asked for."""
        return self.spec.sparsity

    @property
    def achieved_sparsity(self) -> float:
        """Removed / prunable as it came out: rounded, and no layer is emptied."""
        return self.num_removed / max(1, self.num_prunable)

    @property
    def num_removed(self) -> int:
        """How many weights or units go."""
        return sum(self.removed.values())

    @property
    def num_prunable(self) -> int:
        """How many weights or units could be chosen from."""
        return sum(self.total.values())

    @cached_property
    def masks(self) -> dict[str, Tensor]:
        """By layer name, bool, shape of its weight, True = keep; empty for granularity "unit".

        Not to be changed: plans of one ranking share the masks of layers that lose the same.
        """
        if self.granularity != "weight":
            return {}
        if self.ranking is not None:
            mask, removed = self.ranking.mask, self.removed
            return {name: mask(name, cut, removed[name]) for name, cut in self.cuts.items()}
        return {name: rank >= self.cuts[name] for name, rank in self.ranks.items()}

    @cached_property
    def threshold(self) -> float | None:
        """For one global ranking: the importance at the cut (the highest that goes), else None."""
        return None if self.ranking is None else self.ranking.threshold(self.cuts)

    @cached_property
    def thresholds(self) -> dict[str, float | None]:
        """The same by layer or group; None where nothing goes that was not zero before."""
        if self.ranking is None:
            return dict.fromkeys(self.ranks)
        return {name: self.ranking.highest(name, cut) for name, cut in self.cuts.items()}

    @cached_property
    def kept(self) -> dict[str, Tensor]:
        """By group name, int64 indices of the units that stay, ascending; empty for "weight"."""
        if self.granularity != "unit":
            return {}
        return {
            name: (rank >= self.cuts[name]).nonzero().flatten() for name, rank in self.ranks.items()
        }

    def __repr__(self) -> str:
        what = "weights" if self.granularity == "weight" else "units"
        return (
            f"PruningPlan({self.num_removed:,} of {self.num_prunable:,} {what} go, "
            f"{self.achieved_sparsity:.1%}, by {self.spec.criterion}, scope {self.spec.scope}"
            f"{'' if self.spec.repair == 'none' else f', repaired: {self.spec.repair}'})"
        )
