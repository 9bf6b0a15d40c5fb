"""A repair in a session: seen beside deletion, collected once, checked."""

import pytest
import torch
from tiny_networks import seeded
from torch import nn

from prunevis.app.views import controls, curve
from prunevis.errors import SpecError
from prunevis.evaluation import evaluate
from prunevis.pruning import candidate
from prunevis.session import mending
from prunevis.session.mending import deleted


@pytest.fixture
def opened(driver, residual, residual_data):
    driver.open(residual, residual_data)
    driver.controller.choose("granularity", "unit")
    driver.controller.choose("scope", "layer")
    driver.run()
    return driver


def exactly(driver, table, index):
    plan = table.ranking.plan(table.sparsity[index])
    model = driver.stage.model
    return evaluate(candidate(model, plan), driver.session.network.data).accuracy


def test_deletion_and_repair_are_both_measured(opened):
    session, control = opened.session, opened.controller
    assert session.curve.deleted == ()
    before = session.curve.estimates
    control.move(0.4)
    control.choose("repair", "least-squares")
    opened.run()
    table = session.table
    assert table.setting.repair == "least-squares"
    assert table.ranking.spec.repair == "least-squares"
    # what was known of deletion is not measured again, and stands beside
    assert [e.value for e in session.curve.deleted] == [e.value for e in before]
    for index in (0, 40, 70):
        assert session.curve.estimates[index].value == exactly(opened, table, index)
        plain = deleted(table)
        assert session.curve.deleted[index].value == exactly(opened, plain, index)
    assert session.curve.known == len(table.sparsity)
    slice_ = curve(session)
    assert slice_["deleted"][40] == session.curve.deleted[40].value
    assert slice_["deleted_exact"][40] == 1
    control.choose("repair", "none")
    opened.run()
    assert [e.value for e in session.curve.estimates] == [e.value for e in before]
    assert curve(session)["deleted"] == []


def test_what_layers_read_is_collected_once(opened, monkeypatch):
    calls = []
    steps = mending.collect_steps
    monkeypatch.setattr(mending, "collect_steps", lambda *a, **k: calls.append(1) or steps(*a, **k))
    for repair in ("mean", "least-squares", "none", "noiseout", "merge", "batchnorm"):
        opened.controller.choose("repair", repair)
        opened.run()
        assert opened.session.problem is None
        assert opened.session.table.setting.repair == repair
    assert len(calls) == 1
    assert opened.session.status.text == "Exact here. Every position is measured."


def test_what_cannot_be_mended_is_said(opened):
    opened.controller.choose("repair", "mean")
    opened.run()
    assert opened.session.table.refusals == ()
    # a stem without BatchNorm of its own: the constant has nowhere to go
    shown = controls(opened.session)
    assert shown["repair"] == "mean"
    assert shown["repair_notes"] == []
    assert [one["name"] for one in shown["repairs"]] == [
        "none", "mean", "merge", "noiseout", "least-squares", "batchnorm",
        "least-squares-batchnorm",
    ]  # fmt: skip


def test_reasons_reach_the_page(driver, residual_data):

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(1, 6, 3, bias=False)
            self.b = nn.Conv2d(6, 5, 3, bias=False)
            self.fc = nn.Linear(5, 4)

        def forward(self, x):
            return self.fc(torch.relu(self.b(torch.relu(self.a(x)))).mean((2, 3)))

    driver.open(seeded(Plain), residual_data)
    driver.controller.choose("granularity", "unit")
    driver.controller.choose("repair", "mean")
    driver.run()
    (note,) = controls(driver.session)["repair_notes"]
    assert note.startswith("b is only pruned: b has neither a bias nor a BatchNorm of its own")
    with pytest.raises(SpecError, match="no BatchNorm with running statistics"):
        driver.controller.choose("repair", "batchnorm")


def test_a_repair_that_does_not_fit_is_left(opened):
    control, session = opened.controller, opened.session
    control.choose("repair", "least-squares")
    control.choose("granularity", "weight")
    assert session.setting.repair == "none"
    control.choose("repair", "obs")
    opened.run()
    assert session.problem is None
    assert session.curve.known == len(session.table.sparsity)
    control.choose("granularity", "unit")
    assert session.setting.repair == "none"


@pytest.mark.parametrize("forged", [None, 3, "glue", "obs", ["none"], {"a": 1}, "x" * 10_000])
def test_forged_names_are_refused(opened, forged):
    with pytest.raises(SpecError, match=r"There is no repair|cannot be used here"):
        opened.controller.choose("repair", forged)
    assert opened.session.setting.repair == "none"


def test_applying_keeps_what_was_repaired(opened):
    control, session = opened.controller, opened.session
    control.choose("repair", "least-squares")
    control.move(0.4)
    opened.run()
    shown = session.curve.estimates[session.table.index(0.4)].value
    control.apply()
    opened.run()
    assert session.problem is None
    assert opened.stage.label.endswith(", repaired: Least squares")
    assert opened.stage.baseline.accuracy == shown
    # the next repair reads the network as it is now
    assert session.curve.known == len(session.table.sparsity)
    assert session.setting.repair == "least-squares"


def test_weights_are_applied_with_their_repair(opened):
    control, session = opened.controller, opened.session
    control.choose("granularity", "weight")
    control.choose("repair", "mean")
    control.move(0.6)
    opened.run()
    shown = session.curve.estimates[session.table.index(0.6)].value
    control.apply()
    opened.run()
    assert session.problem is None
    assert opened.stage.baseline.accuracy == shown
