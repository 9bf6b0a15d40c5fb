import math

import pytest
import torch
from torch import nn

import prunevis as pv
from prunevis.criteria import CRITERIA
from prunevis.errors import SpecError
from prunevis.graph import trace
from prunevis.pruning.spec import PruningSpec
from prunevis.session.choices import unavailable
from prunevis.session.state import Setting


def scores(model, data, scope="layer"):
    ranking = pv.rank(model, PruningSpec.make("oracle", "unit", scope), data=data)
    return {name: found.tolist() for name, found in ranking.importance.items()}


def test_by_hand():
    """Units h = x, logits z = V h with V = [[1, 0], [2, 3]]; x = (1, 1) of class 0, (1, 0) of 1."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
        model[1].weight.copy_(torch.tensor([[1.0, 0.0], [2.0, 3.0]]))
    data = torch.tensor([[1.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 1])
    whole = (math.log1p(math.exp(4)) + math.log1p(math.exp(-1))) / 2
    first = (math.log1p(math.exp(3)) + math.log(2)) / 2
    second = (math.log1p(math.exp(1)) + math.log1p(math.exp(-1))) / 2
    expected = [abs(first - whole), abs(second - whole)]
    assert scores(model, data)["0"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("which", ["mlp", "residual"])
def test_the_figures_of_the_oracle(which, request):
    model, data = request.getfixturevalue(which), request.getfixturevalue(f"{which}_data")
    expected = pv.oracle(model, data).absolute
    found = scores(model, data)
    assert found.keys() == expected.keys()
    for name, values in found.items():
        assert values == pytest.approx(expected[name].tolist(), abs=2e-6)


def test_what_cannot_lose_units_says_so(mlp, mlp_data):
    graph = trace(mlp, mlp_data.test.inputs[:1])
    criterion = CRITERIA["oracle"]()
    assert criterion.unavailable_for(graph.layers["fc1"], graph) is None
    assert "outputs" in str(criterion.unavailable_for(graph.layers["fc3"], graph))


def test_without_data_there_is_no_loss(mlp, mlp_data):
    graph = trace(mlp, mlp_data.test.inputs[:1])
    with pytest.raises(SpecError, match="labels"):
        pv.rank(mlp, PruningSpec.make("oracle", "unit"), graph=graph)


def test_the_page_sends_to_where_its_cost_is_told_first(mlp, mlp_data):
    graph = trace(mlp, mlp_data.test.inputs[:1])
    reason = unavailable(graph, Setting(granularity="unit"), "oracle")
    assert "Criteria" in str(reason)
