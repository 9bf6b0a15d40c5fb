"""A share of parameters, bytes or units is met, by the smallest removal that does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_networks import TinyMLP, TinyResidual, seeded

from prunevis.errors import SpecError
from prunevis.graph import cost, trace
from prunevis.pruning import PruningSpec, rank
from prunevis.pruning.targets import Shares, positions_steps
from prunevis.steps import finished

quick = settings(max_examples=40, deadline=None, derandomize=True, database=None)
MLP = trace(seeded(TinyMLP), torch.zeros(1, 12))
RESIDUAL = trace(seeded(TinyResidual), torch.zeros(1, 1, 6, 6))


def ranked(model=None, graph=MLP, **spec):
    return rank(model or seeded(TinyMLP), PruningSpec.make(**spec), graph=graph)


def share_left(plan, of):
    after = cost(plan.graph, plan)
    return {
        "params": after.nonzero_params / after.base_params,
        "macs": after.effective_macs / after.base_macs,
        "bytes": after.bytes / after.base_bytes,
        "sparsity": 1 - plan.achieved_sparsity,
    }[of]


def test_by_hand():
    # 96 + 48 + 24 weights are as many multiply-adds; half of 168 is 84, and 84 of 144 go
    ranking = ranked()
    assert ranking.plan(keep=0.5, of="macs").num_removed == 84
    # of 186 parameters a third may stay, 62: 124 go
    assert ranking.plan(keep=1 / 3, of="params").num_removed == 124
    assert ranking.plan(keep=0.5, of="params").num_removed == 93
    assert ranking.plan(keep=0.25, of="sparsity").num_removed == 108
    assert ranking.plan(keep=1, of="bytes").num_removed == 0
    plan = ranking.plan(keep=0.5, of="macs")
    assert (plan.spec.keep, plan.spec.of) == (0.5, "macs")
    assert plan.spec.sparsity == plan.achieved_sparsity == 84 / 144
    assert ranking.plan(plan.spec.sparsity).removed == plan.removed


def test_units_count_in_every_layer_that_computes_them():
    # `stem` and `conv2` share 6 units, `conv1` has 5: 17 in all
    model = seeded(TinyResidual)
    ranking = ranked(model, RESIDUAL, criterion="l1", granularity="unit")
    shares = Shares(ranking, "units")
    plan = ranking.plan(keep=0.5, of="units")
    stem, conv1 = len(plan.kept["stem"]), len(plan.kept["conv1"])
    assert shares.left(plan) == (2 * stem + conv1) / 17 <= 0.5
    assert shares.least == 3 / 17


def test_a_spec_can_ask_for_it():
    spec = {"keep": 0.5, "of": "macs", "criterion": "l1", "granularity": "unit", "scope": "layer"}
    ranking = ranked(**spec)
    assert ranking.plan().removed == ranking.plan(keep=0.5, of="macs").removed
    assert share_left(ranking.plan(), "macs") <= 0.5
    # an explicit sparsity goes before it
    assert ranking.plan(0.0).num_removed == 0
    assert ranking.plan(0.0).spec.of == "sparsity"


@quick
@given(
    st.sampled_from(["params", "macs", "bytes", "sparsity"]),
    st.floats(0.01, 1),
    st.sampled_from(["layer", "global"]),
    st.sampled_from([
        {}, {"pattern": "1x3"}, {"pattern": "2:4"}, {"layers": {"fc1": 0.25, "fc2": None}},
        {"criterion": "l2", "granularity": "unit"},
        {"criterion": "random", "granularity": "unit", "multiple_of": 2},
    ]),
    st.integers(0, 99),
)  # fmt: skip
def test_it_is_the_smallest_removal_that_meets_it(of, keep, scope, spec, seed):
    model = seeded(TinyMLP, seed)
    with torch.no_grad():
        model.fc1.weight[0] = 0
    ranking = ranked(model, scope=scope, seed=seed, **spec)
    everything = [ranking.plan(k / 2880) for k in range(2880)]
    fits = [plan for plan in everything if share_left(plan, of) <= keep + 1e-12]
    if not fits:
        with pytest.raises(SpecError, match="cannot be kept"):
            ranking.plan(keep=keep, of=of)
        return
    plan = ranking.plan(keep=keep, of=of)
    assert share_left(plan, of) <= keep + 1e-12
    assert plan.removed == min(fits, key=lambda p: p.num_removed).removed


@quick
@given(st.sampled_from(["params", "macs", "bytes", "units"]), st.sampled_from(["layer", "global"]))
def test_positions_of_a_slider(of, scope):
    ranking = ranked(criterion="l1", granularity="unit", scope=scope)
    shares = Shares(ranking, of)
    found = finished(positions_steps(shares, [k / 50 for k in range(50)]))
    assert found[0] == (0.0, 0.0)
    for share, sparsity in found:
        # at the very end no more can go
        assert shares.left(ranking.plan(sparsity)) <= 1 - share + 1e-9
    asked = [share for share, _ in found]
    assert asked == sorted(asked)
    assert asked[-1] == pytest.approx(1 - shares.least, abs=5e-4)
    assert [s for _, s in found] == sorted(s for _, s in found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 0.0}, "above 0 and at most 1"),
        ({"keep": "half"}, "above 0 and at most 1"),
        ({"keep": float("nan")}, "above 0 and at most 1"),
        ({"keep": 0.5, "of": "flowers"}, r"nothing called 'flowers'.*sparsity, units, params"),
        ({"keep": 0.5, "of": "units"}, "Single weights leave all units in place"),
        ({"keep": 0.01, "of": "macs"}, r"As little as 0\.01 of the multiply-adds.*at least 0\.15"),
        ({"sparsity": 0.5, "keep": 0.5}, "takes one of sparsity, amount and keep"),
        ({"of": "macs"}, "Nothing says how much of the macs"),
    ],
)
def test_shares_that_cannot_be_met(options, message):
    with pytest.raises(SpecError, match=message):
        ranked().plan(**options)


def test_specs_are_checked_too():
    with pytest.raises(SpecError, match="above 0 and at most 1"):
        PruningSpec.make(keep=2)
    with pytest.raises(SpecError, match="nothing called"):
        PruningSpec.make(of=["macs"])
