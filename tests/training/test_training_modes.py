from contextlib import suppress

import pytest
import torch
from torch import nn

from prunevis.errors import ModelError
from prunevis.training.modes import MaskHolder, RandomStream, fixed_statistics, training_mode
from prunevis.training.sgd import Sgd


def test_training_mode_restores_every_flag_and_spares_frozen_norms():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.BatchNorm1d(2), nn.Dropout())
    model.eval()
    model[3].train()
    model[2].requires_grad_(False)
    with suppress(ValueError), training_mode(model):
        assert [m.training for m in model.modules()] == [True, True, True, False, True]
        model(torch.zeros(1, 2))  # no variance of one example: raises
        pytest.fail("BatchNorm was not in training mode")
    assert [m.training for m in model.modules()] == [False, False, False, False, True]


def test_fixed_statistics_lets_one_example_through():
    model = nn.Sequential(nn.BatchNorm1d(2)).train()
    with fixed_statistics(model):
        model(torch.ones(1, 2))
    assert model[0].training
    assert model[0].running_mean.tolist() == [0.0, 0.0]


def test_random_stream_goes_on_and_leaves_the_global_state():
    state = torch.get_rng_state()
    stream, drawn = RandomStream(5, torch.device("cpu")), []
    for _ in range(2):
        with stream.active():
            drawn.append(torch.rand(3))
    assert torch.equal(torch.get_rng_state(), state)
    own = torch.Generator().manual_seed(5)
    expected = [torch.rand(3, generator=own) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(drawn, expected, strict=True))


def test_masks_write_exact_positive_zeros():
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight[:] = torch.tensor([[-1.0, torch.nan]])
    MaskHolder(layer, {"weight": torch.tensor([[False, False]])}).apply()
    assert torch.signbit(layer.weight).tolist() == [[False, False]]
    assert layer.weight.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("name", ["weight", "other"])
def test_masks_must_fit(name):
    with pytest.raises(ModelError, match=rf"mask does not fit.*'{name}' of shape \(3, 3\)"):
        MaskHolder(nn.Linear(2, 1), {name: torch.ones(3, 3, dtype=torch.bool)})


@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.9, 0.01)])
def test_sgd_gives_the_numbers_of_torch(momentum, decay):
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 3), nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    sgd = Sgd(list(ours.parameters()), momentum, decay)
    reference = torch.optim.SGD(
        theirs.parameters(), lr=0.1, momentum=momentum, weight_decay=decay, nesterov=momentum > 0
    )
    for step in range(5):
        x = torch.randn(8, 4)
        sgd.clear_gradients()
        reference.zero_grad()
        ours(x).square().sum().backward()
        theirs(x).square().sum().backward()
        rate = 0.01 / (step + 1)
        reference.param_groups[0]["lr"] = rate
        sgd.step(rate)
        reference.step()
    assert torch.allclose(ours.weight, theirs.weight, rtol=1e-6, atol=1e-7)
    assert torch.allclose(ours.bias, theirs.bias, rtol=1e-6, atol=1e-7)
