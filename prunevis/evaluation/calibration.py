"""The one pass over calibration examples that several criteria share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from prunevis.criteria import CRITERIA
from prunevis.data import as_data
from prunevis.graph.layers import ModelGraph
from prunevis.statistics import COLLECTABLE, StatisticsProgress, collect_steps, collection


def needs_of(names: Iterable[str]) -> frozenset[str]:
    """Return what the criteria called `names` must have collected for them."""
    found: set[str] = set()
    for name in names:
        found |= set(CRITERIA[name].needs)
    return frozenset(found & COLLECTABLE)


def statistics_steps(
    model: nn.Module,
    data: Any,
    graph: ModelGraph,
    names: Iterable[str],
    *,
    max_examples: int = 1024,
    seed: int = 0,
) -> Iterator[StatisticsProgress]:
    """Collect what the criteria called `names` need, nothing else; as `collect_steps`."""
    needs = collection(needs_of(names))
    return collect_steps(model, data, graph, max_examples=max_examples, seed=seed, **needs)


def first_input(data: Any) -> Tensor:
    """Return one example of `data`, with its batch axis, to trace a network with."""
    checked = as_data(data)
    examples = checked.test if checked.train is None else checked.train
    return examples.inputs[:1]
