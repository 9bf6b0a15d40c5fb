"""Moments of what layers read: by hand, and against im2col and products done directly."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from prunevis.errors import NonFiniteError, SpecError
from prunevis.graph.trace import trace
from prunevis.statistics import collect_statistics, collect_steps
from prunevis.statistics import inputs as module

LABELS = torch.arange(12) % 3


def collect(model, x, **options):
    data = (x, torch.zeros(len(x), dtype=torch.int64))
    return collect_statistics(model, data, inputs=True, **options)


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_linear_layer_by_hand():
    x = torch.tensor([[1.0, 2.0], [3.0, -2.0]])
    found = collect(nn.Linear(2, 3), x).input("")
    assert found.mean.tolist() == [[2.0, 0.0]]
    assert found.square.tolist() == [[5.0, 4.0]]
    assert found.moment.tolist() == [[[5.0, -2.0], [-2.0, 4.0]]]
    assert (found.num_samples, found.num_examples, found.groups, found.columns) == (2, 2, 1, 2)
    assert found.moment.dtype == found.mean.dtype == torch.float64


def test_zero_padding_counts_by_hand():
    # a row of two pixels, kernel 3, padding 1: the windows are (0, a, b) and (a, b, 0)
    x = torch.tensor([[[2.0, 6.0]]])
    found = collect(nn.Conv1d(1, 1, 3, padding=1), x).input("")
    assert found.mean.tolist() == [[1.0, 4.0, 3.0]]
    assert found.square.tolist() == [[2.0, 20.0, 18.0]]
    assert found.moment[0].tolist() == [[2.0, 6.0, 0.0], [6.0, 20.0, 6.0], [0.0, 6.0, 18.0]]
    assert found.num_samples == 2


def unfolded(conv, x):
    """(groups, samples, columns) by PyTorch's own im2col."""
    options = {k: getattr(conv, k) for k in ("dilation", "padding", "stride")}
    rows = F.unfold(x.double(), conv.kernel_size, **options).transpose(1, 2)
    rows = rows.reshape(-1, conv.groups, rows.shape[-1] // conv.groups)
    return rows.transpose(0, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": (0, 2), "bias": False},
        {"kernel_size": 3, "dilation": 2, "padding": 2, "groups": 2},
        {"kernel_size": 3, "stride": 2, "groups": 4},
        {"kernel_size": 1},
    ],
    ids=str,
)
def test_two_dimensional_convolutions_against_unfold(options):
    conv = nn.Conv2d(4, 8, **options)
    x = numbers(5, 4, 7, 8)
    found = collect(conv, x).input("")
    rows = unfolded(conv, x)
    torch.testing.assert_close(found.mean, rows.mean(1))
    torch.testing.assert_close(found.square, rows.square().mean(1))
    torch.testing.assert_close(found.moment, rows.mT @ rows / rows.shape[1])
    assert found.columns == conv.weight[0].numel()
    # the layout is that of the weight: the mean output follows from the mean input
    weight = conv.weight.double().reshape(conv.groups, -1, found.columns)
    mean = torch.einsum("goc,gc->go", weight, found.mean).flatten()
    bias = 0 if conv.bias is None else conv.bias.double()
    torch.testing.assert_close(mean + bias, conv.double()(x.double()).mean((0, 2, 3)).detach())


@pytest.mark.parametrize("rank", [1, 3])
def test_other_ranks_predict_the_mean_output(rank):
    conv = (nn.Conv1d if rank == 1 else nn.Conv3d)(2, 3, 3, stride=2, padding=1, dilation=2)
    x = numbers(4, 2, *([7] * rank))
    found = collect(conv, x).input("")
    mean = conv.weight.double().reshape(3, -1) @ found.mean[0] + conv.bias.double()
    whole = conv.double()(x.double()).detach()
    torch.testing.assert_close(mean.detach(), whole.mean((0, *range(2, 2 + rank))))


def test_padding_that_is_not_zeros_is_seen_as_the_convolution_sees_it():
    conv = nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")
    x = numbers(3, 2, 5, 5)
    rows = unfolded(nn.Conv2d(2, 2, 3), F.pad(x, (1, 1, 1, 1), mode="circular"))
    torch.testing.assert_close(collect(conv, x).input("").mean, rows.mean(1))


def test_layers_inside_a_network_read_what_stands_before_them():
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4)
    )
    x = numbers(9, 1, 6, 6)
    found = collect(model, x, batch_size=4)
    with torch.no_grad():
        read = model[:4](x).double()
    torch.testing.assert_close(found.input("4").moment[0], read.T @ read / 9)
    assert list(found.inputs) == ["0", "4"]
    assert found["0"].num_examples == found.input("0").num_examples == 9


def test_tokens_are_samples():
    model = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 2, bias=False))
    x = numbers(4, 6, 3)
    found = collect(model, x)
    rows = x.double().reshape(-1, 3)
    torch.testing.assert_close(found.input("0").moment[0], rows.T @ rows / 24)
    hidden = model[:2](x).detach().double().reshape(-1, 5)
    torch.testing.assert_close(found.input("2").moment[0], hidden.T @ hidden / 24)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.integers(0, 3))
def test_the_size_of_batches_changes_nothing_also_where_positions_are_sampled(batch, seed):
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 1))
    x = numbers(8, 2, 18, 18)  # 324 positions, of which 256 enter
    one = collect(model, x, seed=seed)
    many = collect(model, x, seed=seed, batch_size=batch)
    for name in one.inputs:
        a, b = one.input(name), many.input(name)
        assert a.num_samples == b.num_samples == 8 * 256
        torch.testing.assert_close(a.mean, b.mean)
        torch.testing.assert_close(a.moment, b.moment)


def test_sampled_positions_stand_for_all_and_change_with_the_seed():
    x = torch.arange(400.0).reshape(1, 1, 20, 20).expand(64, -1, -1, -1)
    conv = nn.Conv2d(1, 1, 1)
    found = collect(conv, x).input("")
    assert found.num_samples == 64 * 256
    assert found.mean.item() == pytest.approx(199.5, rel=0.002)
    assert found.mean.item() != collect(conv, x, seed=1).input("").mean.item()


def test_fewer_positions_an_example_where_there_are_many_examples(monkeypatch):
    monkeypatch.setattr(module, "SAMPLES", 100)
    found = collect(nn.Conv2d(1, 2, 2), numbers(50, 1, 9, 9)).input("")
    assert found.num_samples == 100


def test_too_many_columns_leave_mean_and_square_with_a_reason(monkeypatch):
    monkeypatch.setattr(module, "MAX_COLUMNS", 4)
    x = numbers(6, 5)
    found = collect(nn.Linear(5, 2), x).input("")
    assert found.moment is None
    torch.testing.assert_close(found.square[0], x.double().square().mean(0))
    with pytest.raises(SpecError, match=r"5 inputs are too large to keep.*up to 4 at a time"):
        found.moments()


def test_memory_for_moments_is_bounded_for_all_layers_together(monkeypatch):
    monkeypatch.setattr("prunevis.statistics.collecting.MOMENT_BYTES", 25 * 8)
    model = nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 2))
    found = collect(model, numbers(6, 5))
    assert found.input("0").moment is not None
    assert "fewer layers at once" in found.input("1").reason
    data = (numbers(6, 5), LABELS[:6])
    assert collect_statistics(model, data, inputs=["1"]).input("1").moment is not None


def test_moments_only_if_asked():
    found = collect(nn.Linear(5, 3), numbers(6, 5), moments=False).input("")
    assert found.moment is None
    assert "not asked for" in found.reason


def test_inputs_alone_leave_the_answers_out():
    found = collect(nn.Linear(5, 3), numbers(6, 5), activations=False)
    assert not found.activations
    assert list(found.inputs) == [""]


def test_what_cannot_be_collected_says_why():
    model = nn.Sequential(nn.ConvTranspose2d(1, 2, 2), nn.Conv2d(2, 1, 1))
    x = numbers(6, 1, 4, 4)
    found = collect(model, x)
    with pytest.raises(SpecError, match="`0` reads cannot be collected: a transposed"):
        found.input("0")
    data = (x, LABELS[:6])
    with pytest.raises(SpecError, match="a transposed convolution spreads"):
        collect_statistics(model, data, inputs=["0"])
    with pytest.raises(SpecError, match=r"no layer `9`\. Expected: 0, 1"):
        collect_statistics(model, data, inputs=["9"])
    with pytest.raises(SpecError, match=r"`1` reads was not collected.*inputs=True"):
        collect_statistics(model, data).input("1")


def test_inputs_that_are_not_finite_are_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].bias[0] = 3e38
        model[0].weight[0] = 3e38
    with pytest.raises(NonFiniteError, match=r"What `1` reads is NaN or infinite.*Where: 1"):
        collect(model, torch.full((3, 2), 9.0), activations=False)


def test_a_large_layer_is_worked_on_in_steps(monkeypatch):
    monkeypatch.setattr(module, "STEP_MACS", 5 * 5 * 2)
    monkeypatch.setattr("prunevis.statistics.collecting.STEP", -1.0)
    model, x = nn.Linear(5, 3), numbers(6, 5)
    data = (x, LABELS[:6])
    steps = list(collect_steps(model, data, trace(model, x), activations=False, inputs=True))
    assert [step.seen for step in steps] == [0, 0, 0, 6]
    moment = steps[-1].statistics.input("").moment[0]
    torch.testing.assert_close(moment, x.double().T @ x.double() / 6)


def test_the_model_is_left_as_it_was(residual, residual_data, untouched_model):
    check = untouched_model(residual)
    found = collect_statistics(residual, residual_data, inputs=True)
    check()
    assert list(found.inputs) == ["stem", "conv1", "conv2", "fc"]


def test_a_parameter_multiplied_as_it_is():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Parameter(numbers(3, 4))
            self.last = nn.Linear(4, 3, bias=False)

        def forward(self, x):
            return self.last(torch.relu(x @ self.first))

    model, x = Plain(), numbers(7, 3)
    found = collect(model, x)
    torch.testing.assert_close(found.input("first").mean[0], x.double().mean(0))
    hidden = torch.relu(x @ model.first).detach().double()
    torch.testing.assert_close(found.input("last").mean[0], hidden.mean(0))
