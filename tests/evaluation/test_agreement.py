import math
from typing import ClassVar

import pytest
import torch
from tiny_networks import labelled

import prunevis as pv
from prunevis.criteria import CRITERIA
from prunevis.criteria.base import Criterion
from prunevis.errors import DataError, NothingToPruneError, SpecError, UnknownNameError
from prunevis.evaluation.agreement import agreement, agreement_steps, compare, unit_criteria
from prunevis.evaluation.oracle import oracle

FEW = ["l2", "apoz", "random"]


def test_compare_by_hand():
    truth = {"a": torch.tensor([1.0, 2.0, 3.0]), "b": torch.tensor([4.0, 5.0])}
    scores = {"a": torch.tensor([30.0, 40.0, 0.0]), "b": torch.tensor([3.0, 4.0])}
    layers, raw, scaled = compare(scores, truth)
    # a: ranks 2 3 1 against 1 2 3, d² = 1 + 1 + 4: 1 − 36 / 24; b: in order
    assert layers == {"a": pytest.approx(-0.5), "b": pytest.approx(1.0)}
    # ranks of 30 40 0 3 4 are 4 5 1 2 3 against 1 2 3 4 5: d² = 9 + 9 + 4 + 4 + 4
    assert raw == pytest.approx(1 - 6 * 30 / (5 * 24))
    # divided by 50 and 5: .6 .8 0 .6 .8 has ranks 2.5 4.5 1 2.5 4.5
    a = torch.tensor([2.5, 4.5, 1.0, 2.5, 4.5]).double() - 3
    b = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]).double()
    assert scaled == pytest.approx(float((a @ b) / (a.norm() * b.norm())))


def test_a_layer_of_zeros_is_left_as_it_is():
    zeros = {"a": torch.zeros(3)}
    layers, raw, scaled = compare(zeros, {"a": torch.arange(3.0)})
    assert all(math.isnan(value) for value in (layers["a"], raw, scaled))
    assert all(math.isnan(value) for value in compare({}, {"a": torch.arange(3.0)})[1:])


class Prophet(Criterion):
    """Says what the oracle says."""

    label, summary, formula, source, url = "Prophet", "Knows.", "x", "none", "https://none"
    granularities = ("unit",)
    known: ClassVar[dict] = {}

    def score(self, layer, context):
        return self.known[layer.name]


class Contrary(Prophet):
    label = "Contrary"

    def score(self, layer, context):
        return -self.known[layer.name]


class Flat(Prophet):
    label = "Flat"

    def score(self, layer, context):
        return torch.ones(layer.num_units)


@pytest.fixture
def prophets(monkeypatch):
    entries = {**CRITERIA._entries, "prophet": Prophet, "contrary": Contrary, "flat": Flat}
    monkeypatch.setattr(CRITERIA, "_entries", entries)
    return ["prophet", "contrary", "flat"]


def test_rows_of_criteria_that_know(mlp, mlp_data, prophets, monkeypatch):
    truth = oracle(mlp, mlp_data)
    monkeypatch.setattr(Prophet, "known", truth.absolute)
    found = agreement(mlp, mlp_data, prophets, oracle=truth)
    right, wrong, flat = found.rows
    assert right.layers == {"fc1": pytest.approx(1.0), "fc2": pytest.approx(1.0)}
    assert (right.mean, right.raw) == (pytest.approx(1.0), pytest.approx(1.0))
    assert right.normalised < 1.0  # the oracle itself is never divided
    assert (wrong.mean, wrong.raw) == (pytest.approx(-1.0), pytest.approx(-1.0))
    assert math.isnan(flat.mean)
    assert "all scores are equal" in flat.note
    assert found["prophet"] is right
    assert right.units == 14


def test_random_is_a_mean_of_draws_near_zero(mlp, mlp_data):
    row = agreement(mlp, mlp_data, ["random"])["random"]
    # of one draw of 14 units the standard deviation is 1 / sqrt(13), of 20 draws 0.06
    assert abs(row.raw) < 0.25
    assert row.note == "Mean of 20 draws."


def test_every_criterion_of_the_registry_has_a_row_or_a_reason(residual, residual_data):
    found = agreement(residual, residual_data, images=16)
    named = {row.criterion for row in found.rows} | set(found.skipped)
    assert named == set(unit_criteria())
    assert {"l2", "bn-scale", "random"} <= {row.criterion for row in found.rows}
    for row in found.rows:
        assert all(math.isnan(value) or -1 <= value <= 1 for value in row.layers.values())
        assert row.seconds >= 0
    assert found.num_examples > 0
    assert "Spearman" in repr(found)


def test_no_pass_over_data_where_nobody_reads_any(mlp, mlp_data):
    found = agreement(mlp, mlp_data, ["l1"])
    assert (found.num_examples, [row.criterion for row in found.rows]) == (0, ["l1"])


def test_cancelled_halfway_the_model_is_as_it_was(residual, residual_data, untouched_model):
    check = untouched_model(residual)
    steps = agreement_steps(residual, residual_data, FEW)
    texts = set()
    for progress in steps:
        texts.add(progress.text)
        if "Scoring" in progress.text:
            break
    steps.close()
    check()
    assert "Watching the units" in texts


def test_progress_rises_to_the_end(mlp, mlp_data):
    reports = list(agreement_steps(mlp, mlp_data, FEW))
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert done[-1] == reports[-1].total == 14 + len(FEW)
    assert reports[-1].result is not None


def test_refusals(mlp, mlp_data):
    with pytest.raises(UnknownNameError, match="l3"):
        agreement(mlp, mlp_data, ["l3"])
    with pytest.raises(SpecError, match="'magnitude' does not score units"):
        agreement(mlp, mlp_data, ["magnitude"])
    with pytest.raises(SpecError, match="No criterion is named"):
        agreement(mlp, mlp_data, [])
    with pytest.raises(DataError, match="no examples"):
        agreement(mlp, (torch.zeros(0, 12), torch.zeros(0, dtype=torch.long)))
    with pytest.raises(NothingToPruneError, match="BatchNorm"):
        agreement(mlp, mlp_data, ["bn-scale"])  # named, so not silently left out
    with pytest.raises(NothingToPruneError, match="No unit"):
        agreement(torch.nn.Linear(12, 4), labelled((12,), 20, 4))


def test_a_criterion_that_cannot_score_the_network_is_left_out_with_the_reason(mlp, mlp_data):
    found = agreement(mlp, mlp_data)
    assert "BatchNorm" in found.skipped["bn-scale"]
    with pytest.raises(KeyError):
        found["bn-scale"]


def test_public_name():
    assert pv.agreement is agreement
