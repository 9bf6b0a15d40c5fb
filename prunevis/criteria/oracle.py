"""Importance of a unit: the true change of the loss when it is removed (the oracle)."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor
from torch.nn import functional as F

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import ChannelGroup, LayerInfo, ModelGraph
from prunevis.statistics.losses import Loss

#: Labelled examples behind a score.
EXAMPLES = 256


@CRITERIA.register("oracle")
class Oracle(Criterion):
    """``|C(D; W without i) − C(D; W)|``: what other criteria try to guess.

    C is the mean cross-entropy over the first `EXAMPLES` calibration examples; a unit is taken out
    by zeroing the columns of the weights that read it. That is a forward pass over all of them for
    each unit: `prunevis.oracle_cost` says beforehand what it takes, and `prunevis.oracle` finds the
    same figures faster, since it runs only what comes after the unit.
    """

    label = "Oracle |ΔC|"
    summary = "Units whose removal changes the loss least go first; each is tried, which is slow."
    formula = "|C(D; W without i) − C(D; W)|"
    source = "Molchanov et al. 2016"
    url = "https://arxiv.org/abs/1611.06440"
    granularities = ("unit",)
    needs = frozenset({"weights", "model", "labels"})

    def unavailable_for(self, layer: LayerInfo, graph: ModelGraph) -> str | None:
        """Say so where the units cannot leave: then there is no network without one."""
        group = graph.groups.get(layer.group) if layer.group else None
        reason = layer.reason if group is None else group.reason
        if reason is None and (group is None or not group.consumers):
            reason = f"No layer reads the units of `{layer.name}`."
        return reason or super().unavailable_for(layer, graph)

    def prepare(self, context: ScoreContext) -> Generator[None, None, dict[str, Tensor]]:
        """Return the change of loss by channel group, float64, shape (units,), signed."""
        loss = Loss(context.network())
        inputs, labels = context.examples(EXAMPLES)
        loss.check_labels(inputs, labels)
        at_once = loss.pace(context.graph.macs)
        parts = list(zip(inputs.split(at_once), labels.split(at_once), strict=True))

        def total(tensors: dict[str, Tensor]) -> Generator[None, None, float]:
            found = 0.0
            for some, targets in parts:
                with loss.running(), torch.no_grad():
                    logits = loss.output(tensors, some).double()
                    targets = targets.to(logits.device)
                    found += float(F.cross_entropy(logits, targets, reduction="sum"))
                yield
            return found

        layers = context.graph.layers.values()
        groups = dict.fromkeys(
            layer.group for layer in layers if self.unavailable_for(layer, context.graph) is None
        )
        whole = yield from total({})
        change: dict[str, Tensor] = {}
        for name in filter(None, groups):
            group = context.graph.groups[name]
            change[name] = torch.zeros(group.size, dtype=torch.float64)
            for unit in range(group.size):
                without = yield from total(_without(loss, group, unit))
                change[name][unit] = (without - whole) / len(labels)
        return change

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the absolute changes in nats, float64, shape (num_units,), >= 0."""
        group = context.graph.groups[str(layer.group)]
        units = next(
            m.units for m in group.members if m.tensor == layer.weight and m.role == "producer"
        )
        found = context.prepared[group.name].abs()
        return torch.where(units >= 0, found[units.clamp(min=0)], 0.0)


def _without(loss: Loss, group: ChannelGroup, unit: int) -> dict[str, Tensor]:
    """Return the tensors that read a group, the columns of one unit at zero."""
    tensors: dict[str, Tensor] = {}
    for member in group.members:
        if member.role == "consumer":
            whole = tensors.get(member.tensor, loss.parameters[member.tensor])
            where = (member.units == unit).nonzero()[:, 0].to(whole.device)
            tensors[member.tensor] = whole.index_fill(member.axis, where, 0.0)
    return tensors
