"""One order of removal for each setting; after that every sparsity is a cut.

Scoring and sorting happen once. A plan at any sparsity is then arithmetic on counts, and its masks
are one comparison a layer (``rank >= cut``), made only when somebody reads them.

Ties are broken by position (stable sort, first layer first), counts are exact:
``round(sparsity × prunable)`` as `torch.nn.utils.prune` rounds. The best-scored weight (or unit) of
each layer is put last, so that no layer is ever emptied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.criteria import CRITERIA, ScoreContext
from prunevis.errors import NothingToPruneError, SpecError
from prunevis.graph.layers import ModelGraph
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.scoring import (
    collected,
    score_units,
    score_weights,
    tensors_of,
    traced,
)
from prunevis.pruning.spec import PruningSpec, check_sparsity


@dataclass(frozen=True, eq=False)
class Ranking:
    """An order of removal.

    Attributes
    ----------
    graph, spec
        What was ranked, and how.
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
    """

    graph: ModelGraph
    spec: PruningSpec
    importance: Mapping[str, Tensor] = field(repr=False)
    ranks: Mapping[str, Tensor] = field(repr=False)
    already: Mapping[str, int] = field(repr=False)
    skipped: Mapping[str, str] = field(repr=False)
    _sorted: Mapping[str, tuple[Tensor, Tensor]] = field(repr=False)
    _pooled: frozenset[str] = field(repr=False)

    @staticmethod
    def of_nothing(graph: ModelGraph, spec: PruningSpec) -> Ranking:
        """Return the order of removal of nothing at all: every plan leaves the network whole."""
        return Ranking(graph, spec, {}, {}, {}, {}, {}, frozenset())

    def counts(self, sparsity: float) -> tuple[dict[str, int], dict[str, int]]:
        """Return cuts and numbers removed by layer or group at `sparsity`, without any mask."""
        sparsity = check_sparsity(sparsity)
        own = self._own()
        pool_total = sum(self.importance[n].numel() for n in self._pooled)
        pool_gone = sum(self.already[n] for n in self._pooled)
        # one weight or unit of each layer always stays
        pool_cut = min(max(round(sparsity * pool_total), pool_gone), pool_total - len(self._pooled))
        cuts: dict[str, int] = {}
        removed: dict[str, int] = {}
        for name, scores in self.importance.items():
            if name in self._pooled:
                cuts[name] = pool_cut
                removed[name] = int(torch.searchsorted(self._sorted[name][0], pool_cut))
            else:
                wanted = round(own.get(name, sparsity) * scores.numel())
                cuts[name] = removed[name] = min(
                    max(wanted, self.already[name]), scores.numel() - 1
                )
        return cuts, removed

    def plan(self, sparsity: float | None = None) -> PruningPlan:
        """Return what goes at `sparsity` (default: that of the spec).

        Parameters
        ----------
        sparsity
            Removed / prunable, in [0, 1). Layers with a sparsity of their own keep it.

        Raises
        ------
        SpecError
            If `sparsity` is not in [0, 1).
        """
        sparsity = self.spec.sparsity if sparsity is None else check_sparsity(sparsity)
        cuts, removed = self.counts(sparsity)
        thresholds = {
            # zeros that were there before were put below every score; they have none to tell
            name: float(self._sorted[name][1][count - 1]) if count > self.already[name] else None
            for name, count in removed.items()
        }
        pooled = [
            value for n, value in thresholds.items() if n in self._pooled and value is not None
        ]
        return PruningPlan(
            graph=self.graph,
            spec=replace(self.spec, sparsity=sparsity),
            ranks=self.ranks,
            cuts=cuts,
            removed=removed,
            total={name: scores.numel() for name, scores in self.importance.items()},
            threshold=max(pooled) if pooled else None,
            thresholds=thresholds,
        )

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
        total = sum(scores.numel() for scores in self.importance.values())
        return (
            f"Ranking({total:,} {what} of {len(self.importance)} "
            f"{'layers' if what == 'weights' else 'groups'} by {self.spec.criterion}, "
            f"scope {self.spec.scope})"
        )


def rank(
    model: nn.Module,
    spec: PruningSpec | None = None,
    *,
    graph: ModelGraph | None = None,
    statistics: Any = None,
    data: Any = None,
) -> Ranking:
    """Score a network by a criterion and put what can go in order.

    Parameters
    ----------
    model
        Any module; it is only read.
    spec
        What is asked; default: `PruningSpec()`, global magnitude of weights.
    graph
        From `trace(model, ...)`. Default: traced with an example of `data`.
    statistics
        From `collect_statistics`, needed by criteria that look at activations. Default: collected
        from `data`.
    data
        Examples, if `graph` or needed `statistics` are not given.

    Raises
    ------
    SpecError
        Unknown layer, or a criterion that cannot do what is asked.
    NothingToPruneError
        No layer that was asked for can be pruned.
    NonFiniteError
        A weight or a score is NaN or infinite.
    """
    spec = PruningSpec() if spec is None else spec
    criterion = CRITERIA[spec.criterion]()
    if graph is None:
        graph = traced(model, data)
    if spec.granularity not in criterion.granularities:
        able = ", ".join(n for n, c in CRITERIA.items() if spec.granularity in c.granularities)
        raise SpecError(
            f"The criterion {spec.criterion!r} does not score single {spec.granularity}s.",
            fix=f"For granularity {spec.granularity!r} choose one of: {able}.",
        )
    if {"activations", "correlation"} & set(criterion.needs) and statistics is None:
        statistics = collected(model, data, graph, spec)
    context = ScoreContext(
        graph=graph,
        tensors=tensors_of(model, graph),
        statistics=statistics,
        granularity=spec.granularity,
        seed=spec.seed,
    )
    if spec.granularity == "weight":
        importance, already, skipped = score_weights(criterion, context, spec)
    else:
        importance, already, skipped = score_units(criterion, context, spec)
    if not importance:
        reasons = " ".join(f"`{name}`: {why}" for name, why in list(skipped.items())[:3])
        raise NothingToPruneError(
            "Nothing in this network can be pruned in the way that was asked.",
            got=reasons or "no convolution or linear layer besides the output layer",
            fix="Choose other layers, the other granularity, or name the output layer in `layers`.",
        )
    return _ordered(graph, spec, importance, already, skipped)


def _ordered(
    graph: ModelGraph,
    spec: PruningSpec,
    importance: dict[str, Tensor],
    already: dict[str, int],
    skipped: dict[str, str],
) -> Ranking:
    own = spec.own_sparsity
    unit = spec.granularity == "unit"
    fixed = {graph.layers[name].group for name in own} if unit else set(own)
    pool = [n for n in importance if n not in fixed] if spec.scope == "global" else []
    pools = [pool] if pool else []
    pools += [[name] for name in importance if name not in set(pool)]
    ranks: dict[str, Tensor] = {}
    ordered: dict[str, tuple[Tensor, Tensor]] = {}
    for names in pools:
        flat = torch.cat([importance[n].flatten().cpu() for n in names])
        keep_last = _best_of_each(importance, names, flat)
        order = torch.sort(flat, stable=True).indices
        is_best = torch.zeros(flat.numel(), dtype=torch.bool)
        is_best[keep_last] = True
        late = is_best[order]
        order = torch.cat([order[~late], order[late]])
        place = torch.empty(flat.numel(), dtype=torch.int32)
        place[order] = torch.arange(flat.numel(), dtype=torch.int32)
        start = 0
        for name in names:
            scores = importance[name]
            own_places = place[start : start + scores.numel()]
            start += scores.numel()
            ranks[name] = own_places.view(scores.shape)
            in_order = torch.sort(own_places)
            ordered[name] = (in_order.values, scores.flatten().cpu()[in_order.indices])
    return Ranking(
        graph=graph,
        spec=spec,
        importance=importance,
        ranks={name: ranks[name] for name in importance},
        already=already,
        skipped=skipped,
        _sorted=ordered,
        _pooled=frozenset(pool),
    )


def _best_of_each(importance: Mapping[str, Tensor], names: list[str], flat: Tensor) -> Tensor:
    """Index into `flat` of each layer's last entry to go: its highest, the last of equals."""
    best, start = [], 0
    for name in names:
        count = importance[name].numel()
        part = flat[start : start + count]
        best.append(start + count - 1 - int(torch.argmax(part.flip(0))))
        start += count
    return torch.tensor(best)
