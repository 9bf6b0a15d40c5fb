"""Fixtures that many tests share."""

from __future__ import annotations

import pytest
import torch
from tiny_networks import (
    TinyMLP,
    TinyResidual,
    answered,
    assert_same,
    labelled,
    seeded,
    snapshot,
)
from torch import nn

from prunevis.data import Data

# Two threads on a busy machine of two cores are slower than one, and sums could differ in order.
torch.set_num_threads(1)


@pytest.fixture
def mlp() -> nn.Module:
    return seeded(TinyMLP)


@pytest.fixture
def residual() -> nn.Module:
    return seeded(TinyResidual)


@pytest.fixture
def mlp_data(mlp) -> Data:
    test = answered(mlp, labelled((12,), 60, 4))
    train = answered(mlp, labelled((12,), 48, 4, seed=1))
    return Data(train=train, test=test, class_names=("a", "b", "c", "d"), name="tiny")


@pytest.fixture
def residual_data(residual) -> Data:
    test = answered(residual, labelled((1, 6, 6), 40, 4))
    train = answered(residual, labelled((1, 6, 6), 32, 4, seed=1))
    return Data(train=train, test=test, name="tiny pictures")


@pytest.fixture
def untouched_model():
    """Return a function that remembers a model, and one that checks that it is as it was."""

    def remember(model: nn.Module):
        before, state = snapshot(model), torch.get_rng_state()

        def check() -> None:
            assert_same(before, snapshot(model))
            assert torch.equal(state, torch.get_rng_state())

        return check

    return remember
