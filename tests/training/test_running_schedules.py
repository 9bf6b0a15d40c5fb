"""Schedules from their beginning to their end: a contract, and some by hand."""

import copy
import itertools

import pytest
import torch
from torch import nn

from prunevis.data import Data
from prunevis.errors import ModelError, SpecError
from prunevis.graph import trace
from prunevis.pruning import PruningSpec, masked, rank
from prunevis.pruning.masking import tensor_masks
from prunevis.steps import finished
from prunevis.training import SCHEDULES, advised_spec, make_schedule, run_schedule
from prunevis.training.objectives import ScalePenalty
from prunevis.training.scheduled import run_schedule_steps
from prunevis.training.settings import FineTuneSettings

#: So short that each takes a moment.
SHORT = {
    "one-shot": {"epochs": 1.0},
    "iterative": {"rounds": 3},
    "rate-rewinding": {"epochs": 0.5},
    "unit-by-unit": {"updates": 1, "epochs": 0.5},
    "scratch": {"epochs": 1.0},
    "cubic": {"epochs": 2.0, "frequency": 2},
    "lottery": {"rounds": 2, "epochs": 2.0, "rewind": 1.0},
    "at-init": {"epochs": 1.0},
    "slimming": {"sparse_epochs": 0.5, "epochs": 0.5},
    "noiseout": {"noise": 8, "rounds": 2, "noise_epochs": 0.5},
}


def graph_of(model, data):
    return trace(model, data.test.inputs[:1])


def watched(model, data, name, granularity=None, sparsity=0.5, spec=None, **fields):
    """Run a schedule; return it and copies of weights and masks at the start and each event."""
    made = make_schedule(name, **{**SHORT.get(name, {}), **fields})
    spec = spec or advised_spec(made, sparsity, granularity)
    seen = []

    def watch(module, masks):
        state = {k: v.clone() for k, v in module.state_dict().items()}
        seen.append((state, {k: v.clone() for k, v in masks.items()}))

    steps = run_schedule_steps(model, data, made, spec=spec, watch=watch)
    return finished(steps), seen


def check_grows(seen):
    for (_, before), (state, after) in itertools.pairwise(seen):
        for key, mask in after.items():
            cut = state[key][~mask]
            assert torch.equal(cut.view(torch.int32), torch.zeros_like(cut, dtype=torch.int32))
            assert not bool((mask & ~before.get(key, mask)).any()), key
        assert before.keys() <= after.keys()


@pytest.mark.parametrize(
    ("name", "granularity"),
    [(name, kind) for name in SCHEDULES for kind in SCHEDULES[name].granularities],
)
def test_every_schedule_keeps_to_this(residual, residual_data, untouched_model, name, granularity):
    check = untouched_model(residual)
    done, seen = watched(residual, residual_data, name, granularity)
    check()
    assert done.plan is not None
    assert abs(done.plan.achieved_sparsity - 0.5) < 0.15
    check_grows(seen)
    assert [r.step for r in done.history] == sorted(r.step for r in done.history)
    for event in done.timeline.events[:30]:
        labelled = [k for k, r in enumerate(done.history) if r.event == event.label]
        assert len(labelled) == 1
        assert done.history[labelled[0]].step == done.history[labelled[0] - 1].step == event.step
    assert done.history[-1].evaluation == done.after
    assert all(p.grad is None for p in done.model.parameters())
    assert not any(m._forward_pre_hooks for m in done.model.modules())
    params = sum(p.numel() for p in done.model.parameters())
    if granularity == "unit":
        assert params < sum(p.numel() for p in residual.parameters())
    else:
        assert params == sum(p.numel() for p in residual.parameters())
        state = done.model.state_dict()
        assert all(not bool(state[k][~mask].any()) for k, mask in done.masks.items())


def test_units_that_left_are_those_that_were_masked(residual, residual_data):
    done, seen = watched(residual, residual_data, "one-shot", "unit", epochs=0.0)
    state, masks = seen[-1]
    module = copy.deepcopy(residual)
    module.load_state_dict(state)
    assert done.timeline.steps == 0
    assert masks.keys() == tensor_masks(done.plan).keys()
    inputs = residual_data.test.inputs
    assert torch.allclose(done.model(inputs), module(inputs), atol=1e-5)


@pytest.mark.parametrize(
    "spec",
    [
        PruningSpec.make("random", "weight", "layer", 0.7, seed=3),
        PruningSpec.make("snip", sparsity=0.8),
        PruningSpec.make("random", sparsity=0.5, pattern="2:4"),
        PruningSpec.make("magnitude", "weight", "layer", 0.6, {"conv1": 0.9, "conv2": None}),
        PruningSpec.make("random", "unit", "global", 0.6, seed=1),
        PruningSpec.make("taylor-2019", "unit", "global", 0.6),
        PruningSpec.make("mean-activation", "unit", "layer", 0.6),
        PruningSpec.make("l2", "unit", "layer", 0.5, multiple_of=2),
        PruningSpec.make("l2", "unit", "global", 0.7, min_units=3),
    ],
    ids=lambda s: f"{s.criterion}-{s.granularity}-{s.pattern}-{s.multiple_of}-{s.min_units}",
)
def test_what_is_gone_stays_gone(residual, residual_data, spec):
    done, seen = watched(residual, residual_data, "iterative", spec=spec)
    assert len(seen) == 4
    check_grows(seen)
    assert done.plan.num_removed > 0


def test_gone_units_come_first_whatever_their_scores(residual, residual_data):
    graph = graph_of(residual, residual_data)
    spec = PruningSpec.make("random", "unit", "global", seed=0)
    first = rank(residual, spec, graph=graph).plan(0.4)
    with masked(residual, first):
        other = PruningSpec.make("random", "unit", "global", seed=9)
        second = rank(residual, other, graph=graph)
    assert sum(second.already.values()) == first.num_removed
    again = second.plan(0.4)
    for name, kept in first.kept.items():
        assert kept.tolist() == again.kept[name].tolist()


def test_tickets_are_the_saved_weights_times_the_mask(mlp, mlp_data):
    def run(control):
        return watched(mlp, mlp_data, "lottery", control=control)[1]

    seen, controls = run(False), run(True)
    (first, _), *rest = seen
    saved = rest[0][0]
    for state, masks in rest:
        for key, mask in masks.items():
            alive = mask & rest[-1][1][key]
            assert torch.equal(state[key][alive], saved[key][alive])
            assert not torch.equal(state[key], first[key] * mask)  # step k, not step 0
    last, masks = controls[-1]
    for key, mask in masks.items():
        assert not bool((last[key] == saved[key])[mask].any())


def test_rewinding_to_the_beginning_and_pruning_before_any_step(mlp, mlp_data):
    for name, fields in (("lottery", {"rewind": 0.0}), ("at-init", {})):
        _, seen = watched(mlp, mlp_data, name, **fields)
        first = seen[0][0]
        for state, masks in seen[1:]:
            assert masks
            for key, mask in masks.items():
                assert torch.equal(state[key], first[key] * mask + 0.0)


def test_one_unit_at_a_time(residual, residual_data):
    done, _ = watched(residual, residual_data, "unit-by-unit", sparsity=0.4, units=2)
    graph = graph_of(residual, residual_data)
    total = sum(rank(residual, advised_spec(make_schedule("one-shot"), 0.4, "unit"),
                     graph=graph).total.values())  # fmt: skip
    goal = round(0.4 * total)
    assert done.plan.num_removed == goal
    sizes = [round(e.sparsity * total) for e in done.timeline.events]
    assert sizes == [min(goal, 2 * k) for k in range(1, len(sizes) + 1)]


def test_the_penalty_is_the_sign_of_each_scale():
    norm = nn.BatchNorm1d(3)
    with torch.no_grad():
        norm.weight[:] = torch.tensor([-2.0, 0.0, 0.5])
    norm.weight.grad = torch.tensor([1.0, 1.0, 1.0])
    ScalePenalty(nn.Sequential(norm)).add(0.25)
    assert norm.weight.grad.tolist() == [0.75, 1.0, 1.25]


def test_fields_of_the_schedule_and_of_the_training_in_one_call(mlp, mlp_data):
    done = run_schedule(mlp, mlp_data, "iterative", rounds=2, epochs=1.0, lr=0.05, batch_size=16)
    assert (done.timeline.steps, done.settings.lr, len(done.timeline.events)) == (6, 0.05, 2)
    whole = run_schedule(mlp, mlp_data, "one-shot", sparsity=0.0, epochs=0.0)
    inputs = mlp_data.test.inputs
    assert torch.equal(whole.model(inputs), mlp(inputs))
    seeded = run_schedule(mlp, mlp_data, "one-shot", criterion="random", epochs=0.0, seed=7)
    assert seeded.spec.seed == 7


def test_requests_that_do_not_fit(mlp, mlp_data):
    def run(name, **options):
        return run_schedule(mlp, mlp_data, name, **options)

    with pytest.raises(SpecError, match=r"prunes units only.*granularity='unit'"):
        run("slimming", granularity="weight")
    with pytest.raises(SpecError, match=r"prunes weights only.*granularity='weight'"):
        run("lottery", granularity="unit")
    with pytest.raises(SpecError, match="no such setting"):
        run("one-shot", turns=3)
    with pytest.raises(ModelError, match="no BatchNorm whose scales"):
        run("slimming", criterion="l2")
    with pytest.raises(SpecError, match="`epochs` is a number"):
        run("one-shot", epochs=-1.0)
    frozen = copy.deepcopy(mlp).requires_grad_(False)
    with pytest.raises(ModelError, match="All parameters are frozen"):
        run_schedule(frozen, mlp_data, "one-shot")

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.shift = copy.deepcopy(mlp), nn.Parameter(torch.zeros(4))

        def forward(self, x):
            return self.inner(x) + self.shift

    with pytest.raises(ModelError, match=r"cannot be drawn anew.*Own.*reset_parameters"):
        run_schedule(Own(), Data(mlp_data.train, mlp_data.test), "at-init")


@pytest.mark.parametrize(("spacing", "half"), [("linear", 0.4), ("exponential", 1 - 0.2**0.5)])
def test_own_sparsities_follow_the_spacing_of_the_schedule(mlp, mlp_data, spacing, half):
    name = next(n for n, m in mlp.named_modules() if isinstance(m, nn.Linear))
    shares = []

    def watch(module, masks):
        if name + ".weight" in masks:
            shares.append(1 - masks[name + ".weight"].float().mean().item())

    made = make_schedule("iterative", rounds=2, spacing=spacing)
    spec = advised_spec(
        made,
        0.5,
        layers={
            name: 0.8,
            **{n: None for n, m in mlp.named_modules() if isinstance(m, nn.Linear) and n != name},
        },
    )
    finished(
        run_schedule_steps(
            mlp, mlp_data, made, spec=spec, watch=watch, settings=FineTuneSettings(batch_size=8)
        )
    )
    assert shares == pytest.approx([half, 0.8], abs=0.03)
