"""Answers example by example: means, samples and ranks of feature maps."""

import pytest
import torch
from torch import nn

from prunevis.errors import SpecError
from prunevis.statistics import collect_statistics
from prunevis.statistics import responses as module


@pytest.fixture
def model():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 3)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.5, 0.5, generator=generator)
    return model.eval()


@pytest.fixture
def x():
    return torch.randn(40, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def test_means_are_those_of_each_example_in_the_order_of_the_pass(model, x):
    found = collect_statistics(model, x, activations=False, responses=True, batch_size=7)
    with torch.no_grad():
        maps, hidden = model[:2](x[found.indices]), model[:5](x[found.indices])
    torch.testing.assert_close(found.response("0").example_means(), maps.mean((2, 3)))
    torch.testing.assert_close(found.response("3").example_means(), hidden)
    assert not found.activations
    assert found.response("0").map_rank is None


def test_samples_are_answers_at_one_position_of_each_example(model, x, monkeypatch):
    monkeypatch.setattr(module, "SAMPLES", 25)
    found = collect_statistics(model, x, responses=True, batch_size=9)
    with torch.no_grad():
        maps, hidden = model[:2](x[found.indices]), model[:5](x[found.indices])
    samples = found.response("0").samples
    assert samples.shape == (25, 4)
    places = (maps[:25].flatten(2) - samples[:, :, None]).abs().sum(1).argmin(1)
    exact = maps[:25].flatten(2)[torch.arange(25), :, places]
    torch.testing.assert_close(samples, exact)
    assert len(set(places.tolist())) > 5
    torch.testing.assert_close(found.response("3").samples, hidden[:25])
    again = collect_statistics(model, x, responses=True, batch_size=4)
    torch.testing.assert_close(again.response("0").samples, samples)


def test_ranks_against_numpys_of_the_first_maps(model, x, monkeypatch):
    monkeypatch.setattr(module, "MAPS", 11)
    found = collect_statistics(model, x, maps=True, batch_size=4)
    with torch.no_grad():
        maps = model[:2](x[found.indices[:11]])
    expected = torch.linalg.matrix_rank(maps).double().mean(0)
    assert torch.equal(found.response("0").map_ranks(), expected)
    assert found.response("0").num_maps == 11
    with pytest.raises(SpecError, match="ranks of the feature maps of `3` were not collected"):
        found.response("3").map_ranks()


def test_memory_is_bounded(model, x, monkeypatch):
    monkeypatch.setattr("prunevis.statistics.collecting.RESPONSE_BYTES", 40 * 4 * 4 + 1)
    found = collect_statistics(model, x, responses=True)
    assert found.response("0").means is not None
    with pytest.raises(SpecError, match="`3` to every example take too much memory"):
        found.response("3").example_means()
    assert len(found.response("3").samples) == 40


def test_what_was_not_kept_is_said(model, x):
    with pytest.raises(SpecError, match=r"`0` were not kept example by example.*responses=True"):
        collect_statistics(model, x).response("0")
