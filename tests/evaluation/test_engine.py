"""The engine: keys, choices, threads, what is kept."""

import threading
from dataclasses import replace

import pytest
import torch
from odd_networks import RECORDED, REFUSED, ROW, made
from side_by_side import assert_exact, engine_of, measured, ranked
from small_networks import Net
from tiny_networks import assert_same, snapshot
from torch import nn

from prunevis.errors import ModelError
from prunevis.evaluation import Engine, Sampler, evaluate
from prunevis.evaluation import engine as engines
from prunevis.evaluation.engine import Trial, threads
from prunevis.graph import trace


def test_threads_are_put_back():
    assert torch.get_num_threads() == 1
    with threads(2):
        assert torch.get_num_threads() == 2
        with threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 1
    with pytest.raises(ValueError, match="x"), threads(2):
        raise ValueError("x")
    assert torch.get_num_threads() == 1


def test_other_threads_see_what_they_saw():
    seen, go, done = [], threading.Event(), threading.Event()

    def other():
        torch.ones(2) + 1
        seen.append(torch.get_num_threads())
        go.set()
        done.wait(30)
        seen.append(torch.get_num_threads())

    thread = threading.Thread(target=other)
    thread.start()
    go.wait(30)
    with threads(2):
        pass
    done.set()
    thread.join()
    late = []
    thread = threading.Thread(target=lambda: late.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen[0] == seen[1]
    assert late == [1]


@pytest.mark.parametrize("name", ["projection", "encoder", "counts in a buffer", "hook"])
def test_tuning_finds_a_way_and_leaves_no_trace(name):
    case = RECORDED.get(name) or REFUSED[name][0]
    model, examples = made(case)
    model.train()
    before, inputs = snapshot(model), examples.inputs.clone()
    engine = Engine(model, trace(model, examples.inputs[:1]), examples.count)
    if name == "counts in a buffer":
        before = snapshot(model)
    for _ in engine.tune_steps(examples.inputs):
        assert torch.get_num_threads() == 1
    assert 1 <= engine.way.batch <= examples.count
    assert isinstance(engine.slowed(examples.inputs), bool)
    assert torch.equal(examples.inputs, inputs)
    if name != "counts in a buffer":
        assert_same(before, snapshot(model))


def test_a_view_that_needs_an_order_in_memory():
    model, examples = made(
        (
            lambda: Net(
                lambda s, x: s.fc(torch.relu(s.c(x)).view(x.shape[0], -1)),
                c=nn.Conv2d(3, 6, 3),
                fc=nn.Linear(216, 4),
            ),
            (3, 8, 8),
        )
    )
    ranking = ranked(model, examples)
    engine = engine_of(model, ranking, examples, channels_last=True)
    assert engine._run_of(engine.way, examples.inputs, Trial(None, model)) is None
    for _ in engine.tune_steps(examples.inputs):
        pass
    assert not engine.way.channels_last
    engine.way = replace(engine.way, channels_last=True, batch=8)
    together = measured(engine, Sampler(examples), [ranking.plan(0.5)])
    assert together._plain
    assert_exact(together, model, examples)


@pytest.mark.parametrize("shape", [(6, 1, 3, 3), (6, 4, 1, 1), (1, 1, 1, 1), (6, 4, 3, 3)])
def test_channels_last_is_said_of_weights_that_lie_so_anyway(shape):
    weight = torch.randn(shape)
    found = engines._channels_last(weight)
    like = torch.empty(shape, memory_format=torch.channels_last)
    assert found.stride() == like.stride()
    assert torch.equal(found, weight)
    with torch.inference_mode():
        result = torch.conv2d(torch.randn(2, shape[1], 5, 5), found)
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_a_network_nobody_has_tried_begins_with_a_batch_that_fits_into_a_step():
    small, examples = made(RECORDED["mlp"])
    assert engine_of(small, ranked(small, examples), examples).block > 1
    graph = trace(small, examples.inputs[:1])
    assert Engine(small, graph, 45).way.batch == 64
    large = nn.Sequential(nn.Conv2d(3, 64, 7, padding=3), nn.Flatten(), nn.Linear(64 * 64 * 64, 2))
    inputs = torch.zeros(1, 3, 64, 64)
    macs = 64 * 64 * 64 * 3 * 49 + 64 * 64 * 64 * 2  # 39 million
    batch = Engine(large, trace(large, inputs), 512).way.batch
    assert batch == engines.UNTRIED_MACS // macs == 7


def test_a_forward_that_fails_is_a_model_error():
    model, examples = made(RECORDED["mlp"])
    engine = Engine(model, trace(model, examples.inputs[:1]), 5)
    with pytest.raises(ModelError, match="forward raised"):
        list(engine.tune_steps(torch.randn(5, 7)))


def test_codes_are_forgotten_and_figures_stay(monkeypatch):
    monkeypatch.setattr(engines, "MAX_CODES", 5)
    model, examples = made(RECORDED["projection"])
    ranking = ranked(model, examples, "unit")
    engine = engine_of(model, ranking, examples)
    for _ in range(3):
        plans = [ranking.plan(s) for s in (0.0, 0.3, 0.6)]
        assert_exact(measured(engine, Sampler(examples), plans), model, examples)


def test_values_are_kept_only_if_they_belong_to_examples():
    # as many places as examples in a batch: rows of the first layer's result are places
    model, examples = made(
        (
            lambda: Net(
                lambda s, x: s.fc(torch.relu(s.b(s.a(x).transpose(0, 1)))).mean(0),
                a=nn.Linear(5, 7),
                b=nn.Linear(7, 6),
                fc=nn.Linear(6, 4),
            ),
            (8, 5),
        )
    )
    ranking = ranked(model, examples)
    late = [replace_removed(ranking, s) for s in (0.3, 0.6)]
    engine = engine_of(model, ranking, examples)
    for first in (None, 3, None, 5):
        together = measured(engine, Sampler(examples), late, first=first)
        assert_exact(together, model, examples)
    assert engine.kept.bytes == 0


def replace_removed(ranking, sparsity):
    """Return a plan that leaves the first layer whole."""
    plan = ranking.plan(sparsity)
    return replace(
        plan,
        ranking=None,
        cuts={**plan.cuts, "a": 0},
        removed={**plan.removed, "a": 0},
    )


def test_what_comes_before_the_first_pruned_layer_is_run_once():
    model, examples = made((RECORDED["stacked"][0], ROW))
    ranking = ranked(model, examples)
    engine = engine_of(model, ranking, examples)
    plans = [replace_removed(ranking, 0.6)]
    for _ in range(3):
        together = measured(engine, Sampler(examples), plans)
        assert_exact(together, model, examples)
    assert engine.kept.bytes > 0


def test_changed_weights_are_seen():
    model, examples = made(RECORDED["mlp"])
    ranking = ranked(model, examples)
    engine = engine_of(model, ranking, examples)
    plan = replace(
        ranking.plan(0.6),
        ranking=None,
        cuts={**ranking.plan(0.6).cuts, "fc1": 0},
        removed={**ranking.plan(0.6).removed, "fc1": 0},
    )
    for _ in range(3):
        measured(engine, Sampler(examples), [plan])
    with torch.no_grad():
        model.fc1.weight.neg_()
    assert_exact(measured(engine, Sampler(examples), [plan]), model, examples)


def test_a_large_network_is_run_one_at_a_time(monkeypatch):
    monkeypatch.setattr(engines, "BLOCK_BYTES", 1)
    model, examples = made(RECORDED["projection"])
    ranking = ranked(model, examples, "unit")
    engine = engine_of(model, ranking, examples)
    assert engine.large
    assert engine.block == 1
    plans = [ranking.plan(0.5)]
    assert not engine.begins_whole(plans[0])
    assert_exact(measured(engine, Sampler(examples), plans), model, examples)


def test_the_exact_figure_does_not_depend_on_the_baseline():
    model, examples = made(RECORDED["residual"])
    ranking = ranked(model, examples)
    for baseline in (None, evaluate(model, examples)):
        together = measured(
            engine_of(model, ranking, examples), Sampler(examples, baseline), [ranking.plan(0.5)]
        )
        assert_exact(together, model, examples)
