"""Ranking collects what a criterion needs by itself, and says what is missing."""

import pytest
import torch
from torch import nn

from prunevis.criteria import CRITERIA, Criterion
from prunevis.errors import DataError, ModelError, SpecError
from prunevis.graph.trace import trace
from prunevis.pruning import PruningSpec, rank, rank_steps, remove
from prunevis.pruning.scoring import collected, in_words
from prunevis.statistics import collect_statistics

pairs = [(name, one) for name in CRITERIA for one in CRITERIA[name].granularities]


@pytest.mark.filterwarnings("ignore:.*examples are few", "ignore:With 32 samples")
@pytest.mark.parametrize(("name", "granularity"), pairs)
def test_every_criterion_ranks_a_network_from_data_alone(
    name, granularity, residual, residual_data, untouched_model
):
    check = untouched_model(residual)
    spec = PruningSpec(name, granularity, "global", 0.5)
    ranking = rank(residual, spec, data=residual_data)
    plan = ranking.plan()
    assert 0.3 < sum(plan.removed.values()) / sum(ranking.total.values()) < 0.6
    if granularity == "unit":
        x = residual_data.test.inputs
        assert remove(residual, plan)(x).shape == (len(x), 4)
    check()


def test_a_ranking_covers_the_whole_range_without_an_empty_layer(residual, residual_data):
    ranking = rank(residual, PruningSpec("synflow", "weight"), data=residual_data)
    plan = ranking.plan(0.95)
    for name, mask in plan.masks.items():
        assert mask.any(), name


def test_what_is_at_hand_is_not_collected_again(mlp, mlp_data):
    graph = trace(mlp, mlp_data.train.inputs[:1])
    found = collect_statistics(mlp, mlp_data, graph=graph, gradients=True)
    assert collected(mlp, None, graph, "taylor-2016", found) is found
    assert collected(mlp, None, graph, "l2") is None
    spec = PruningSpec("taylor-2016", "unit")
    given = rank(mlp, spec, graph=graph, statistics=found)
    alone = rank(mlp, spec, graph=graph, data=mlp_data)
    assert torch.equal(given.importance["fc1"], alone.importance["fc1"])


def test_only_what_is_needed_is_collected(mlp, mlp_data):
    graph = trace(mlp, mlp_data.train.inputs[:1])
    found = collected(mlp, mlp_data, graph, "wanda")
    assert not found.activations
    assert found.input("fc1").moment is None
    found = collected(mlp, mlp_data, graph, "grasp")
    assert (dict(found.activations), dict(found.inputs), dict(found.gradients)) == ({}, {}, {})
    assert found.labels is not None


def test_statistics_without_what_is_needed_are_refused_with_a_cure(mlp, mlp_data):
    found = collect_statistics(mlp, mlp_data)
    graph = trace(mlp, mlp_data.train.inputs[:1])
    with pytest.raises(SpecError, match=r"\(SNIP\) needs gradients.*gradients=True"):
        list(rank_steps(mlp, PruningSpec("snip"), graph=graph, statistics=found))
    with pytest.raises(SpecError, match=r"'obs' looks at second moments of inputs, and there are"):
        rank(mlp, PruningSpec("obs"), graph=graph, statistics=found)
    # with data at hand they are collected anew
    assert rank(mlp, PruningSpec("snip"), graph=graph, statistics=found, data=mlp_data).total


def test_labels_that_are_missing(mlp, mlp_data):
    inputs = mlp_data.train.inputs
    for name, granularity in (
        ("snip", "weight"),
        ("fisher", "unit"),
        ("mutual-information", "unit"),
    ):
        with pytest.raises(DataError, match="labels, and the data are inputs alone"):
            rank(mlp, PruningSpec(name, granularity), graph=trace(mlp, inputs[:1]), data=inputs)
    found = collect_statistics(mlp, inputs, responses=True)
    graph = trace(mlp, inputs[:1])
    with pytest.raises(SpecError, match="needs labels, and the statistics are of inputs alone"):
        list(
            rank_steps(
                mlp, PruningSpec("mutual-information", "unit"), graph=graph, statistics=found
            )
        )
    assert rank(mlp, PruningSpec("apoz", "unit"), graph=graph, data=inputs).total


def test_whole_number_weights():
    class Integer(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 2, dtype=torch.int8), requires_grad=False)
            self.last = nn.Linear(3, 2)

        def forward(self, x):
            return self.last(x @ self.weight.T.to(x.dtype))

    data = torch.randn(6, 2), torch.tensor([0, 1] * 3)
    with pytest.raises(ModelError, match=r"`weight` does not exist: its numbers are int8"):
        rank(Integer(), PruningSpec("taylor-2016", "unit", layers=("last",)), data=data)


def test_cautions_are_said_aloud(mlp, mlp_data):
    few = mlp_data.train.inputs[:5], mlp_data.train.targets[:5]
    with (
        pytest.warns(UserWarning, match="`fc2` reads 8 inputs"),
        pytest.warns(UserWarning, match="`fc1` reads 12 inputs and was seen with 5 samples only"),
    ):
        rank(mlp, PruningSpec("obs"), data=few)


def test_a_repair_that_needs_more_than_the_criterion_gets_it(mlp, mlp_data):
    spec = PruningSpec("apoz", "unit", "layer", 0.5, repair="least-squares")
    plain = rank(mlp, spec, data=mlp_data).plan()
    graph = trace(mlp, mlp_data.train.inputs[:1])
    means = collect_statistics(mlp, mlp_data, graph=graph, inputs=True, moments=False)
    found = rank(mlp, spec, graph=graph, statistics=means, data=mlp_data).plan()
    x = mlp_data.test.inputs
    torch.testing.assert_close(remove(mlp, found)(x), remove(mlp, plain)(x))


def test_needs_in_words():
    assert in_words({"activations", "correlation"}) == "activations"
    assert in_words({"gradients", "labels"}) == "gradients and labels"
    assert in_words({"maps", "responses", "moments", "inputs", "labels"}) == (
        "ranks of feature maps, second moments of inputs and labels"
    )


def test_a_criterion_of_ten_lines_reads_gradients(mlp, mlp_data):
    name = "gradient-alone"
    if name not in CRITERIA:

        @CRITERIA.register(name)
        class GradientAlone(Criterion):
            label, summary, formula = "Gradient", "Weights with little gradient go first.", "|g|"
            source, url = "Doe 2024", "https://doi.org/1"
            granularities = ("weight",)
            needs = frozenset({"gradients", "labels"})

            def score(self, layer, context):
                return context.gradients(layer).mean.abs()

    try:
        found = rank(mlp, PruningSpec(name), data=mlp_data)
        assert found.plan(0.5).removed
    finally:
        del CRITERIA._entries[name]
