"""What a session measures with: made once for a stage, let go with it."""

from types import SimpleNamespace

import pytest
import torch
from tiny_networks import TinyMLP, answered, labelled, seeded

from prunevis.evaluation import evaluate
from prunevis.graph import trace
from prunevis.pruning import PruningSpec, rank
from prunevis.pruning.masking import candidate
from prunevis.session import instruments as module
from prunevis.session.instruments import Instruments
from prunevis.steps import finished


@pytest.fixture
def examples():
    return answered(seeded(TinyMLP), labelled((12,), 60, 4))


def stage(examples, number=1, baseline=None):
    model = seeded(TinyMLP)
    graph = trace(model, examples.inputs[:1])
    return SimpleNamespace(number=number, model=model, graph=graph, baseline=baseline)


def table_of(stage, granularity):
    criterion = {"weight": "magnitude", "unit": "l1"}[granularity]
    spec = PruningSpec.make(criterion, granularity, "global", 0.5)
    ranking = rank(stage.model, spec, graph=stage.graph)
    places = [0.0, 0.5, 0.9]
    plan = lambda index: ranking.plan(places[index])  # noqa: E731
    return SimpleNamespace(stage=stage, ranking=ranking, sparsity=places, plan=plan)


def test_made_once_for_a_stage(examples):
    data, found = SimpleNamespace(test=examples), Instruments()
    one, two = stage(examples), stage(examples, 2)
    engine, sampler = found.engine(one, data), found.sampler(one, data)
    assert found.engine(one, data) is engine
    assert found.sampler(one, data) is sampler
    for _ in engine.tune_steps(examples.inputs):
        pass
    other = found.engine(two, data)
    assert other is not engine
    assert other.model is two.model
    assert other.way == engine.way
    assert found.sampler(two, data) is not sampler
    found.clear()
    assert found.engine(two, data) is not other


def test_the_baseline_is_the_exact_figure(examples):
    data, found, one = SimpleNamespace(test=examples), Instruments(), stage(examples)
    baseline = finished(found.baseline_steps(one, data))
    wanted = evaluate(one.model, examples)
    assert baseline.accuracy == wanted.accuracy
    assert torch.equal(baseline.examples.predicted, wanted.examples.predicted)


def test_candidates_end_with_the_exact_figure(examples):
    data, found = SimpleNamespace(test=examples), Instruments()
    one = stage(examples, baseline=evaluate(seeded(TinyMLP), examples))
    spec = PruningSpec.make("magnitude", "weight", "global", 0.5)
    ranking = rank(one.model, spec, graph=one.graph)
    plans = [ranking.plan(s) for s in (0.2, 0.5, 0.9)]
    together = found.together(one, data, plans)
    for _ in together.steps():
        pass
    for plan, stream in zip(plans, together.streams, strict=True):
        assert stream.estimate.value == evaluate(candidate(one.model, plan), examples).accuracy


def test_looks_only_now_and_then_and_only_if_slower(examples, monkeypatch):
    data, found, one = SimpleNamespace(test=examples), Instruments(), stage(examples)
    engine, table = found.engine(one, data), table_of(one, "weight")
    now, slowed, tuned = [1000.0], [True], []
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(engine, "slowed", lambda inputs: slowed[0])
    monkeypatch.setattr(engine, "tune_steps", lambda inputs: iter([tuned.append(now[0])]))
    list(found.look(data, table))
    list(found.look(data, table))
    assert tuned == [1000.0]
    now[0] += module.LOOK_EVERY
    slowed[0] = False
    list(found.look(data, table))
    now[0] += module.LOOK_EVERY
    slowed[0] = True
    list(found.look(data, table))
    assert tuned == [1000.0, 1040.0]


def test_networks_that_lose_units_have_a_way_of_their_own(examples):
    data, found, one = SimpleNamespace(test=examples), Instruments(), stage(examples)
    engine = found.engine(one, data)
    list(found.look(data, table_of(one, "weight")))
    assert engine.cut is None
    units = table_of(one, "unit")
    list(found.look(data, units))
    assert engine.cut is not None
    assert list(found.look(data, units)) == []
    plans = [units.ranking.plan(0.5)]
    assert engine.way_of(plans) is engine.cut
    assert engine.way_of([None]) is engine.way
    assert found.engine(stage(examples, 2), data).cut == engine.cut
