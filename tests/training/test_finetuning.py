import math

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from prunevis.data import Data
from prunevis.errors import DataError, ModelError, NonFiniteError, SpecError
from prunevis.evaluation.exact import evaluate
from prunevis.graph.trace import trace
from prunevis.pruning.masking import tensor_masks
from prunevis.pruning.ranking import rank
from prunevis.pruning.spec import PruningSpec
from prunevis.training.finetune import fine_tune, fine_tune_steps, trainable_copy
from prunevis.training.settings import FineTuneSettings


class Small(nn.Module):
    """Convolution, BatchNorm, dropout, two linear layers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.drop = nn.Dropout(0.2)
        self.hidden = nn.Linear(6 * 16, 12)
        self.out = nn.Linear(12, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        return self.out(self.drop(torch.relu(self.hidden(x.flatten(1)))))


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 3, (240,), generator=generator)
    inputs = torch.randn(240, 1, 6, 6, generator=generator)
    inputs[torch.arange(240), 0, targets, targets] += 3.0
    return Data(train=(inputs[:160], targets[:160]), test=(inputs[160:], targets[160:]))


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Small().eval()


def planned(model, granularity, sparsity=0.5):
    graph = trace(model, torch.zeros(1, 1, 6, 6))
    criterion = "magnitude" if granularity == "weight" else "l2"
    spec = PruningSpec.make(criterion, granularity, "layer")
    return rank(model, spec, graph=graph).plan(sparsity)


def snapshot(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[k], v) for k, v in second.items())


def check_zeros(model, masks):
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, mask in masks.items():
        cut = tensors[name][~mask]
        assert cut.numel()
        assert torch.equal(cut.view(torch.int32), torch.zeros_like(cut, dtype=torch.int32)), name


def test_learns_and_leaves_the_original_alone(model, data):
    before, flags, state = snapshot(model), model.training, torch.get_rng_state()
    result = fine_tune(model, data, epochs=6, lr=0.1, batch_size=32)
    assert result.after.accuracy > result.before.accuracy + 0.2
    assert same(before, model.state_dict())
    assert model.training == flags
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is None for p in result.model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert result.before.correct == evaluate(model, data).correct
    assert result.after.correct == evaluate(result.model, data).correct
    assert result.history[0].step == 0
    assert result.history[-1].step == result.history[-1].steps == 30
    assert result.history[-1].seconds_left == 0
    assert "→" in repr(result)


def test_single_weights_stay_zero_after_every_step(model, data):
    plan = planned(model, "weight")
    module, masks = trainable_copy(model, plan)
    check_zeros(module, masks)
    steps = fine_tune_steps(
        module, data, masks=masks, epochs=2, lr=0.1, batch_size=20, momentum=0.9, weight_decay=0.01
    )
    for _ in steps:
        check_zeros(module, masks)
    kept = module.hidden.weight[masks["hidden.weight"]]
    assert not torch.equal(kept, model.hidden.weight[masks["hidden.weight"]])


def test_masked_units_stay_zero_with_their_biases_and_scales(model, data):
    plan = planned(model, "unit")
    masks = tensor_masks(plan)
    assert {"conv.weight", "conv.bias", "norm.weight", "norm.bias", "hidden.bias"} <= set(masks)
    module, _ = trainable_copy(model)
    for _ in fine_tune_steps(module, data, masks=masks, epochs=1, lr=0.1, weight_decay=0.01):
        check_zeros(module, masks)


def test_units_are_taken_out(model, data):
    result = fine_tune(model, data, plan=planned(model, "unit"), epochs=1)
    assert result.model.conv.weight.shape[0] == 3
    assert result.masks == {}
    assert model.conv.weight.shape[0] == 6


def test_the_same_seed_gives_the_same_weights_whatever_happens_between_steps(model, data):
    def run(seed, disturb):
        module, _ = trainable_copy(model)
        for report in fine_tune_steps(module, data, epochs=2, batch_size=32, seed=seed):
            if disturb:
                torch.rand(report.step + 1)
                module.eval()
                module(torch.zeros(2, 1, 6, 6))
        return snapshot(module)

    with torch.random.fork_rng(devices=[]):
        first = run(0, disturb=False)
        assert same(first, run(0, disturb=True))
        assert not same(first, run(1, disturb=False))


def test_flags_of_the_copy_are_kept_between_steps(model, data):
    module, _ = trainable_copy(model)
    module.drop.train()
    flags = [m.training for m in module.modules()]
    steps = fine_tune_steps(module, data, epochs=1, batch_size=16)
    for _ in steps:
        assert [m.training for m in module.modules()] == flags


def test_reports(model, data, monkeypatch):
    monkeypatch.setattr("prunevis.training.loop.STEP_SECONDS", 0.0)  # one step a report
    module, _ = trainable_copy(model)
    reports = list(fine_tune_steps(module, data, epochs=2, batch_size=50, lr=0.2, subset=20))
    assert [r.step for r in reports] == sorted(r.step for r in reports)
    assert {r.step for r in reports if not r.measured} >= set(range(1, 9))
    measured = [r for r in reports if r.measured]
    assert [r.step for r in measured] == list(range(9))
    assert all(r.accuracy is not None for r in measured)
    assert all(r.evaluation is None for r in reports[:-1])
    assert reports[-1].evaluation is not None
    assert reports[-1].accuracy == evaluate(module, data).accuracy
    assert reports[0].loss is None
    assert reports[0].seconds_left is None
    assert all(r.loss is not None and r.loss > 0 for r in reports[1:])
    assert [r.epoch for r in measured] == [0, 1, 1, 1, 1, 2, 2, 2, 2]
    rates = [r.learning_rate for r in measured[1:]]
    assert rates == [pytest.approx(0.1 * (1 + math.cos(math.pi * t / 8))) for t in range(8)]


def test_closing_keeps_the_last_good_state(model, data):
    module, masks = trainable_copy(model, planned(model, "weight"))
    steps = fine_tune_steps(module, data, masks=masks, epochs=50, batch_size=16)
    while next(steps).step == 0:
        pass
    held = snapshot(module)
    steps.close()
    assert same(held, module.state_dict())
    assert all(p.grad is None for p in module.parameters())
    check_zeros(module, masks)


def test_divergence_stops_in_words_and_keeps_good_weights(model, data):
    module, masks = trainable_copy(model, planned(model, "weight"))
    steps = fine_tune_steps(module, data, masks=masks, epochs=20, lr=1e25, schedule="constant")
    with pytest.raises(NonFiniteError, match=r"Fine-tuning diverged.*smaller learning rate"):
        list(steps)
    assert all(bool(p.isfinite().all()) for p in module.state_dict().values())
    check_zeros(module, masks)


def test_a_last_batch_of_one_example(model, data):
    inputs, targets = data.train
    odd = Data(train=(inputs[:33], targets[:33]), test=data.test)
    assert fine_tune(model, odd, epochs=1, batch_size=16).history[-1].step == 3
    assert fine_tune(model, odd, epochs=1, batch_size=1).history[-1].step == 33


def test_frozen_parameters_stay_frozen(model, data):
    model.conv.requires_grad_(False)
    model.norm.requires_grad_(False)
    result = fine_tune(model, data, epochs=1, lr=0.1)
    assert torch.equal(result.model.conv.weight, model.conv.weight)
    assert torch.equal(result.model.norm.running_mean, model.norm.running_mean)
    assert not result.model.conv.weight.requires_grad
    assert not torch.equal(result.model.out.weight, model.out.weight)
    model.requires_grad_(False)
    with pytest.raises(ModelError, match=r"All parameters are frozen.*requires_grad_\(True\)"):
        fine_tune(model, data)


def test_no_training_data(model, data):
    for without in (Data(train=None, test=data.test), data.test):
        with pytest.raises(DataError, match=r"no training examples.*Data\(train="):
            fine_tune(model, without)


def test_a_forward_that_fails_in_training_mode(data):
    class Auxiliary(Small):
        def forward(self, x):
            out = super().forward(x)
            return (out, out) if self.training else out

    with pytest.raises(ModelError, match="raised an error in training mode"):
        fine_tune(Auxiliary(), data)


def test_models_that_cannot_be_copied(model, data):
    prune.l1_unstructured(model.hidden, "weight", 0.5)
    model.hidden(torch.zeros(1, 96))
    with pytest.raises(ModelError, match=r"cannot be copied.*torch\.nn\.utils\.prune"):
        fine_tune(model, data)


def test_masks_of_another_model(model, data):
    with pytest.raises(ModelError, match="mask does not fit"):
        fine_tune(
            nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), data, plan=planned(model, "weight")
        )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"epochs": 0}, "`epochs` is a whole number from 1"),
        ({"epochs": 1.5}, "`epochs` is a whole number"),
        ({"batch_size": True}, "`batch_size` is a whole number"),
        ({"seed": -1}, "`seed` is a whole number from 0"),
        ({"lr": 0}, "`lr` must be above 0"),
        ({"lr": math.nan}, "`lr` must be above 0"),
        ({"lr": "fast"}, "`lr` must be above 0"),
        ({"momentum": 1.0}, "`momentum` must be at least 0 and below 1"),
        ({"weight_decay": -1}, "`weight_decay` must be at least 0"),
        ({"schedule": "stairs"}, "no schedule 'stairs'"),
        ({"epoch": 3}, r"no such setting.*epochs.*Got: epoch"),
    ],
)
def test_settings_are_checked(model, data, options, match):
    with pytest.raises(SpecError, match=match):
        fine_tune(model, data, **options)


def test_settings_can_be_shared_and_overridden(model, data):
    settings = FineTuneSettings(epochs=3, batch_size=80)
    assert fine_tune(model, data, settings=settings, epochs=1).history[-1].steps == 2
    assert settings.learning_rate(0, 2) == 0.01
    assert FineTuneSettings(schedule="constant").learning_rate(1, 2) == 0.01
