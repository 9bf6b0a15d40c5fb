"""Two networks side by side: what they cost, where they are right, what the second forgot.

Hooker, Courville, Clark, Dauphin and Frome (2019), "What do compressed deep neural networks
forget?": accuracy hardly changes, yet pruning hits some classes and some examples much harder than
others. Their *pruning-identified exemplars* are the images on which the most frequent predictions
of thirty pruned and thirty dense networks differ; here they are those of one pair, so part of what
is shown would also change between two trainings of the same network.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunevis.data import Examples
from prunevis.errors import ModelError, SpecError
from prunevis.evaluation.comparison import Changed, ClassPair, Comparison, LayerPair
from prunevis.evaluation.exact import Evaluation, evaluate_steps, examples_of
from prunevis.evaluation.inference import BatchSizer, Classifier, Predictor
from prunevis.evaluation.intervals import mcnemar, paired
from prunevis.graph import trace
from prunevis.graph.cost import CostModel, ModelCost, costs_of
from prunevis.graph.layers import ModelGraph
from prunevis.statistics import unit_rows
from prunevis.steps import finished


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two networks, and what is known of it already.

    Attributes
    ----------
    model
        A module, or a callable of which no costs are known.
    evaluation
        What it does on the examples; None if that is to be measured.
    graph, costs
        Its trace and arithmetic; None if it is to be traced.
    """

    model: Classifier = field(repr=False)
    evaluation: Evaluation | None = field(default=None, repr=False)
    graph: ModelGraph | None = field(default=None, repr=False)
    costs: CostModel | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ComparisonProgress:
    """How far a comparison is.

    Attributes
    ----------
    done
        Share done, in [0, 1].
    text
        What is being done.
    result
        With the last step; None before.
    """

    done: float
    text: str
    result: Comparison | None = field(default=None, repr=False)


def compare(
    a: Classifier,
    b: Classifier,
    data: Any,
    *,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
) -> Comparison:
    """Hold two networks against each other on the same examples.

    Parameters
    ----------
    a, b
        Before and after: modules of the same task, run in eval mode and left as they are. One may
        be a callable from inputs (N, ...) to logits (N, classes); its costs are then unknown.
    data, batch_size, device
        As for `evaluate`.

    Returns
    -------
    Comparison
        Accuracies and their paired difference with a 95 % interval, costs, layers, classes, and the
        examples whose prediction changed: forgotten, learned, and wrong in another way.

    Raises
    ------
    SpecError
        If the networks have different numbers of classes.
    ModelError, DataError, NonFiniteError
        As `evaluate` does, for either network.
    TraceError
        If a module cannot be traced, so that its costs are unknown.

    Notes
    -----
    The examples that pruning forgets: Hooker et al. (2019), "What do compressed deep neural
    networks forget?", here of one pair of networks and not of populations of them. On the examples
    given the difference is exact; the interval says what it may be on others like them.

    Examples
    --------
    >>> found = pv.compare(model, pv.prune(model, data, sparsity=0.9).model, data)
    >>> found.forgotten.index[:10]  # the ten whose margin fell most
    """
    examples = examples_of(data)
    return finished(compare_steps(Side(a), Side(b), examples, batch_size=batch_size, device=device))


def compare_steps(
    a: Side,
    b: Side,
    examples: Examples,
    *,
    most: int | None = None,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
) -> Generator[ComparisonProgress, None, Comparison]:
    """Compare step by step; the last progress carries the `Comparison`, also returned.

    Parameters
    ----------
    a, b
        Before and after, with what is known of them.
    examples
        What both are measured on.
    most
        Confidences are found for at most so many examples of each kind; None: for all.
    batch_size, device
        As for `evaluate`.
    """
    found: list[Evaluation] = []
    for i, side in enumerate((a, b)):
        text = f"Measuring the {'second' if i else 'first'} network"
        known = side.evaluation
        if known is None:
            for step in evaluate_steps(side.model, examples, batch_size=batch_size, device=device):
                known = step.evaluation
                yield ComparisonProgress((i + step.seen / step.total) * 0.45, text)
        assert known is not None, "the last step carries the evaluation"
        found.append(known)
    before, after = found
    _check(before, after, examples)
    kinds = changed(before, after, examples.targets)
    yield ComparisonProgress(0.9, "Looking at what changed")
    asked = [kind if most is None else _first(kind, most) for kind in kinds]
    with_confidence = []
    for kind in asked:
        with_confidence.append((yield from _confident(kind, (a, b), examples, device)))
    filled = [
        Changed(
            kind.index,
            kind.target,
            kind.predicted,
            kind.margin,
            torch.cat([sure, torch.full((len(kind) - len(sure), 2), torch.nan)]),
        )
        for kind, sure in zip(kinds, with_confidence, strict=True)
    ]
    yield ComparisonProgress(0.95, "Counting what each layer costs")
    sides = []
    for side in (a, b):
        sides.append((yield from _counted(side, examples)))
    layers = _layers(sides)
    gained, lost = len(kinds[1]), len(kinds[0])
    low, high = paired(gained, lost, after.total)
    result = Comparison(
        before=before,
        after=after,
        difference=(gained - lost) / after.total,
        low=low,
        high=high,
        p_value=mcnemar(gained, lost),
        costs=(sides[0][0], sides[1][0]),
        layers=layers,
        classes=classes(before, after, examples.targets),
        forgotten=filled[0],
        learned=filled[1],
        other=filled[2],
    )
    yield ComparisonProgress(1.0, "Done", result)
    return result


def _check(before: Evaluation, after: Evaluation, examples: Examples) -> None:
    counts = len(before.per_class), len(after.per_class)
    if counts[0] != counts[1]:
        raise SpecError(
            "These networks do not do the same task: they have different numbers of classes.",
            expected=f"{counts[0]} classes, as the first",
            got=f"{counts[1]}",
        )
    for known in (before, after):
        if known.total != examples.count:
            raise SpecError(
                "A network was measured on other examples.",
                expected=f"{examples.count:,} examples",
                got=f"{known.total:,}",
            )


def changed(
    before: Evaluation, after: Evaluation, targets: Tensor
) -> tuple[Changed, Changed, Changed]:
    """Return the examples forgotten, learned, and wrong in another way, without confidences."""
    was, now = before.examples, after.examples
    margin = torch.stack([was.margin, now.margin], 1)
    # without infinities, which a single class ruled out gives, and whose difference is NaN
    fall = (was.margin - now.margin).nan_to_num(0.0)
    kinds = (
        (was.correct & ~now.correct, fall),
        (~was.correct & now.correct, -fall),
        (~was.correct & ~now.correct & (was.predicted != now.predicted), fall),
    )
    found = []
    for mask, by in kinds:
        index = mask.nonzero()[:, 0]
        # stable: of equal falls the first in the data comes first
        index = index[by[index].argsort(descending=True, stable=True)]
        found.append(
            Changed(
                index,
                targets.cpu()[index],
                torch.stack([was.predicted, now.predicted], 1)[index],
                margin[index],
                torch.full((len(index), 2), torch.nan),
            )
        )
    return found[0], found[1], found[2]


def classes(before: Evaluation, after: Evaluation, targets: Tensor) -> tuple[ClassPair, ...]:
    """Return the accuracies of each class."""
    counts = torch.bincount(targets.cpu(), minlength=len(before.per_class)).tolist()
    pairs = zip(before.per_class, after.per_class, strict=True)
    return tuple(ClassPair(i, counts[i], pair) for i, pair in enumerate(pairs))


def _first(kind: Changed, most: int) -> Changed:
    return Changed(
        kind.index[:most],
        kind.target[:most],
        kind.predicted[:most],
        kind.margin[:most],
        kind.confidence[:most],
    )


def _confident(
    kind: Changed, sides: tuple[Side, Side], examples: Examples, device: Any
) -> Generator[ComparisonProgress, None, Tensor]:
    """Return how sure each network is of what it says, shape (n, 2)."""
    sure = torch.full((len(kind), 2), torch.nan)
    needed = int(examples.targets.max()) + 1
    for column, side in enumerate(sides):
        sizer = BatchSizer()
        predict = Predictor(side.model, needed, device=device, sizer=sizer)
        seen = 0
        while seen < len(kind):
            part = slice(seen, min(len(kind), seen + sizer.size))
            logits = predict(examples.inputs[kind.index[part]])
            chances = F.softmax(logits.float(), 1).cpu()
            sure[part, column] = chances.gather(1, kind.predicted[part, column, None])[:, 0]
            seen = part.stop
            yield ComparisonProgress(0.92, "Asking how sure each network is")
    return sure


Counted = tuple[ModelCost | None, dict[str, int]]


def _counted(side: Side, examples: Examples) -> Generator[ComparisonProgress, None, Counted]:
    """Return what a network costs, and how many units of each layer are left."""
    if not isinstance(side.model, nn.Module):
        return None, {}
    graph, costs = side.graph, side.costs
    if graph is None:
        graph = trace(side.model, examples.inputs[:1])
        yield ComparisonProgress(0.95, "Counting what each layer costs")
    if costs is None:
        costs = costs_of(side.model, graph)
        yield ComparisonProgress(0.95, "Counting what each layer costs")
    units: dict[str, int] = {}
    for layer in graph.layers.values():
        try:
            weight = side.model.get_parameter(layer.weight).detach()
            units[layer.name] = int((unit_rows(graph, layer, weight) != 0).any(1).sum())
        except (ModelError, AttributeError, RuntimeError):
            # what has no units of its own is counted in parameters only
            units[layer.name] = layer.num_units
        yield ComparisonProgress(0.95, "Counting what each layer costs")
    return costs.cost(), units


def _layers(sides: list[Counted]) -> tuple[LayerPair, ...]:
    names = dict.fromkeys(name for cost, _ in sides if cost is not None for name in cost.layers)

    def both(name: str) -> Iterator[tuple[int | None, int | None, int | None]]:
        for cost, units in sides:
            if cost is None or name not in cost.layers:
                yield None, None, None
            else:
                layer = cost.layers[name]
                yield layer.nonzero_params, layer.effective_macs, units.get(name)

    found = []
    for name in names:
        (p0, m0, u0), (p1, m1, u1) = both(name)
        found.append(LayerPair(name, (p0, p1), (m0, m1), (u0, u1)))
    return tuple(found)
