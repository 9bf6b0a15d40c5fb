"""Units are eliminated as brute force would: each time the least error after least squares."""

import numpy as np
import pytest
import torch
from torch import nn

from prunevis.criteria import CRITERIA, ScoreContext
from prunevis.graph import trace
from prunevis.statistics import collect_statistics


def scored(model, x, layer="0"):
    graph = trace(model, x[:1])
    statistics = collect_statistics(model, x, graph=graph, activations=False, inputs=True)
    tensors = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    context = ScoreContext(graph, tensors, statistics, "unit")
    return CRITERIA["reconstruction"]().score(graph.layers[layer], context)


def handed_on(h, weight):
    model = nn.Sequential(nn.Linear(h.shape[1], h.shape[1]), nn.Linear(h.shape[1], len(weight)))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(h.shape[1]))
        model[0].bias.zero_()
        model[1].weight.copy_(weight)
    return model.eval()


def left(x, weight, stays):
    """Return the mean squared error of least squares on the columns `stays`."""
    y = (x - x.mean(0)) @ weight.T
    if not stays:
        return (y**2).sum(1).mean()
    own = (x - x.mean(0))[:, stays]
    return ((y - own @ np.linalg.lstsq(own, y, rcond=None)[0]) ** 2).sum(1).mean()


def test_against_brute_force():
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(500, 6, generator=generator) @ torch.randn(6, 6, generator=generator) + 1.0
    weight = torch.randn(3, 6, generator=generator)
    found = scored(handed_on(h, weight), h)
    x, v = h.double().numpy(), weight.double().numpy()
    stays, before, highest, expected = list(range(6)), 0.0, 0.0, {}
    signal = left(x, v, [])
    while stays:
        after = {u: left(x, v, [s for s in stays if s != u]) for u in stays}
        out = min(after, key=after.get)
        highest = max(highest, (after[out] - before) / signal)
        before, expected[out] = after[out], highest
        stays.remove(out)
    assert found.tolist() == pytest.approx([expected[u] for u in range(6)], rel=2e-2)
    assert found.argsort().tolist() == sorted(expected, key=expected.get)


def test_of_two_copies_one_costs_nothing_and_the_other_all():
    h = torch.randn(400, 3, generator=torch.Generator().manual_seed(1))
    h[:, 2] = 2 * h[:, 0]
    found = scored(handed_on(h, torch.tensor([[1.0, 0.1, 1.0]])), h)
    copies = sorted(found[[0, 2]].tolist())
    assert copies[0] < 1e-3
    assert copies[1] > 0.9


def test_a_dead_and_an_unread_unit_go_first():
    h = torch.randn(400, 4, generator=torch.Generator().manual_seed(2))
    h[:, 1] = 0.0
    found = scored(handed_on(h, torch.tensor([[1.0, 1.0, 0.0, 1.0]])), h)
    assert found[[1, 2]].max() < 1e-3
    assert found[[0, 3]].min() > 0.1


def test_kernels_are_eliminated_as_blocks():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Conv2d(5, 3, 3, padding=1)).eval()
        x = torch.randn(64, 2, 8, 8)
    with torch.no_grad():
        model[0].weight[3], model[0].bias[3] = 2 * model[0].weight[1], 2 * model[0].bias[1]
    found = scored(model, x)
    assert min(float(found[1]), float(found[3])) < 1e-3
    assert found[[0, 2, 4]].min() > 1e-2
