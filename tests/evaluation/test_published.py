from __future__ import annotations

import csv
import itertools
import math

import pytest
import torch
from torch import nn

import prunevis as pv
from prunevis.evaluation.published import TABLE, _table


def test_every_row_is_whole_and_plausible():
    with TABLE.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(_table()) > 60
    for row in _table():
        assert row.paper
        assert row.method
        assert len(row.source) > 10, row
        assert row.year is None or 1989 <= row.year <= 2026
        assert 0.3 < row.top1_pruned < 1
        assert math.isnan(row.top1_dense) or 0.5 < row.top1_dense < 1
        for ratio in (row.compression, row.speedup):
            assert math.isnan(ratio) or 1 < ratio <= 250
    # Slimming's CIFAR-100 row gives no ratio that the table has; all others have one
    bare = [r for r in _table() if math.isnan(r.compression) and math.isnan(r.speedup)]
    assert len(bare) <= 1
    assert len(set(_table())) == len(_table())


def test_ratios_agree_with_the_shares_that_the_source_prints():
    for row in _table():
        if "% removed" in row.source and row.data == "mnist":
            share = float(row.source.split(";")[1].split("%")[0])
            assert row.compression == pytest.approx(1 / (1 - share / 100), rel=2e-3), row


def test_ratios_from_the_shapes_are_what_the_shapes_give():
    def params(share: float) -> int:
        sizes = [784, round(300 * (1 - share)), round(100 * (1 - share)), 10]
        return sum((a + 1) * b for a, b in itertools.pairwise(sizes))

    rows = [row for row in _table() if row.paper.startswith("Kim")]
    assert len(rows) == 8
    for row in rows:
        share = float(row.source.split("; ")[1].split(" %")[0]) / 100
        assert row.compression == pytest.approx(params(0) / params(share), rel=2e-3)


def test_han_et_al_as_printed():
    first, *others = pv.published("LeNet-300-100", "MNIST")
    assert (first.paper, first.year, first.compression) == ("Han et al.", 2015, 12)
    assert first.top1_dense == pytest.approx(1 - 0.0164)
    assert first.top1_pruned == pytest.approx(1 - 0.0159)
    assert others
    assert {row.model for row in others} == {"lenet-300-100"}


class LeNet(nn.Sequential):
    def __init__(self, hidden: int = 300) -> None:
        sizes = (784, hidden, 100, 10)
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        super().__init__(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def test_a_network_is_recognised_by_its_shapes():
    graph = pv.trace(LeNet(), torch.zeros(1, 1, 28, 28))
    assert pv.published(graph, "mnist") == pv.published("lenet-300-100", "mnist") != ()
    other = pv.trace(LeNet(301), torch.zeros(1, 1, 28, 28))
    assert pv.published(other, "mnist") == ()


@pytest.mark.parametrize(
    ("model", "data"), [("lenet5", "svhn"), ("my-net", "mnist"), ("", "mnist"), ("lenet5", "")]
)
def test_nothing_is_shown_for_other_networks_or_data(model, data):
    assert pv.published(model, data) == ()
