"""Layers, multiply-adds and groups of networks small enough to count by hand."""

from __future__ import annotations

import pytest
import torch
from small_networks import IMAGE, LeNet5, LeNet300100, Net, Residual, conv
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from prunevis.graph.trace import trace


def counted(model, example):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(example)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("model", "params", "macs"),
    [(LeNet300100(), 266_610, 266_200), (LeNet5(), 431_080, 2_293_000)],
    ids=["lenet-300-100", "lenet-5"],
)
def test_the_two_lenets_have_the_published_sizes(model, params, macs):
    example = torch.zeros(1, 1, 28, 28)
    graph = trace(model, example)
    assert (graph.num_params, graph.macs) == (params, macs)
    assert counted(model, example) == macs
    assert graph.num_outputs == 10
    assert graph.input_shape == (1, 28, 28)


def test_flattening_spreads_a_channel_over_the_columns_of_the_next_layer():
    graph = trace(LeNet5(), torch.zeros(1, 1, 28, 28))
    consumer = graph.groups["2"].members[-1]
    assert (consumer.tensor, consumer.axis, consumer.role) == ("5.weight", 1, "consumer")
    assert torch.equal(consumer.units, torch.arange(50).repeat_interleave(16))


def test_layers_of_a_residual_network():
    graph = trace(Residual(), torch.zeros(IMAGE))
    assert list(graph.layers) == ["stem", "conv1", "conv2", "project", "fc"]
    assert graph.layers["stem"].norms == ("bn",)
    assert graph.layers["stem"].consumers == ("conv1", "project")
    assert graph.layers["stem"].activation == "relu"
    assert graph.layers["project"].norms == ()
    assert graph.layers["conv2"].consumers == ("fc",)
    assert graph.layers["stem"].positions == 64
    assert graph.layers["stem"].macs == 64 * 4 * 3 * 9
    assert graph.layers["stem"].num_params == 4 * 3 * 9
    assert graph.layers["fc"].macs == 60
    assert graph.layers["fc"].is_output
    assert "`fc` gives the model's outputs" in str(graph.layers["fc"].reason)


def test_an_addition_ties_what_it_adds_and_says_where():
    graph = trace(Residual(), torch.zeros(IMAGE))
    group = graph.groups["conv2"]
    assert group.producers == ("conv2", "project")
    assert group.consumers == ("fc",)
    assert group.size == 6
    assert group.ties == (
        "The addition in the model's own forward adds `conv2` and `project` channel by channel.",
    )
    lies = {(member.tensor, member.axis): member.role for member in group.members}
    assert lies == {
        ("conv2.weight", 0): "producer",
        ("conv2.bias", 0): "producer",
        ("bn2.weight", 0): "norm",
        ("bn2.bias", 0): "norm",
        ("bn2.running_mean", 0): "statistic",
        ("bn2.running_var", 0): "statistic",
        ("project.weight", 0): "producer",
        ("project.bias", 0): "producer",
        ("fc.weight", 1): "consumer",
    }
    assert all(torch.equal(member.units, torch.arange(6)) for member in group.members)


def test_a_concatenation_keeps_branches_apart():
    model = Net(
        lambda m, x: m.c(torch.cat([m.a(x), x, m.b(x)], 1)),
        a=conv(3, 2),
        b=conv(3, 4),
        c=conv(9, 5),
    )
    graph = trace(model, torch.zeros(IMAGE))
    columns = {
        name: next(m.units.tolist() for m in graph.groups[name].members if m.role == "consumer")
        for name in ("a", "b")
    }
    assert columns == {
        "a": [0, 1, -1, -1, -1, -1, -1, -1, -1],
        "b": [-1, -1, -1, -1, -1, 0, 1, 2, 3],
    }
    assert graph.groups["a"].reason is None


def test_a_layer_called_twice_counts_twice_and_is_tied_to_itself():
    model = Net(lambda m, x: m.c(m.b(m.b(m.a(x)).relu())), a=conv(3, 4), b=conv(4, 4), c=conv(4, 2))
    graph = trace(model, torch.zeros(IMAGE))
    assert graph.layers["b"].positions == 2 * 64
    assert graph.macs == counted(model, torch.zeros(1, 3, 8, 8))
    assert graph.groups["a"].producers == ("a", "b")
    own = [m.axis for m in graph.groups["a"].members if m.tensor == "b.weight"]
    assert own == [0, 1]


def test_tied_parameters_appear_once_and_are_one_layer():
    model = Net(
        lambda m, x: m.o(m.e(m.d(m.i(x.flatten(1))).relu())),
        i=nn.Linear(192, 6),
        d=nn.Linear(6, 6),
        e=nn.Linear(6, 6),
        o=nn.Linear(6, 3),
    )
    model.e.weight = model.d.weight
    graph = trace(model, torch.zeros(IMAGE))
    assert list(graph.layers) == ["i", "d", "o"]
    assert "e.weight" not in graph.tensors
    assert graph.layers["d"].positions == 2
    assert graph.untraced == ()
    assert graph.num_params == sum(p.numel() for p in model.parameters())


def test_a_parameter_used_by_a_function_is_a_layer_under_its_own_name():
    model = Net(lambda m, x: m.o(F.linear(x.flatten(1), m.w, m.b).relu()), o=nn.Linear(6, 3))
    model.w, model.b = nn.Parameter(torch.randn(6, 192)), nn.Parameter(torch.randn(6))
    graph = trace(model, torch.zeros(IMAGE))
    layer = graph.layers["w"]
    assert (layer.weight, layer.bias, layer.num_units, layer.macs) == ("w", "b", 6, 6 * 192)
    assert graph.groups["w"].reason is None


def test_several_outputs_are_all_outputs():
    model = Net(lambda m, x: {"a": m.a(x), "b": [m.c(m.a(x))]}, a=conv(3, 4), c=conv(4, 2))
    graph = trace(model, torch.zeros(IMAGE))
    assert graph.num_outputs is None
    assert all(layer.is_output for layer in graph.layers.values())


def test_layers_that_are_not_reached_are_listed():
    model = Net(lambda m, x: m.a(x), a=conv(3, 4), unused=nn.Linear(3, 3))
    assert trace(model, torch.zeros(IMAGE)).untraced == ("unused",)


def test_what_only_training_reads_is_coupled_but_not_counted():
    def forward(m, x):
        y = m.a(x)
        return (m.c(y), m.aux(F.dropout(y))) if m.training else m.c(y)

    model = Net(forward, a=conv(3, 4), c=conv(4, 2), aux=conv(4, 2))
    graph = trace(model, torch.zeros(IMAGE))
    assert graph.untraced == ("aux",)
    assert "aux" not in graph.layers
    assert ("aux.weight", 1) in {(m.tensor, m.axis) for m in graph.groups["a"].members}
    assert graph.groups["a"].reason is None


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(3, 4, 3), (1, 3, 9)),
        (nn.Conv3d(3, 4, 3), (1, 3, 5, 5, 5)),
        (nn.Conv2d(4, 6, 3, groups=2, stride=2, dilation=2), (1, 4, 9, 9)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (1, 4, 5, 5)),
        (nn.Linear(5, 4), (1, 7, 5)),
        (nn.Linear(5, 4, bias=False), (1, 2, 7, 5)),
        (nn.MultiheadAttention(8, 2, batch_first=True), (1, 5, 8)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_multiply_adds_equal_the_counter_of_pytorch(layer, shape):
    attention = isinstance(layer, nn.MultiheadAttention)
    model = Net(lambda m, x: m.layer(x, x, x)[0] if attention else m.layer(x), layer=layer)
    example = torch.zeros(shape)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        assert trace(model, example).macs == counted(model, example)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_a_product_that_ignores_the_input_is_not_divided_by_the_batch():
    model = Net(lambda m, x: m.o(x.flatten(1)) + m.p(m.table).sum(), o=nn.Linear(192, 3))
    model.p, model.table = nn.Linear(4, 5), nn.Parameter(torch.randn(7, 4))
    example = torch.zeros(1, 3, 8, 8)
    assert trace(model, example).macs == counted(model, example) == 192 * 3 + 7 * 20


def test_examples_may_lie_on_another_axis():
    model = Net(lambda m, x: m.b(m.a(x).relu()).mean(0), a=nn.Linear(6, 4), b=nn.Linear(4, 2))
    graph = trace(model, torch.zeros(5, 3, 6), batch_axis=1)
    assert graph.input_shape == (5, 6)
    assert graph.batch_axis == 1
    assert graph.layers["a"].positions == 5
