"""Optimisers by name, by function and as objects, against plain loops in PyTorch."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prunevis.data import Data
from prunevis.errors import ModelError, SpecError
from prunevis.training import FineTuneSettings, fine_tune, training_run
from prunevis.training.modes import MaskHolder


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(24, 5, generator=generator)
    targets = torch.arange(24) % 3
    return Data(train=(inputs, targets), test=(inputs[:6], targets[:6]))


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3)).eval()


def plainly(model, data, optimizer, rates, loss=F.cross_entropy):
    """Train as one would by hand: 2 epochs of batches of 8, examples in the order of seed 0."""
    shuffle = torch.Generator().manual_seed(0)
    inputs, targets = data.train
    model.train()
    for epoch in range(2):
        order = torch.randperm(24, generator=shuffle)
        for k in range(3):
            where = order[8 * k : 8 * k + 8]
            for group in optimizer.param_groups:
                group["lr"] = rates[3 * epoch + k]
            optimizer.zero_grad()
            loss(model(inputs[where]), targets[where]).backward()
            optimizer.step()
    return model.eval()


COSINE = [0.05 * (1 + math.cos(math.pi * t / 6)) for t in range(6)]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.01, nesterov=True)),
        ("adam", lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.01)),
        ("adamw", lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.01)),
        ("rmsprop", lambda p: torch.optim.RMSprop(p, 0.1, momentum=0.9, weight_decay=0.01)),
    ],
)
def test_by_name_by_function_and_as_an_object_the_numbers_of_a_plain_loop(model, data, name, make):
    expected = copy.deepcopy(model)
    plainly(expected, data, make(expected.parameters()), COSINE)
    options = {"epochs": 2, "batch_size": 8, "weight_decay": 0.01}
    mine = make(model.parameters())
    for optimizer, lr in ((name, 0.1), (make, 0.7), (mine, 0.7)):
        result = fine_tune(model, data, optimizer=optimizer, lr=lr, **options)
        for key, value in result.model.state_dict().items():
            assert torch.allclose(value, expected.state_dict()[key], rtol=1e-6, atol=1e-6), key
        assert result.history[-1].learning_rate == pytest.approx(COSINE[-1])
    assert not mine.state
    assert [p is q for p, q in zip(mine.param_groups[0]["params"], model.parameters(), strict=True)]
    assert mine.param_groups[0]["lr"] == 0.1


def test_groups_keep_their_proportions_and_what_they_leave_out_stays(model, data):
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[3].parameters()}]
    mine = torch.optim.SGD(groups, lr=0.01)
    expected = copy.deepcopy(model)
    theirs = torch.optim.SGD(
        [{"params": expected[0].parameters()}, {"params": expected[3].parameters()}], lr=1.0
    )
    theirs.param_groups[1]["lr"] = 0.1

    def step():
        for group, rate in zip(theirs.param_groups, (0.1, 0.01), strict=True):
            group["lr"] = rate
        return type(theirs).step(theirs)

    run = training_run(
        module := copy.deepcopy(model),
        data,
        teacher=model,
        settings=FineTuneSettings(1, batch_size=24, schedule="constant", optimizer=mine),
    )
    list(run.steps())
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    expected.train()
    F.cross_entropy(expected(data.train[0][order]), data.train[1][order]).backward()
    step()
    for key, value in module.state_dict().items():
        assert torch.allclose(value, expected.state_dict()[key], rtol=1e-6, atol=1e-7), key
    assert torch.equal(module[1].weight, model[1].weight)


def test_label_smoothing_and_distillation_by_hand(model, data):
    def loss(logits, targets):
        inputs = data.train[0][loss.where]
        soft = F.one_hot(targets, 3) * 0.7 + 0.1
        mine = (logits / 3).log_softmax(1)
        taught = (model(inputs).detach() / 3).softmax(1)
        cross = -(soft * logits.log_softmax(1)).sum(1).mean()
        distance = (taught * (taught.log() - mine)).sum(1).mean()
        return 0.6 * cross + 0.4 * 9 * distance

    expected, shuffle = copy.deepcopy(model), torch.Generator().manual_seed(0)
    expected.train()
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1)
    for _ in range(2):
        order = torch.randperm(24, generator=shuffle)
        for k in range(3):
            loss.where = order[8 * k : 8 * k + 8]
            optimizer.zero_grad()
            loss(expected(data.train[0][loss.where]), data.train[1][loss.where]).backward()
            optimizer.step()
    result = fine_tune(
        model, data, epochs=2, batch_size=8, lr=0.1, momentum=0.0, weight_decay=0.0,
        schedule="constant", label_smoothing=0.3, distil=0.4, temperature=3.0,
    )  # fmt: skip
    for key, value in result.model.state_dict().items():
        assert torch.allclose(value, expected.state_dict()[key], rtol=1e-6, atol=1e-6), key
    assert not model.training


def test_rates_by_hand():
    def rates(**options):
        settings = FineTuneSettings(lr=2.0, **options)
        return [settings.learning_rate(t, 8) for t in range(8)]

    assert rates(schedule="linear") == [2.0 * (1 - t / 8) for t in range(8)]
    assert rates(schedule="step") == pytest.approx([2, 2, 2, 2, 0.2, 0.2, 0.02, 0.02])
    assert rates(schedule="constant", warm_up=0.5) == [0, 0.5, 1, 1.5, 2, 2, 2, 2]
    risen = rates(schedule="linear", warm_up=0.25)
    assert risen == pytest.approx([0, 1, 2, 2 * 5 / 6, 2 * 4 / 6, 1, 2 / 3, 1 / 3])
    assert rates(schedule=lambda x: x * x)[4] == 0.5
    cosine = rates()
    assert cosine == pytest.approx([1 + math.cos(math.pi * t / 8) for t in range(8)])


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_zeros_are_exact_in_every_precision_and_what_stays_keeps_its_bits(kind):
    values = torch.tensor([[-1.5, float("nan"), -0.0], [float("-inf"), -0.0, 3.0]], dtype=kind)
    layer = nn.Linear(3, 2, bias=False).to(kind)
    layer.weight.data.copy_(values)
    layer.weight.data = layer.weight.data.t().contiguous().t()  # strides of another order
    mask = torch.tensor([[False, False, True], [False, False, True]])
    MaskHolder(layer, {"weight": mask}).apply()
    assert layer.weight.tolist() == [[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]]
    assert torch.signbit(layer.weight).tolist() == [[False, False, True], [False, False, False]]


def _closure(parameters):
    return torch.optim.LBFGS(parameters, lr=0.1)


@pytest.mark.parametrize(
    ("optimizer", "match"),
    [
        ("adamm", r"no optimiser called 'adamm'.*adam"),
        ("lbfgs", "no optimiser called 'lbfgs'"),
        (3, "a name, a function that makes one, or an optimiser"),
        (_closure, r"LBFGS does not fit.*closure"),
        (lambda p: torch.optim.SparseAdam(p, lr=0.1), "SparseAdam does not fit"),
        (lambda p: torch.optim.SGD(p, lr=0.0), "no learning rate to train with"),
        (lambda p: None, r"made no optimiser.*NoneType"),
        (lambda: None, r"Making the optimiser raised an error.*called with a list"),
        (torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1), "parameters of another network"),
    ],
)
def test_optimisers_that_do_not_fit(model, data, optimizer, match):
    with pytest.raises(SpecError, match=match):
        fine_tune(model, data, optimizer=optimizer)


def test_an_optimiser_whose_step_fails_leaves_the_masks_held(model, data):
    class Failing(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.add_(1.0)
            raise RuntimeError("out of order")

    module, mask = copy.deepcopy(model), torch.ones(7, 5, dtype=torch.bool)
    mask[0] = False
    settings = FineTuneSettings(optimizer=lambda p: Failing(p, lr=0.1))
    run = training_run(module, data, masks={"0.weight": mask}, settings=settings)
    with pytest.raises(SpecError, match=r"step raised an error.*out of order"):
        list(run.steps())
    assert module[0].weight[0].tolist() == [0.0] * 5


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"mixed_precision": True}, "for a model on a GPU"),
        ({"mixed_precision": "yes"}, "`mixed_precision` is True or False"),
        ({"schedule": ["cosine"]}, r"no schedule \['cosine'\]"),
        ({"schedule": lambda x: "fast"}, r"gave no factor.*ValueError"),
        ({"schedule": lambda x: -1.0}, r"gave no factor.*-1"),
        ({"patience": 2}, "needs examples to see it by"),
        ({"patience": 2, "validation": 0.01}, "nothing says when to stop"),
        ({"validation": 0.95}, "`validation` must be from 0 to 0.9"),
        ({"distil": 2}, "`distil` must be from 0 to 1"),
    ],
)
def test_settings_that_cannot_be(model, data, options, match):
    with pytest.raises(SpecError, match=match):
        fine_tune(model, data, **options)


def test_distillation_needs_a_teacher(model, data):
    with pytest.raises(SpecError, match=r"no network to learn from.*teacher="):
        training_run(model, data, settings=FineTuneSettings(distil=0.5))


def test_checkpoints_of_another_network_are_refused(model, data):
    saved = training_run(nn.Linear(5, 3), data).checkpoint()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ModelError, match="checkpoint is of another network"):
        training_run(model, data).resume(saved)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
