"""Units are looked at behind the normalisation, addition and activation that follow them."""

from __future__ import annotations

import pytest
import torch
from small_networks import IMAGE, Net, Residual, conv, settle
from torch import nn
from torch.nn import functional as F

from prunevis.errors import DataError, SpecError, TraceError
from prunevis.graph.observe import observe
from prunevis.graph.trace import trace


@pytest.fixture
def residual():
    model = settle(Residual()).eval()
    return model, trace(model, torch.zeros(IMAGE))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_observed_units_are_what_the_next_layer_reads(residual, count):
    model, graph = residual
    x = torch.randn(count, 3, 8, 8)
    with torch.no_grad():
        stem = F.relu(model.bn(model.stem(x)))
        first = F.relu(model.bn1(model.conv1(stem)))
        joined = F.relu(model.bn2(model.conv2(first)) + model.project(stem))
    found = observe(model, graph, x)
    assert list(found) == list(graph.layers)
    torch.testing.assert_close(found["stem"], stem.flatten(2))
    torch.testing.assert_close(found["conv1"], first.flatten(2))
    torch.testing.assert_close(found["conv2"], joined.flatten(2))
    torch.testing.assert_close(found["project"], joined.flatten(2))
    torch.testing.assert_close(found["fc"], model(x)[..., None])


def test_only_the_layers_asked_for(residual):
    model, graph = residual
    assert list(observe(model, graph, torch.zeros(IMAGE), ["conv1"])) == ["conv1"]


def test_tokens_of_one_example_stay_together():
    model = Net(lambda m, x: m.b(F.gelu(m.a(x))), a=nn.Linear(6, 4), b=nn.Linear(4, 2))
    x = torch.randn(3, 5, 6)
    found = observe(model, trace(model, x), x)
    assert found["a"].shape == (3, 4, 5)
    torch.testing.assert_close(found["a"], F.gelu(model.a(x)).movedim(2, 1).detach())


def test_a_later_write_in_place_does_not_reach_back():
    model = Net(lambda m, x: m.c((y := m.a(x)).max(3).values) + y.add_(1).amax(3), a=conv(3, 4))
    model.c = nn.Identity()
    x = torch.randn(IMAGE)
    found = observe(model, trace(model, x), x)
    torch.testing.assert_close(found["a"], model.a(x).flatten(2).detach())


def test_the_activation_is_preferred_to_what_follows_it():
    model = nn.Sequential(conv(3, 4), nn.ReLU(), nn.BatchNorm2d(4), conv(4, 2))
    settle(model)
    x = torch.randn(IMAGE)
    found = observe(model, trace(model, x), x)
    torch.testing.assert_close(found["0"], model[0](x).relu().flatten(2).detach())


def test_inference_tensors_are_accepted(residual):
    model, graph = residual
    with torch.inference_mode():
        found = observe(model, graph, torch.randn(IMAGE))
    assert found["fc"].shape == (2, 10, 1)


def test_the_model_may_be_larger_than_its_trace_was_long():
    def forward(m, x):
        return m.b(m.a(x)) if len(x) < 3 else m.b(m.a(x).relu())

    model = Net(forward, a=conv(3, 4), b=conv(4, 2))
    graph = trace(model, torch.zeros(IMAGE))
    with pytest.raises(TraceError, match="another path than when it was traced"):
        observe(model, graph, torch.zeros(3, 3, 8, 8))


def test_inputs_of_another_shape(residual):
    model, graph = residual
    with pytest.raises(DataError, match=r"Expected: \(N, 3, 8, 8\). Got: \(3, 8, 8\)"):
        observe(model, graph, torch.zeros(3, 8, 8))


def test_unknown_layers(residual):
    model, graph = residual
    with pytest.raises(SpecError, match="There is no layer `conv9`"):
        observe(model, graph, torch.zeros(IMAGE), ["conv9"])
