"""Scoring a network and putting what can go in order: how a `Ranking` is made."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunevis.criteria import CRITERIA, Criterion, ScoreContext, prepared_steps
from prunevis.errors import NothingToPruneError, SpecError
from prunevis.graph.layers import ModelGraph
from prunevis.pruning.cuts import Ranking, Rescored
from prunevis.pruning.order import order_steps, sortable, unsorted
from prunevis.pruning.patterns import pattern_of
from prunevis.pruning.pieces import (
    LOWEST,
    Pieces,
    gone_units,
    pieces_of_units,
    pieces_of_weights,
)
from prunevis.pruning.repairs.mending import Mending, mending_of
from prunevis.pruning.scoring import (
    check_collected,
    check_owner,
    collected,
    is_foreign,
    score_units,
    score_weights,
    tensors_of,
    traced,
    weight_layers,
)
from prunevis.pruning.spec import PruningSpec
from prunevis.statistics.records import COLLECTABLE
from prunevis.steps import finished


def rank(
    model: nn.Module,
    spec: PruningSpec | None = None,
    *,
    graph: ModelGraph | None = None,
    statistics: Any = None,
    data: Any = None,
    calibration: tuple[int, int] | None = None,
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
        From `collect_statistics`, needed by criteria that look at activations and by repairs that
        look at what layers read. Default: collected from `data`.
    data
        Examples, if `graph` or needed `statistics` are not given, or the repair runs some.
    calibration
        Of how many examples a repair collects what layers read, and how many it runs, each from 1;
        None: 4,096 for both, and it shares the statistics. The page takes (2048, 512).

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
    if not isinstance(spec, PruningSpec):
        raise SpecError(
            "This is no request.",
            expected="a PruningSpec",
            got=repr(spec)[:80],
            fix='Pass PruningSpec.make("magnitude", "weight").',
        )
    if graph is None:
        graph = traced(model, data)
    _criterion(spec)
    statistics = collected(model, data, graph, spec.criterion, statistics)
    mending = mending_of(
        spec.repair, model, graph, statistics=statistics, data=data, calibration=calibration
    )
    steps = rank_steps(model, spec, graph=graph, statistics=statistics, mending=mending)
    ranking = finished(steps)
    for caution in cautions(ranking, statistics):
        warnings.warn(caution, UserWarning, stacklevel=2)
    return ranking


def cautions(ranking: Ranking, statistics: Any) -> list[str]:
    """Return why a ranking deserves little trust, a sentence for each layer that has a reason.

    Parameters
    ----------
    ranking
        From `rank` or `rank_steps`.
    statistics
        Those that it was made with.
    """
    spec, graph = ranking.spec, ranking.graph
    criterion = _criterion(spec)
    if statistics is None or type(criterion).caution is Criterion.caution:
        return []
    context = ScoreContext(graph, {}, statistics, spec.granularity, spec.seed)
    names = ranking.total
    if spec.granularity == "unit":
        names = [name for group in ranking.total for name in graph.groups[group].producers]
    layers = (graph.layers[name] for name in names)
    able = (layer for layer in layers if criterion.unavailable_for(layer, graph) is None)
    found = (criterion.caution(layer, context) for layer in able)
    return list(dict.fromkeys(sentence for sentence in found if sentence is not None))


def rank_steps(
    model: nn.Module,
    spec: PruningSpec,
    *,
    graph: ModelGraph,
    statistics: Any = None,
    keep_scores: bool = True,
    mending: Mending | None = None,
) -> Generator[None, None, Ranking]:
    """Rank as `rank` does, in steps of some 20 ms; the `Ranking` is what the generator returns.

    Parameters
    ----------
    model, spec, graph, statistics
        As for `rank`.
    keep_scores
        Whether to keep a score of each weight, 4 bytes or more. False: `Ranking.importance` scores
        a layer again when it is read, so `model` must not change while the ranking is in use.
    mending
        What the repair of the spec reads.

    Raises
    ------
    SpecError, NothingToPruneError, NonFiniteError
        As `rank`.
    """
    criterion = _criterion(spec)
    check_collected(criterion, statistics)
    if COLLECTABLE & criterion.needs:
        check_owner(model, statistics)
    tensors = tensors_of(model, graph)
    if is_foreign(criterion):
        # the person's network stays what it was whatever another's criterion does to its weights
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    context = ScoreContext(
        graph=graph,
        tensors=tensors,
        statistics=statistics,
        granularity=spec.granularity,
        seed=spec.seed,
        model=model,
    )
    importance: Mapping[str, Tensor]
    already: dict[str, int] = {}
    parts: dict[str, Pieces] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    keys: dict[str, Tensor] = {}
    exact: dict[str, Tensor] = {}
    if spec.granularity == "unit":
        context = yield from prepared_steps(criterion, context)
        found, skipped = yield from score_units(criterion, context, spec)
        importance = {}
        for name, scores in found.items():
            group = graph.groups[name]
            gone = gone_units(graph, group, tensors)
            ordered = scores.masked_fill(gone, LOWEST) if bool(gone.any()) else scores
            pieces = pieces_of_units(graph, group, ordered, spec.min_units, spec.multiple_of)
            if isinstance(pieces, str):
                skipped[name] = pieces
                continue
            importance[name], parts[name] = scores, pieces
            already[name] = pieces.below(LOWEST / 2)
            _take(name, pieces.scores, scores, keys, exact, shapes)
    else:
        layers, skipped = weight_layers(criterion, graph, spec)
        context = replace(context, layers=tuple(layer.name for layer in layers))
        context = yield from prepared_steps(criterion, context)
        kept: dict[str, Tensor] = {}
        pattern = pattern_of(spec.pattern)
        for layer in layers:
            name = layer.name
            scores, already[name] = score_weights(criterion, context, spec, layer)
            if keep_scores:
                kept[name] = scores
            pieces = scores
            if pattern is not None:
                yield
                parts[name] = pieces_of_weights(scores, context.weight(layer), pattern)
                pieces = parts[name].scores
            _take(name, pieces, scores, keys, exact, shapes)
            yield
        importance = kept if keep_scores else Rescored(criterion, context, spec, layers)
    if not keys:
        reasons = " ".join(f"`{name}`: {why}" for name, why in list(skipped.items())[:3])
        raise NothingToPruneError(
            "Nothing in this network can be pruned in the way that was asked.",
            got=reasons or "no convolution or linear layer besides the output layer",
            # with units of the output layer classes would leave
            fix="Choose other layers, or the other granularity."
            if spec.granularity == "unit"
            else "Choose other layers, the other granularity, or name the output layer in "
            "`layers`.",
        )
    orders = []
    for names in _pools(graph, spec, list(keys)):
        doubles = stays = sizes = None
        if any(name in exact for name in names):
            doubles = [
                _flat(exact[name]).numpy() if name in exact else unsorted(keys[name].numpy())
                for name in names
            ]
        if parts and any(parts[name].stays is not None for name in names):
            stays = [_stays(parts[name]) for name in names]
        if parts and any(parts[name].of is not None for name in names):
            sizes = [parts[name].sizes.numpy() for name in names]
        flat = [keys[name].numpy() for name in names]
        # sorting leaves the places where the scores were
        orders.append((yield from order_steps(names, flat, doubles, stays, sizes)))
        yield
    for name, pieces in parts.items():
        if pieces.of is not None:
            keys[name] = keys[name][pieces.of]
    ranks = {name: key.reshape(shapes[name]) for name, key in keys.items()}
    return Ranking(
        graph=graph,
        spec=spec,
        total={name: rank.numel() for name, rank in ranks.items()},
        importance=importance,
        ranks=ranks,
        already=already,
        skipped=skipped,
        _orders=tuple(orders),
        mending=mending,
    )


def _take(
    name: str,
    pieces: Tensor,
    scores: Tensor,
    keys: dict[str, Tensor],
    exact: dict[str, Tensor],
    shapes: dict[str, tuple[int, ...]],
) -> None:
    """Note what a layer or group is sorted by, and the shape that its places will have."""
    keys[name] = _key(pieces).flatten()
    shapes[name] = tuple(scores.shape)
    if pieces.dtype == torch.float64:
        exact[name] = pieces


def _stays(pieces: Pieces) -> np.ndarray:
    if pieces.stays is None:
        return np.zeros(len(pieces.scores), dtype=bool)
    return pieces.stays.numpy()


def _criterion(spec: PruningSpec) -> Criterion:
    """Return the criterion of `spec`; SpecError if it does not score such pieces."""
    criterion = CRITERIA[spec.criterion]()
    if spec.granularity not in criterion.granularities:
        able = ", ".join(n for n, c in CRITERIA.items() if spec.granularity in c.granularities)
        raise SpecError(
            f"The criterion {spec.criterion!r} does not score single {spec.granularity}s.",
            fix=f'Pass granularity="{criterion.granularities[0]}" to use it. '
            f"For granularity {spec.granularity!r} choose one of: {able}.",
        )
    return criterion


def _key(scores: Tensor) -> Tensor:
    """Return int32 of the same order and shape; equal where float32 cannot tell scores apart."""
    numbers = scores.detach().to("cpu", torch.float32).contiguous().numpy()
    return torch.from_numpy(sortable(numbers))


def _flat(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().reshape(-1)


def _pools(graph: ModelGraph, spec: PruningSpec, names: list[str]) -> list[list[str]]:
    """Return the names that are put in one order together, each name once."""
    own = spec.own_sparsity
    unit = spec.granularity == "unit"
    fixed = {graph.layers[name].group for name in own} if unit else set(own)
    pool = [n for n in names if n not in fixed] if spec.scope == "global" else []
    return [*([pool] if pool else []), *([name] for name in names if name not in set(pool))]
