"""The chosen layer: its weights as a histogram, its neurons as cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from prunevis.graph.layers import LayerInfo
from prunevis.session.state import Session, Table
from prunevis.statistics import (
    Histogram,
    count_within,
    first_position,
    largest_gone,
    position_table,
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
    weight = stage.model.get_parameter(layer.weight).detach().cpu()
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
    positions = len(table.sparsity)
    first = _first_of_layer(table, layer)
    cut = position_table(weight, first, positions, histogram)
    by_magnitude = (
        table.setting.criterion == "magnitude"
        and table.setting.pattern is None
        and name in table.ranking.ranks
    )
    return slice_ | {
        "cut": cut.astype("<u4").tobytes(),
        "K": positions,
        "threshold": _thresholds(weight, first, positions) if by_magnitude else None,
        "removed": cut.sum(1).tolist(),
    }


def _thresholds(weight: Tensor, first: np.ndarray, positions: int) -> list[float | None]:
    """Return the largest magnitude that goes at each position; None where only zeros do."""
    # weights that were zero before are gone at every position and have no threshold to show
    return [value or None for value in largest_gone(weight, first, positions).tolist()]


def _original(session: Session, layer: LayerInfo, histogram: Histogram) -> list[int] | None:
    """Counts of the network as it came in the same bins, if the layer has changed since."""
    network = session.network
    if len(network.stages) == 1 or layer.name not in network.original.graph.layers:
        return None
    name = network.original.graph.layers[layer.name].weight
    return count_within(network.original.model.get_parameter(name), histogram).tolist()


def _first_of_layer(table: Table, layer: LayerInfo) -> np.ndarray:
    """First position at which each weight of a layer goes, shape of the weight."""
    positions = len(table.sparsity)
    shape = table.stage.graph.tensors[layer.weight].shape
    first = np.full(shape, positions, np.int16)
    if table.setting.granularity == "weight":
        if layer.name in table.ranking.ranks:
            return _first(table, layer.name)
        return first
    # a weight goes with the unit it computes or with the unit it reads, whichever goes first
    for name in table.ranking.ranks:
        for member in table.stage.graph.groups[name].members:
            if member.tensor != layer.weight:
                continue
            units = member.units.numpy()
            along = np.where(units >= 0, _first(table, name)[units.clip(min=0)], positions)
            view = [1] * len(shape)
            view[member.axis] = -1
            np.minimum(first, along.reshape(view).astype(np.int16), out=first)
    return first


def _first(table: Table, name: str) -> np.ndarray:
    """First position at which each weight or unit goes; the number of positions if at none."""
    cuts = np.array([cut[name] for cut in table.cuts])
    return first_position(table.ranking.ranks[name].numpy(), cuts)


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
