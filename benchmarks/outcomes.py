"""What the zoo's models answer on each test image at each position of the slider."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Literal

import torch

import prunevis as pv
from prunevis.evaluation import Reference
from prunevis.pruning.masking import candidate

#: Granularity and criterion of the two rankings, each over all layers.
RANKINGS: tuple[tuple[Literal["weight", "unit"], str], ...] = (
    ("weight", "magnitude"),
    ("unit", "l2"),
)
#: The slider's positions in percent; the last is 99.9.
POSITIONS = (*range(100), 99.9)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread inside the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@cache
def ranking(name: str, granularity: str) -> tuple[torch.nn.Module, pv.Ranking]:
    """Return a model of the zoo and its ranking over all layers."""
    model = pv.load_model(name)
    spec = next(
        pv.PruningSpec(rule, kind, "global") for kind, rule in RANKINGS if kind == granularity
    )
    return model, pv.rank(model, spec, data=pv.load_data("fashion-mnist"))


@cache
def outcome(name: str, granularity: str, percent: float) -> Reference:
    """Return correctness and margins, image by image, with `percent` removed."""
    model, sorted_out = ranking(name, granularity)
    pruned = candidate(model, sorted_out.plan(percent / 100))
    return Reference.of(pv.evaluate(pruned, pv.load_data("fashion-mnist"), batch_size=250))


def cells(names: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """Return (model, granularity) of all that the zoo has."""
    return [(name, granularity) for name in names or pv.MODELS for granularity, _ in RANKINGS]
