import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from prunevis.errors import DataError, ModelError, SpecError
from prunevis.evaluation import intervals
from prunevis.evaluation.estimate import (
    AccuracyEstimate,
    Sampler,
    SamplingOrder,
    estimate_accuracy,
    stage_sizes,
)
from prunevis.evaluation.exact import Outcomes, evaluate
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


def test_small_margins_come_first_but_every_stratum_from_the_start():
    data, dense, _ = problem(4, 2000, 0.0)
    reference = evaluate(dense, data).examples
    sampling = SamplingOrder.stratified(reference)
    assert sorted(sampling.order.tolist()) == list(range(2000))
    strata = len(sampling.sizes)
    assert sorted(sampling.stratum[:strata].tolist()) == list(range(strata))
    rates = np.bincount(sampling.stratum[:200], minlength=strata) / sampling.sizes
    nearest, farthest = np.flatnonzero(sampling.known_right)[[0, -1]]
    assert rates[nearest] > 2 * rates[farthest]
    right = reference.correct[sampling.order]
    for h, known in enumerate(sampling.known_right):
        assert bool((right[sampling.stratum == h] == bool(known)).all())


def test_seeds_decide_the_order():
    data, dense, _ = problem(5, 300, 0.0)
    reference = evaluate(dense, data).examples
    first = SamplingOrder.stratified(reference, 0).order
    assert torch.equal(first, SamplingOrder.stratified(reference, 0).order)
    assert not torch.equal(first, SamplingOrder.stratified(reference, 1).order)


@pytest.mark.parametrize("margin", [0.0, torch.inf])
def test_margins_without_information_still_work(margin):
    reference = Outcomes.empty(100)
    reference.margin[:] = margin
    reference.correct[:] = True
    assert sorted(SamplingOrder.stratified(reference).order.tolist()) == list(range(100))


def test_large_inputs_are_gathered_instead_of_copied(monkeypatch):
    data, dense, pruned = problem(6, 200, 1.0)
    baseline = evaluate(dense, data)
    copied = list(estimate_accuracy(pruned, data, baseline=baseline, sizes=(50,)))
    monkeypatch.setattr("prunevis.evaluation.estimate.COPY_BUDGET", 0)
    assert list(estimate_accuracy(pruned, data, baseline=baseline, sizes=(50,))) == copied


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


# A population is what decides coverage: known answers before and after, image by image.

TOTAL = 4000
STAGES = (128, 256, 512, 1024, 2048, 3500)


def population(kind):
    """Return reference outcomes and, for each image, whether a candidate gets it right."""
    rng = np.random.default_rng(0)
    margin = np.where(rng.random(TOTAL) < 0.1, -rng.exponential(2, TOTAL), rng.gamma(2, 3, TOTAL))
    right = margin > 0
    distance = np.abs(margin)
    if kind == "two flips":
        flip = np.isin(np.arange(TOTAL), np.argsort(distance)[[3, 40]])
    elif kind == "class lost":  # whatever the margin
        flip = right & (rng.random(TOTAL) < 0.3)
    else:
        reach, share = {"slight": (0.3, 0.5), "medium": (1.5, 0.5), "ruined": (20.0, 0.9)}[kind]
        flip = rng.random(TOTAL) < share * np.exp(-distance / reach)
    reference = Outcomes.empty(TOTAL)
    reference.margin[:] = torch.from_numpy(margin).float()
    reference.correct[:] = torch.from_numpy(right)
    return reference, right ^ flip


@pytest.mark.parametrize("kind", ["two flips", "slight", "medium", "ruined", "class lost"])
def test_intervals_cover_the_truth(kind):
    """At least 93 % of 2,000 repetitions at every stage; widths near the ideal where it is known.

    The stages draw from each stratum what the fixed order gives it; which images those are is
    random, so the number of flips among them is hypergeometric.
    """
    reference, now = population(kind)
    sampling = SamplingOrder.stratified(reference)
    flipped = reference.correct[sampling.order].numpy() != now[sampling.order.numpy()]
    stratum, strata = sampling.stratum.numpy(), len(sampling.sizes)
    flips = np.bincount(stratum[flipped], minlength=strata)
    truth, rng = now.sum(), np.random.default_rng(1)
    for stage in STAGES:
        seen = np.bincount(stratum[:stage], minlength=strata)
        drawn = np.stack(
            [
                rng.hypergeometric(f, n - f, s, 2000)
                for f, n, s in zip(flips, sampling.sizes, seen, strict=True)
            ],
            axis=1,
        )
        value, low, high = intervals.stratified(drawn, seen, sampling.sizes, sampling.known_right)
        covered = ((low <= truth) & (truth <= high)).mean()
        assert covered >= 0.93, f"{kind}, {stage} images: {covered:.3f}"
        assert value.mean() == pytest.approx(truth, abs=0.01 * TOTAL)
        ideal = 2 * intervals.Z * value.std()
        if kind != "two flips" and ideal > 0.02 * TOTAL:
            assert (high - low).mean() < 1.3 * ideal, f"{kind}, {stage} images"


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_plain_intervals_cover_the_truth(share):
    rng, right = np.random.default_rng(2), round(share * TOTAL)
    for stage in STAGES:
        drawn = rng.hypergeometric(right, TOTAL - right, stage, 2000)
        bounds = {x: intervals.wilson(int(x), stage, population=TOTAL) for x in set(drawn)}
        covered = np.mean([bounds[x][0] <= right / TOTAL <= bounds[x][1] for x in drawn])
        assert covered >= 0.93, f"{share}, {stage} images: {covered:.3f}"
