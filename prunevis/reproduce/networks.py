"""Training a network from new weights, as reproductions do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.criteria import CRITERIA
from prunevis.data import Data
from prunevis.graph import trace
from prunevis.pruning import PruningSpec, Ranking, rank
from prunevis.statistics import COLLECTABLE, collect_statistics, collection
from prunevis.steps import finished
from prunevis.training import FineTuneSettings, TrainingRun
from prunevis.training.schedules import Phase


def new(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a new network with the random weights of a seed; torch's state is as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def glorot(model: nn.Module) -> nn.Module:
    """Draw all weights of `model` as Glorot & Bengio 2010 do (normal), biases zero; return it."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def trained(
    model: nn.Module,
    data: Data,
    epochs: float,
    masks: Mapping[str, Tensor] | None = None,
    **options: Any,
) -> nn.Module:
    """Train `model` in place for some epochs, at least one step, and return it in evaluation mode.

    Parameters
    ----------
    model
        From `new`.
    data
        With training examples.
    epochs
        May be a fraction.
    masks
        By tensor name, what stays (True); the rest is held at zero.
    **options
        Fields of `FineTuneSettings`.
    """
    settings = FineTuneSettings(**options)
    assert data.train is not None, "reproductions have training examples"
    per_epoch = -(-data.train.count // settings.batch_size)
    phase = Phase(0, max(1, round(epochs * per_epoch)), "Training")
    # whoever calls measures what is wanted; the run's own measurements are of one example
    parts = (data.train, data.test.take(slice(0, 1)))
    run = TrainingRun(model, parts, masks or {}, settings, phases=(phase,))
    finished(run.steps())
    return model.eval()


def ranked(
    model: nn.Module,
    data: Data,
    criterion: str,
    *,
    scope: str = "global",
    layers: Iterable[str] | Mapping[str, float | None] | None = None,
    examples: int = 128,
    seed: int = 0,
) -> Ranking:
    """Put the weights of `model` in order, by so many training examples where they are needed.

    Parameters
    ----------
    model
        In evaluation mode or not; it is only read.
    data
        With training examples.
    criterion, scope, layers, seed
        As for `PruningSpec.make`; the seed also draws the examples.
    examples
        At least 1: works differ in how many they look at.
    """
    assert data.train is not None, "reproductions have training examples"
    graph = trace(model, data.test.inputs[:1])
    spec = PruningSpec.make(criterion, "weight", scope, layers=layers, seed=seed)
    statistics, needs = None, frozenset(CRITERIA[criterion].needs)
    if needs & COLLECTABLE:
        statistics = collect_statistics(
            model,
            data,
            graph=graph,
            max_examples=examples,
            gradient_examples=examples,
            seed=seed,
            **collection(needs),
        )
    return rank(model, spec, graph=graph, statistics=statistics)
