"""Criteria of other people: what they do wrong becomes a sentence and touches nobody's network."""

from __future__ import annotations

import pytest
import torch
from tiny_networks import TinyMLP, seeded

from prunevis.criteria import CRITERIA, Criterion
from prunevis.errors import NonFiniteError, SpecError
from prunevis.graph.trace import trace
from prunevis.pruning import PruningSpec, rank
from prunevis.testing import check_criterion


class Careless(Criterion):
    label, summary = "Careless", "Whatever."
    formula, source, url = "?", "nobody", "https://example.org"
    granularities = ("unit",)

    def __init__(self, do) -> None:
        self.do = do

    def score(self, layer, context):
        return self.do(context.rows(layer))


def ranked(monkeypatch, do):
    model = seeded(TinyMLP)
    monkeypatch.setitem(
        CRITERIA._entries,
        "careless",
        type("Other", (Careless,), {"__init__": lambda self: Careless.__init__(self, do)}),
    )
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    try:
        return rank(model, PruningSpec("careless", "unit"), graph=trace(model, torch.zeros(1, 12)))
    finally:
        for name, tensor in model.state_dict().items():
            assert torch.equal(before[name], tensor), name


def test_writing_into_weights_writes_into_a_copy(monkeypatch):
    assert ranked(monkeypatch, lambda rows: rows.mul_(0).sum(1)).total


@pytest.mark.parametrize(
    ("do", "sentence"),
    [
        (lambda rows: 1 / 0, r"'careless' failed: ZeroDivisionError.*Where: .*check_criterion"),
        (lambda rows: None, r"no real scores.*a tensor of numbers. Got: NoneType"),
        (lambda rows: rows.sum(1) * 1j, r"no real scores.*Got: torch.complex64"),
        (lambda rows: rows, r"wrong shape"),
        (
            lambda rows: rows.sum(1).index_fill(0, torch.tensor([2]), torch.nan),
            r"'careless' gave NaN or infinite scores, and the weights of the layer are finite. "
            r"Got: 1 of 8. Where: fc1.*division by zero",
        ),
    ],
)
def test_what_it_does_wrong_is_a_sentence(monkeypatch, do, sentence):
    with pytest.raises((SpecError, NonFiniteError), match=sentence):
        ranked(monkeypatch, do)


def test_whole_numbers_are_scores_for_ranking_and_for_the_check(monkeypatch):
    found = ranked(monkeypatch, lambda rows: 100 + rows.norm(dim=1).argsort().argsort())
    norms = seeded(TinyMLP).fc1.weight.norm(dim=1)
    assert found.ranks["fc1"].argsort().tolist() == norms.argsort().tolist()

    class Counted(Careless):
        def __init__(self):
            super().__init__(lambda rows: (rows.norm(dim=1) * 1000).long())

    check_criterion(Counted)
