import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from prunevis.errors import DataError, ModelError, SpecError
from prunevis.evaluation.estimate import (
    AccuracyEstimate,
    Sampler,
    estimate_accuracy,
    stage_sizes,
)
from prunevis.evaluation.exact import evaluate
from prunevis.evaluation.inference import BatchSizer


class Table(nn.Module):
    """A model that looks its logits up: example i has the input i."""

    def __init__(self, logits):
        super().__init__()
        self.register_buffer("logits", logits)
        self.calls = []

    def forward(self, x):
        self.calls.append(x[:, 0].long().tolist())
        return self.logits[x[:, 0].long()]


def problem(seed, total, damage, classes=3):
    """Return data, a reference model, and one whose logits differ by noise of size `damage`."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, classes, (total,), generator=generator)
    logits = torch.randn(total, classes, generator=generator)
    logits[torch.arange(total), targets] += 2.5
    noise = torch.randn(total, classes, generator=generator) * damage
    data = (torch.arange(total).float()[:, None], targets)
    return data, Table(logits), Table(logits + noise)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 1000),
    st.integers(1, 400),
    st.sampled_from([0.0, 0.1, 1.0, 10.0]),
    st.booleans(),
)
def test_every_estimate_extends_the_last_and_ends_exact(seed, total, damage, paired):
    data, dense, pruned = problem(seed, total, damage)
    baseline = evaluate(dense, data) if paired else None
    sizes = (1, 5, 20, 128, 300)
    found = list(estimate_accuracy(pruned, data, baseline=baseline, sizes=sizes, seed=seed))
    assert [e.seen for e in found] == [*(s for s in sizes if s < total), total]
    for estimate in found:
        assert 0.0 <= estimate.low <= estimate.value <= estimate.high <= 1.0
        assert estimate.total == total
        assert estimate.exact == (estimate.seen == total)
    ran = [i for call in pruned.calls for i in call]
    assert sorted(ran) == list(range(total))  # each image once, none again
    exact = evaluate(pruned, data).accuracy
    assert found[-1].low == found[-1].value == found[-1].high == exact


def test_images_do_not_depend_on_the_stages():
    data, dense, pruned = problem(1, 500, 1.0)
    baseline = evaluate(dense, data)
    coarse = list(estimate_accuracy(pruned, data, baseline=baseline, sizes=(300,)))
    fine = list(estimate_accuracy(pruned, data, baseline=baseline, sizes=(7, 100, 300)))
    assert coarse[0] == fine[2]


def test_the_stream_gives_the_whole_evaluation_in_the_order_of_the_data():
    data, dense, pruned = problem(2, 300, 1.0)
    stream = Sampler(data, evaluate(dense, data)).stream(pruned)
    with pytest.raises(SpecError, match="not complete"):
        stream.evaluation()
    while not stream.done:
        stream.step()
    expected = evaluate(pruned, data)
    got = stream.evaluation()
    assert torch.equal(got.examples.correct, expected.examples.correct)
    assert torch.equal(got.examples.margin, expected.examples.margin)
    assert (got.accuracy, got.per_class) == (expected.accuracy, expected.per_class)
    assert stream.step() == AccuracyEstimate(
        got.accuracy, got.accuracy, got.accuracy, 300, 300, True
    )


def test_no_change_is_estimated_as_the_reference_with_room_for_doubt():
    data, dense, _ = problem(3, 4000, 0.0)
    baseline = evaluate(dense, data)
    first = next(estimate_accuracy(dense, data, baseline=baseline))
    assert first.seen == 128
    assert first.value == pytest.approx(baseline.accuracy)
    assert first.low < first.value < first.high
    assert first.half_width < 0.02
    plain = next(estimate_accuracy(dense, data))
    assert plain.half_width > 2 * first.half_width


def test_seeds_decide_the_order():
    data, dense, pruned = problem(5, 300, 0.0)
    baseline = evaluate(dense, data)

    def ran(seed):
        pruned.calls.clear()
        next(estimate_accuracy(pruned, data, baseline=baseline, sizes=(50,), seed=seed))
        return [i for call in pruned.calls for i in call]

    first = ran(0)
    assert ran(0) == first
    assert ran(1) != first


@pytest.mark.parametrize("margin", [0.0, torch.inf])
def test_margins_without_information_still_work(margin):
    data, _, pruned = problem(5, 100, 0.0)
    baseline = evaluate(pruned, data)
    baseline.examples.margin[:] = margin
    *_, last = estimate_accuracy(pruned, data, baseline=baseline, sizes=(10, 70))
    assert last.value == baseline.accuracy


def test_a_finished_stream_is_a_reference_for_the_next():
    data, dense, pruned = problem(6, 1000, 0.3)
    stream = Sampler(data, evaluate(dense, data)).stream(pruned)
    while not stream.done:
        stream.step()
    first = next(estimate_accuracy(pruned, data, baseline=stream.evaluation()))
    assert first.value == pytest.approx(stream.evaluation().accuracy)
    far = next(estimate_accuracy(pruned, data, baseline=evaluate(dense, data)))
    assert first.half_width < far.half_width / 2


def test_steps_keep_to_the_batch_size():
    data, dense, pruned = problem(7, 300, 1.0)
    stream = Sampler(data, evaluate(dense, data), sizer=BatchSizer(first=10)).stream(pruned)
    assert stream.step().seen == 10
    assert stream.step(3).seen == 13


def test_stage_sizes():
    assert stage_sizes(1000) == (128, 256, 512, 1000)
    assert stage_sizes(100) == (100,)
    assert stage_sizes(1000, (500, 10, 5000)) == (10, 500, 1000)
    with pytest.raises(SpecError, match="whole number from 1"):
        stage_sizes(10, (0,))


def test_errors():
    data, dense, pruned = problem(8, 100, 1.0)
    other = evaluate(dense, (data[0][:50], data[1][:50]))
    with pytest.raises(DataError, match=r"measured on other data.*100 examples.*Got: 50"):
        estimate_accuracy(pruned, data, baseline=other)
    with pytest.raises(ModelError, match="forward raised"):
        next(estimate_accuracy(nn.Linear(9, 3), data))
