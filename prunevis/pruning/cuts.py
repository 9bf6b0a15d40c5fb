"""One order of removal for each setting; after that every sparsity is a cut.

Scoring and sorting happen once, in steps of some 20 ms. A plan at any sparsity is then arithmetic
on counts, and its masks are one comparison a layer (``rank >= cut``), made only when somebody reads
them.

Ties are broken by position (first layer first), counts are exact: ``round(sparsity × prunable)`` as
`torch.nn.utils.prune` rounds. The best-scored weight (or unit) of each layer is put last, so that
no layer is ever emptied; `prunevis.pruning.pieces` says what else leaves together or stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from weakref import WeakValueDictionary

from torch import Tensor

from prunevis.criteria import Criterion, ScoreContext
from prunevis.errors import SpecError
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.pruning.order import Order
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.repairs.mending import Mending
from prunevis.pruning.scoring import score_weights
from prunevis.pruning.spec import PruningSpec, amount_of, check_keep, check_sparsity
from prunevis.pruning.targets import Shares


@dataclass(frozen=True, eq=False)
class Ranking:
    """An order of removal.

    Attributes
    ----------
    graph, spec
        What was ranked, and how.
    total
        By layer name (granularity "weight") or group name ("unit"): how many can be chosen from.
    importance
        By layer name (granularity "weight", shape of the weight) or group name ("unit", shape
        (units,)); higher = keep. For units and scope "global" already divided by the L2 norm of the
        group's scores (Molchanov et al. 2016), since raw scores of different layers do not compare.
    ranks
        By the same names, int32: place in the order of removal, 0 first. Over all free layers
        together for scope "global", within the layer otherwise.
    already
        By the same names: weights that were exactly zero to begin with; they are first in order and
        gone at every sparsity.
    skipped
        Layers or groups left out although nobody asked for that, with the reason.
    mending
        What the repair of the spec reads; None if it reads nothing.
    """

    graph: ModelGraph
    spec: PruningSpec
    total: Mapping[str, int] = field(repr=False)
    importance: Mapping[str, Tensor] = field(repr=False)
    ranks: Mapping[str, Tensor] = field(repr=False)
    already: Mapping[str, int] = field(repr=False)
    skipped: Mapping[str, str] = field(repr=False)
    _orders: tuple[Order, ...] = field(repr=False)
    # masks that somebody still holds, by layer and number removed
    _masks: WeakValueDictionary[tuple[str, int], Tensor] = field(
        default_factory=WeakValueDictionary, repr=False
    )
    mending: Mending | None = field(default=None, repr=False)

    @staticmethod
    def of_nothing(graph: ModelGraph, spec: PruningSpec) -> Ranking:
        """Return the order of removal of nothing at all: every plan leaves the network whole."""
        return Ranking(graph, spec, {}, {}, {}, {}, {}, ())

    def mended(self, mending: Mending | None) -> Ranking:
        """Return the same order, its plans repaired as `mending` says; None: not at all.

        Raises
        ------
        SpecError, UnknownNameError
            If the repair does not mend plans of this granularity.
        """
        name = "none" if mending is None else mending.name
        return replace(self, spec=replace(self.spec, repair=name), mending=mending)

    @property
    def total_in_one_order(self) -> int:
        """Weights or units that one order over layers holds; 0 where there is none."""
        return self._pool.total if self._pool else 0

    @property
    def nbytes(self) -> int:
        """Bytes that it holds, scores left out where they are computed when read."""
        scores = [] if isinstance(self.importance, Rescored) else self.importance.values()
        arrays = [*scores, *self.ranks.values(), *self._orders]
        return sum(array.nbytes for array in arrays)

    def counts(self, sparsity: float) -> tuple[dict[str, int], dict[str, int]]:
        """Return cuts and numbers removed by layer or group at `sparsity`, without any mask."""
        sparsity = check_sparsity(sparsity)
        return self._counts(lambda order, gone: round(sparsity * order.total))

    def plan(
        self,
        sparsity: float | None = None,
        *,
        amount: float | int | None = None,
        keep: float | None = None,
        of: str | None = None,
    ) -> PruningPlan:
        """Return what goes at `sparsity` (default: what the spec asks for).

        Parameters
        ----------
        sparsity
            Removed / prunable, in [0, 1). Layers with a sparsity of their own keep it. Where units
            or weights leave together, the nearest that can be: an order of removal ends where a
            pattern holds in full, and `PruningPlan.achieved_sparsity` says how much went.
        amount
            In its place, what `torch.nn.utils.prune` calls so, relative to what is left: a float in
            [0, 1) is the share of the weights (or units) that were not zero to begin with, a whole
            number says how many of these go. Of each layer for scope "layer", of all together for
            "global". What is zero already is gone besides, and one of each layer always stays.
        keep, of
            In its place, the share that stays, in (0, 1], of "params", "macs", "bytes", "units" or
            "sparsity", as in `PruningSpec`; `of` is that of the spec if it is not given. The
            smallest removal that leaves no more.

        Raises
        ------
        SpecError
            If `sparsity` is not in [0, 1), `amount` is more than is left, or so little as `keep`
            cannot be left.
        """
        if sum(value is not None for value in (sparsity, amount, keep)) > 1:
            raise SpecError("A plan takes one of sparsity, amount and keep.")
        if of is not None and keep is None:
            raise SpecError(
                f"Nothing says how much of the {of} is to stay.",
                fix=f"Pass keep too: keep=0.5, of={of!r} keeps half.",
            )
        if sparsity is None and amount is None and keep is None:
            keep = self.spec.keep
        if keep is not None:
            of = self.spec.of if of is None else of
            sparsity = Shares(self, of).sparsity(check_keep(keep))
        if amount is not None:
            cuts, removed = self._counts(
                lambda order, gone: gone + amount_of(amount, order.total - gone, order.names)
            )
            sparsity = sum(removed.values()) / max(1, sum(self.total.values()))
        else:
            sparsity = self.spec.sparsity if sparsity is None else check_sparsity(sparsity)
            cuts, removed = self.counts(sparsity)
        of = "sparsity" if keep is None or of is None else of
        return PruningPlan(
            graph=self.graph,
            spec=self.spec.at(sparsity, keep, of),
            ranks=self.ranks,
            cuts=cuts,
            removed=removed,
            total=self.total,
            ranking=self,
            mending=self.mending,
        )

    def _counts(self, wanted: Callable[[Order, int], int]) -> tuple[dict[str, int], dict[str, int]]:
        """Return cuts and numbers removed where an order loses `wanted` (order, gone before)."""
        own = self._own()
        cuts = dict.fromkeys(self.total, 0)
        removed = dict.fromkeys(self.total, 0)
        for order in self._orders:
            gone = sum(self.already[name] for name in order.names)
            fixed = own.get(order.names[0]) if len(order.names) == 1 else None
            number = wanted(order, gone) if fixed is None else round(fixed * order.total)
            cut = order.cut(number, gone)
            for name, count in zip(order.names, order.counts(cut), strict=True):
                cuts[name], removed[name] = cut, count
        return cuts, removed

    def mask(self, name: str, cut: int, removed: int) -> Tensor:
        """Return what stays of a layer, True = keep, where `cut` takes `removed`; read only.

        Two cuts that take as many of a layer take the same, and share one mask.
        """
        found = self._masks.get((name, removed))
        if found is None:
            found = self.ranks[name] >= cut
            self._masks[name, removed] = found
        return found

    def threshold(self, cuts: Mapping[str, int]) -> float | None:
        """Return the highest importance that goes at `cuts`, where one order spans layers.

        None where there is no such order, or nothing goes that was not zero before.
        """
        order = self._pool
        if order is None:
            return None
        place = cuts[order.names[0]] - 1
        if place < order.cut(0, sum(self.already[name] for name in order.names)):
            return None
        known = order.known.get(place) if order.ends is None else None
        if known is None:
            name = order.names[0 if order.owner is None else int(order.owner[place])]
            # of units that leave together the one that matters most
            known = float(self.importance[name][self.ranks[name] == place].max())
        return known

    def highest(self, name: str, cut: int) -> float | None:
        """Return the highest importance of a layer or group that `cut` takes.

        None where nothing goes that was not zero before.
        """
        gone = self.ranks[name] < cut
        if int(gone.sum()) <= self.already[name]:
            return None
        return float(self.importance[name][gone].max())

    @cached_property
    def _pool(self) -> Order | None:
        """The order over all layers without a sparsity of their own, for scope "global"."""
        if self.spec.scope != "global":
            return None
        own = self._own()
        return next((o for o in self._orders if not own.keys() & set(o.names)), None)

    def _own(self) -> dict[str, float]:
        own = self.spec.own_sparsity
        if self.spec.granularity == "weight":
            return own
        groups: dict[str, float] = {}
        for layer, value in own.items():
            group = self.graph.layers[layer].group
            if group is not None:
                groups[group] = max(value, groups.get(group, 0.0))
        return groups

    def __repr__(self) -> str:
        what = "weights" if self.spec.granularity == "weight" else "units"
        total = sum(self.total.values())
        return (
            f"Ranking({total:,} {what} of {len(self.total)} "
            f"{'layers' if what == 'weights' else 'groups'} by {self.spec.criterion}, "
            f"scope {self.spec.scope})"
        )


class Rescored(Mapping[str, Tensor]):
    """Scores that are computed again whenever they are read."""

    def __init__(
        self,
        criterion: Criterion,
        context: ScoreContext,
        spec: PruningSpec,
        layers: list[LayerInfo],
    ) -> None:
        self._how = criterion, context, spec
        self._layers = {layer.name: layer for layer in layers}

    def __getitem__(self, name: str) -> Tensor:
        return score_weights(*self._how, self._layers[name])[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)
