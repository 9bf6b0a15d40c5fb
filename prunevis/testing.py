"""Checks for what other people add to prunevis.

`check_criterion` does for a pruning criterion what scikit-learn's ``check_estimator`` does for an
estimator: it runs it on small networks and says in a sentence what it does not keep to. Every
built-in criterion passes it. `check_repair` does the same for repairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from prunevis.criteria.base import (
    CHOICES,
    CRITERIA,
    Criterion,
    ScoreContext,
    importance,
    prepared,
)
from prunevis.errors import PrunevisError
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.graph.trace import trace
from prunevis.pruning.repairs.checks import check_repair
from prunevis.registry import metadata_problem
from prunevis.statistics.collecting import collect_statistics
from prunevis.statistics.records import COLLECTABLE, Statistics

__all__ = ["check_criterion", "check_repair"]

#: The unit (and, in it, the weights) that each test network silences.
SILENT_UNIT = 2


#: Which fields of `Statistics` hold what a criterion names as its needs.
_HOLDERS = {
    "activations": {"activations", "correlation"},
    "responses": {"responses", "maps"},
    "inputs": {"inputs", "moments"},
    "gradients": {"gradients"},
}


@dataclass(frozen=True, eq=False, slots=True)
class _Case:
    """A small network with everything that a criterion may read."""

    name: str
    graph: ModelGraph
    model: nn.Module
    tensors: dict[str, Tensor]
    statistics: Statistics
    silenced: str  # the layer whose unit SILENT_UNIT never does anything


def check_criterion(
    criterion: str | type[Criterion] | Criterion, granularity: str | None = None
) -> None:
    """Check that a criterion keeps to what `prunevis.criteria.Criterion` promises.

    On two small networks (three linear layers; two convolutions with BatchNorm and a linear layer):
    complete metadata; scores of the right shape, real and finite; the same scores twice,
    for layers in any order; the seed matters if and only if `random`; nothing is read that `needs`
    does not name; tensors, the model and torch's random state are left as they were; and a unit or
    weight that does nothing is not among the more important half (higher = keep), or scores 0 where
    the criterion is `signed`. Statistics hold all that can be collected, of 32 labelled examples.

    Parameters
    ----------
    criterion
        A name in `CRITERIA`, a subclass of `Criterion`, or an instance.
    granularity
        "weight" or "unit" to check only that one; None: all that the criterion names.

    Raises
    ------
    AssertionError
        With a sentence that says what is wrong, on which network and layer.
    UnknownNameError
        If there is no criterion of this name.
    """
    if isinstance(criterion, str):
        criterion = CRITERIA[criterion]
    if isinstance(criterion, type):
        criterion = criterion()
    title = type(criterion).__name__
    problem = metadata_problem(criterion, CHOICES, ("random", "signed"))
    if problem is not None:
        raise AssertionError(problem)
    chosen = criterion.granularities if granularity is None else (granularity,)
    for one in chosen:
        if one not in criterion.granularities:
            raise AssertionError(
                f"{title} does not score granularity {one!r}; it names {criterion.granularities}."
            )
        scored = 0
        for case in _cases():
            scored += _check_case(criterion, one, case, f"{title} ({one})")
        if not scored:
            raise AssertionError(
                f"{title} ({one}) says that it can score no layer of any test network, "
                "so nothing about it could be checked."
            )


def _check_case(criterion: Criterion, granularity: str, case: _Case, title: str) -> int:
    """Check one network; return how many of its layers the criterion scores."""
    refusal = criterion.unavailable(case.graph)
    if refusal is not None:
        _check_sentence(refusal, f"{title}: unavailable() on {case.name}")
        return 0
    layers = []
    for layer in case.graph.layers.values():
        reason = criterion.unavailable_for(layer, case.graph)
        if reason is None:
            layers.append(layer)
        else:
            _check_sentence(reason, f"{title}: unavailable_for() on {case.name}, {layer.name}")
    context = _prepared(case, criterion, granularity, title, seed=0)
    before = {name: tensor.clone() for name, tensor in context.tensors.items()}
    random_state = torch.get_rng_state()
    first = {layer.name: _score(criterion, layer, context, title, case) for layer in layers}
    again = {layer.name: _score(criterion, layer, context, title, case) for layer in layers[::-1]}
    other = _prepared(case, criterion, granularity, title, seed=1)
    reseeded = {layer.name: _score(criterion, layer, other, title, case) for layer in layers}
    for name, tensor in before.items():
        if not torch.equal(tensor, context.tensors[name]):
            raise AssertionError(f"{title} changed the tensor {name} of {case.name}.")
    if not torch.equal(random_state, torch.get_rng_state()):
        raise AssertionError(
            f"{title} changed torch's global random state; draw from a torch.Generator of its own."
        )
    for layer in layers:
        where = f"{layer.name} of {case.name}"
        scores = first[layer.name]
        if not torch.equal(scores, again[layer.name]):
            raise AssertionError(
                f"{title} gave two different scores for {where} with the same seed: "
                "scores may depend on nothing but the layer and the context."
            )
        if criterion.random == torch.equal(scores, reseeded[layer.name]):
            raise AssertionError(
                f"{title} has random = {criterion.random}, but on {where} another seed "
                f"{'changes nothing' if criterion.random else 'changes the scores'}."
            )
        if layer.name == case.silenced and not criterion.random:
            _check_direction(scores, criterion.signed, f"{title} on {where}")
    return len(layers)


def _context(case: _Case, criterion: Criterion, granularity: str, seed: int) -> ScoreContext:
    """Return copies, without what the criterion does not say that it needs."""
    needs = frozenset(criterion.needs)
    statistics = None
    if COLLECTABLE & needs:
        empty = {name: {} for name in _HOLDERS if not _HOLDERS[name] & needs}
        labels = case.statistics.labels if "labels" in needs else None
        statistics = replace(case.statistics, labels=labels, **empty)  # type: ignore[arg-type]
    tensors = {name: tensor.clone() for name, tensor in case.tensors.items()}
    model = case.model if "model" in needs else None
    return ScoreContext(case.graph, tensors, statistics, granularity, seed, model)


def _prepared(
    case: _Case, criterion: Criterion, granularity: str, title: str, seed: int
) -> ScoreContext:
    context = _context(case, criterion, granularity, seed)
    state = torch.get_rng_state()
    try:
        found = prepared(criterion, context)
    except Exception as error:
        raise AssertionError(
            f"{title} fails to prepare for {case.name}: {type(error).__name__}: {error}"
        ) from error
    for name, tensor in [*case.model.named_parameters(), *case.model.named_buffers()]:
        if not torch.equal(tensor, case.tensors[name]):
            raise AssertionError(f"{title} changed the tensor {name} of the model of {case.name}.")
    if not torch.equal(state, torch.get_rng_state()):
        raise AssertionError(f"{title} changed torch's global random state in prepare().")
    return found


def _score(
    criterion: Criterion, layer: LayerInfo, context: ScoreContext, title: str, case: _Case
) -> Tensor:
    try:
        scores = importance(criterion, layer, context)
    except PrunevisError as error:
        raise AssertionError(
            f"{title} does not score {layer.name} of {case.name}, though unavailable_for() gives "
            f"no reason: {error}"
        ) from error
    except Exception as error:
        raise AssertionError(
            f"{title} fails on {layer.name} of {case.name}: {type(error).__name__}: {error}"
        ) from error
    return scores


def _check_direction(scores: Tensor, signed: bool, where: str) -> None:
    silent = scores[SILENT_UNIT].max()
    if signed:
        if float(scores[SILENT_UNIT].abs().max()) > 1e-6 * float(scores.abs().max()):
            raise AssertionError(
                f"{where}: what does nothing at all scores {float(silent):g}, and the criterion "
                "says that it is signed, so that this should be 0."
            )
        return
    if bool(silent > scores.median()):
        raise AssertionError(
            f"{where}: what does nothing at all scores {float(silent):g}, above the median of "
            f"{float(scores.median()):g}. Higher must mean keep."
        )


def _check_sentence(text: object, where: str) -> None:
    if not isinstance(text, str) or not text.endswith("."):
        raise AssertionError(f"{where} must give None or a sentence, got {text!r}.")


def _cases() -> Iterator[_Case]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        linear = nn.Sequential(
            nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)
        )
        convolutional = nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 3),
        )
        with torch.no_grad():
            for module in convolutional:
                if isinstance(module, nn.BatchNorm2d):  # fresh ones are all alike
                    module.weight.uniform_(0.5, 1.5)
                    module.bias.uniform_(0.0, 0.5)
        yield _case("a network of linear layers", linear, torch.randn(32, 12))
        yield _case("a network of convolutions", convolutional, torch.randn(32, 2, 6, 6))


def _case(name: str, model: nn.Sequential, inputs: Tensor) -> _Case:
    """Silence one unit of the first layer, trace, and collect statistics."""
    model.eval()
    with torch.no_grad():
        for module in list(model.children())[:2]:
            for tensor in module.parameters():
                tensor[SILENT_UNIT] = 0.0
    graph = trace(model, inputs[:1])
    targets = torch.arange(inputs.shape[0]) % 3
    statistics = collect_statistics(
        model, (inputs, targets), graph=graph, maps=True, inputs=True, gradients=True
    )
    tensors = {
        n: t.detach().clone() for n, t in [*model.named_parameters(), *model.named_buffers()]
    }
    return _Case(name, graph, model, tensors, statistics, silenced="0")
