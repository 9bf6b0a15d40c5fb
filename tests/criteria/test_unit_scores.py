"""Criteria of units that read more than weights and means, each by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import context_of, score, two_layers
from torch import nn

from prunevis.criteria import CRITERIA
from prunevis.criteria.kernel_similarity import kernel_similarity
from prunevis.criteria.merge_error import greedy_merges
from prunevis.criteria.mutual_information import mutual_information
from prunevis.criteria.redundancy import CONSTANT_UNIT
from prunevis.criteria.thinet import greedy_removal
from prunevis.errors import SpecError


def gates(model, inputs, labels):
    """∂L/∂gate of each example and unit of two bias-free linear layers, in closed form."""
    x = inputs.double()
    a, v = model[0].weight.detach().double(), model[2].weight.detach().double()
    h = (x @ a.T).relu()
    slope = (h @ v.T).softmax(1) - nn.functional.one_hot(labels, len(v)).double()
    return (slope @ v) * h


def test_taylor_and_fisher_by_hand():
    model = two_layers([[1.0, 0.0], [0.0, 2.0], [1.0, -1.0]], [[1.0, 0.5, 2.0], [-1.0, 0.0, 1.0]])
    data = torch.tensor([[1.0, 2.0], [2.0, 0.5], [-1.0, 1.0]]), torch.tensor([0, 1, 1])
    here = context_of(model, data)
    g = gates(model, *data)
    close = {"rtol": 1e-5, "atol": 1e-7}
    torch.testing.assert_close(score("taylor-2016", here, "0"), g.abs().mean(0), **close)
    torch.testing.assert_close(score("fisher", here, "0"), g.square().mean(0) / 2, **close)
    # without bias a gate before the ReLU is one behind it
    torch.testing.assert_close(score("taylor-2019", here, "0"), g.square().mean(0), **close)


def test_taylor_2016_divides_by_the_positions_of_the_map():
    conv = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2)).eval()
    x = torch.randn(6, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    here = context_of(conv, (x, torch.arange(6) % 2))
    expected = here.statistics.gradient("0").after.magnitude / 9
    assert torch.equal(score("taylor-2016", here, "0"), expected)


def test_taylor_2019_reads_the_scale_and_shift_of_a_norm(residual, residual_data):
    here = context_of(residual, residual_data)
    assert here.statistics.gradient("conv1").before.where == "norm"
    expected = here.statistics.gradient("conv1").before.square
    assert torch.equal(score("taylor-2019", here, "conv1"), expected)


def test_mutual_information_by_hand():
    labels = torch.tensor([0, 0, 1, 1])
    values = torch.tensor(
        [[0.0, 5.0, 1.0, 0.0], [0.0, 5.0, 3.0, 1.0], [1.0, 5.0, 1.0, 1.0], [1.0, 5.0, 3.0, 1.0]]
    )
    found = mutual_information(values, labels).tolist()
    # tells all; never varies; independent; (0 | 0), (1 | 0), (1 | 1), (1 | 1)
    some = math.log(2) - 0.75 * (-(1 / 3) * math.log(1 / 3) - (2 / 3) * math.log(2 / 3))
    assert found == pytest.approx([math.log(2), 0.0, 0.0, some])


def test_mutual_information_quantises_over_the_range_of_the_unit():
    labels = torch.arange(8)
    values = torch.linspace(-3, 5, 8)[:, None]
    assert mutual_information(values, labels).item() == pytest.approx(math.log(8))
    assert mutual_information(values, labels, bins=2).item() == pytest.approx(math.log(2))


def test_mutual_information_of_a_network_with_a_caution_for_few_examples():
    model = two_layers([[1.0], [-1.0]], [[1.0, 0.0], [0.0, 1.0]])
    x = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    here = context_of(model, (x, torch.tensor([0, 0, 1, 1])))
    found = score("mutual-information", here, "0")
    assert found.tolist() == pytest.approx([math.log(2)] * 2)
    said = CRITERIA["mutual-information"]().caution(here.graph.layers["0"], here)
    assert said == "4 examples are few for a table of 16 cells."
    unlabelled = context_of(model, x, collect={"responses": True})
    with pytest.raises(SpecError, match="needs labels, and the data are inputs alone"):
        score("mutual-information", unlabelled, "0")


def test_hrank_by_hand():
    # a 1×1 convolution that copies the picture, or a constant, or nothing
    conv = nn.Conv2d(1, 3, 1)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1, 1))
        conv.bias.copy_(torch.tensor([0.0, 2.0, 0.0]))
    model = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(27, 2)).eval()
    first = torch.eye(3)
    second = torch.ones(3, 3)
    second[2] = 0
    x = torch.stack([first, second])[:, None]
    here = context_of(model, (x, torch.tensor([0, 1])))
    assert score("hrank", here, "0").tolist() == [2.0, 1.0, 0.0]
    assert here.statistics.response("0").num_maps == 2
    reason = CRITERIA["hrank"]().unavailable_for(here.graph.layers["3"], here.graph)
    assert reason == "The units of `3` give no feature maps that could have a rank."


def test_merge_error_by_hand():
    # h0 = x0, h1 = 2 x0, h2 = x1: 0 and 1 can stand for each other, 2 stands alone
    model = two_layers(
        [[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], [[3.0, 1.0, 1.0], [4.0, 1.0, 0.0]], relu=False
    )
    x = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    here = context_of(model, (x, torch.tensor([0, 1, 0, 1])))
    found = score("merge-error", here, "0")
    # of 0 and 1 the first goes at no cost; the last two cost ‖V‖² var: 2 · 4 and 1 · 1
    assert found.tolist() == pytest.approx([0.0, 8.0, 1.0], abs=1e-5)
    reason = CRITERIA["merge-error"]().unavailable_for(here.graph.layers["2"], here.graph)
    assert reason.startswith("No layer reads the units of `2`")


def test_merge_error_is_the_error_that_a_merge_leaves():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 3, generator=generator)
    x[:, 1] = 0.8 * x[:, 0] + 0.3 * x[:, 1]
    model = two_layers(torch.eye(3).tolist(), [[1.0, -2.0, 0.5], [0.3, 0.4, 2.0]], relu=False)
    here = context_of(model, (x, torch.arange(400) % 2))
    first = score("merge-error", here, "0")
    h, v = x.double(), model[2].weight.detach().double()
    errors = []
    for u, other in ((0, 1), (1, 0)):
        centred = h - h.mean(0)
        slope = (centred[:, u] @ centred[:, other]) / centred[:, other].square().sum()
        rest = centred[:, u] - slope * centred[:, other]
        errors.append(float((rest[:, None] * v[:, u]).square().sum(1).mean()))
    assert float(first.min()) == pytest.approx(min(errors), rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 9))
def test_greedy_merges_agree_with_the_plain_rule(seed, units):
    generator = torch.Generator().manual_seed(seed)
    upper = torch.rand(units, units, generator=generator, dtype=torch.float64).triu(1)
    matrix, cost = upper + upper.T, torch.rand(units, generator=generator, dtype=torch.float64)
    left, expected, highest = set(range(units)), [0.0] * units, 0.0
    while left:
        price = {
            u: float(cost[u]) * (1 - max((float(matrix[u, v]) for v in left - {u}), default=0.0))
            for u in left
        }
        out = min(left, key=lambda u: (price[u], u))
        last = len(left) == 1
        highest = max(highest, float(cost[out]) if last else price[out])
        expected[out] = highest
        left.remove(out)
    assert greedy_merges(cost, matrix).tolist() == pytest.approx(expected)


def test_kernels_see_what_correlation_misses():
    x = torch.linspace(-1, 1, 101)
    samples = torch.stack([x, x**2, -3 * x + 1, torch.zeros(101)], dim=1)
    found = kernel_similarity(samples)
    assert abs(np.corrcoef(x, x**2)[0, 1]) < 1e-6
    assert found[0, 2] == pytest.approx(1.0, abs=1e-5)  # a straight line keeps the kernel
    assert 0.2 < found[0, 1] < 0.9
    assert found[3].tolist() == [0.0] * 4
    torch.testing.assert_close(found, found.T)


def test_kernel_alignment_against_its_formula():
    samples = torch.randn(12, 2, generator=torch.Generator().manual_seed(0)).double()
    kernels = []
    centring = torch.eye(12).double() - 1 / 12
    for unit in samples.T:
        apart = (unit[:, None] - unit[None]).square()
        middle = apart[apart > 0].sort().values
        kernel = torch.exp(-apart / (2 * middle[(len(middle) - 1) // 2]))
        kernels.append(centring @ kernel @ centring)
    a, b = kernels
    expected = float((a * b).sum() / (a.norm() * b.norm()))
    assert float(kernel_similarity(samples)[0, 1]) == pytest.approx(expected, rel=1e-4)


def test_kernel_similarity_by_hand():
    model = two_layers([[1.0], [2.0], [0.0]], [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]], relu=False)
    x = torch.randn(70, 1, generator=torch.Generator().manual_seed(0))
    here = context_of(model, (x, torch.arange(70) % 2))
    found = score("kernel-similarity", here, "0")
    assert found[0] == pytest.approx(0.0, abs=1e-5)  # varies less than its double
    assert found.tolist()[1:] == [1.0, CONSTANT_UNIT]
    criterion, layer = CRITERIA["kernel-similarity"](), here.graph.layers["0"]
    assert criterion.caution(layer, here) is None
    few = context_of(model, (x[:20], torch.arange(20) % 2))
    assert "With 20 samples" in criterion.caution(layer, few)
    large = dataclasses.replace(layer, num_units=1025)
    assert "1,025 units" in criterion.unavailable_for(large, here.graph)


def test_thinet_by_hand():
    # contributions to the one output: 1, then 2 and −2 that cancel, then 3 on half the examples
    products = torch.tensor(
        [[1, 2, -2, 1.5], [2, 4, -4, 3], [-2, -4, 4, -3], [1.5, 3, -3, 4.5]], dtype=torch.float64
    )
    # alone 1, 4, 4, 4.5; after {0}: 9, 1, 8.5; after {0, 2}: 1 with 1, 2.5 with 3
    assert greedy_removal(products).tolist() == [0, 2, 1, 3]


def test_thinet_of_a_network_is_greedy_on_the_next_layers_outputs():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 4, 2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(36, 3),
    ).eval()  # fmt: skip
    x = torch.randn(30, 1, 6, 6, generator=generator)
    here = context_of(model, (x, torch.arange(30) % 3))
    found = (score("thinet", here, "0") * 5).round().long().tolist()
    with torch.no_grad():
        maps = model[:3](x)
        weight = model[3].weight
        parts = [nn.functional.conv2d(maps[:, [u]], weight[:, [u]], padding=1) for u in range(5)]
        each = torch.stack(parts).flatten(1).double()
    left, total = list(range(5)), torch.zeros(each.shape[1], dtype=torch.float64)
    for place in range(5):
        out = min(left, key=lambda u: float((total + each[u]).square().sum()))
        assert found[out] == place
        total += each[out]
        left.remove(out)
    # through flatten each channel owns a block of columns
    assert sorted((score("thinet", here, "3") * 4).round().tolist()) == [0, 1, 2, 3]


def test_thinet_counts_all_that_read_the_units(residual, residual_data):
    here = context_of(residual, residual_data)
    # the stem's channels are read by conv1 and, behind the addition, by fc
    assert list(here.group_columns(here.graph.layers["stem"])) == ["conv1", "fc"]
    assert torch.equal(score("thinet", here, "stem"), score("thinet", here, "conv2"))
    reason = CRITERIA["thinet"]().unavailable_for(here.graph.layers["fc"], here.graph)
    assert reason.startswith("No layer reads the units of `fc`")


def test_thinet_warns_of_few_samples():
    model = two_layers(torch.ones(5, 2).tolist(), torch.ones(2, 5).tolist())
    here = context_of(model, (torch.ones(3, 2), torch.tensor([0, 1, 0])))
    said = CRITERIA["thinet"]().caution(here.graph.layers["0"], here)
    assert said == "`0` has 5 units, and `2` was seen with 3 samples only."


@pytest.mark.parametrize("name", ["activation-correlation", "merge-error"])
def test_correlations_of_few_samples_come_with_a_caution(name):
    model = two_layers(torch.ones(5, 2).tolist(), torch.ones(2, 5).tolist())
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    here = context_of(model, (x[:4], torch.tensor([0, 1, 0, 1])))
    layer = here.graph.layers["0"]
    said = CRITERIA[name]().caution(layer, here)
    assert said.startswith("`0` has 5 units and was seen with 4 samples only")
    enough = context_of(model, (x, torch.tensor([0, 1, 0, 1, 0])))
    assert CRITERIA[name]().caution(layer, enough) is None


def test_second_moments_that_are_too_large_are_refused_beforehand(monkeypatch):
    model = two_layers(torch.ones(5, 2).tolist(), torch.ones(2, 5).tolist())
    here = context_of(model, (torch.ones(6, 2), torch.tensor([0, 1] * 3)))
    monkeypatch.setattr("prunevis.criteria.base.MAX_COLUMNS", 4)
    graph = here.graph
    assert "`2` reads 5 inputs" in CRITERIA["thinet"]().unavailable_for(graph.layers["0"], graph)
    assert "reads 5 inputs" in CRITERIA["obs"]().unavailable_for(graph.layers["2"], graph)
    assert CRITERIA["wanda"]().unavailable_for(graph.layers["2"], graph) is None
