"""The left column: what may be chosen, what is chosen, and why the rest may not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prunevis.app.views.pieces import pieces
from prunevis.app.views.words import plain
from prunevis.criteria import CRITERIA, Criterion
from prunevis.pruning import REPAIRS
from prunevis.pruning.ranking import cautions
from prunevis.pruning.scoring import in_words
from prunevis.session.choices import unavailable, why_not
from prunevis.session.mending import repair_unavailable
from prunevis.session.state import Session
from prunevis.statistics import COLLECTABLE

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
                "group": _reads(entry),
                "summary": entry.summary,
                "formula": entry.formula,
                "source": entry.source,
                "url": entry.url,
                "disabled": plain(unavailable(graph, setting, name)),
            }
            for name, entry in _in_groups(setting.granularity)
        ],
        "basis": _basis(session),
        "caution": _caution(session),
        "criterion": setting.criterion,
        "repairs": [
            {
                "name": name,
                "label": entry.label,
                "summary": entry.summary,
                "formula": entry.formula,
                "source": entry.source,
                "url": entry.url,
                "disabled": plain(repair_unavailable(graph, setting, name)),
            }
            for name, entry in REPAIRS.items()
            if setting.granularity in entry.granularities
        ],
        "repair": setting.repair,
        "repair_notes": _refusals(session),
        "scopes": [{"name": n, "label": label, "help": text} for n, label, text in SCOPES],
        "scope": setting.scope,
        "seed": setting.seed,
        "seed_shown": CRITERIA[setting.criterion].random,
        **pieces(session),
        "layer": session.view.layer,
        "layers": layers,
        "pending": session.table is not None and session.table.setting != setting,
    }


#: Headings of the menu of criteria, by what they read, and who stands under each.
_GROUPS: tuple[tuple[str, frozenset[str]], ...] = (
    ("By weights", frozenset({"weights", "norm"})),
    ("By what units answer", frozenset({"activations", "correlation", "responses", "maps"})),
    ("By what layers read", frozenset({"inputs", "moments"})),
    ("By the loss and its gradients", frozenset({"gradients"})),
    ("Control", frozenset()),
)


def _reads(entry: type[Criterion]) -> str:
    """Return the heading under which a criterion stands."""
    needs = set(entry.needs)
    if {"model", "labels"} <= needs:
        needs.add("gradients")  # it takes its own, or tries what the loss becomes
    found = [heading for heading, group in _GROUPS if group & needs]
    return found[-1] if found else _GROUPS[-1][0]


def _in_groups(granularity: str) -> list[tuple[str, type[Criterion]]]:
    """Return the criteria of a granularity, heading by heading."""
    order = [heading for heading, _ in _GROUPS]
    able = [(n, entry) for n, entry in CRITERIA.items() if granularity in entry.granularities]
    return sorted(able, key=lambda pair: order.index(_reads(pair[1])))


def _basis(session: Session) -> str:
    """Say what the chosen criterion was computed from, and of how many examples."""
    entry, found = CRITERIA[session.setting.criterion], session.statistics
    needs = COLLECTABLE.intersection(entry.needs)
    read = in_words(needs - {"labels"})
    if not needs:
        return ""
    if found is None or found.missing(needs):
        return f"Reads {read}, which are collected first." if read else ""
    counts = {found.num_examples}
    if "gradients" in needs:
        counts = {one.num_examples for one in found.gradients.values()}
    elif "maps" in needs:
        counts = {one.num_maps for one in found.responses.values() if one.num_maps}
    count = max(counts, default=found.num_examples)
    part = "training" if found.split == "train" else "test"
    if not read:
        return f"Runs a copy of the network on up to {count:,} {part} examples."
    return f"From {read}, on {count:,} {part} examples."


def _caution(session: Session) -> str:
    """Say why the ranking deserves little trust, if it does."""
    table = session.table
    if table is None or table.setting != session.setting:
        return ""
    found = cautions(table.ranking, session.statistics)
    more = f" So it is with {len(found) - 1} more." if len(found) > 1 else ""
    return found[0].replace("`", "") + more if found else ""


def _refusals(session: Session) -> list[str]:
    """Return what the repair leaves only deleted, and why."""
    table = session.table
    if table is None or table.setting != session.setting:
        return []
    return [plain(text) for text in table.refusals]
