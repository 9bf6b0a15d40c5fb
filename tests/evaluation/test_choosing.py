"""Choosing how to run: by turns, the simplest first, and again while working."""

from types import SimpleNamespace

import pytest
import torch

from prunevis.evaluation import choosing, pace
from prunevis.evaluation.choosing import Way, choose_steps
from prunevis.evaluation.pace import Pace
from prunevis.steps import finished


class Clock:
    """Time that passes only when something is run."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (choosing, pace):
        times = SimpleNamespace(perf_counter=clock, thread_time=clock)
        monkeypatch.setattr(module, "time", times)
    return clock


def chosen(clock, seconds, *, count=10_000, layouts=True, options=(1, 2)):
    """Return the way chosen where a batch in `way` takes ``seconds(way)``."""
    tried = []

    def run_of(way):
        tried.append(way)
        if seconds(way) is None:
            return None

        def run():
            assert torch.get_num_threads() == way.threads
            clock.now += seconds(way)

        return run

    return (*finished(choose_steps(run_of, options, count, layouts=layouts)), tried)


def test_the_fastest_way_wins(clock):
    def seconds(way):
        each = 4e-5 * (0.5 if way.channels_last else 1) * (0.8 if way.faster else 1)
        return 1e-3 + way.batch * each / way.threads

    way, usual, _ = chosen(clock, seconds)
    # 512 images of 8e-6 s are within a step, and the fixed millisecond counts least
    assert way == Way(channels_last=True, faster=True, threads=2, batch=512)
    assert usual == pytest.approx(1e-3 + 512 * 8e-6)


def test_a_gain_that_could_be_noise_changes_nothing(clock):
    def seconds(way):
        return way.batch * 1e-4 * (0.97 if way.channels_last or way.faster else 1)

    way, *_ = chosen(clock, seconds)
    assert (way.channels_last, way.faster, way.threads) == (False, False, 1)


def test_a_way_that_cannot_run_is_never_taken(clock):
    way, _, tried = chosen(clock, lambda way: None if way.channels_last else way.batch * 1e-4)
    assert not way.channels_last
    assert any(other.channels_last for other in tried)


def test_batches_stay_within_a_step_and_the_examples(clock):
    way, _, tried = chosen(clock, lambda way: 0.2 * way.batch)
    assert {other.batch for other in (way, *tried)} == {1}
    way, _, tried = chosen(clock, lambda way: 1e-6 * way.batch, count=40)
    assert max(other.batch for other in tried) <= 40
    assert chosen(clock, lambda way: 1e-6, count=1)[0].batch == 1


def test_no_other_layout_where_weights_may_not_be_copied(clock):
    *_, tried = chosen(clock, lambda way: way.batch * 1e-4, layouts=False)
    assert not any(way.channels_last for way in tried)


def steps(found, clock, seconds, kinds, count):
    """Run `count` rounds of steps of some kinds; the number of threads of each."""
    used = []
    for _ in range(count):
        for kind in kinds:
            with found.step(kind):
                used.append(torch.get_num_threads())
                clock.now += seconds(kind, used[-1])
    return used


def test_more_threads_are_taken_where_they_win(clock):
    found = Pace((1, 2), 1)
    steps(found, clock, lambda kind, threads: 0.02 / threads, "abc", 40)
    assert found.count == 2
    assert torch.get_num_threads() == 1


def test_the_first_step_with_other_threads_is_not_judged(clock):
    made = set()

    def seconds(kind, threads):
        new = (kind, threads) not in made
        made.add((kind, threads))
        return 0.02 / threads + (0.5 if new else 0)

    found = Pace((1, 2), 1)
    steps(found, clock, seconds, "abc", 60)
    assert found.count == 2


def test_more_threads_are_left_where_they_lose(clock):
    found = Pace((1, 2), 2)
    used = steps(found, clock, lambda kind, threads: 0.02 * threads**2, "ab", 60)
    assert found.count == 1
    assert used.count(2) < len(used) / 2


def test_a_kind_that_never_comes_again_does_not_end_the_trials(clock):
    found = Pace((1, 2), 1)
    for number in range(400):  # each kind comes twice, as in programs of two batches
        steps(found, clock, lambda kind, threads: 0.05 / threads, [number], 2)
    steps(found, clock, lambda kind, threads: 0.05 / threads, "abc", 60)
    assert found.count == 2
