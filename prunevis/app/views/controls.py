"""The left column: what may be chosen, what is chosen, and why the rest may not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prunevis.app.views.words import plain
from prunevis.criteria import CRITERIA
from prunevis.session.choices import unavailable, why_not
from prunevis.session.state import Session

GRANULARITIES = (
    ("weight", "Weights", "Weights become zeros; the network keeps its shape."),
    ("unit", "Units", "Whole neurons or channels leave; the network gets smaller."),
)
SCOPES = (
    ("global", "All layers together", "One ranking: a layer with much to spare gives more."),
    ("layer", "Each layer", "Every layer gives the same share."),
)


def head(session: Session) -> dict[str, Any]:
    """Return the headline."""
    network = session.network
    if network is None:
        return {"title": "", "note": ""}
    data, baseline = network.data, network.stage.baseline
    on = f" on {data.name}" if data.name else ""
    what = "test images" if data.test.inputs.ndim == 4 else "test examples"
    return {
        "title": f"{network.label}{on}, {data.test.count:,} {what}",
        "note": data.note or (baseline.note if baseline is not None else ""),
    }


def controls(session: Session, models: Sequence[dict[str, str]] = ()) -> dict[str, Any]:
    """Return the controls; `models` are those of the zoo that may be chosen, if any."""
    network, setting = session.network, session.setting
    if network is None:
        return {}
    graph = network.stage.graph
    own = dict(setting.own)
    total = max(1, graph.num_params)
    layers = []
    for name, layer in graph.layers.items():
        group = graph.groups.get(layer.group or "")
        mates = [] if group is None or setting.granularity == "weight" else group.producers
        layers.append(
            {
                "name": name,
                "kind": layer.kind,
                "shape": " × ".join(map(str, layer.weight_shape)),
                "params": layer.num_params,
                "share": layer.num_params / total,
                "units": layer.num_units,
                "ticked": name in setting.ticked,
                "own": own.get(name),
                "disabled": plain(why_not(graph, setting, layer)),
                "is_output": layer.is_output,
                "together": [mate for mate in mates if mate != name],
            }
        )
    layers += [
        {
            "name": name,
            "kind": "",
            "shape": "",
            "params": 0,
            "share": 0.0,
            "units": 0,
            "ticked": False,
            "own": None,
            "disabled": "The forward pass never reaches this layer.",
            "is_output": False,
            "together": [],
        }
        for name in graph.untraced
    ]
    return {
        "models": list(models),
        "model": network.name,
        "granularities": [
            {"name": name, "label": label, "help": text, "disabled": None}
            for name, label, text in GRANULARITIES
        ],
        "granularity": setting.granularity,
        "criteria": [
            {
                "name": name,
                "label": entry.label,
                "summary": entry.summary,
                "formula": entry.formula,
                "source": entry.source,
                "url": entry.url,
                "disabled": plain(unavailable(graph, setting, name)),
            }
            for name, entry in CRITERIA.items()
            if setting.granularity in entry.granularities
        ],
        "criterion": setting.criterion,
        "scopes": [{"name": n, "label": label, "help": text} for n, label, text in SCOPES],
        "scope": setting.scope,
        "seed": setting.seed,
        "seed_shown": CRITERIA[setting.criterion].random,
        "layer": session.view.layer,
        "layers": layers,
        "pending": session.table is not None and session.table.setting != setting,
    }
