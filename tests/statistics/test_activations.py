"""One pass over a real (small) network, against the same numbers computed by hooks."""

import numpy as np
import pytest
import torch
from torch import nn

from prunevis.data import Data
from prunevis.errors import DataError, SpecError
from prunevis.graph.trace import trace
from prunevis.statistics import collect_statistics, collect_steps, collecting


def network():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 3),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.5, 0.5, generator=generator)
        model[0].weight[1] = 0.0
        model[1].bias.copy_(torch.tensor([0.3, -1.0, 0.3, 0.3]))  # unit 1 never fires
    return model


@pytest.fixture
def model():
    return network()


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(40, 1, 6, 6, generator=generator), torch.arange(40) % 3


def test_numbers_are_those_behind_norm_and_activation(model, data):
    found = collect_statistics(model, data, batch_size=7, num_top=4)
    model.eval()
    with torch.no_grad():
        maps = model[:3](data[0]).double()
        hidden = model[:7](data[0]).double()
    conv, linear = found.activations["0"], found.activations["5"]
    torch.testing.assert_close(conv.mean, maps.mean((0, 2, 3)))
    torch.testing.assert_close(conv.std, maps.std((0, 2, 3), correction=0))
    torch.testing.assert_close(conv.zero_share, (maps == 0).double().mean((0, 2, 3)))
    torch.testing.assert_close(linear.rms, hidden.square().mean(0).sqrt())
    assert conv.never_fires.tolist() == [False, True, False, False]
    assert (conv.positions, linear.positions) == (16, 1)
    assert (conv.exact_zeros, linear.exact_zeros) == (True, False)
    peak = maps.amax((2, 3))
    assert conv.top_examples[0].tolist() == peak[:, 0].topk(4).indices.tolist()
    torch.testing.assert_close(conv.top_values[0], peak[:, 0].topk(4).values)
    expected = np.corrcoef(hidden.T.numpy())
    np.testing.assert_allclose(found.correlation("5").numpy(), expected, atol=1e-5)
    assert (found.num_examples, found.split) == (40, "test")


def test_steps_tell_how_far_they_are_and_end_with_the_outcome(model, data):
    graph = trace(model, data[0][:1])
    steps = list(collect_steps(model, data, graph, batch_size=16))
    assert [(step.seen, step.total) for step in steps] == [(16, 40), (32, 40), (40, 40)]
    assert [step.statistics is None for step in steps] == [True, True, False]
    whole = collect_statistics(model, data, graph=graph)
    for name, found in steps[-1].statistics.activations.items():
        torch.testing.assert_close(found.mean, whole[name].mean)
        assert torch.equal(found.top_examples, whole[name].top_examples)


def test_training_examples_are_preferred_and_sampled_by_the_seed(model, data):
    both = Data(train=data, test=(data[0][:5], data[1][:5]))
    found = collect_statistics(model, both, max_examples=10, num_top=3)
    assert (found.split, found.num_examples) == ("train", 10)
    assert len(set(found.indices.tolist())) == 10
    assert set(found["0"].top_examples.flatten().tolist()) <= set(found.indices.tolist())
    again = collect_statistics(model, both, max_examples=10)
    other = collect_statistics(model, both, max_examples=10, seed=1)
    assert torch.equal(found.indices, again.indices)
    assert not torch.equal(found.indices, other.indices)


def test_the_model_is_left_as_it_was(model, data):
    model.train()
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flags = [module.training for module in model.modules()]
    random_state = torch.get_rng_state()
    steps = collect_steps(model, data, trace(model, data[0][:1]), batch_size=8)
    next(steps)
    assert [module.training for module in model.modules()] == flags  # also half way through
    list(steps)
    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state())


def test_frozen_parameters_and_outer_modes_do_not_matter(model, data):
    expected = collect_statistics(model, data)["0"].mean
    model.requires_grad_(False)
    with torch.inference_mode():
        assert torch.equal(collect_statistics(model, data)["0"].mean, expected)


def test_batches_shrink_where_there_are_many_units(model, data, monkeypatch):
    graph = trace(model, data[0][:1])
    answers = sum(layer.num_units * layer.positions for layer in graph.layers.values())
    monkeypatch.setattr(collecting, "BATCH_ANSWERS", 10 * answers)
    assert [s.seen for s in collect_steps(model, data, graph)] == [10, 20, 30, 40]
    monkeypatch.setattr(collecting, "BATCH_ANSWERS", 1)
    assert next(collect_steps(model, data, graph)).seen == 1


def test_what_cannot_be_answered_is_said(model, data):
    found = collect_statistics(model, data, correlation=False)
    with pytest.raises(SpecError, match="Correlation was not asked for"):
        found.correlation("0")
    with pytest.raises(SpecError, match=r"What the units of `nine` answer was not observed.*0, 5"):
        found["nine"]
    with pytest.raises(SpecError, match="`batch_size` must be at least 1"):
        collect_statistics(model, data, batch_size=0)
    with pytest.raises(DataError, match="no examples"):
        collect_statistics(model, (data[0][:0], data[1][:0]))
