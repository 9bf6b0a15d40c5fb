"""Networks that cannot be traced are refused in a sentence, before anything happens."""

from __future__ import annotations

import pytest
import torch
from small_networks import IMAGE, Net, conv
from torch import nn
from torch.nn.utils import parametrizations, prune

from prunevis.errors import ModelError, NonFiniteError, TraceError
from prunevis.graph.trace import trace


def pair():
    return Net(lambda m, x: m.c(m.a(x)), a=conv(3, 4), c=conv(4, 2))


def test_masks_of_torch_prune():
    model = pair()
    prune.random_unstructured(model.a, "weight", 0.5)
    with pytest.raises(ModelError, match=r"torch\.nn\.utils\.prune masks are attached to `a`"):
        trace(model, torch.zeros(IMAGE))


def test_parametrizations():
    model = pair()
    parametrizations.weight_norm(model.c)
    with pytest.raises(ModelError, match="A parametrization is attached to `c`"):
        trace(model, torch.zeros(IMAGE))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_old_weight_norm():
    model = pair()
    torch.nn.utils.weight_norm(model.c)
    with pytest.raises(ModelError, match=r"The weight of `c` is recomputed .*remove_weight_norm"):
        trace(model, torch.zeros(IMAGE))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(value):
    model = pair()
    model.a.weight.data[0, 0, 0, 0] = value
    with pytest.raises(NonFiniteError, match=r"`a\.weight` holds 1 NaN or infinite value\."):
        trace(model, torch.zeros(IMAGE))


def test_running_statistics_that_are_not_finite():
    model = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4))
    model[1].running_var[2] = float("inf")
    with pytest.raises(NonFiniteError, match=r"`1\.running_var`"):
        trace(model, torch.zeros(IMAGE))


def test_masks_of_minus_infinity_are_no_fault():
    model = pair()
    model.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    assert trace(model, torch.zeros(IMAGE)).macs > 0


def test_large_half_precision_weights_are_finite():
    model = pair().half()
    model.a.weight.data.fill_(60_000)
    assert trace(model, torch.zeros(IMAGE, dtype=torch.float16)).macs > 0


def test_lazy_modules():
    with pytest.raises(ModelError, match=r"`weight` of `0` has no shape yet.*Run one batch"):
        trace(nn.Sequential(nn.LazyConv2d(4, 3)), torch.zeros(IMAGE))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_scripted_models():
    scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 2)))
    with pytest.raises(ModelError, match="TorchScript"):
        trace(scripted, torch.zeros(1, 3))


def test_what_is_no_module():
    with pytest.raises(ModelError, match=r"not a torch\.nn\.Module.*Got: dict"):
        trace({}, torch.zeros(IMAGE))  # type: ignore[arg-type]


def test_an_example_of_the_wrong_shape_names_the_layer_and_both_shapes():
    with pytest.raises(
        TraceError, match=r"4, 3, 3, 3.*example of shape \(5, 8, 8\).*`a`, Conv2d\(3"
    ):
        trace(pair(), torch.zeros(1, 5, 8, 8))


@pytest.mark.parametrize("example", [None, torch.zeros(()), torch.zeros(0, 3, 8, 8)])
def test_what_is_no_example(example):
    with pytest.raises(TraceError, match="The example input"):
        trace(pair(), example)


def test_a_forward_that_raises_is_chained():
    def forward(m, x):
        raise KeyError("of the user")

    with pytest.raises(TraceError, match=r"raised KeyError: 'of the user'") as caught:
        trace(Net(forward), torch.zeros(IMAGE))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.c(m.a(x)) if x.sum() > 0 else x,
        lambda m, x: m.a(x) * x.max().item(),
        lambda m, x: m.a(x)[m.a(x) > 0],
    ],
    ids=["if", "item", "mask"],
)
def test_control_flow_by_the_data(forward):
    with pytest.raises(TraceError, match="depends on the numbers in its input"):
        trace(Net(forward, a=conv(3, 4), c=conv(4, 2)), torch.zeros(IMAGE))


def test_a_forward_without_a_tensor():
    with pytest.raises(TraceError, match="returned no tensor"):
        trace(Net(lambda m, x: "text"), torch.zeros(IMAGE))


def test_a_trace_that_takes_too_long_is_given_up():
    model = pair()
    with pytest.raises(TraceError, match=r"longer than 0 seconds.*larger time_limit"):
        trace(model, torch.zeros(IMAGE), time_limit=0.0)
