"""What may be chosen, and what a choice makes of the setting: pure functions, everything checked.

What arrives here comes from a browser and may be anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prunevis.criteria import CRITERIA
from prunevis.errors import SpecError
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.pruning import GRANULARITIES, REPAIRS, SCOPES, PruningSpec, check_sparsity
from prunevis.pruning.spec import check_of
from prunevis.session.mending import repair_unavailable, with_usable_repair
from prunevis.session.state import Setting, Stage, View

TABS = (
    *("network", "weights", "neurons", "redundancy", "tradeoff"),
    *("criteria", "layers", "fine_tune", "history"),
)
THEMES = ("light", "dark")
#: What is chosen apart from how pieces are scored and compared.
MORE = ("of", "multiple_of", "min_units", "pattern")


def why_not(graph: ModelGraph, setting: Setting, layer: LayerInfo) -> str | None:
    """Return why `layer` cannot be pruned under `setting`, one sentence, or None if it can.

    Units of the output layer are the classes, so they stay; its weights may be asked for.
    """
    criterion = CRITERIA[setting.criterion]()
    if setting.granularity == "weight":
        return layer.weight_reason or criterion.unavailable_for(layer, graph)
    if layer.reason is not None:
        return layer.reason
    group = graph.groups.get(layer.group or "")
    if group is None:
        return "Its units form no group that could leave."
    if group.reason is not None:
        return group.reason
    reasons = [criterion.unavailable_for(graph.layers[p], graph) for p in group.producers]
    return None if any(reason is None for reason in reasons) else reasons[0]


def prunable(stage: Stage, setting: Setting, outputs: bool = False) -> tuple[str, ...]:
    """Return the layers that can be pruned under `setting`, the output layer only if `outputs`."""
    return tuple(
        name
        for name, layer in stage.graph.layers.items()
        if (outputs or not layer.is_output) and why_not(stage.graph, setting, layer) is None
    )


def together(graph: ModelGraph, setting: Setting, layer: str) -> tuple[str, ...]:
    """Return the layers that must be ticked with `layer`: those whose units leave with its own."""
    info = graph.layers[layer]
    reason = why_not(graph, setting, info)
    if reason is not None:
        raise SpecError(f"`{layer}` cannot be pruned. {reason}")
    if setting.granularity == "weight" or info.group is None:
        return (layer,)
    return graph.groups[info.group].producers


def unavailable(graph: ModelGraph, setting: Setting, criterion: str) -> str | None:
    """Return why `criterion` cannot be chosen, or None if it can."""
    entry = CRITERIA[criterion]()
    if setting.granularity not in entry.granularities:
        return f"It does not score single {setting.granularity}s."
    if criterion == "oracle":
        # a slider cannot wait for it, and what it takes is to be told before it starts
        return "It tries every unit, which is slow; the tab Criteria tells what it takes first."
    return entry.unavailable(graph)


def check_usable(graph: ModelGraph, setting: Setting) -> None:
    """Raise SpecError if the chosen criterion cannot be used on this network."""
    reason = unavailable(graph, setting, setting.criterion)
    if reason is not None:
        raise SpecError(f"{CRITERIA[setting.criterion].label} cannot be used here. {reason}")


def usable(graph: ModelGraph, setting: Setting) -> Setting:
    """Return `setting` with a criterion and a repair that can be used on this network."""
    setting = with_usable_repair(graph, setting)
    if unavailable(graph, setting, setting.criterion) is None:
        return setting
    preferred = ["magnitude", "l2", "l1", *CRITERIA]
    for name in preferred:
        if name in CRITERIA and unavailable(graph, setting, name) is None:
            return replace(setting, criterion=name)
    return setting


def busiest(stage: Stage) -> str:
    """Return the first layer to look at: the one with most weights that is no output layer."""
    layers = stage.graph.layers.values()
    best = max(layers, key=lambda layer: (not layer.is_output, layer.num_weights), default=None)
    return "" if best is None else best.name


def nothing_to_prune(stage: Stage) -> SpecError:
    """Return what to say of a network in which no layer can be ticked."""
    reasons = [
        f"`{layer.name}`: {reason}" if layer.name else reason
        for layer in stage.graph.layers.values()
        if (reason := layer.reason or layer.weight_reason)
    ]
    return SpecError(
        "Nothing in this network can be pruned.",
        got=" ".join(reasons[:3]) or "no convolution and no linear layer",
        fix="Try the other granularity, or tick the output layer.",
    )


def known_layer(graph: ModelGraph, layer: Any) -> str:
    """Return `layer` if the graph has it; raise SpecError otherwise."""
    if not isinstance(layer, str) or layer not in graph.layers:
        raise SpecError(f"There is no layer called {str(layer)[:80]!r}.")
    return layer


def _more(setting: Setting, what: str, value: Any) -> Setting:
    """Return `setting` with another entry of `MORE`, checked as a request is."""
    changed = replace(setting, **{what: value})
    PruningSpec.make(
        changed.criterion,
        changed.granularity,
        changed.scope,
        0.0,
        dict(changed.own) or None,
        multiple_of=changed.multiple_of,
        min_units=changed.min_units,
        pattern=changed.pattern,
    )
    check_of(changed.of, changed.granularity)
    return changed


def chosen(stage: Stage | None, setting: Setting, what: str, value: Any) -> Setting:
    """Return `setting` with another granularity, criterion, scope, seed or repair, or of `MORE`.

    Raises
    ------
    SpecError
        If there is no such value, or the criterion or repair cannot be used on this network.
    """
    if what in MORE:
        return _more(setting, what, value)
    if what == "seed":
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
            raise SpecError("A seed is a whole number from 0.", got=repr(value)[:40])
    else:
        allowed: dict[str, tuple[str, ...]] = {
            "granularity": GRANULARITIES,
            "criterion": tuple(CRITERIA),
            "scope": SCOPES,
            "repair": tuple(REPAIRS),
        }
        if value not in allowed[what]:
            raise SpecError(
                f"There is no {what} {str(value)[:40]!r}.", expected=", ".join(allowed[what])
            )
    if getattr(setting, what) == value:
        return setting
    setting = replace(setting, **{what: value})
    if stage is None:
        return setting
    if what == "granularity":
        # what pieces leave together is asked of weights and of units in other ways
        of = "sparsity" if setting.of == "units" else setting.of
        setting = replace(setting, own=(), of=of, multiple_of=1, min_units=1, pattern=None)
        setting = usable(stage.graph, setting)
        return replace(setting, ticked=prunable(stage, setting))
    if what == "repair":
        reason = repair_unavailable(stage.graph, setting, setting.repair)
        if reason is not None:
            raise SpecError(f"{REPAIRS[setting.repair].label} cannot be used here. {reason}")
    if what == "criterion":
        check_usable(stage.graph, setting)
        # a criterion may be unable to score some layers, and the next one able again
        able = set(prunable(stage, setting, outputs=True))
        kept = tuple(name for name in setting.ticked if name in able)
        setting = replace(
            setting,
            ticked=kept or prunable(stage, setting),
            own=tuple((n, v) for n, v in setting.own if n in able),
        )
    return setting


def ticked(stage: Stage, setting: Setting, layer: Any, on: bool) -> Setting:
    """Return `setting` with a layer, and those whose units leave with it, ticked or not."""
    mates = together(stage.graph, setting, known_layer(stage.graph, layer))
    names = set(setting.ticked) | set(mates) if on else set(setting.ticked) - set(mates)
    return replace(
        setting,
        ticked=tuple(n for n in stage.graph.layers if n in names),
        own=tuple((n, v) for n, v in setting.own if n in names),
    )


def with_own(stage: Stage, setting: Setting, layer: Any, value: Any) -> Setting:
    """Return `setting` with a sparsity of a layer's own, or None to follow the slider again."""
    mates = together(stage.graph, setting, known_layer(stage.graph, layer))
    own = {n: v for n, v in setting.own if n not in mates}
    if value is not None:
        own |= dict.fromkeys(mates, check_sparsity(value, f"own value of {layer}"))
        # a pattern may not let that much go
        PruningSpec.make(sparsity=0.0, layers=own, pattern=setting.pattern)
        setting = ticked(stage, setting, layer, True)
    return replace(setting, own=tuple((n, own[n]) for n in stage.graph.layers if n in own))


def carried(before: Stage, after: Stage, setting: Setting) -> Setting:
    """Return what `setting` becomes when another stage of the same network is studied.

    Layers that nobody could tick before (a single unit was left) and that can be ticked again are.
    Own sparsities of units are spent: they were shares of units that are no longer there.
    """
    setting = usable(after.graph, setting)
    if setting.granularity == "unit":
        setting = replace(setting, own=())
    able, was_able = (set(prunable(stage, setting, outputs=True)) for stage in (after, before))
    ticked = (set(setting.ticked) & able) | (set(prunable(after, setting)) - was_able)
    return replace(
        setting,
        ticked=tuple(n for n in after.graph.layers if n in ticked),
        own=tuple((n, v) for n, v in setting.own if n in ticked),
    )


def check_look(change: dict[str, Any]) -> None:
    """Raise SpecError if a tab or theme is named that there is not."""
    for what, names in (("tab", TABS), ("theme", THEMES)):
        if what in change and change[what] not in names:
            raise SpecError(f"There is no {what} {str(change[what])[:40]!r}.")


def looking(stage: Stage, view: View, change: dict[str, Any]) -> View:
    """Return `view` with another layer, unit, tab or theme.

    Raises
    ------
    SpecError
        If there is no such layer, unit, tab or theme.
    """
    if "layer" in change:
        change = {"layer": known_layer(stage.graph, change["layer"]), "unit": None}
    check_look(change)
    unit = change.get("unit")
    if unit is not None:
        units = stage.graph.layers[view.layer].num_units if view.layer in stage.graph.layers else 0
        if not isinstance(unit, int) or isinstance(unit, bool) or not 0 <= unit < units:
            raise SpecError(
                f"`{view.layer}` has no unit {str(unit)[:20]}.", expected=f"0 to {units - 1}"
            )
    return replace(view, **change)
