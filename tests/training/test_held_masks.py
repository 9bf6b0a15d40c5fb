"""A pruned weight never moves: bit for bit, after every single step, whatever trains it."""

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from prunevis.data import Data
from prunevis.errors import DataError, ModelError, NonFiniteError
from prunevis.graph import trace
from prunevis.pruning import PruningSpec, rank
from prunevis.pruning.masking import tensor_masks
from prunevis.steps import finished
from prunevis.training import (
    FineTuneSettings,
    advised_spec,
    make_schedule,
    run_schedule,
    training_run,
)
from prunevis.training.loop import TrainingRun
from prunevis.training.objectives import NoiseOutputs
from prunevis.training.scheduled import run_schedule_steps
from prunevis.training.schedules import Phase

OPTIMIZERS: dict[str, object] = {
    "sgd": "sgd",
    "adam": "adam",
    "adamw": "adamw",
    "rmsprop": "rmsprop",
    "nadam by a function": lambda p: torch.optim.NAdam(p, lr=0.01, weight_decay=0.1),
}


def zero_bits(tensor):
    return not bool(tensor.detach().contiguous().view(torch.int32).any())


def masks_of(model, data, granularity):
    graph = trace(model, data.test.inputs[:1])
    criterion = "magnitude" if granularity == "weight" else "l2"
    plan = rank(model, PruningSpec.make(criterion, granularity, "layer"), graph=graph).plan(0.5)
    return tensor_masks(plan)


@pytest.fixture
def every_step(monkeypatch):
    """Call a function with the run after every single optimiser step."""
    checks: list[Callable[[TrainingRun], None]] = []
    step = TrainingRun._train_on

    def checked(self, where):
        loss = step(self, where)
        for check in checks:
            check(self)
        return loss

    monkeypatch.setattr(TrainingRun, "_train_on", checked)
    return checks


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("granularity", ["weight", "unit"])
@pytest.mark.parametrize("extra", ["plain", "distilled", "noise"])
def test_after_every_step(residual, residual_data, every_step, optimizer, granularity, extra):
    masks = masks_of(residual, residual_data, granularity)
    module, seen = copy.deepcopy(residual), []
    if granularity == "unit":  # scales and shifts of BatchNorm leave with their units
        assert any("weight" in k and m.ndim == 1 for k, m in masks.items())
    options = {"distil": 0.7} if extra == "distilled" else {}
    chosen = FineTuneSettings(
        lr=0.05, batch_size=8, weight_decay=0.1, optimizer=OPTIMIZERS[optimizer], **options
    )
    last = [n for n, m in module.named_modules() if isinstance(m, nn.Linear)][-1]
    noise = NoiseOutputs(module, last, 6, "gaussian", 0) if extra == "noise" else None
    run = TrainingRun(
        module,
        (residual_data.train, residual_data.test),
        masks,
        chosen,
        phases=(Phase(0, 8, "Training", noise=0 if noise is None else 6),),
        teacher=residual,
        noise=noise,
    )

    def check(run):
        state = run.model.state_dict()
        assert all(zero_bits(state[key][~mask]) for key, mask in masks.items())
        seen.append(run.step)

    every_step.append(check)
    finished(run.steps())
    assert seen == list(range(1, 9))
    for key, mask in masks.items():  # what stays has moved
        before, after = residual.state_dict()[key], module.state_dict()[key]
        assert bool((before != after)[mask].any()), key


@settings(max_examples=12, deadline=None)
@given(
    name=st.sampled_from(["cubic", "iterative", "lottery", "unit-by-unit"]),
    sparsity=st.floats(0.1, 0.9),
    seed=st.integers(0, 3),
    optimizer=st.sampled_from(["sgd", "adamw"]),
)
def test_masks_grow_and_what_is_gone_stays_zero(name, sparsity, seed, optimizer):
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(4, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 3))
    inputs = torch.randn(30, 4, generator=generator)
    data = Data(train=(inputs[:20], torch.arange(20) % 3), test=(inputs[20:], torch.arange(10) % 3))
    schedule = make_schedule(
        name,
        **{
            "cubic": {"epochs": 2.0, "frequency": 1},
            "iterative": {"rounds": 3},
            "lottery": {"rounds": 2, "epochs": 1.0},
            "unit-by-unit": {"updates": 1, "epochs": 0.5},
        }[name],
    )
    gone: dict[str, torch.Tensor] = {}
    steps = run_schedule_steps(
        model.eval(),
        data,
        schedule,
        spec=advised_spec(schedule, sparsity, seed=seed),
        settings=FineTuneSettings(batch_size=5, lr=0.05, weight_decay=0.05, optimizer=optimizer),
        watch=lambda module, masks: _growing(module, masks, gone),
    )
    done = finished(steps)
    final = done.timeline.events[-1].sparsity
    assert done.plan is not None
    total = sum(done.plan.total.values())
    assert abs(done.plan.num_removed - final * total) <= max(3, 0.1 * total)
    if done.plan.granularity == "weight":
        state = done.model.state_dict()
        assert all(zero_bits(state[key][cut]) for key, cut in gone.items())


def _growing(module, masks, gone):
    """Check against all that was ever gone, kept apart from the run's own record."""
    state = module.state_dict()
    for key, cut in gone.items():
        assert zero_bits(state[key][cut]), key
        assert not bool((masks[key] & cut).any()), key
    for key, mask in masks.items():
        gone[key] = ~mask | gone.get(key, torch.zeros_like(mask))


@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_on_a_schedule_every_step_keeps_what_the_last_event_took(
    residual, residual_data, every_step, granularity
):
    held: dict[str, torch.Tensor] = {}
    counts = []

    def check(run):
        state = run.model.state_dict()
        assert all(zero_bits(state[key][~mask]) for key, mask in held.items())
        counts.append(sum(int((~mask).sum()) for mask in held.values()))

    every_step.append(check)
    schedule = make_schedule("iterative", rounds=3)
    steps = run_schedule_steps(
        residual,
        residual_data,
        schedule,
        spec=advised_spec(schedule, 0.6, granularity),
        settings=FineTuneSettings(batch_size=8, lr=0.05, weight_decay=0.1),
        watch=lambda module, masks: held.update({k: m.clone() for k, m in masks.items()}),
    )
    done = finished(steps)
    assert len(counts) == done.timeline.steps
    assert counts == sorted(counts)
    assert len(set(counts)) == 3


def test_depthwise_units_that_went_stay_first_in_every_order():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
            nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6), nn.ReLU(),
            nn.Conv2d(6, 8, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3),
        ).eval()  # fmt: skip
    inputs = torch.randn(24, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    data = Data(train=(inputs[:16], torch.arange(16) % 3), test=(inputs[16:], torch.arange(8) % 3))
    gone: dict[str, torch.Tensor] = {}
    schedule = make_schedule("iterative", rounds=3)
    for criterion in ("random", "l2", "taylor-2019"):
        gone.clear()
        steps = run_schedule_steps(
            model,
            data,
            schedule,
            spec=PruningSpec.make(criterion, "unit", "layer", 0.6),
            settings=FineTuneSettings(batch_size=8),
            watch=lambda module, masks: _growing(module, masks, gone),
        )
        done = finished(steps)
        assert done.model[0].out_channels == done.model[3].groups == 2
        assert len(done.timeline.events) == 3


def test_patience_never_ends_a_schedule_before_its_last_event(mlp, mlp_data):
    done = run_schedule(
        mlp, mlp_data, "iterative", rounds=3, epochs=4.0, sparsity=0.6, lr=1e-9,
        batch_size=8, validation=0.2, patience=1,
    )  # fmt: skip
    # nothing is learnt at such a rate, so that patience is out at once
    assert done.history[-1].step < done.timeline.steps
    assert done.history[-1].step >= done.timeline.events[-1].step
    assert done.plan is not None
    assert done.plan.achieved_sparsity == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize("optimizer", ["sgd", "object"])
def test_noise_outputs_are_resumed_bit_for_bit(mlp, mlp_data, monkeypatch, optimizer):
    monkeypatch.setattr("prunevis.training.loop.STEP_SECONDS", 0.0)
    last = [n for n, m in mlp.named_modules() if isinstance(m, nn.Linear)][-1]

    def made():
        module = copy.deepcopy(mlp)
        chosen = optimizer
        if optimizer == "object":
            chosen = torch.optim.Adam(mlp.parameters(), lr=0.01)
        noise = NoiseOutputs(module, last, 5, "binomial", 3)
        run = TrainingRun(
            module,
            (mlp_data.train, mlp_data.test),
            {},
            FineTuneSettings(batch_size=8, lr=0.05, optimizer=chosen),
            phases=(Phase(0, 9, "Training", noise=5),),
            teacher=mlp,
            noise=noise,
        )
        return run, noise

    straight, outputs = made()
    begun = outputs.weight.detach().clone()
    finished(straight.steps())
    assert not torch.equal(outputs.weight, begun)  # they are trained
    first, _ = made()
    steps = first.steps()
    while first.step < 4:
        next(steps)
    saved = first.checkpoint()
    next(steps)
    steps.close()
    again, resumed = made()
    again.resume(saved)
    finished(again.steps())
    assert torch.equal(resumed.weight, outputs.weight)
    assert torch.equal(resumed.bias, outputs.bias)
    for a, b in zip(again.model.parameters(), straight.model.parameters(), strict=True):
        assert torch.equal(a, b)


class Tied(nn.Module):
    """Two layers with one weight, and a head."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))))


@pytest.mark.parametrize("name", ["first.weight", "second.weight"])
def test_a_tied_weight_is_held_by_either_name(name, every_step):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Tied()
    mask = torch.rand(6, 6, generator=torch.Generator().manual_seed(0)) > 0.5
    every_step.append(lambda run: _check_zero(run.model.first.weight[~mask]))
    inputs = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    data = Data(train=(inputs, torch.arange(20) % 3), test=(inputs[:5], torch.arange(5) % 3))
    run = training_run(model, data, masks={name: mask}, settings=FineTuneSettings(batch_size=8))
    finished(run.steps())
    assert model.first.weight is model.second.weight


def _check_zero(tensor):
    assert zero_bits(tensor)


def attacked(data, **options):
    """Return what a run on broken data gives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)).eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    try:
        return run_schedule(model, data, "iterative", rounds=2, sparsity=0.5, **options)
    finally:
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
        assert not any(m.training for m in model.modules())


def test_one_class_one_example_and_no_numbers():
    inputs = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    same = torch.zeros(9, dtype=torch.int64)
    done = attacked(Data(train=(inputs, same), test=(inputs, same)))
    assert done.after.loss < done.before.loss  # there is nothing else to learn
    tiny = attacked(Data(train=(inputs[:1], same[:1]), test=(inputs[:1], same[:1])))
    assert tiny.timeline.steps == 2
    broken = inputs.clone()
    broken[3, 2] = torch.nan
    with pytest.raises((DataError, NonFiniteError), match=r"NaN|finite"):
        attacked(Data(train=(broken, same), test=(inputs, same)))


def test_a_network_that_cannot_be_copied_is_refused_in_words(mlp, mlp_data):
    class Stubborn(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = mlp

        def __deepcopy__(self, memo):
            raise TypeError("no copies")

        def forward(self, x):
            return self.inner(x)

    with pytest.raises(ModelError, match=r"cannot be copied.*no copies"):
        run_schedule(Stubborn(), mlp_data, "one-shot")


@pytest.mark.parametrize("schedule", ["iterative", "lottery", "noiseout"])
def test_closed_at_any_report_the_network_is_as_it_came(
    residual, residual_data, untouched_model, schedule, monkeypatch
):
    monkeypatch.setattr("prunevis.training.loop.STEP_SECONDS", 0.0)
    fields = {
        "iterative": {"rounds": 2},
        "lottery": {"rounds": 1, "epochs": 1.0},
        "noiseout": {"noise": 4, "rounds": 1, "noise_epochs": 0.5},
    }[schedule]
    made = make_schedule(schedule, **fields)
    residual.train()
    check = untouched_model(residual)

    def run():
        return run_schedule_steps(
            residual,
            residual_data,
            made,
            spec=advised_spec(made, 0.5),
            settings=FineTuneSettings(batch_size=16),
        )

    count = sum(1 for _ in run())
    for stop in range(0, count, max(1, count // 12)):
        steps = run()
        for _ in range(stop + 1):
            next(steps)
        steps.close()
        check()
