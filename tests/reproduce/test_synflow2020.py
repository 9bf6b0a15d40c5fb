"""Layer collapse on networks small enough to count by hand."""

import torch
from torch import nn

from prunevis.reproduce.synflow2020 import (
    SmallVgg,
    connected,
    kept_of,
    needed_for_layers,
    needed_for_paths,
)


def _tiny():
    # 2 inputs, 2 hidden units, 1 output
    return nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))


SCORES = {
    # rows are hidden units: the first unit's weights come 1st and 3rd in the order of all
    "0": torch.tensor([[9.0, 7.0], [2.0, 1.0]], dtype=torch.float64),
    # the output reads the first unit last, the second one second
    "2": torch.tensor([[0.5, 8.0]], dtype=torch.float64),
}


def test_a_layer_is_empty_when_its_best_weight_is_out():
    # best of layer 0 is the 1st of all, best of layer 2 the 2nd: two must stay
    assert needed_for_layers(SCORES) == (2, "2")
    masks = kept_of(SCORES, 2)
    assert int(masks["0"].sum()) == 1
    assert int(masks["2"].sum()) == 1
    assert not kept_of(SCORES, 1)["2"].any()


def test_no_layer_is_empty_and_still_nothing_gets_through():
    inputs = torch.ones(1, 2)
    # at 2: input 0 to unit 0, unit 1 to the output; at 4 (9, 8, 7, 2): input 0 to unit 1 as well
    assert not connected(_tiny(), kept_of(SCORES, 2), inputs)
    assert not connected(_tiny(), kept_of(SCORES, 3), inputs)
    assert connected(_tiny(), kept_of(SCORES, 4), inputs)
    assert needed_for_paths(_tiny(), SCORES, inputs) == 4


def test_scores_below_zero_are_an_order_too():
    scores = {"0": torch.tensor([-1.0, -2.0]), "2": torch.tensor([-3.0, 5.0, 4.0])}
    # order: 5, 4, -1
    assert needed_for_layers(scores) == (3, "0")


def test_a_whole_network_is_connected_and_an_emptied_layer_is_not():
    model = SmallVgg()
    layers = {n: m for n, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    assert len(layers) == 9
    masks = {name: torch.ones_like(m.weight, dtype=torch.bool) for name, m in layers.items()}
    inputs = torch.zeros(1, 1, 28, 28)
    assert connected(SmallVgg(), masks, inputs)
    masks[list(masks)[4]].zero_()
    assert not connected(SmallVgg(), masks, inputs)
