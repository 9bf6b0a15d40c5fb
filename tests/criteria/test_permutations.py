"""Scores belong to units, wherever these stand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import context_of, score
from torch import nn

from prunevis.criteria import CRITERIA

by_unit = sorted(n for n in CRITERIA if "unit" in CRITERIA[n].granularities and n != "random")


def network(units, seed):
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, units, 3), nn.BatchNorm2d(units), nn.ReLU(), nn.Conv2d(units, 3, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=generator)
    x = torch.randn(12, 1, 6, 6, generator=generator)
    return model.eval(), (x, torch.arange(12) % 3)


def permuted(model, order):
    conv, norm, _, reader, *_ = model
    found, _ = network(len(order), 0)
    found.load_state_dict(model.state_dict())
    with torch.no_grad():
        found[0].weight.copy_(conv.weight[order])
        found[0].bias.copy_(conv.bias[order])
        found[1].weight.copy_(norm.weight[order])
        found[1].bias.copy_(norm.bias[order])
        found[3].weight.copy_(reader.weight[:, order])
    return found


@pytest.fixture(scope="module")
def contexts():
    """Contexts of a network and its permutation by seed and units, shared by all criteria."""
    known = {}

    def make(seed, units):
        if (seed, units) not in known:
            model, data = network(units, seed)
            order = torch.randperm(units, generator=torch.Generator().manual_seed(seed))
            pair = context_of(model, data), context_of(permuted(model, order), data), order
            known[seed, units] = pair
        return known[seed, units]

    return make


@pytest.mark.parametrize("name", by_unit)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 3), units=st.sampled_from([2, 5]))
def test_permuted_units_have_permuted_scores(contexts, name, seed, units):
    here, there, order = contexts(seed, units)
    scores = score(name, here, "0")
    torch.testing.assert_close(score(name, there, "0"), scores[order], rtol=1e-4, atol=1e-5)
