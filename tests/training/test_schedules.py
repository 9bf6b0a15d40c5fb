"""Schedules as data: what their timelines say, computed by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunevis.errors import SpecError, UnknownNameError
from prunevis.training import SCHEDULES, make_schedule
from prunevis.training.schedules import Event, Phase, Timeline


def test_one_shot_prunes_before_the_first_step():
    line = make_schedule("one-shot", epochs=2.0).timeline(0.9, 10, 100)
    assert line.events == (Event(0, 0.9, "Pruned at once"),)
    assert line.phases == (Phase(0, 20, "Fine-tuning"),)


def test_iterative_rounds_take_the_same_share_of_what_is_left():
    line = make_schedule("iterative", rounds=2, epochs=1.0).timeline(0.75, 10, 100)
    assert [(e.step, e.sparsity) for e in line.events] == [(0, 0.5), (10, 0.75)]
    linear = make_schedule("iterative", rounds=3, spacing="linear").timeline(0.75, 10, 100)
    assert [e.sparsity for e in linear.events] == [0.25, 0.5, 0.75]


def test_cubic_is_the_formula_of_zhu_and_gupta():
    made = make_schedule("cubic", epochs=1.0, begin=0.0, end=1.0, frequency=25, initial=0.2)
    line = made.timeline(0.8, 100, 1000)
    assert [e.step for e in line.events] == [0, 25, 50, 75, 100]
    by_hand = [0.2, 0.8 - 0.6 * 27 / 64, 0.8 - 0.6 / 8, 0.8 - 0.6 / 64, 0.8]
    assert [e.sparsity for e in line.events] == pytest.approx(by_hand)


def test_the_last_event_of_cubic_is_at_the_end_whatever_the_frequency():
    line = make_schedule("cubic", epochs=1.0, end=0.5, frequency=30).timeline(0.8, 100, 1000)
    assert [e.step for e in line.events] == [30, 50]
    assert line.final == 0.8


def test_unit_by_unit_takes_one_every_few_steps():
    made = make_schedule("unit-by-unit", updates=3, units=1, epochs=1.0)
    line = made.timeline(0.3, 10, 10)
    assert [e.step for e in line.events] == [0, 3, 6]
    assert [e.sparsity for e in line.events] == pytest.approx([0.1, 0.2, 0.3])
    assert line.phases == (Phase(0, 9, "Removing", end=0.0), Phase(9, 19, "Fine-tuning"))


def test_lottery_rewinds_and_its_control_draws_anew():
    line = make_schedule("lottery", rounds=2, epochs=1.0, rewind=0.5).timeline(0.75, 10, 100)
    assert line.untrained
    assert line.saved_at == 5
    assert [(e.step, e.sparsity, e.reset) for e in line.events] == [
        (10, 0.5, "rewind"),
        (15, 0.75, "rewind"),
    ]
    assert line.steps == 20
    # the rate goes on where it was at step k
    assert [phase.position(phase.first) for phase in line.phases] == [0.0, 0.5, 0.5]
    control = make_schedule("lottery", rounds=2, control=True).timeline(0.75, 10, 100)
    assert [e.reset for e in control.events] == ["rewind", "fresh"]


def test_rate_rewinding_replays_the_end_of_the_rates():
    made = make_schedule("rate-rewinding", rounds=1, epochs=1.0, replay=0.25, factor=10.0)
    phase = made.timeline(0.5, 100, 10).phases[0]
    assert (phase.rate, phase.position(0), phase.position(50)) == (10.0, 0.75, 0.875)


def test_drawn_points_are_put_in_order_and_never_fall():
    made = make_schedule("drawn", epochs=1.0, points=((0.5, 0.2), (0.0, 0.6), (0.9, 0.9)))
    line = made.timeline(0.5, 10, 100)
    assert [(e.step, e.sparsity) for e in line.events] == [(0, 0.3), (5, 0.3), (9, 0.5)]


@given(
    st.sampled_from(sorted(SCHEDULES)),
    st.floats(0.0, 0.999),
    st.integers(1, 500),
    st.integers(1, 400),
)
def test_every_schedule_ends_where_it_was_asked_to(name, sparsity, per_epoch, prunable):
    made = SCHEDULES[name]()
    line = made.timeline(sparsity, per_epoch, prunable)
    sizes = [e.sparsity for e in line.events]
    assert sizes == sorted(sizes)
    if sparsity * prunable >= 1:
        assert line.final == sparsity
        assert line.sparsity(line.steps) == sparsity
    corners = line.curve()
    assert corners[0] == (0, 0.0)
    assert corners[-1] == (line.steps, line.final)
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(corners))
    assert made.label
    assert made.summary
    assert made.source


@pytest.mark.parametrize(
    ("phases", "events", "match"),
    [
        ((Phase(1, 2, "late"),), (), "without a gap"),
        ((Phase(0, 2, "one"), Phase(3, 4, "two")), (), "without a gap"),
        ((Phase(0, 2, "one"),), (Event(3, 0.5, "after the end"),), "outside of the steps"),
        ((Phase(0, 2, "one"),), (Event(1, 0.5, "a"), Event(0, 0.6, "b")), "before the event"),
        ((Phase(0, 2, "one"),), (Event(0, 0.5, "a"), Event(1, 0.4, "b")), "never falls"),
        ((Phase(0, 2, "one"),), (Event(0, 1.0, "all"),), "below 1"),
    ],
)
def test_timelines_are_checked(phases, events, match):
    with pytest.raises(SpecError, match=match):
        Timeline(phases, events)


@pytest.mark.parametrize(
    ("name", "fields", "match"),
    [
        ("iterative", {"rounds": 0}, "`rounds` is a whole number from 1 to 100"),
        ("iterative", {"rounds": 2.5}, "`rounds` is a whole number"),
        ("iterative", {"spacing": "cubic"}, "exponential, linear"),
        ("iterative", {"turns": 3}, "no field 'turns'"),
        ("cubic", {"begin": 1.5}, "`begin` is a number from 0 to 1"),
        ("cubic", {"epochs": float("nan")}, "`epochs` is a number"),
        ("lottery", {"control": "yes"}, "`control` is True or False"),
        ("drawn", {"points": ((0.0, 2.0),)}, "pairs of numbers"),
        ("drawn", {"points": ()}, "1 to 200 pairs"),
    ],
)
def test_fields_are_checked(name, fields, match):
    with pytest.raises(SpecError, match=match):
        make_schedule(name, **fields)


def test_unknown_schedules_are_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'lottery'"):
        make_schedule("lotery")
    with pytest.raises(SpecError, match="a name or a Schedule"):
        make_schedule(3)  # pyright: ignore[reportArgumentType]
