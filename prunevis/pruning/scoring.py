"""Scores of all layers or groups that were asked for, and why others have none."""

from __future__ import annotations

import difflib
import math
from collections.abc import Generator, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.criteria import CRITERIA, Criterion, ScoreContext
from prunevis.criteria.checking import checked_scores
from prunevis.errors import ModelError, PrunevisError, SpecError
from prunevis.graph.checks import check_graph, check_weights
from prunevis.graph.identity import fingerprint
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.pruning.patterns import pattern_of
from prunevis.pruning.pieces import patterned
from prunevis.pruning.spec import PruningSpec


def traced(model: nn.Module, data: Any) -> ModelGraph:
    """Return the graph of `model`, traced with an example of `data`."""
    from prunevis.data import as_examples
    from prunevis.graph import trace

    if data is None:
        raise SpecError(
            "The network has not been traced.",
            fix="Pass graph=trace(model, example_input), or data to take an example from.",
        )
    examples, _ = as_examples(data)
    return trace(model, examples.inputs[:1])


def collected(
    model: nn.Module, data: Any, graph: ModelGraph, criterion: str, statistics: Any = None
) -> Any:
    """Return statistics that hold what a criterion needs, collecting what is missing from `data`.

    Parameters
    ----------
    model, data, graph
        As for `collect_statistics`; `data` may be None where nothing is missing.
    criterion
        A name in `CRITERIA`.
    statistics
        Those at hand, or None; returned as they are where nothing is missing.

    Raises
    ------
    SpecError
        If something is missing and there are no data.
    DataError
        If the criterion needs labels, and the data are inputs alone.
    """
    from prunevis.statistics import COLLECTABLE, Statistics, collect_statistics, collection

    if statistics is not None and not isinstance(statistics, Statistics):
        raise SpecError(
            "These are no statistics.",
            expected="Statistics",
            got=type(statistics).__name__,
            fix="Pass statistics=collect_statistics(model, data).",
        )
    needs = frozenset(CRITERIA[criterion].needs)
    lacking = needs & COLLECTABLE if statistics is None else statistics.missing(needs)
    if not lacking:
        return statistics
    if data is None:
        raise SpecError(
            f"The criterion {criterion!r} looks at {in_words(lacking)}, and there are no data.",
            fix="Pass statistics=collect_statistics(model, data), or data.",
        )
    return collect_statistics(model, data, graph=graph, **collection(needs))


def in_words(needs: Iterable[str]) -> str:
    """Return what a criterion needs, as a list of words."""
    words = {
        "activations": "activations",
        "correlation": "correlations",
        "responses": "answers to single examples",
        "maps": "ranks of feature maps",
        "inputs": "the inputs of layers",
        "moments": "second moments of inputs",
        "gradients": "gradients",
        "labels": "labels",
    }
    lacking = set(needs)
    if "activations" in lacking:
        lacking.discard("correlation")
    if "maps" in lacking:
        lacking.discard("responses")
    if "moments" in lacking:
        lacking.discard("inputs")
    found = [word for name, word in words.items() if name in lacking]
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)


def check_collected(criterion: Criterion, statistics: Any) -> None:
    """Raise SpecError if `statistics` were collected without what a criterion needs."""
    if statistics is None:
        return
    lacking = statistics.missing(criterion.needs)
    if not lacking:
        return
    if lacking == {"labels"}:
        raise SpecError(
            f"{criterion.label} needs labels, and the statistics are of inputs alone.",
            fix="Collect statistics from pairs of inputs and class indices.",
        )
    options = ", ".join(f"{name}=True" for name in sorted(lacking - {"labels"}))
    raise SpecError(
        f"{criterion.label} needs {in_words(lacking)}, and the statistics have none.",
        fix=f"Pass statistics=collect_statistics(model, data, {options}).",
    )


def check_owner(model: nn.Module, statistics: Any) -> None:
    """Raise SpecError if `statistics` were collected from another network than `model`."""
    known = "" if statistics is None else statistics.network
    if known and known != fingerprint(model):
        raise SpecError(
            "These statistics belong to another network, or its weights have changed since.",
            got=repr(statistics),
            fix="Collect them anew: statistics=collect_statistics(model, data).",
        )


def classes_stay(graph: ModelGraph, spec: PruningSpec) -> None:
    """Raise SpecError if a request takes units of the output layer, where accuracy is measured."""
    for name in spec.layer_names or () if spec.granularity == "unit" else ():
        layer = graph.layers.get(name)
        if layer is not None and layer.is_output:
            raise classes_leave(name)


def classes_leave(layer: str) -> SpecError:
    """Return what to say where the units of the output layer are asked for."""
    return SpecError(
        f"The units of `{layer}` are the network's outputs, one a class: with units classes would "
        "leave, and the labels of the data would fit no more.",
        where=layer,
        fix='Leave it out of `layers`, or prune its weights (granularity="weight"). To drop '
        "classes on purpose, call remove(model, rank(...).plan(...)) and drop them from the data.",
    )


def tensors_of(model: nn.Module, graph: ModelGraph) -> dict[str, Tensor]:
    """Return the tensors of `graph` from `model`, detached; ModelError if they do not fit."""
    check_graph(graph)
    if not isinstance(model, nn.Module):
        raise ModelError(
            "The model is not a torch.nn.Module.", expected="a network", got=type(model).__name__
        )
    check_weights(model)
    found = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    tensors: dict[str, Tensor] = {}
    for name, info in graph.tensors.items():
        tensor = found.get(name)
        if tensor is None or tuple(tensor.shape) != info.shape:
            raise ModelError(
                "This graph belongs to another network.",
                expected=f"{name} of shape {info.shape}",
                got="no such tensor" if tensor is None else tuple(tensor.shape),
                fix="Trace the network again after changing it.",
            )
        tensors[name] = tensor.detach()
    return tensors


def _wanted(graph: ModelGraph, spec: PruningSpec) -> list[LayerInfo]:
    """Layers that were asked for by name, in the order of the graph; all if none were named."""
    names = spec.layer_names
    if names is None:
        return list(graph.layers.values())
    for name in names:
        if name not in graph.layers:
            near = difflib.get_close_matches(name, graph.layers, n=1)
            never = " It is in the model, but its forward never reaches it."
            raise SpecError(
                f"There is no layer called {name!r}." + (never if name in graph.untraced else ""),
                fix=(f"Did you mean {near[0]!r}? " if near else "")
                + f"Layers: {', '.join(graph.layers)}.",
            )
    return [layer for name, layer in graph.layers.items() if name in set(names)]


def is_foreign(criterion: Criterion) -> bool:
    """Whether a criterion comes from somewhere else, so that nothing is known of its manners."""
    return not type(criterion).__module__.startswith("prunevis.")


def _score(criterion: Criterion, layer: LayerInfo, context: ScoreContext, by: str) -> Tensor:
    """Return what a criterion says of a layer; its own failures become a sentence."""
    try:
        scores = criterion.score(layer, context)
    except PrunevisError:
        raise
    except Exception as error:
        if not is_foreign(criterion):
            raise
        raise SpecError(
            f"The criterion {by!r} failed: {type(error).__name__}: {error}",
            where=layer.name,
            fix="Run prunevis.testing.check_criterion on it; name in `needs` what it reads.",
        ) from error
    units = context.granularity == "unit"
    shape = (layer.num_units,) if units else layer.weight_shape
    weight = context.tensors[layer.weight]
    return checked_scores(scores, shape, f"The criterion {by!r}", layer.name, weight)


def weight_layers(
    criterion: Criterion, graph: ModelGraph, spec: PruningSpec
) -> tuple[list[LayerInfo], dict[str, str]]:
    """Return the layers whose weights are to be scored, and reasons of those left out."""
    chosen: list[LayerInfo] = []
    skipped: dict[str, str] = {}
    seen: set[str] = set()
    for layer in _wanted(graph, spec):
        reason = layer.weight_reason
        if reason is None and layer.is_output and spec.layers is None:
            continue
        if reason is None and layer.weight in seen:
            reason = "It shares its weight with a layer that is already chosen."
        reason = reason or criterion.unavailable_for(layer, graph)
        if reason is None:
            chosen.append(layer)
            seen.add(layer.weight)
        elif spec.layers is not None:
            raise SpecError(f"The weights of `{layer.name}` cannot be pruned. {reason}")
        else:
            skipped[layer.name] = reason
    return chosen, skipped


def score_weights(
    criterion: Criterion, context: ScoreContext, spec: PruningSpec, layer: LayerInfo
) -> tuple[Tensor, int]:
    """Return a layer's scores as they are ordered, and how many weights are gone to begin with."""
    scores = _score(criterion, layer, context, spec.criterion)
    return patterned(scores, context.tensors[layer.weight], pattern_of(spec.pattern))


def score_units(
    criterion: Criterion, context: ScoreContext, spec: PruningSpec
) -> Generator[None, None, tuple[dict[str, Tensor], dict[str, str]]]:
    """Return importance by channel group, the mean over its producers, and reasons of the others.

    One layer is scored between two yields.
    """
    graph = context.graph
    importance: dict[str, Tensor] = {}
    skipped: dict[str, str] = {}
    for layer in _wanted(graph, spec):
        group = graph.groups.get(layer.group) if layer.group else None
        asked = spec.layers is not None
        # being the output is the one reason that asking by name lifts
        output = group is not None and group.is_output
        reason = layer.reason if group is None else group.reason
        if group is None or (reason is not None and not (output and asked)):
            if asked:
                why = reason or "They form no group."
                raise SpecError(f"The units of `{layer.name}` cannot be pruned. {why}")
            if not output:
                skipped[layer.name] = reason or "Its units form no group."
            continue
        if group.name in importance or group.name in skipped:
            continue
        total, seen, why = torch.zeros(group.size), torch.zeros(group.size), ""
        for producer in group.producers:
            info = graph.layers[producer]
            unable = criterion.unavailable_for(info, graph)
            if unable is not None:
                why = unable
                continue
            yield
            scores = _score(criterion, info, context, spec.criterion)
            units = _unit_map(graph, info)
            inside = units >= 0
            total.index_add_(0, units[inside], scores.float().cpu()[inside])
            seen.index_add_(0, units[inside], torch.ones(int(inside.sum())))
        if bool((seen > 0).all()):
            # a producer may compute some of the units only, or one unit several times
            importance[group.name] = total / seen
        elif asked:
            raise SpecError(f"`{layer.name}` has no score by {spec.criterion!r}. {why}".rstrip())
        else:
            skipped[layer.name] = why or "Some of its units have no score."
    if spec.scope == "global":
        importance = {name: _normalised(scores) for name, scores in importance.items()}
    return importance, skipped


def _unit_map(graph: ModelGraph, layer: LayerInfo) -> Tensor:
    """Unit of the layer's group at each of the layer's outputs."""
    for member in graph.groups[str(layer.group)].members:
        if member.tensor == layer.weight and member.role == "producer":
            return member.units
    raise ModelError(f"`{layer.name}` computes no unit of the group {layer.group!r}.")


def _normalised(scores: Tensor) -> Tensor:
    norm = float(scores.double().norm())
    return scores / norm if norm > 0 and math.isfinite(norm) else scores
