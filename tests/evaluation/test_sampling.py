import numpy as np
import pytest

from prunevis.errors import DataError
from prunevis.evaluation.estimate import Sampler
from prunevis.evaluation.references import Reference
from prunevis.evaluation.sampling import FlipDesign, Strata, ladder, next_plan, neyman
from prunevis.evaluation.tallies import Course, FlipTally, PlainTally


def reference(total=2000, seed=0):
    rng = np.random.default_rng(seed)
    margin = rng.normal(3, 3, total).astype(np.float32)
    return Reference(margin > 0, margin)


def test_a_ladder_doubles():
    parts = ladder(np.arange(1600), 4)
    assert [len(p) for p in parts] == [200, 200, 400, 800]
    assert np.concatenate(parts).tolist() == list(range(1600))
    assert [len(p) for p in ladder(np.arange(100), 9)] == [25, 25, 50]
    assert [len(p) for p in ladder(np.arange(3), 9)] == [3]
    assert ladder(np.arange(0), 9) == []


def test_plans_are_made_at_fixed_counts():
    assert [next_plan(n) for n in (0, 63, 64, 255, 256)] == [64, 64, 256, 256, 1024]


def test_neyman_by_hand():
    # even, 40 %: 1/4 and 3/4; size times deviation: 100 × 0.3 and 300 × 0.1, half each
    assert neyman(np.array([100, 300]), np.array([0.3, 0.1])) == pytest.approx(
        [0.4 * 0.25 + 0.6 * 0.5, 0.4 * 0.75 + 0.6 * 0.5]
    )
    assert neyman(np.array([100, 300]), np.zeros(2)) == pytest.approx([0.25, 0.75])


def test_what_is_due_keeps_to_the_rates_and_waits_for_strata_that_were_behind():
    strata = Strata.of([np.arange(100), np.arange(100, 400)], 0)
    assert sorted(strata.order.tolist()) == list(range(400))
    images, stratum = strata.due(np.zeros(2), np.array([0.5, 0.5]), 40)
    assert np.bincount(stratum).tolist() == [20, 20]
    assert sorted(stratum[:4]) == [0, 0, 1, 1]  # two of each at once
    assert ((images >= 100) == (stratum == 1)).all()
    more, stratum = strata.due(np.array([20, 20]), np.array([0.25, 0.75]), 40)
    assert np.bincount(stratum, minlength=2).tolist() == [0, 40]
    assert not set(more.tolist()) & set(images.tolist())


def test_small_margins_are_run_more_often_and_no_stratum_is_left_out():
    design = FlipDesign.of(reference(), 0)
    tally = FlipTally(design)
    for images in tally.batches(200):
        unchanged = design.reference
        tally.record(unchanged.right[images], unchanged.margin[images])
    assert tally.seen == 200
    assert (tally.drawn >= 2).all()
    rates = tally.drawn / design.strata.sizes
    right = np.flatnonzero(design.sign < 0)
    assert rates[right[0]] > 5 * rates[right[-1]]


def test_several_tallies_run_the_same_images():
    design = FlipDesign.of(reference(), 0)
    still, moved = FlipTally(design), FlipTally(design)
    course = Course([still, moved])
    seen = []
    while course.seen < 500:
        images = course.take(min(100, 500 - course.seen))
        seen += images.tolist()
        margin = design.reference.margin[images]
        still.record(margin > 0, margin)
        moved.record(margin > 3, margin - 3)
    assert still.seen == moved.seen == 500
    assert len(set(seen)) == 500
    assert (still.drawn == moved.drawn).all()


def test_what_was_taken_may_be_recorded_at_once_until_the_next_plan():
    design = FlipDesign.of(reference(), 0)
    one, other = FlipTally(design), FlipTally(design)
    single, many = Course([one]), Course([other])
    planned = []
    while many.seen < 300:
        if many.plans_within(20):
            planned.append(many.seen)
            images = other.newest[0]
            if len(images):
                margin = design.reference.margin[images] - 2
                other.record(margin > 0, margin)
        images = single.take(20)
        margin = design.reference.margin[images] - 2
        one.record(margin > 0, margin)
        assert many.take(20).tolist() == images.tolist()
    images = other.newest[0]
    margin = design.reference.margin[images] - 2
    other.record(margin > 0, margin)
    assert planned == [0, 64, 256]
    assert other.seen == one.seen
    assert (other.drawn == one.drawn).all()
    assert (other.flips == one.flips).all()
    np.testing.assert_allclose(other.change, one.change)
    assert not len(other.newest[0])


def test_a_plain_sample_is_planned_once():
    tally = PlainTally(Strata.of([np.arange(500)], 0))
    course = Course([tally])
    while course.seen < 500:
        assert not course.plans_within(100, across=True)
        course.take(100)
    tally.record(np.ones(500, dtype=bool), np.ones(500))
    assert tally.seen == tally.right == 500


def test_flips_are_anticipated_from_how_far_margins_moved():
    design = FlipDesign.of(reference(), 0)
    seen = np.full(len(design.sign), 20.0)
    still, far = (
        design.expected(seen, np.zeros_like(seen), seen * move**2) for move in (0.01, 10.0)
    )
    right = design.sign < 0
    assert still[right][-1] < 1e-6
    assert (far[right] > 0.2).all()
    assert (np.diff(still[right]) <= 0).all()  # larger margins flip less often
    # all margins moved by 20 the wrong way: nearly all answers flip
    lost = design.expected(seen, seen * 30, seen * 900.1)
    assert lost.min() > 0.9


def test_between_interpolates_margins_and_knows_its_scale():
    low = Reference(np.array([True, True, False]), np.array([1.0, 2.0, -1.0], dtype=np.float32))
    high = Reference(np.array([True, False, False]), np.array([3.0, -2.0, -1.0], dtype=np.float32))
    found = Reference.between(low, high, 0.25)
    assert found.margin.tolist() == [1.5, 1.0, -1.0]
    assert found.right.tolist() == [True, True, False]
    apart = np.sqrt((4 + 16 + 0) / 3)
    assert found.scale == pytest.approx(0.7 * apart * np.sqrt(0.25 * 0.75))


def test_models_that_disagree_on_most_are_not_mixed():
    low = Reference(np.ones(4, dtype=bool), np.ones(4, dtype=np.float32))
    high = Reference(np.zeros(4, dtype=bool), -np.ones(4, dtype=np.float32))
    assert Reference.between(low, high, 0.6).right.tolist() == [False] * 4
    assert Reference.between(low, high, 0.3).margin.tolist() == [1.0] * 4


def test_nearest_takes_both_sides_or_the_two_nearest_of_one():
    def at(margin):
        return Reference(np.array([margin > 0]), np.array([margin], dtype=np.float32))

    known = {0.0: at(9.0), 0.4: at(5.0), 0.6: at(3.0), 0.9: at(-1.0)}
    assert Reference.nearest(0.5, known).margin.tolist() == pytest.approx([4.0])
    assert Reference.nearest(0.6, known) is known[0.6]
    last = Reference.nearest(0.975, known)
    assert last.margin.tolist() == [-1.0]
    assert last.scale == pytest.approx(4.0 * np.sqrt(0.075 / 0.3))
    assert Reference.nearest(0.2, {0.0: known[0.0]}).scale is None


def test_a_reference_of_other_data_is_refused():
    import torch

    data = (torch.zeros(5, 1), torch.zeros(5, dtype=torch.int64))
    with pytest.raises(DataError, match=r"measured on other data.*5 examples.*Got: 3"):
        Sampler(data, reference(3))
