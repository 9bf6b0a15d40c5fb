"""Recurrent layers, one and three dimensions, several inputs and outputs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_networks import Net
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from prunevis.errors import TraceError
from prunevis.graph.examples import Example, tensors_in
from prunevis.graph.trace import trace
from prunevis.pruning.removal import remove_units

STEPS = torch.randn(2, 6, 8)


def recurrent(kind, **options):
    torch.manual_seed(0)
    width = 14 if options.get("bidirectional") else options.get("proj_size", 7)
    layer = kind(8, 7, batch_first=True, **options)
    return Net(
        lambda m, x: m.out(m.layer(m.first(x))[0].mean(1)),
        first=nn.Linear(8, 8),
        layer=layer,
        out=nn.Linear(width, 3),
    ).eval()


def taken(model, graph, share):
    kept = {
        name: torch.arange(max(1, round(group.size * (1 - share))))
        for name, group in graph.groups.items()
        if group.reason is None
    }
    return remove_units(model, graph, kept), kept


RECURRENT = {
    "lstm": lambda: recurrent(nn.LSTM),
    "two layers": lambda: recurrent(nn.LSTM, num_layers=2),
    "both ways": lambda: recurrent(nn.LSTM, bidirectional=True),
    "gru": lambda: recurrent(nn.GRU),
    "gru of two layers": lambda: recurrent(nn.GRU, num_layers=2),
    "rnn": lambda: recurrent(nn.RNN),
}


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_hidden_units_leave_recurrent_layers(name, share):
    model = RECURRENT[name]()
    graph = trace(model, STEPS)
    sizes = sorted(group.size for group in graph.groups.values() if group.reason is None)
    assert sizes[-1] == 8  # what the recurrent layer reads
    assert set(sizes[:-1]) == {7} or name == "both ways"
    smaller, _ = taken(model, graph, share)
    assert smaller.layer.hidden_size == round(7 * (1 - share))
    assert smaller.layer.input_size == round(8 * (1 - share))
    after = trace(smaller, STEPS)
    # the processor's fused layer is one operator that PyTorch's counter does not know
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        smaller(STEPS)
    assert counter.get_total_flops() == 2 * 2 * after.macs
    smaller.train()(STEPS).sum().backward()


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_cells(kind):
    def forward(m, x):
        state = m.cell(x[:, 0])
        state = m.cell(x[:, 1], state)
        return m.out(state[0] if isinstance(state, tuple) else state)

    model = Net(forward, cell=kind(8, 7), out=nn.Linear(7, 3)).eval()
    graph = trace(model, STEPS)
    (name,) = (n for n, g in graph.groups.items() if g.reason is None)
    smaller = remove_units(model, graph, {name: torch.tensor([0, 2, 5])})
    assert (smaller.cell.hidden_size, smaller.cell.weight_hh.shape[1]) == (3, 3)


def test_one_and_three_dimensions():
    line = nn.Sequential(
        nn.Conv1d(6, 10, 3, dilation=2), nn.BatchNorm1d(10), nn.ReLU(),
        nn.Conv1d(10, 8, 1, groups=2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    graph = trace(line, torch.randn(2, 6, 8))
    assert graph.groups["0"].size == 5  # the same positions of both groups of the next
    taken(line, graph, 0.5)
    space = nn.Sequential(
        nn.Conv3d(1, 10, 3), nn.BatchNorm3d(10), nn.ReLU(), nn.ConvTranspose3d(10, 6, 2, stride=2),
        nn.Conv3d(6, 4, 1), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip
    graph = trace(space, torch.randn(2, 1, 6, 6, 6))
    assert [g.size for g in graph.groups.values() if g.reason is None] == [10, 6, 4]
    taken(space, graph, 0.5)


def test_several_inputs_in_a_row():
    model = Net(
        lambda m, a, b: m.out(m.a(a).relu() + m.b(b).relu()),
        a=nn.Linear(4, 6), b=nn.Linear(5, 6), out=nn.Linear(6, 2),
    )  # fmt: skip
    graph = trace(model, (torch.randn(2, 4), torch.randn(2, 5)))
    assert set(graph.groups["a"].producers) == {"a", "b"}
    smaller, kept = taken(model, graph, 0.5)
    assert smaller.b.weight.shape == (3, 5)
    assert len(kept["a"]) == 3


def test_inputs_and_outputs_by_name():
    model = Net(
        lambda m, *, a, b, flag=True: {"x": m.out(m.a(a).relu() + b), "y": m.side(m.a(a))},
        a=nn.Linear(4, 6), out=nn.Linear(6, 2), side=nn.Linear(6, 3),
    )  # fmt: skip
    graph = trace(model, {"a": torch.randn(2, 4), "b": torch.zeros(2, 1), "flag": True})
    assert graph.layers["out"].is_output
    assert graph.layers["side"].is_output
    assert graph.num_outputs is None
    smaller, _ = taken(model, graph, 0.5)
    assert smaller(a=torch.randn(3, 4), b=torch.zeros(3, 1))["y"].shape == (3, 3)


def test_examples():
    example = Example.first_of((torch.arange(6).reshape(3, 2), {"b": torch.ones(3)}, 5))
    args, kwargs = example.noise(torch.device("cpu"))
    assert args[0].tolist() == [[0, 1], [0, 1]]
    assert args[1]["b"].shape == (2,)
    assert args[2] == 5
    assert kwargs == {}
    assert [len(t) for t in tensors_in({"a": (torch.ones(1), [torch.ones(2)])})] == [1, 2]
    with pytest.raises(TraceError, match=r"not a tensor.*a mapping by name.*Got: tuple"):
        Example.first_of((3, "x"))
    with pytest.raises(TraceError, match=r"holds no example.*shape \(0, 2\)"):
        Example.first_of((torch.ones(0, 2), torch.ones(1)))


def test_windows_taken_out_and_put_back():
    model = Net(
        lambda m, x: m.out(F.fold(F.unfold(m.first(x), 2, stride=2), (8, 8), 2, stride=2)),
        first=nn.Conv2d(3, 6, 1), out=nn.Conv2d(6, 2, 1),
    )  # fmt: skip
    graph = trace(model, torch.randn(2, 3, 8, 8))
    assert (graph.groups["first"].size, graph.groups["first"].reason) == (6, None)
    taken(model, graph, 0.5)


def test_a_gathered_table_keeps_its_columns():
    model = Net(
        lambda m, x: m.out(m.first(x) + m.table[torch.arange(5)]),
        first=nn.Linear(8, 6), out=nn.Linear(6, 2),
    )  # fmt: skip
    model.register_parameter("table", nn.Parameter(torch.randn(9, 6)))
    graph = trace(model, torch.randn(2, 5, 8))
    assert graph.groups["first"].reason is None
    smaller, _ = taken(model, graph, 0.5)
    assert smaller.table.shape == (9, 3)
