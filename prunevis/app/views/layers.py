"""The chosen layer: its weights as a histogram, its neurons as cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from prunevis.graph.layers import LayerInfo
from prunevis.session.state import Session, Stage, Table
from prunevis.statistics import (
    Histogram,
    cut_table,
    summarize_weights,
    weight_histogram,
)

BINS = 80


def weights(session: Session) -> dict[str, Any]:
    """Return the histogram of the chosen layer, and what each bin loses at each position."""
    table, network, name = session.table, session.network, session.view.layer
    if network is None or name not in network.stage.graph.layers:
        return {}
    stage = network.stage
    layer = stage.graph.layers[name]
    weight = _tensor(stage, layer.weight)
    histogram = weight_histogram(weight, BINS)
    summary = summarize_weights(weight)
    zeros = f", {summary.zeros:,} exactly zero" if summary.zeros else ""
    slice_ = {
        "key": table.key if table is not None else "",
        "layer": name,
        "reason": None,
        "edges": histogram.edges.tolist(),
        "counts": histogram.counts.tolist(),
        "original": _original(session, layer, histogram),
        "total": int(weight.numel()),
        "summary": f"mean {summary.mean:+.4f}, standard deviation {summary.std:.4f}, "
        f"from {summary.minimum:+.3f} to {summary.maximum:+.3f}{zeros}",
    }
    if table is None or table.stage is not stage:
        return slice_ | {"cut": b"", "K": 0, "threshold": None, "removed": [], "key": ""}
    cut = _cut(table, layer, weight, histogram)
    by_magnitude = table.setting.criterion == "magnitude" and name in table.thresholds[0]
    threshold = [t.get(name) for t in table.thresholds] if by_magnitude else None
    return slice_ | {
        "cut": cut.astype("<u4").tobytes(),
        "K": len(table.sparsity),
        "threshold": None if threshold is None else [_shown(t) for t in threshold],
        "removed": cut.sum(1).tolist(),
    }


def _tensor(stage: Stage, name: str) -> Tensor:
    return stage.model.get_parameter(name).detach().cpu()


def _shown(threshold: float | None) -> float | None:
    # weights that were zero before are ranked below every score; they have no threshold to show
    return None if threshold is None or threshold < 0 else threshold


def _original(session: Session, layer: LayerInfo, histogram: Histogram) -> list[int] | None:
    """Counts of the network as it came in the same bins, if the layer has changed since."""
    network = session.network
    if len(network.stages) == 1 or layer.name not in network.original.graph.layers:
        return None
    before = _tensor(network.original, network.original.graph.layers[layer.name].weight)
    counts, _ = np.histogram(before.float().numpy(), bins=histogram.edges)
    return counts.tolist()


def _cut(table: Table, layer: LayerInfo, weight: Tensor, histogram: Histogram) -> np.ndarray:
    """How many weights of each bin go at each position, (positions, bins)."""
    positions = len(table.sparsity)
    first = torch.full(weight.shape, positions, dtype=torch.int64)
    if table.setting.granularity == "weight":
        if layer.name in table.ranking.ranks:
            first = _first(table, layer.name)
    else:
        # a weight goes with the unit it computes or with the unit it reads, whichever goes first
        for name in table.ranking.ranks:
            for member in table.stage.graph.groups[name].members:
                if member.tensor != layer.weight:
                    continue
                units = _first(table, name)
                along = torch.where(member.units >= 0, units[member.units.clamp(min=0)], positions)
                view = [1] * weight.ndim
                view[member.axis] = -1
                first = torch.minimum(first, along.view(view))
    return cut_table(weight, first, np.arange(1, positions + 1), histogram)


def _first(table: Table, name: str) -> Tensor:
    """First position at which each weight or unit goes; the number of positions if at none."""
    cuts = torch.tensor([c[name] for c in table.cuts], dtype=torch.int32)
    return torch.searchsorted(cuts, table.ranking.ranks[name].contiguous(), right=True)


def neurons(session: Session) -> dict[str, Any]:
    """Return what the units of the chosen layer do, and when each of them goes."""
    table, network, name = session.table, session.network, session.view.layer
    if network is None or name not in network.stage.graph.layers:
        return {}
    layer = network.stage.graph.layers[name]
    slice_: dict[str, Any] = {
        "key": table.key if table is not None else "",
        "layer": name,
        "units": layer.num_units,
        "selected": session.view.unit,
        "rank": None,
        "cuts": None,
    }
    statistics = session.statistics
    if statistics is None:
        return slice_ | {"reason": "Watching the neurons on training images...", "mean": []}
    found = statistics.activations.get(name)
    if found is None:
        return slice_ | {
            "reason": "What the units of this layer answer could not be observed.",
            "mean": [],
        }
    group = layer.group or ""
    if table is not None and table.setting.granularity == "unit" and group in table.ranking.ranks:
        members = table.stage.graph.groups[group].members
        units = next(m.units for m in members if m.tensor == layer.weight and m.role == "producer")
        # places among this layer's own units: 0, 1, ... without gaps, whatever the scope
        order = torch.sort(table.ranking.ranks[group][units.clamp(min=0)], stable=True)
        place = torch.empty_like(order.indices)
        place[order.indices] = torch.arange(len(units))
        cuts = torch.tensor([c[group] for c in table.cuts], dtype=torch.int32)
        slice_ |= {
            "rank": place.tolist(),
            "cuts": torch.searchsorted(order.values, cuts).tolist(),
        }
    return slice_ | {
        "reason": None,
        "mean": _rounded(found.mean_magnitude),
        "zero_share": _rounded(found.zero_share),
        "never": found.never_fires.int().tolist(),
        "exact_zeros": found.exact_zeros,
        "examples": found.num_examples,
        "split": statistics.split,
    }


def _rounded(values: Tensor) -> list[float]:
    return [float(f"{v:.5g}") for v in values.tolist()]
