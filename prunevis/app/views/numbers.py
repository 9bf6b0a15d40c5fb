"""The scoreboard and the curve: one number a slider position."""

from __future__ import annotations

from typing import Any

from prunevis.app.views.pieces import words_of
from prunevis.session.state import Session


def table(session: Session) -> dict[str, Any]:
    """Return what each slider position costs, or {} while there is no ranking."""
    found, network = session.table, session.network
    if found is None or network is None:
        return {}
    costs = found.costs
    original = network.original
    base = original.costs.cost()
    graph = found.stage.graph
    unit = found.setting.granularity == "unit"
    layers: dict[str, list[float]] = {}
    for name, layer in graph.layers.items():
        key = layer.group if unit else name
        total = found.ranking.total.get(key or "", 0)
        if total:
            layers[name] = [removed[key] / total for removed in found.removed]
    # with a pattern weights stay that score lower than others that go
    pooled = found.setting.scope == "global" and found.setting.pattern is None
    totals = max(1, sum(found.ranking.total.values()))
    return {
        "key": found.key,
        "granularity": found.setting.granularity,
        "of": found.setting.of,
        "words": words_of(found.setting),
        "sparsity": list(found.sparsity),
        "achieved": [sum(removed.values()) / totals for removed in found.removed],
        "params": [cost.nonzero_params for cost in costs],
        "bytes": [cost.bytes for cost in costs],
        "storage": [cost.storage for cost in costs],
        "dense_bytes": [cost.dense_bytes for cost in costs],
        "effective_flops": [cost.effective_flops for cost in costs],
        "removed_flops": [cost.removed_flops for cost in costs],
        "threshold": list(found.threshold) if pooled else None,
        "layers": layers,
        "base": {
            "accuracy": None if original.baseline is None else original.baseline.accuracy,
            "bytes": base.base_bytes,
            "params": base.base_params,
            "flops": 2 * base.base_macs,
        },
    }


def curve(session: Session) -> dict[str, Any]:
    """Return what is known of accuracy at each slider position."""
    found, known = session.table, session.curve
    if found is None or known is None or known.key != found.key:
        return {}
    if found.setting != session.setting:
        return {}  # another choice was made and is being ranked: nothing is known of it yet
    return {
        "key": found.key,
        "value": [None if e is None else e.value for e in known.estimates],
        "low": [None if e is None else e.low for e in known.estimates],
        "high": [None if e is None else e.high for e in known.estimates],
        "seen": [0 if e is None else e.seen for e in known.estimates],
        "exact": [int(e is not None and e.exact) for e in known.estimates],
        "total": session.network.data.test.count,
        "known": known.known,
        "compressed": list(known.compressed),
        "deleted": [None if e is None else e.value for e in known.deleted],
        "deleted_exact": [int(e is not None and e.exact) for e in known.deleted],
    }
