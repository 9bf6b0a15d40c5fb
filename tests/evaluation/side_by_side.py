"""Measuring candidates side by side, and what must come out."""

from dataclasses import replace

import torch

from prunevis.evaluation import Engine, Together, evaluate
from prunevis.graph import trace
from prunevis.pruning import PruningSpec, rank
from prunevis.pruning.masking import candidate


def ranked(model, examples, granularity="weight", criterion=None):
    graph = trace(model, examples.inputs[:1].clone())
    criterion = criterion or ("magnitude" if granularity == "weight" else "l1")
    return rank(model, PruningSpec.make(criterion, granularity, "global", 0.5), graph=graph)


def engine_of(model, ranking, examples, **way):
    engine = Engine(model, ranking.graph, examples.count)
    engine.way = replace(engine.way, **{"batch": 8, **way})
    return engine


def assert_exact(together, model, examples):
    for plan, stream in zip(together.plans, together.streams, strict=True):
        found = stream.evaluation()
        wanted = evaluate(model if plan is None else candidate(model, plan), examples)
        assert found.accuracy == wanted.accuracy
        assert torch.equal(found.examples.predicted, wanted.examples.predicted)
        torch.testing.assert_close(found.examples.loss, wanted.examples.loss, rtol=1e-4, atol=1e-5)


def measured(engine, sampler, plans, **options):
    together = Together(engine, sampler, plans)
    for _ in together.steps(**options):
        pass
    return together
