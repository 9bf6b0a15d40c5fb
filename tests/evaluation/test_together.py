"""Candidates measured side by side end with the figures of `evaluate`, whatever the network."""

from __future__ import annotations

import pytest
import torch
from odd_networks import RECORDED, REFUSED, made
from side_by_side import assert_exact, engine_of, measured, ranked
from tiny_networks import assert_same, snapshot
from torch import nn

from prunevis.data import Examples
from prunevis.errors import ModelError, NonFiniteError, NothingToPruneError
from prunevis.evaluation import Sampler, Together, blocks, evaluate
from prunevis.evaluation import together as module
from prunevis.evaluation.positions import measure_plans
from prunevis.graph import trace
from prunevis.pruning import PruningSpec, rank
from prunevis.pruning.masking import candidate

SPARSITIES = (0.0, 0.3, 0.6, 0.999)


@pytest.mark.parametrize("granularity", ["weight", "unit"])
@pytest.mark.parametrize("name", RECORDED)
def test_ends_with_the_figures_of_evaluate(name, granularity):
    model, examples = made(RECORDED[name])
    try:
        ranking = ranked(model, examples, granularity)
    except NothingToPruneError:
        pytest.skip("nothing of this network can be pruned so")
    before, inputs = snapshot(model), examples.inputs.clone()
    plans = [None, *(ranking.plan(s) for s in SPARSITIES)]
    sampler = Sampler(examples, evaluate(model, examples))
    for way in ({}, {"channels_last": True, "faster": True}):
        engine = engine_of(model, ranking, examples, **way)
        # from the second time on activations are kept, then used
        for every in (True, False, True, False):
            together = measured(engine, sampler, plans, every=every)
            assert_exact(together, model, examples)
        if (name, granularity) == ("lstm", "weight"):
            # swapped weights stay in the list that PyTorch's recurrent layers keep of them
            assert together._plain
            assert "changes what the network remembers" in str(engine.reason)
        elif not way:
            assert together._program is not None, engine.reason
            assert not together._plain
    assert_same(before, snapshot(model))
    assert torch.equal(examples.inputs, inputs)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_recorded_is_run(name):
    case, reason = REFUSED[name]
    model, examples = made(case)
    inputs = examples.inputs.clone()
    ranking = ranked(model, examples)
    engine = engine_of(model, ranking, examples)
    plans = [ranking.plan(s) for s in SPARSITIES]
    together = measured(engine, Sampler(examples), plans, every=len(reason) % 2 == 0)
    assert together._plain
    assert engine.reason is not None
    assert any(word in engine.reason for word in reason.split("|")), engine.reason
    assert_exact(together, model, examples)
    assert torch.equal(examples.inputs, inputs)


def test_float64():
    model, examples = made(RECORDED["projection"], dtype=torch.float64)
    ranking = ranked(model, examples, "unit")
    together = measured(
        engine_of(model, ranking, examples),
        Sampler(examples),
        [ranking.plan(s) for s in SPARSITIES],
    )
    assert not together._plain
    assert_exact(together, model, examples)


@pytest.mark.parametrize("count", [1, 5, 8, 16, 17, 45])
@pytest.mark.parametrize("options", [{}, {"first": 3}, {"first": 20}])
def test_any_number_of_examples(count, options):
    model, examples = made(RECORDED["residual"], max(count, 4))
    part = Examples(examples.inputs[:count], examples.targets[:count])
    ranking = ranked(model, examples, "unit")
    plans = [ranking.plan(s) for s in SPARSITIES]
    engine = engine_of(model, ranking, part)
    for _ in range(2):
        assert_exact(measured(engine, Sampler(part), plans, **options), model, part)


@pytest.mark.parametrize("limit", [10, 30, 45])
def test_counting_many_batches_at_once_gives_the_same_estimates(limit):
    model, examples = made(RECORDED["residual"])
    ranking = ranked(model, examples)
    plans = [ranking.plan(s) for s in SPARSITIES]
    sampler = Sampler(examples, evaluate(model, examples))
    one, other = (
        measured(engine_of(model, ranking, examples), sampler, plans, limit=limit, every=every)
        for every in (True, False)
    )
    for told, counted in zip(one.streams, other.streams, strict=True):
        assert counted.seen == limit
        assert counted.estimate == told.estimate


def test_what_waits_to_be_counted_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "WAITING_BYTES", 500)
    model, examples = made(RECORDED["mlp"])
    ranking = ranked(model, examples)
    plans = [ranking.plan(s) for s in SPARSITIES]
    together = Together(engine_of(model, ranking, examples), Sampler(examples), plans)
    most = 0
    for _ in together.steps(every=False):
        most = max(most, together._bytes_waiting)
    assert 500 < most <= 500 + 4 * 4 * 8 * len(plans)  # one more batch of 8 times 4 logits
    assert_exact(together, model, examples)


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("stop", range(1, 24))
def test_a_dropped_generator_is_taken_up_where_it_was(stop, every):
    model, examples = made(RECORDED["residual"])
    ranking = ranked(model, examples)
    plans = [ranking.plan(s) for s in SPARSITIES]
    together = Together(engine_of(model, ranking, examples), Sampler(examples), plans)
    steps = together.steps(30, every=every)
    for _ in range(stop):
        next(steps, None)
    steps.close()
    for _ in together.steps(30):
        pass
    assert {stream.seen for stream in together.streams} == {30}
    for _ in together.steps():
        pass
    assert_exact(together, model, examples)


def test_two_at_once_on_one_engine():
    model, examples = made(RECORDED["projection"])
    by_norm, at_random = (ranked(model, examples, "unit", c) for c in ("l1", "random"))
    engine, sampler = engine_of(model, by_norm, examples), Sampler(examples)
    both = [
        Together(engine, sampler, [ranking.plan(s) for s in SPARSITIES])
        for ranking in (by_norm, at_random)
    ]
    running = [together.steps() for together in both]
    while running:
        running = [steps for steps in running if next(steps, None) is not None]
    for together in both:
        assert_exact(together, model, examples)


def test_plans_of_several_rankings_are_never_confused():
    model, examples = made(RECORDED["projection"])
    rankings = [ranked(model, examples, "unit", c) for c in ("l1", "l2", "random", "bn-scale")]
    plans = [ranking.plan(s) for s in SPARSITIES[1:] for ranking in rankings]
    engine = engine_of(model, rankings[0], examples)
    assert_exact(measured(engine, Sampler(examples), plans), model, examples)


def test_rankings_that_come_and_go():
    model, examples = made(RECORDED["mlp"])
    graph = trace(model, examples.inputs[:1])
    engine = engine_of(model, ranked(model, examples), examples)
    sampler = Sampler(examples)
    for seed in range(6):
        spec = PruningSpec.make("random", "weight", "global", 0.5, seed=seed)
        plan = rank(model, spec, graph=graph).plan(0.5)
        assert_exact(measured(engine, sampler, [plan]), model, examples)
        del plan


def test_with_the_output_layer():
    model, examples = made(RECORDED["projection"])
    graph = trace(model, examples.inputs[:1])
    spec = PruningSpec.make("magnitude", "weight", "global", 0.5, list(graph.layers))
    ranking = rank(model, spec, graph=graph)
    plans = [ranking.plan(s) for s in SPARSITIES]
    engine = engine_of(model, ranking, examples)
    assert_exact(measured(engine, Sampler(examples), plans), model, examples)


class Explodes(nn.Module):
    """Finite until enough weights are gone."""

    def __init__(self):
        super().__init__()
        self.a, self.fc = nn.Linear(12, 8), nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(torch.relu(self.a(x))) / self.a.weight.abs().amax(1).min()


def test_a_plan_that_is_not_finite_raises_as_evaluate_does():
    model, examples = made((Explodes, (12,)))
    ranking = ranked(model, examples)
    plans = [ranking.plan(s) for s in (0.1, 0.99)]
    with pytest.raises(NonFiniteError):
        evaluate(candidate(model, plans[1]), examples)
    together = Together(engine_of(model, ranking, examples), Sampler(examples), plans)
    for _ in range(2):
        with pytest.raises(NonFiniteError, match="NaN or infinite"):
            for _ in together.steps():
                pass
    assert together.streams[0].seen == 8


def test_a_later_batch_that_is_not_finite_raises():
    model, examples = made(RECORDED["mlp"])
    ranking = ranked(model, examples)
    sampler = Sampler(examples)
    bad = examples.inputs.clone()
    bad[sampler.design.order[30]] = torch.nan
    together = Together(
        engine_of(model, ranking, examples),
        Sampler(Examples(bad, examples.targets)),
        [ranking.plan(0.3)],
    )
    with pytest.raises(NonFiniteError):
        for _ in together.steps():
            pass
    assert together.streams[0].seen == 24
    for _ in range(2):  # nor where many are counted at once
        with pytest.raises(NonFiniteError):
            for _ in together.steps(every=False):
                pass


def test_a_forward_that_fails_is_reported_as_evaluate_does():
    model, examples = made(RECORDED["mlp"])
    ranking = ranked(model, examples)
    wrong = Examples(torch.randn(45, 7), examples.targets)
    together = Together(engine_of(model, ranking, wrong), Sampler(wrong), [ranking.plan(0.3)])
    with pytest.raises(ModelError, match="forward raised"):
        next(together.steps())


def test_random_state_and_flags_stay():
    model, examples = made(RECORDED["dropout"])
    model.train()
    before, state = snapshot(model), torch.get_rng_state()
    ranking = ranked(model, examples)
    engine = engine_of(model, ranking, examples)
    for _ in engine.tune_steps(examples.inputs):
        pass
    measured(engine, Sampler(examples), [ranking.plan(s) for s in SPARSITIES])
    assert_same(before, snapshot(model))
    assert torch.equal(state, torch.get_rng_state())


def test_measure_plans_runs_equal_plans_once():
    model, examples = made(RECORDED["mlp"])
    ranking = ranked(model, examples)
    baseline = evaluate(model, examples)
    plans = [ranking.plan(s) for s in (0.0, 0.5, 0.5, 0.9)]
    steps = measure_plans(engine_of(model, ranking, examples), Sampler(examples, baseline), plans)
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            found = stop.value
            break
        count += 1
    # two plans; once more each when they are recorded and when all is counted
    assert count == 2 * -(-45 // 8) + 4
    assert [f.value for f in found] == [
        evaluate(candidate(model, p), examples).accuracy for p in plans
    ]


def test_no_plans():
    model, examples = made(RECORDED["mlp"])
    engine = engine_of(model, ranked(model, examples), examples)
    assert list(Together(engine, Sampler(examples), []).steps()) == []


@pytest.mark.parametrize("count", [1, 2, 3, 12, 101])
@pytest.mark.parametrize("size", [1, 3, 13])
def test_blocks_hold_each_position_once(count, size):
    found = blocks(count, size)
    assert sorted(k for block in found for k in block) == list(range(count))
    assert all(len(block) <= size and block == sorted(block) for block in found)
