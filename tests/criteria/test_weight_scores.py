"""Criteria of single weights, each by hand."""

import dataclasses
import math

import pytest
import torch
from networks import context_of, score, two_layers
from torch import nn

from prunevis.criteria import CRITERIA
from prunevis.criteria.obs import DAMPING, inverse_hessian
from prunevis.errors import SpecError
from prunevis.graph.trace import trace


@pytest.fixture
def linear():
    """One linear layer, two classes, weights zero but for what a test sets."""

    def make(weight, inputs, labels):
        model = nn.Linear(len(weight[0]), len(weight), bias=False).eval()
        with torch.no_grad():
            model.weight.copy_(torch.tensor(weight))
        return context_of(model, (torch.tensor(inputs), torch.tensor(labels)), "weight")

    return make


def test_layer_threshold_by_hand(bench):
    # mean 1, population variance (4 + 0 + 0 + 4) / 4 = 2
    scores = bench([[3.0, 1.0], [1.0, -1.0]]).score(CRITERIA["layer-threshold"](), "weight")
    root = 2**0.5
    assert scores.flatten().tolist() == pytest.approx([3 / root, 1 / root, 1 / root, 1 / root])
    equal = bench([[2.0, 2.0]]).score(CRITERIA["layer-threshold"](), "weight")
    assert equal.tolist() == [[2.0, 2.0]]


def test_lamp_by_hand(bench):
    # squares 1, 4, 4, 16: 1/25, then 4/24, 4/20 in order, 16/16
    scores = bench([[2.0, -1.0], [4.0, -2.0]]).score(CRITERIA["lamp"](), "weight")
    assert scores.tolist() == [[4 / 24, 1 / 25], [1.0, 4 / 20]]
    assert bench([[0.0, 0.0]]).score(CRITERIA["lamp"](), "weight").tolist() == [[0.0, 0.0]]


def test_first_and_second_order_by_hand(linear):
    # logits 0 whatever x, where both rows are alike: ∂L/∂W[k] = (½ − 1[y = k]) x
    here = linear([[1.0, 2.0], [1.0, 2.0]], [[2.0, 0.0], [4.0, 6.0]], [0, 1])
    # examples: row 0 (-1, 0), (2, 3); row 1 the opposite
    assert score("snip", here, "").tolist() == [[0.5, 3.0], [0.5, 3.0]]
    assert score("taylor-weight", here, "").tolist() == [[1.5, 3.0], [1.5, 3.0]]
    assert score("obd", here, "").tolist() == [[1.25, 9.0], [1.25, 9.0]]


def test_wanda_by_hand(linear):
    # root mean squares of the inputs: 1 and 5
    here = linear([[4.0, 1.0], [-10.0, 1.0], [0.0, 1.0]], [[1.0, 1.0], [-1.0, 7.0]], [0, 1])
    expected = [[4.0, 5.0], [10.0, 5.0], [0.0, 5.0]]
    assert score("wanda-layer", here, "").tolist() == [pytest.approx(row) for row in expected]
    # in each row the lower half goes first; what contributes nothing is 0
    assert score("wanda", here, "").tolist() == [[0.0, 0.5], [0.5, 0.0], [0.0, 0.5]]


def test_wanda_of_a_grouped_convolution_reads_its_own_group():
    conv = nn.Conv2d(2, 2, 1, groups=2, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([2.0, 3.0]).reshape(2, 1, 1, 1))
    model = nn.Sequential(conv, nn.Flatten(), nn.Linear(2, 2))
    x = torch.tensor([[3.0, 10.0], [4.0, 0.0]]).reshape(2, 2, 1, 1)
    scores = score("wanda-layer", context_of(model, (x, torch.tensor([0, 1])), "weight"), "0")
    assert scores.flatten().tolist() == pytest.approx([2 * 12.5**0.5, 3 * 50**0.5])


def test_obs_by_hand():
    # H = [[2, 1], [1, 2]] + λ: inverse diagonal d / (d² − 1) with d = 2 + 1 %
    moment = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]], dtype=torch.float64)
    d = 2 + DAMPING * 2
    diagonal = inverse_hessian(moment).diagonal(dim1=1, dim2=2)
    assert diagonal.flatten().tolist() == pytest.approx([d / (d * d - 1)] * 2)


def test_obs_scores_are_the_error_that_compensation_leaves(linear):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, generator=generator)
    x[:, 2] = x[:, 0] + 0.1 * x[:, 2]  # nearly a copy: cheap to do without
    here = linear([[1.0, 1.0, 1.0], [0.5, 2.0, -1.0]], x.tolist(), [0, 1] * 20)
    scores = score("obs", here, "")
    moment = here.inputs("").moments()
    damped = inverse_hessian(moment).inverse()
    weight = here.tensors["weight"].double()
    for column in range(3):
        rest = [other for other in range(3) if other != column]
        change = torch.zeros(2, 3, dtype=torch.float64)
        change[:, column] = -weight[:, column]
        # the best that the others of the row can do about it
        pull = torch.outer(weight[:, column], damped[0, column, rest])
        change[:, rest] = torch.linalg.solve(damped[0][rest][:, rest], pull.T).T
        left = torch.einsum("kc,gcd,kd->k", change, damped, change) / 2
        torch.testing.assert_close(scores[:, column], left)
    assert scores[0].argmin() != 1


def test_obs_with_dead_inputs_and_few_samples_is_finite_with_a_caution(linear):
    x = torch.zeros(4, 6)
    x[:, 0] = torch.arange(4)
    here = linear(torch.ones(2, 6).tolist(), x.tolist(), [0, 1, 0, 1])
    scores = score("obs", here, "")
    assert scores.isfinite().all()
    assert (scores[:, 1:] < scores[:, :1]).all()
    caution = CRITERIA["obs"]().caution(here.graph.layers[""], here)
    assert "reads 6 inputs and was seen with 4 samples only" in caution
    nothing = linear([[1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]], [0, 0])
    assert score("obs", nothing, "").isfinite().all()


def test_synflow_by_hand():
    # paths: input → unit → output. R = Σ_u |a_u| · Σ_k |V[k, u]|
    model = two_layers([[2.0], [-1.0]], [[1.0, -4.0], [1.0, 0.0]])
    graph = trace(model, torch.zeros(1, 1))
    criterion = CRITERIA["synflow"]()
    from prunevis.criteria import ScoreContext
    from prunevis.criteria.synflow import _Flow

    tensors = {n: p.detach() for n, p in model.named_parameters()}
    context = ScoreContext(graph, tensors, None, "weight", model=model)
    flow = _Flow(context).scores(["0.weight", "2.weight"], torch.ones(6, dtype=torch.bool))
    # unit 0 passes 2·(1 + 1), unit 1 passes 1·(4 + 0)
    assert flow.tolist() == [4.0, 4.0, 2.0, 4.0, 2.0, 0.0]
    scores = score("synflow", context, "2")
    # the weight of value 0 goes first of all
    assert scores[1, 1] == pytest.approx(1 / 6)
    assert criterion.needs == {"weights", "model"}
    both = torch.cat([score("synflow", context, "0").flatten(), scores.flatten()])
    assert sorted(both.tolist()) == pytest.approx([k / 6 for k in range(1, 7)])


def test_synflow_reaches_the_largest_compression_there_is():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        nn.Linear(30, 40, bias=False), nn.ReLU(), nn.Linear(40, 40, bias=False), nn.ReLU(),
        nn.Linear(40, 5, bias=False),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=generator)
        model[2].weight.mul_(0.01)  # global magnitude would empty this layer
    data = torch.randn(4, 30, generator=generator), torch.arange(4)
    here = context_of(model, data, "weight")
    places = {name: score("synflow", here, name).flatten() for name in here.graph.layers}
    assert len(set(torch.cat(list(places.values())).tolist())) == 3000  # an order of all
    # the last three weights are one of each layer: a path
    for cut in (0.9, 0.98, 1 - 3.5 / 3000):
        assert all(int((found > cut).sum()) > 0 for found in places.values())


def test_synflow_covers_the_layers_that_are_ranked():
    model = two_layers([[2.0], [-1.0]], [[1.0, -4.0], [1.0, 0.0]])
    data = torch.ones(2, 1), torch.tensor([0, 1])
    here = context_of(model, data, "weight", layers=("0",))
    assert sorted(score("synflow", here, "0").flatten().tolist()) == [0.5, 1.0]
    with pytest.raises(SpecError, match="not among the layers that were ranked"):
        score("synflow", here, "2")


def test_synflow_of_token_networks_is_refused():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    graph = trace(model, torch.zeros(1, 4, dtype=torch.int64))
    assert "whole numbers" in CRITERIA["synflow"]().unavailable(graph)


def test_grasp_by_hand(monkeypatch):
    # one input, logits (w0 x, w1 x), temperature 1: with p = σ((w0 − w1) x) and q = p (1 − p)
    # g = ((p − 1) x, (1 − p) x), H = q x² [[1, −1], [−1, 1]]: (Hg)_0 = 2 q (p − 1) x³
    monkeypatch.setattr("prunevis.criteria.grasp.TEMPERATURE", 1.0)
    model = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.5], [0.5]]))
    here = context_of(model, (torch.tensor([[2.0]]), torch.tensor([0])), "weight")
    p = 1 / (1 + math.exp(-2.0))
    first = 2 * p * (1 - p) * (p - 1) * 8
    expected = [1.5 * first, 0.5 * -first]
    assert score("grasp", here, "").flatten().tolist() == pytest.approx(expected, rel=1e-5)


def test_grasp_of_many_pieces_is_that_of_one(monkeypatch, mlp, mlp_data):
    here = context_of(mlp, mlp_data, "weight")
    whole = score("grasp", here, "fc2")
    monkeypatch.setattr("prunevis.statistics.losses.STEP_MACS", 1)
    torch.testing.assert_close(score("grasp", here, "fc2"), whole, rtol=1e-3, atol=1e-9)
    # against the difference of two gradients
    step = 1e-3
    model = mlp.double()
    x, y = (t.double() if t.is_floating_point() else t for t in here.examples(256))

    def gradient(tensors):
        own = {n: t.detach().requires_grad_() for n, t in tensors.items()}
        logits = torch.func.functional_call(model, own, x) / 200
        loss = nn.functional.cross_entropy(logits, y)
        weights = [own[f"fc{k}.weight"] for k in (1, 2, 3)]
        return torch.autograd.grad(loss, weights)

    tensors = dict(model.named_parameters())
    g = gradient(tensors)
    moved = dict(tensors)
    for k, own in zip((1, 2, 3), g, strict=True):
        moved[f"fc{k}.weight"] = tensors[f"fc{k}.weight"].detach() + step * own
    product = (gradient(moved)[1] - g[1]) / step
    expected = tensors["fc2.weight"].detach() * product
    torch.testing.assert_close(whole, expected, rtol=1e-2, atol=float(expected.abs().max()) * 1e-3)


def test_grasp_through_attention_which_fused_cannot_be_differentiated_twice():
    model = nn.Sequential(
        nn.Linear(4, 8), nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), nn.Flatten(),
        nn.Linear(24, 3),
    ).eval()  # fmt: skip
    x = torch.randn(8, 3, 4, generator=torch.Generator().manual_seed(0))
    here = context_of(model, (x, torch.arange(8) % 3), "weight", {"labels": True})
    assert score("grasp", here, "1.linear1").abs().max() > 0


def test_movement_by_hand(monkeypatch):
    # two steps on one example; ∂L/∂w0 = (p − 1) x with p = σ((w0 − w1) x), ∂L/∂w1 the opposite
    monkeypatch.setattr("prunevis.criteria.movement.STEPS", 2)
    monkeypatch.setattr("prunevis.criteria.movement.BATCH", 1)
    model = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0], [-0.5]]))
    here = context_of(model, (torch.tensor([[2.0]]), torch.tensor([0])), "weight")
    w, total = [1.0, -0.5], [0.0, 0.0]
    for _ in range(2):
        slope = (1 / (1 + math.exp(-2 * (w[0] - w[1]))) - 1) * 2
        for k, g in enumerate((slope, -slope)):
            total[k] -= w[k] * g
        w = [w[0] - 0.01 * slope, w[1] + 0.01 * slope]
    found = score("movement", here, "").flatten().tolist()
    assert found == pytest.approx(total, rel=1e-5)
    assert min(found) > 0  # both move away from zero


@pytest.mark.parametrize("name", ["synflow", "grasp", "movement"])
def test_the_model_is_left_as_it_was(name, residual, residual_data, untouched_model):
    residual.requires_grad_(False)
    residual.train()
    here = context_of(residual, residual_data, "weight")
    check = untouched_model(residual)
    with torch.inference_mode():
        assert score(name, here, "conv1").isfinite().all()
    check()


@pytest.mark.parametrize("name", ["grasp", "movement"])
def test_without_labels_or_a_model_it_is_said(name, mlp, mlp_data):
    here = context_of(mlp, mlp_data.train.inputs, "weight", {"inputs": True})
    with pytest.raises(SpecError, match="needs labelled examples"):
        score(name, here, "fc1")
    with pytest.raises(SpecError, match="only its weights are at hand"):
        score(name, dataclasses.replace(here, model=None), "fc1")
