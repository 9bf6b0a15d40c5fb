"""The slice of the drawn network: what is in it, how large it gets, and when it is made."""

from __future__ import annotations

import json
import re

import pytest
import torch
from torch import nn

import prunevis
from benchmarks.resnets import ResNet
from prunevis.app.views.network import drawn
from prunevis.graph.drawing import fold


def columns(slice_):
    """The columns of a slice that have one entry a node."""
    return {name: v for name, v in slice_.items() if isinstance(v, list) and name in COLUMNS}


COLUMNS = ("kind", "name", "block", "group", "what", "place", "units", "weights", "params", "macs")


def test_a_residual_network_by_hand(residual):
    found = drawn(prunevis.trace(residual, torch.zeros(1, 1, 6, 6)))
    assert found["kind"] == ["input", "layer", "layer", "layer", "addition", "layer", "output"]
    assert found["name"] == ["", "stem", "conv1", "conv2", "", "fc", ""]
    assert found["what"] == ["1 × 6 × 6", *["Conv2d 3×3"] * 3, "", "Linear", "4"]
    assert found["edges"] == [[0, 1], [1, 2], [2, 3], [1, 4], [3, 4], [4, 5], [5, 6]]
    assert found["units"] == [0, 6, 5, 6, 0, 4, 0]
    assert found["weights"] == [0, 54, 270, 270, 0, 24, 0]
    assert found["params"] == [0, 54, 270, 270, 0, 28, 0]
    assert found["macs"] == [0, 54 * 36, 270 * 36, 270 * 36, 0, 24, 0]
    # the addition is of the channels that it adds
    assert found["group"] == [-1, 0, 1, 0, 0, 2, -1]
    assert found["groups"][0]["text"].startswith("`@1` and `@3` share 6 channels because of")
    assert [group["stays"] for group in found["groups"]] == [False, False, True]
    assert (found["other_macs"], found["unreached"], found["blocks"]) == (0, [], [])


def test_a_layer_without_a_group_has_its_reason():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.idle = nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.two(self.one(x))

    found = drawn(prunevis.trace(Odd(), torch.zeros(1, 4)))
    assert found["unreached"] == ["idle"]
    assert all(0 <= g < len(found["groups"]) for g in found["group"][1:-1])


@pytest.fixture(scope="module")
def resnet50():
    with torch.device("meta"):
        model = ResNet((3, 4, 6, 3), bottleneck=True)
    model = model.to_empty(device="cpu")
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    for buffer in model.buffers():
        buffer.zero_()
    return prunevis.trace(model, torch.zeros(1, 3, 64, 64))


def test_resnet50_is_folded_and_small(resnet50):
    found = drawn(resnet50)
    assert all(len(column) == len(found["kind"]) for column in columns(found).values())
    assert len(columns(found)) == len(COLUMNS)
    assert sum(found["params"]) == sum(layer.num_params for layer in resnet50.layers.values())
    assert sum(found["macs"]) == resnet50.macs
    assert len(json.dumps(found)) < 100_000
    # stem, 3 + 4 + 6 + 3 blocks, classifier, input and output
    view = fold(prunevis.graph.drawing.draw(resnet50), found["shut"])
    assert len(view.parts) == 20
    assert view.edges == tuple((i, i + 1) for i in range(19))
    # names of layers cost a few letters each
    assert re.match(r"`@\d+` has 64 channels", found["groups"][found["group"][3]]["text"])
    assert found["name"][3] == "layer1.0.conv1"


def test_it_is_made_when_its_tab_is_opened(visit, residual, residual_data):
    visitor = visit(residual, residual_data)
    assert visitor.page.network == {}
    visitor.send("tab", name="network")
    assert visitor.page.network["name"] == ["", "stem", "conv1", "conv2", "", "fc", ""]
    sent = []
    visitor.page.observe(lambda change: sent.append(change["new"]["units"]), "network")
    # what is picked, ticked or ranked by changes nothing in it
    visitor.send("layer", name="conv1").send("tick", layer="conv1", on=False).slide(0.5)
    visitor.send("tab", name="weights").send("tab", name="network")
    assert sent == []
    visitor.send("tick", layer="conv1", on=True).send("granularity", name="unit").slide(0.5)
    visitor.send("apply")
    graph = visitor.session.network.stage.graph
    assert sent == [[0, *(graph.layers[n].num_units for n in ("stem", "conv1", "conv2")), 0, 4, 0]]
    assert sent[0][1] < 6
    assert visitor.page.network["stage"] == visitor.session.network.stage.number


def test_it_is_made_anew_for_another_network_when_it_is_seen_again(visit, residual, residual_data):
    visitor = visit(residual, residual_data).send("tab", name="network")
    first = visitor.session.network.stage.number
    visitor.send("tab", name="weights").send("granularity", name="unit").slide(0.5).send("apply")
    assert visitor.page.network["stage"] == first  # not while nobody looks
    visitor.send("tab", name="network")
    assert visitor.page.network["stage"] == visitor.session.network.stage.number > first


@pytest.mark.parametrize(
    "content",
    [
        {"action": "fold", "name": "block1"},
        {"action": "layer", "name": "block1"},  # a block is no layer
        {"action": "layer", "name": None},
        {"action": "layer", "name": ["stem"]},
        {"action": "tab", "name": "networks"},
    ],
)
def test_a_forged_pick_is_refused_in_words(visit, residual, residual_data, content):
    visitor = visit(residual, residual_data).send("tab", name="network")
    before = (visitor.session.view, dict(visitor.page.network))
    visitor.send(content.pop("action"), **content)
    assert visitor.problem
    assert "Unexpected" not in visitor.problem
    assert (visitor.session.view, visitor.page.network) == before
