"""What each operator does to units: kept, tied, or refused with a sentence that names it."""

from __future__ import annotations

import pytest
import torch
from small_networks import IMAGE, Net, conv
from torch import nn
from torch.nn import functional as F

from prunevis.graph.trace import trace


def group(model, name="a"):
    return trace(model, torch.zeros(IMAGE)).groups[name]


def through(function, channels=4, out=None, **modules):
    """Return a network: convolution `a`, then `function`, then convolution `c`."""
    return Net(
        lambda m, x: m.c(function(m, m.a(x))),
        a=conv(3, channels),
        c=conv(out or channels, 2),
        **modules,
    )


KEPT = {
    "relu": lambda m, x: x.relu(),
    "in place": lambda m, x: x.relu_(),
    "gelu": lambda m, x: F.gelu(x),
    "hardswish": lambda m, x: F.hardswish(x),
    "prelu": lambda m, x: m.p(x),
    "dropout": lambda m, x: F.dropout(x, training=m.training),
    "max pool": lambda m, x: F.max_pool2d(x, 2),
    "avg pool": lambda m, x: F.avg_pool2d(x, 2),
    "adaptive pool": lambda m, x: F.adaptive_avg_pool2d(x, 3),
    "adaptive max pool": lambda m, x: F.adaptive_max_pool2d(x, 3),
    "upsample": lambda m, x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "pad": lambda m, x: F.pad(x, (1, 1, 1, 1)),
    "reflect": lambda m, x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "scale": lambda m, x: x * 2 + 1,
    "spatial softmax": lambda m, x: x.softmax(-1),
    "spatial mean": lambda m, x: x - x.mean((2, 3), keepdim=True),
    "batch norm": lambda m, x: m.bn(x),
    "instance norm": lambda m, x: m.inorm(x),
    "group norm, one channel each": lambda m, x: m.gnorm(x),
    "permute": lambda m, x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
    "flatten and back": lambda m, x: x.flatten(2).view(x.shape),
    "merged with the batch": lambda m, x: x.view(-1, 1, 8, 8).relu().view(x.shape),
    "zeros": lambda m, x: x + torch.zeros_like(x),
    "slice of space": lambda m, x: x[:, :, ::2, 1:],
    "flip": lambda m, x: x.flip(1),
    "where": lambda m, x: torch.where(x > 0, x, 0.1 * x),
    "buffer": lambda m, x: x * m.scale,
}


def modules():
    scale = nn.Module()
    return {
        "p": nn.PReLU(4),
        "bn": nn.BatchNorm2d(4),
        "inorm": nn.InstanceNorm2d(4, affine=True),
        "gnorm": nn.GroupNorm(4, 4),
        "extra": scale,
    }


@pytest.mark.parametrize("name", KEPT)
def test_units_pass(name):
    model = through(KEPT[name], **modules())
    model.register_buffer("scale", torch.rand(4, 1, 1))
    found = group(model)
    assert found.reason is None
    assert found.size == 4
    assert found.consumers == ("c",)


REFUSED = {
    "cumsum": (lambda m, x: x.cumsum(1), r"`aten\.cumsum` in the model's own forward works acr"),
    "softmax": (lambda m, x: x.softmax(1), r"`aten\._softmax`"),
    "no rule": (lambda m, x: torch.fft.fft2(x).real, r"`aten\._fft_r2c|_fft_c2c` in .* no rule"),
    "mean": (lambda m, x: x - x.mean(1, keepdim=True), r"`aten\.mean` .* reduces over the units"),
    "select": (lambda m, x: x + x[:, :1], r"`aten\.slice` .* fixed range"),
    "layer norm": (lambda m, x: F.layer_norm(x, x.shape[1:]), r"`aten\.native_layer_norm`"),
    "group norm": (lambda m, x: F.group_norm(x, 2), r"`aten\.native_group_norm`"),
    "sizes": (lambda m, x: x.view(-1, 4, 64).view(-1, 4, 8, 8), r"`aten\.view` .* hard-coded"),
    "mean by hand": (lambda m, x: x / x.shape[1], r"`aten\.div` .* the number of units"),
    "input": (lambda m, x: x + m.given, r"combines units with the model's input"),
    "constant": (lambda m, x: x * m.extra.plain, r"neither a parameter nor a buffer"),
    "roll": (lambda m, x: x.roll(1, 1), r"`aten\.roll`"),
    "index": (lambda m, x: x[:, torch.tensor([1, 0, 3, 2])], r"`aten\.index` .* by number"),
    "written in part": (
        lambda m, x: (y := torch.zeros(x.shape), y[:, :].add_(x))[0],
        r"`aten\.add_` .* into a part",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_units_are_refused_with_a_reason(name):
    function, sentence = REFUSED[name]

    def forward(m, x):
        m.given = F.pad(x, (0, 0, 0, 0, 0, 1))
        return m.c(function(m, m.a(x)))

    model = Net(forward, a=conv(3, 4), c=conv(4, 2), **modules())
    model.extra.plain = torch.rand(4, 1, 1)
    found = group(model)
    assert found.reason is not None
    import re

    assert re.search(sentence, found.reason), found.reason
    assert found.reason.endswith(".")


def test_the_reason_names_the_module_that_it_is_in():
    model = nn.Sequential(conv(3, 4), nn.Sequential(nn.ReLU(), nn.Softmax(1)), conv(4, 2))
    assert "`aten._softmax` in `1.1`" in str(group(model, "0").reason)


def test_a_depthwise_convolution_ties_its_output_to_its_input():
    found = group(through(lambda m, x: m.d(x), out=8, d=conv(4, 8, groups=4)))
    assert found.producers == ("a", "d")
    assert found.size == 4
    units = {m.tensor: m.units.tolist() for m in found.members if m.axis == 0}
    assert units["d.weight"] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert found.ties == (
        "The depthwise convolution `d` filters each of its input channels by itself.",
    )


def test_a_grouped_convolution_ties_the_same_positions_of_its_groups():
    model = through(lambda m, x: m.g(x), channels=8, out=12, g=conv(8, 12, groups=4))
    graph = trace(model, torch.zeros(IMAGE))
    into, out = graph.groups["a"], graph.groups["g"]
    assert (into.size, out.size) == (2, 3)
    units = {(m.tensor, m.axis): m.units.tolist() for g in (into, out) for m in g.members}
    assert units["a.weight", 0] == [0, 1] * 4
    assert units["g.weight", 1] == [0, 1]
    assert units["g.weight", 0] == [0, 1, 2] * 4
    assert units["c.weight", 1] == [0, 1, 2] * 4
    assert "`g` has 4 groups" in into.ties[0]


def test_transposed_convolutions_have_their_units_on_axis_1():
    found = group(through(lambda m, x: m.t(x), out=6, t=nn.ConvTranspose2d(4, 6, 3)), "t")
    lies = {(m.tensor, m.axis): m.role for m in found.members}
    assert lies == {
        ("t.weight", 1): "producer",
        ("t.bias", 0): "producer",
        ("c.weight", 1): "consumer",
    }


def test_equal_parts_of_a_split_lose_the_same_positions():
    model = through(lambda m, x: torch.mul(*x.chunk(2, 1)), channels=6, out=3)
    found = group(model)
    assert found.size == 3
    assert found.reason is None
    assert "2 equal parts" in found.ties[0]


def test_gated_units_lose_both_halves():
    found = group(through(lambda m, x: F.glu(x, 1), channels=6, out=3))
    assert (found.size, found.reason) == (3, None)


def test_pixel_shuffle_takes_several_units_for_a_channel():
    found = group(through(lambda m, x: F.pixel_shuffle(x, 2), channels=8, out=2))
    assert found.members[0].units.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_channel_shuffle_mixes_the_groups():
    found = group(through(lambda m, x: torch.channel_shuffle(x, 2), channels=6))
    assert found.size == 3
    assert found.members[-1].units.tolist() == [0, 0, 1, 1, 2, 2]


def shuffled(m, x):
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


def test_a_channel_shuffle_may_be_written_as_views():
    found = group(through(shuffled, channels=6))
    assert (found.size, found.reason) == (3, None)
    assert found.members[0].units.tolist() == [0, 1, 2, 0, 1, 2]
    assert found.members[-1].units.tolist() == [0, 0, 1, 1, 2, 2]
    sentence = "cuts the units into 2 × 3, and the same positions leave every part."
    assert found.ties == (f"`aten.view` in the model's own forward {sentence}",)


def test_units_cut_into_two_axes_of_which_one_is_reduced():
    model = Net(
        lambda m, x: m.c(m.a(x).view(len(x), 2, -1, 8, 8).amax(1)), a=conv(3, 6), c=conv(3, 2)
    )
    found = group(model)
    assert (found.size, found.reason) == (3, None)
    assert found.members[0].units.tolist() == [0, 1, 2, 0, 1, 2]


def test_units_cut_into_two_axes_that_reach_the_output_stay():
    model = Net(lambda m, x: (m.c(m.a(x)), m.a(x).view(-1, 2, 2, 8, 8)), a=conv(3, 4), c=conv(4, 2))
    assert "gives the model's outputs" in str(group(model).reason)


def test_units_cut_into_two_axes_that_both_count_stay():
    model = through(lambda m, x: x.view(len(x), 2, -1, 8, 8).cumsum(1).cumsum(2).flatten(1, 2))
    assert "cuts the units" in str(group(model).reason)


def test_squeeze_and_excite_is_tied_to_what_it_scales():
    model = through(
        lambda m, x: x * m.up(m.down(x.mean((2, 3), keepdim=True)).relu()).sigmoid(),
        down=conv(4, 2, 1),
        up=conv(2, 4, 1),
    )
    graph = trace(model, torch.zeros(IMAGE))
    assert graph.groups["a"].producers == ("a", "up")
    assert graph.groups["a"].consumers == ("down", "c")
    assert "The multiplication" in graph.groups["a"].ties[0]
    assert graph.groups["down"].reason is None


def test_padding_the_channels_pins_them():
    model = Net(
        lambda m, x: m.c(m.b(x) + F.pad(m.a(x), (0, 0, 0, 0, 2, 2))),
        a=conv(3, 4),
        b=conv(3, 8),
        c=conv(8, 2),
    )
    assert "pads the channels by a fixed number" in str(group(model, "b").reason)


def test_a_depthwise_convolution_on_the_input_stays():
    model = Net(lambda m, x: m.c(m.d(x)), d=conv(3, 6, groups=3), c=conv(6, 2))
    assert "the channels of the model's input" in str(group(model, "d").reason)


def test_a_weight_computed_in_forward_is_refused():
    def standardised(m, x):
        return m.c(F.conv2d(x, m.a.weight - m.a.weight.mean((1, 2, 3), keepdim=True)))

    model = Net(standardised, a=conv(3, 4), c=conv(4, 2))
    graph = trace(model, torch.zeros(IMAGE))
    assert "computed in forward from `a.weight`" in str(graph.layers["a"].reason)
    assert "computed in forward" in str(graph.layers["a"].weight_reason)
    assert graph.layers["c"].weight_reason is None


def test_a_weight_used_both_ways_is_refused():
    model = Net(
        lambda m, x: m.o(F.linear(m.e(x.flatten(1)).relu(), m.e.weight.t())),
        e=nn.Linear(192, 5),
        o=nn.Linear(192, 2),
    )
    assert "once transposed" in str(group(model, "e").reason)


def test_a_single_unit_is_never_removed():
    assert "a single unit" in str(group(through(lambda m, x: x, channels=1)).reason)


def test_channels_that_are_all_tied_are_never_removed():
    model = through(lambda m, x: m.g(x), out=4, g=conv(4, 4, groups=2), channels=4)
    model.g = conv(4, 2, groups=2)
    model.c = conv(2, 2)
    assert "all tied to each other" in str(group(model, "g").reason)
