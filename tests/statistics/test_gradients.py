"""Gradients of weights and gates: by hand, and against gates that are really there."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prunevis.errors import DataError, ModelError, NonFiniteError, SpecError
from prunevis.graph.trace import trace
from prunevis.statistics import collect_statistics, collect_steps
from prunevis.statistics.gradients import GradientSums


def collect(model, data, **options):
    return collect_statistics(model, data, activations=False, gradients=True, **options)


def in_double(model, function, inputs, targets):
    """Per example: ``function(model, x)``'s gradient of the loss by a gate of ones."""
    found = []
    for x, y in zip(inputs, targets, strict=True):
        logits, gate = function(model, x[None])
        found.append(torch.autograd.grad(F.cross_entropy(logits, y[None]), gate)[0])
    return torch.stack(found).double()


def test_a_linear_layer_by_hand():
    # two classes, weights zero: p = (½, ½), ∂L/∂W[k] = (p_k − 1[y = k]) x
    model = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(model.weight)
    data = torch.tensor([[2.0, 0.0], [4.0, 6.0]]), torch.tensor([0, 1])
    found = collect(model, data).gradient("")
    # example 0: [[-1, 0], [1, 0]]; example 1: [[2, 3], [-2, -3]]
    assert found.mean.tolist() == [[0.5, 1.5], [-0.5, -1.5]]
    assert found.magnitude.tolist() == [[1.5, 1.5], [1.5, 1.5]]
    assert found.square.tolist() == [[2.5, 4.5], [2.5, 4.5]]
    assert found.num_examples == 2
    assert found.mean.dtype == torch.float64


def test_gates_of_a_linear_network_by_hand():
    # h = (x, 2x); logits = (h0 + h1, 0). p0 = σ(3x); ∂L/∂gate_u = (p0 − 1[y = 0]) · V[0, u] · h_u
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [2.0]]))
        model[2].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    data = torch.tensor([[1.0], [2.0]]), torch.tensor([0, 1])
    found = collect(model, data).gradient("0")
    p = torch.tensor([3.0, 6.0], dtype=torch.float64).sigmoid()
    slope = p - torch.tensor([1.0, 0.0])
    h = torch.tensor([[1.0, 2.0], [2.0, 4.0]])
    gates = slope[:, None] * h
    assert found.after.where == "consumers"
    torch.testing.assert_close(found.after.mean, gates.mean(0), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found.after.magnitude, gates.abs().mean(0), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found.after.square, gates.square().mean(0), rtol=1e-5, atol=1e-7)
    # without bias a gate before the ReLU is the same as one behind it
    assert found.before.where == "rows"
    torch.testing.assert_close(found.before.square, found.after.square, rtol=1e-5, atol=1e-7)


class Convolutional(nn.Module):
    """BatchNorm, max-pooling and flatten between the channels and who reads them."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.fc = nn.Linear(16, 3)

    def forward(self, x, after=1.0, before=1.0):
        h = torch.relu(self.norm(self.conv(x)) * before) * after
        return self.fc(F.max_pool2d(h, 2).flatten(1))


def settled(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7, generator=generator)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.3, 0.3, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def pictures(count=10, classes=3, shape=(1, 6, 6)):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, *shape, generator=generator), torch.arange(count) % classes


@pytest.mark.parametrize("which", ["after", "before"])
def test_gates_through_norm_pooling_and_flatten_are_those_that_were_put_in(which):
    model, data = settled(Convolutional()), pictures()

    def gated(model, x):
        gate = torch.ones(4, 1, 1, requires_grad=True)
        return model(x, **{which: gate}), gate

    expected = in_double(model, gated, *data).flatten(1)
    found = getattr(collect(model, data).gradient("conv"), which)
    assert found.where == {"after": "consumers", "before": "norm"}[which]
    torch.testing.assert_close(found.magnitude, expected.abs().mean(0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.square, expected.square().mean(0), rtol=1e-4, atol=1e-6)


def test_channels_joined_by_an_addition_share_a_gate(residual, residual_data):
    found = collect(residual, residual_data)
    inputs, targets = residual_data.train

    def gated(model, x):
        # the stem's channels are read by conv1, and behind the addition by fc
        gate = torch.ones(6, 1, 1, requires_grad=True)
        x = torch.relu(model.bn0(model.stem(x)))
        y = torch.relu(model.bn1(model.conv1(x * gate)))
        x = torch.relu(model.bn2(model.conv2(y)) + x)
        return model.fc((x * gate).mean((2, 3))), gate

    expected = in_double(residual, gated, inputs, targets).flatten(1)
    for name in ("stem", "conv2"):
        gate = found.gradient(name).after
        torch.testing.assert_close(gate.square, expected.square().mean(0), rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(gate.mean, expected.mean(0), rtol=1e-4, atol=1e-7)
    assert not torch.equal(found.gradient("stem").before.mean, found.gradient("conv2").before.mean)
    # nothing reads the logits
    assert found.gradient("fc").after is None
    assert found.gradient("fc").gate is found.gradient("fc").before


def test_weights_against_autograd_one_example_at_a_time():
    model, (inputs, targets) = settled(Convolutional()), pictures()
    found = collect(model, (inputs, targets))
    for name, layer in (("conv", model.conv), ("fc", model.fc)):
        every = torch.stack(
            [
                torch.autograd.grad(F.cross_entropy(model(x[None]), y[None]), layer.weight)[0]
                for x, y in zip(inputs, targets, strict=True)
            ]
        ).double()
        mine = found.gradient(name)
        torch.testing.assert_close(mine.mean, every.mean(0), rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(mine.magnitude, every.abs().mean(0), rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(mine.square, every.square().mean(0), rtol=1e-4, atol=1e-9)


class Writing(Convolutional):
    """Writes what depends on the example into a tensor that does not, as `vmap` cannot."""

    def forward(self, x):
        buffer = torch.zeros(len(x), 1, *x.shape[2:])
        buffer[:] = x
        return super().forward(buffer)


def test_where_examples_cannot_go_together_they_go_one_by_one():
    plain, data = settled(Convolutional()), pictures()
    writing = settled(Writing())
    graph = trace(writing, data[0][:1])
    sums = GradientSums(writing, graph)
    for _ in sums.add(*data):
        pass
    assert not sums.together
    expected = collect(plain, data)
    for name, found in sums.result().items():
        torch.testing.assert_close(found.mean, expected.gradient(name).mean, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(found.gate.square, expected.gradient(name).gate.square)


def test_examples_do_go_together_where_they_can():
    model, data = settled(Convolutional()), pictures()
    sums = GradientSums(model, trace(model, data[0][:1]))
    assert len(list(sums.add(*data))) == 2  # of eight and two
    assert sums.together


@pytest.mark.parametrize("at_once", [1, 3, 64])
def test_pieces_do_not_matter(at_once):
    model, data = settled(Convolutional()), pictures()
    graph = trace(model, data[0][:1])
    sums = GradientSums(model, graph)
    sums.at_once = at_once
    for _ in sums.add(*data):
        pass
    expected = collect(model, data).gradient("conv")
    torch.testing.assert_close(sums.result()["conv"].square, expected.square)


def test_the_model_is_left_as_it_was_frozen_or_not(residual, residual_data, untouched_model):
    residual.train()
    expected = collect(residual.eval(), residual_data).gradient("stem").mean
    residual.train()
    residual.requires_grad_(False)
    residual.stem.weight.grad = torch.ones_like(residual.stem.weight)
    check = untouched_model(residual)
    with torch.inference_mode():
        found = collect(residual, residual_data)
    check()
    assert torch.equal(found.gradient("stem").mean, expected)


def test_only_as_many_examples_as_asked_and_in_steps(residual, residual_data, monkeypatch):
    monkeypatch.setattr("prunevis.statistics.collecting.STEP", -1.0)
    graph = trace(residual, residual_data.train.inputs[:1])
    options = {"activations": False, "gradients": True, "gradient_examples": 20, "batch_size": 8}
    steps = list(collect_steps(residual, residual_data, graph, **options))
    assert all(step.total == 20 for step in steps)
    assert [step.seen for step in steps] == sorted(step.seen for step in steps)
    assert steps[-1].statistics.gradient("fc").num_examples == 20
    both = collect_statistics(residual, residual_data, gradients=True, gradient_examples=20)
    assert both["stem"].num_examples == 32
    torch.testing.assert_close(both.gradient("fc").mean, steps[-1].statistics.gradient("fc").mean)


def test_statistics_of_the_same_examples_can_be_joined(residual, residual_data):
    first = collect_statistics(residual, residual_data)
    assert first.missing({"activations", "gradients", "labels", "weights"}) == {"gradients"}
    second = collect(residual, residual_data)
    both = first.joined(second)
    assert not both.missing({"activations", "gradients", "labels"})
    assert both["stem"] is first["stem"]
    assert both.gradient("stem") is second.gradient("stem")
    other = collect(residual, residual_data, max_examples=5)
    with pytest.raises(SpecError, match="of different examples"):
        first.joined(other)


def test_what_cannot_be_done_is_said(mlp, mlp_data, residual):
    with pytest.raises(SpecError, match=r"gradients of `fc1` were not collected.*gradients=True"):
        collect_statistics(mlp, mlp_data).gradient("fc1")
    with pytest.raises(DataError, match="Gradients need labels, and the data are inputs alone"):
        collect(mlp, mlp_data.train.inputs)
    wrong = mlp_data.train.inputs, mlp_data.train.targets + 1
    with pytest.raises(DataError, match=r"do not fit the model's outputs.*0 to 3.*Got: 4"):
        collect(mlp, wrong)
    maps = nn.Conv2d(1, 3, 1)
    with pytest.raises(ModelError, match=r"labels do not fit.*Expected: \(1, classes\)"):
        collect(maps, pictures())
    with pytest.raises(SpecError, match="`gradient_examples` must be at least 1"):
        collect(mlp, mlp_data, gradient_examples=0)


def test_inputs_alone_are_enough_for_answers(mlp, mlp_data):
    found = collect_statistics(mlp, mlp_data.train.inputs, inputs=True)
    expected = collect_statistics(mlp, mlp_data)
    assert torch.equal(found["fc1"].mean, expected["fc1"].mean)
    assert found.labels is None
    with pytest.raises(SpecError, match="needs labelled examples"):
        found.examples(4)
    inputs, labels = expected.examples(4)
    assert torch.equal(inputs, mlp_data.train.inputs[expected.indices[:4]])
    assert torch.equal(labels, mlp_data.train.targets[expected.indices[:4]])


def test_integer_weights_are_refused():
    class Integer(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 2, dtype=torch.int8), requires_grad=False)

        def forward(self, x):
            return x @ self.weight.T.to(x.dtype)

    model, x = Integer(), torch.randn(4, 2)
    with pytest.raises(ModelError, match="`weight` does not exist: its numbers are int8"):
        collect(model, (x, torch.zeros(4, dtype=torch.int64)))


def test_gradients_that_are_not_finite_are_refused(mlp, mlp_data):
    with torch.no_grad():
        mlp.fc1.weight.fill_(3e38)
    with pytest.raises(NonFiniteError, match=r"gradient of `fc\d.weight` is NaN"):
        collect(mlp, mlp_data)
