"""Checkpoints: a training that was interrupted goes on bit for bit; and when it stops early."""

import copy

import pytest
import torch
from torch import nn

from prunevis.data import Data, Examples
from prunevis.errors import NonFiniteError
from prunevis.training import FineTuneSettings, training_run
from prunevis.training.keeping import held_out


@pytest.fixture(autouse=True)
def one_step_a_report(monkeypatch):
    monkeypatch.setattr("prunevis.training.loop.STEP_SECONDS", 0.0)


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(61, 5, generator=generator)
    targets = (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()
    return Data(train=(inputs[:41], targets[:41]), test=(inputs[41:], targets[41:]))


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.3), nn.Linear(7, 3)
        ).eval()


def masks_of(model):
    keep = torch.ones(7, 5, dtype=torch.bool)
    keep[::2] = False
    return {"0.weight": keep}


def bits(model):
    return {k: v.numpy().tobytes() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("reports", [0, 1, 4, 9, 17])
def test_resumed_anywhere_it_ends_as_if_never_stopped(model, data, optimizer, reports):
    settings = FineTuneSettings(
        3, 0.05, 8, optimizer=optimizer, validation=0.2, patience=50, label_smoothing=0.1
    )

    def run(module):
        return training_run(module, data, masks=masks_of(model), settings=settings)

    whole = copy.deepcopy(model)
    straight = list(run(whole).steps())
    first = run(copy.deepcopy(model))
    steps = first.steps()
    for _ in range(reports + 1):
        next(steps)
    saved = first.checkpoint()
    for _ in range(3):
        next(steps)  # what comes after does not reach into the checkpoint
    steps.close()
    again = run(copy.deepcopy(model))
    again.resume(saved)
    rest = list(again.steps())
    assert bits(again.model) == bits(whole)
    assert rest[-1].accuracy == straight[-1].accuracy
    assert rest[-1].validation == straight[-1].validation
    measured = [(r.step, r.loss, r.validation) for r in straight if r.measured]
    resumed = [(r.step, r.loss, r.validation) for r in rest if r.measured]
    assert resumed == measured[len(measured) - len(resumed) :]
    # each measurement that was still to come is made
    assert resumed[0][0] <= max(saved.step, 1) + straight[-1].steps // 3


def test_closing_at_any_report_leaves_whole_steps_behind(model, data):
    settings = FineTuneSettings(1, 0.05, 8, validation=0.2, patience=2)
    count = len(list(training_run(copy.deepcopy(model), data, settings=settings).steps()))
    for stop in range(count):
        module = copy.deepcopy(model)
        masks = masks_of(model)
        steps = training_run(module, data, masks=masks, settings=settings).steps()
        for _ in range(stop + 1):
            next(steps)
        held = bits(module)
        steps.close()
        assert bits(module) == held
        assert not module.training
        assert all(p.grad is None for p in module.parameters())
        cut = module[0].weight[~masks["0.weight"]]
        assert torch.equal(cut.view(torch.int32), torch.zeros_like(cut, dtype=torch.int32))


def test_a_crash_leaves_the_last_measured_weights(model, data):
    class Breaking(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.calls = copy.deepcopy(model), 0

        def forward(self, x):
            if self.training:
                self.calls += 1
                if self.calls == 5:
                    return self.inner(x * torch.nan)
            return self.inner(x)

    module = Breaking()
    good = []
    run = training_run(module, data, settings=FineTuneSettings(2, 0.05, 8))
    reports = (good.append(bits(module)) for report in run.steps() if report.measured)
    with pytest.raises(NonFiniteError, match="diverged"):
        list(reports)
    assert bits(module) == good[-1]
    assert all(bool(t.isfinite().all()) for t in module.state_dict().values())


def test_what_is_held_out_is_never_trained_on(model, data):
    seen = []

    class Noting(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = copy.deepcopy(model)

        def forward(self, x):
            if self.training:
                seen.append(x.clone())
            return self.inner(x)

    settings = FineTuneSettings(2, batch_size=8, validation=0.25, seed=3)
    run = training_run(Noting(), data, settings=settings)
    list(run.steps())
    rows = {tuple(row.tolist()) for batch in seen for row in batch}
    train, held = held_out(Examples(*data.train), settings)
    assert held is not None
    assert held.count == 10
    assert rows == {tuple(row.tolist()) for row in train.inputs}
    assert not rows & {tuple(row.tolist()) for row in held.inputs}
    assert len(rows) == 31


def test_stopping_looks_at_held_out_examples_alone_and_goes_back_to_the_best(model, data):
    settings = FineTuneSettings(60, 0.2, 8, schedule="constant", validation=0.3, patience=3)

    def run(data):
        module = copy.deepcopy(model)
        reports, states = [], []
        for report in training_run(module, data, settings=settings).steps():
            if report.measured:
                reports.append(report)
                states.append(bits(module))
        return module, reports, states

    module, reports, states = run(data)
    assert reports[-1].step < reports[-1].steps
    assert reports[-1].seconds_left == 0
    validated = [r.validation for r in reports[:-1]]
    best = validated.index(max(validated))
    assert bits(module) == states[best]
    assert len(validated) - 1 - best == 3
    assert reports[-1].validation == max(validated)
    # labels of the test data have no say
    inputs, targets = data.test
    wrong = Data(train=data.train, test=(inputs, (targets + 1) % 3))
    assert bits(run(wrong)[0]) == bits(module)
