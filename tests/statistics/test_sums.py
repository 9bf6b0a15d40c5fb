"""The sums over what one layer answers, fed by hand: no model is needed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunevis.errors import NonFiniteError
from prunevis.graph.layers import LayerInfo
from prunevis.statistics import sums
from prunevis.statistics.sums import LayerSums


def layer(units, activation="relu"):
    return LayerInfo(
        "a", "Linear", "a.weight", None, (units, 3), units, 1, 1, 1,
        None, (), (), activation, False, None, None,
    )  # fmt: skip


def collect(answers, *, batch=2, num_top=9, correlation=True, activation="relu"):
    found = LayerSums(layer(answers.shape[1], activation), num_top, correlation, seed=0)
    for start in range(0, len(answers), batch):
        part = answers[start : start + batch]
        found.add(part, torch.arange(start, start + len(part)))
    return found.result()


def test_by_hand():
    # three examples, two units, two positions
    answers = torch.tensor([[[0, 1], [0, 0]], [[2, 0], [0, 0]], [[3, 0], [0, 6]]]).float()
    found = collect(answers)
    assert found.mean.tolist() == [1.0, 1.0]
    assert found.rms.tolist() == pytest.approx([(14 / 6) ** 0.5, 6**0.5])
    assert found.std.tolist() == pytest.approx([(14 / 6 - 1) ** 0.5, 5**0.5])
    assert found.mean_magnitude.tolist() == [1.0, 1.0]
    assert found.maximum.tolist() == [3.0, 6.0]
    assert found.zero_share.tolist() == pytest.approx([3 / 6, 5 / 6])
    assert found.exact_zeros
    assert found.top_examples.tolist() == [[2, 1, 0], [2, 0, 1]]  # a tie: the one seen first
    assert found.top_values.tolist() == [[3.0, 2.0, 1.0], [6.0, 0.0, 0.0]]
    assert (found.num_examples, found.positions, found.num_units) == (3, 2, 2)
    assert not found.dead.any()


def test_dead_units_are_told_apart():
    answers = torch.zeros(200, 3, 1)
    answers[7, 1], answers[:, 2] = 1.0, 1.0
    found = collect(answers, batch=64)
    assert found.never_fires.tolist() == [True, False, False]
    assert found.dead.tolist() == [True, True, False]  # once in 200 is almost never
    assert found.constant.tolist() == [True, False, True]


@pytest.mark.parametrize("activation", ["gelu", None])
def test_without_exact_zeros_small_answers_count_as_zero(activation):
    answers = torch.tensor([1.0, -1.0, 0.001, -0.001, 0.5, -2.0]).reshape(6, 1, 1)
    found = collect(answers, batch=6, activation=activation)
    assert not found.exact_zeros
    assert found.zero_share.tolist() == pytest.approx([2 / 6])
    assert found.mean_magnitude.item() == pytest.approx(4.502 / 6)


def test_a_relu_is_recognised_by_its_answers():
    assert collect(torch.tensor([0.0, 2.0]).reshape(2, 1, 1), activation=None).exact_zeros
    assert collect(torch.tensor([1.0, 2.0]).reshape(2, 1, 1), activation="relu").exact_zeros
    assert not collect(torch.tensor([0.1, 0.9]).reshape(2, 1, 1), activation="sigmoid").exact_zeros


def test_correlation_agrees_with_numpy_even_at_a_large_mean():
    generator = torch.Generator().manual_seed(3)
    base = torch.randn(50, 5, 4, generator=generator, dtype=torch.float64)
    base[:, 1] = 0.7 * base[:, 0] + 0.3 * base[:, 1]
    answers = base + 1e5
    found = collect(answers, batch=7)
    expected = np.corrcoef(base.transpose(0, 1).reshape(5, -1).numpy())
    np.testing.assert_allclose(found.correlation.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(found.std, base.transpose(0, 1).reshape(5, -1).numpy().std(1), 1e-7)


def test_constant_units_correlate_with_nothing():
    answers = torch.rand(20, 3, 1, generator=torch.Generator().manual_seed(0))
    answers[:, 1] = 0.1  # 0.1 is no binary fraction: only rounding varies
    found = collect(answers, batch=3)
    assert found.constant.tolist() == [False, True, False]
    assert found.correlation[1].tolist() == [0.0, 1.0, 0.0]
    assert found.correlation[0, 2] != 0


def test_units_that_differ_by_rounding_alone_are_constant():
    noise = torch.rand(40, 2, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = collect(0.1 + noise * torch.tensor([1e-8, 1e-5])[:, None])
    assert found.constant.tolist() == [True, False]


def test_answers_are_not_changed():
    answers = torch.rand(6, 2, 3, dtype=torch.float64)  # already of the dtype of the sums
    before = answers.clone()
    collect(answers)
    assert torch.equal(answers, before)


def test_opposite_and_equal_units_reach_plus_and_minus_one():
    answers = torch.rand(30, 1, 1, generator=torch.Generator().manual_seed(0))
    found = collect(torch.cat([answers, 3 * answers + 1, 5 - answers], dim=1))
    torch.testing.assert_close(
        found.correlation, torch.tensor([[1.0, 1, -1], [1, 1, -1], [-1, -1, 1]])
    )


def test_positions_are_sampled_when_there_are_many(monkeypatch):
    answers = torch.rand(6, 2, 50, generator=torch.Generator().manual_seed(0))
    whole = collect(answers)
    monkeypatch.setattr(sums, "MAX_POSITIONS", 20)
    part = collect(answers)
    assert torch.equal(part.mean, whole.mean)  # only the correlation is sampled
    assert not torch.equal(part.correlation, whole.correlation)
    assert torch.equal(part.correlation, collect(answers).correlation)
    torch.testing.assert_close(part.correlation, collect(answers, batch=5).correlation)


def test_no_correlation_comes_with_a_reason(monkeypatch):
    found = collect(torch.ones(3, 2, 1), correlation=False)
    assert found.correlation is None
    assert "not asked for" in found.correlation_reason
    assert found.constant.all()
    wide = collect(torch.ones(1, 2049, 1))
    assert wide.correlation is None
    assert "2,049 units is too large" in wide.correlation_reason


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_answers_that_are_not_finite_are_refused(bad):
    answers = torch.ones(4, 3, 2)
    answers[1, 2, 0] = bad
    with pytest.raises(NonFiniteError, match=r"NaN or infinity\. Got: 1 of 3 units\. Where: a"):
        collect(answers)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 4), st.integers(1, 9))
def test_batches_do_not_matter_and_units_may_be_permuted(seed, count, units, batch):
    generator = torch.Generator().manual_seed(seed)
    answers = torch.randn(count, units, 3, generator=generator).relu()
    one, many = collect(answers, batch=count), collect(answers, batch=batch)
    order = torch.randperm(units, generator=generator)
    permuted = collect(answers[:, order], batch=batch)
    for name in ("mean", "std", "rms", "mean_magnitude", "maximum", "zero_share", "top_values"):
        torch.testing.assert_close(getattr(many, name), getattr(one, name))
        torch.testing.assert_close(getattr(permuted, name), getattr(many, name)[order])
    assert torch.equal(one.top_examples, many.top_examples)
    torch.testing.assert_close(one.correlation, many.correlation)
    torch.testing.assert_close(permuted.correlation, many.correlation[order][:, order])
    assert many.top_examples.shape == (units, min(9, count))
