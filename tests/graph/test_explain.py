"""Why channels leave together, in words."""

from __future__ import annotations

import pytest
import torch
from small_networks import IMAGE, LeNet5, Net, Residual, conv
from torch import nn

import prunevis
from prunevis.errors import SpecError
from prunevis.graph.explain import common_prefix, explain_coupling
from prunevis.graph.trace import trace
from prunevis.zoo import load_model


def explained(model: nn.Module, layer: str, shape: tuple[int, ...] = IMAGE) -> str:
    return explain_coupling(trace(model, torch.zeros(shape)), layer)


def test_a_layer_alone():
    assert explained(LeNet5(), "0", (1, 1, 28, 28)) == (
        "`0` has 20 channels of its own: no other layer loses one with it. "
        "Each that leaves takes along what `2` reads of it."
    )
    assert explained(LeNet5(), "5", (1, 1, 28, 28)).startswith("`5` has 500 units of its own")


def test_the_outputs_stay():
    assert explained(LeNet5(), "7", (1, 1, 28, 28)) == (
        "`7` has 10 units of its own: no other layer loses one with it. "
        "`7` gives the model's outputs, so its units stay unless they are asked for by name."
    )


def test_an_addition_in_a_block():
    graph = trace(load_model("resnet8"), torch.zeros(1, 1, 28, 28))
    text = (
        "`conv1` and `block1.conv2` share 24 channels because of the addition in `block1`. "
        "Each that leaves takes along its scale in 2 normalisations and what `block1.conv1`, "
        "`block2.conv1` and `block2.shortcut.0` read of it."
    )
    assert explain_coupling(graph, "conv1") == text
    # the same of each layer of a group
    assert prunevis.explain_coupling(graph, "block1.conv2") == text


def test_several_additions_are_counted_and_placed():
    def stage(net, x):
        for block in net.blocks:
            x = torch.relu(x + block.b(torch.relu(block.a(x))))
        return x

    def forward(net, x):
        x = net.stem(x)
        for block in net.layer1:
            x = block(x)
        return net.fc(x.mean((2, 3)))

    def block() -> nn.Module:
        return Net(lambda net, x: x + net.b(torch.relu(net.a(x))), a=conv(4, 4), b=conv(4, 4))

    blocks = nn.ModuleList(block() for _ in range(2))
    net = Net(forward, stem=conv(3, 4), layer1=blocks, fc=nn.Linear(4, 2))
    assert explained(net, "stem").startswith(
        "`stem`, `layer1.0.b` and `layer1.1.b` share 4 channels because of the 2 additions in "
        "`layer1`."
    )


def test_an_addition_in_the_models_own_forward():
    assert explained(Residual(), "project").startswith(
        "`conv2` and `project` share 6 channels because of the addition in the model's own "
        "forward. Each that leaves takes along its scale in 1 normalisation and what `fc` reads "
        "of it."
    )


def test_filters_and_additions_together():
    def forward(net, x):
        x = net.stem(x)
        return net.fc((x + net.deep(x)).mean((2, 3)))

    net = Net(forward, stem=conv(3, 4), deep=conv(4, 4, groups=4), fc=nn.Linear(4, 2))
    assert explained(net, "deep") == (
        "`stem` and `deep` share 4 channels because of the addition in the model's own forward "
        "and the depthwise convolution `deep`. Each that leaves takes along what `fc` reads of it."
    )


def test_a_layer_whose_own_channels_are_tied():
    def forward(net, x):
        return net.fc(torch.relu(net.wide(torch.relu(net.stem(x)))).mean((2, 3)))

    net = Net(forward, stem=conv(3, 6), wide=conv(6, 6, groups=2), fc=nn.Linear(6, 2))
    assert explained(net, "stem").startswith(
        "`stem` has 6 channels that leave in 3 sets because of the grouped convolution `wide`."
    )


def test_layers_whose_channels_are_tied_across_and_within():
    def forward(net, x):
        x = net.stem(x)
        return net.fc(net.wide(x + net.side(x)).mean((2, 3)))

    net = Net(
        forward, stem=conv(3, 6), side=conv(6, 6), wide=conv(6, 4, groups=2), fc=nn.Linear(4, 2)
    )
    assert explained(net, "side").startswith(
        "`stem` and `side` share channels that leave in 3 sets because of the addition in the "
        "model's own forward and the grouped convolution `wide`."
    )


def test_operators_without_a_phrase_are_told_whole():
    def forward(net, x):
        x = net.stem(x)
        n, c, height, width = x.shape
        x = x.view(n, 2, c // 2, height, width).transpose(1, 2).reshape(n, c, height, width)
        return net.fc(net.last(x).mean((2, 3)))

    net = Net(forward, stem=conv(3, 6), last=conv(6, 6, groups=2), fc=nn.Linear(6, 2))
    graph = trace(net, torch.zeros(IMAGE))
    text = explain_coupling(graph, "stem")
    told = [tie for tie in graph.groups["stem"].ties if "grouped" not in tie]
    assert told
    assert all(tie in text for tie in told[:2])


def test_what_is_concatenated_is_not_tied():
    def forward(net, x):
        x = torch.cat([net.one(x), net.two(x), net.three(x)], 1)
        return net.fc(x.mean((2, 3)))

    branches = {name: conv(3, 4, 1) for name in ("one", "two", "three")}
    net = Net(forward, **branches, fc=nn.Linear(12, 2))
    assert explained(net, "two") == (
        "`two` has 4 channels of its own: no other layer loses one with it. "
        "Each that leaves takes along what `fc` reads of it. In what `fc` reads, they lie beside "
        "those of `one` and `three`: a concatenation, which ties nothing."
    )


def test_what_may_not_leave_says_why():
    def forward(net, x):
        return net.fc(torch.cumsum(net.stem(x), 1).mean((2, 3)))

    text = explained(Net(forward, stem=conv(3, 4), fc=nn.Linear(4, 2)), "stem")
    assert text.startswith("`stem` has 4 channels of its own: no other layer loses one with it.")
    assert "aten.cumsum" in text
    assert "takes along" not in text


def test_an_unknown_layer_is_told_its_neighbour():
    graph = trace(Residual(), torch.zeros(IMAGE))
    with pytest.raises(SpecError, match=r"no layer called 'conv3'.*Did you mean 'conv\d'"):
        explain_coupling(graph, "conv3")


@pytest.mark.parametrize(
    ("names", "shared"),
    [
        (["a.b.c", "a.b.d"], "a.b"),
        (["a.b", "a.b.c"], "a.b"),
        (["layer1.0", "layer10.0"], ""),
        (["a"], "a"),
        ([], ""),
    ],
)
def test_common_prefix(names, shared):
    assert common_prefix(names) == shared
