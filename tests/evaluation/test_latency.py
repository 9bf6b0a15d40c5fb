"""Timing, on a clock that only moves when a test says so."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

import prunevis as pv
from prunevis.errors import ModelError, SpecError
from prunevis.evaluation.latency import LEAST, MOST_PASSES, WARM_UP, compare_latency_steps
from prunevis.evaluation.latency import latency_steps as steps_of
from prunevis.evaluation.latency_records import Latency, LatencyComparison, duration


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.seen: list = []

    def __call__(self) -> float:
        return self.now


class Slow(nn.Module):
    """Moves the clock at every pass, and writes down there what it saw."""

    def __init__(self, clock: Clock, costs, name: str = "") -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.clock, self.costs = clock, itertools.cycle(costs)
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        self.clock.now += next(self.costs)
        gradients = torch.is_grad_enabled()
        self.clock.seen.append(
            (self.name, x.shape, self.training, gradients, torch.get_num_threads())
        )
        return self.fc(x)


def measured(models, clock, **options) -> LatencyComparison:
    *_, last = steps_of(models, torch.zeros(5, 3), clock=clock, **options)
    assert last.result is not None
    assert last.done == last.total
    return last.result


def test_a_sample_is_seconds_of_one_pass():
    clock = Clock()
    models = {"dense": Slow(clock, [0.001]), "masked": Slow(clock, [0.003])}
    found = measured(models, clock, batches=(1, 8), repeats=6, threads=1)
    assert [(row.name, row.batch, row.passes) for row in found.rows] == [
        ("dense", 1, 4), ("masked", 1, 1), ("dense", 8, 4), ("masked", 8, 1),
    ]  # fmt: skip
    for row in found.rows:
        assert row.samples == pytest.approx([0.001 if row.name == "dense" else 0.003] * 6)
        assert (row.threads, row.device) == (1, "cpu")
    assert found.speedup("masked", 8) == pytest.approx(1 / 3)
    assert found["dense", 8].per_second == pytest.approx(8000)


def test_networks_take_turns_and_whoever_came_first_comes_last():
    clock = Clock()
    models = {name: Slow(clock, [0.01], name) for name in ("a", "b", "c")}
    measured(models, clock, batches=4, repeats=3, threads=1)
    seen = clock.seen
    assert {tuple(shape) for _, shape, *_ in seen} == {(4, 3)}
    order = "".join(name for name, *_ in seen)
    warm = "".join(name * WARM_UP for name in "abc")
    # each sample is one untimed pass and one timed one
    assert order == warm + "aabbcc" + "ccbbaa" + "aabbcc"


def test_the_untimed_pass_is_not_counted():
    clock = Clock()
    # with 2 passes a sample and one before it, the first of every three is the slow one
    model = Slow(clock, [0.5, 0.002, 0.002])
    found = measured({"dense": model}, clock, batches=1, repeats=5, threads=1)
    assert found.rows[0].passes == 2
    assert found.rows[0].samples == pytest.approx([0.002] * 5)


def test_a_clock_that_stands_still():
    clock = Clock()
    found = measured({"dense": Slow(clock, [0.0])}, clock, batches=1, repeats=2)
    assert found.rows[0].passes == MOST_PASSES
    assert found.rows[0].samples == (0.0, 0.0)
    assert found.rows[0].per_second == math.inf
    assert "0 µs" in found.text


def test_when_the_time_is_up_a_few_samples_are_still_taken():
    clock = Clock()
    found = measured({"dense": Slow(clock, [1.0])}, clock, batches=(1, 2), repeats=50, limit=3.0)
    assert [len(row.samples) for row in found.rows] == [LEAST, LEAST]


def test_the_network_and_the_number_of_threads_are_as_before(untouched_model):
    clock, before = Clock(), torch.get_num_threads()
    model = Slow(clock, [0.01]).train()
    check = untouched_model(model)
    steps = steps_of({"dense": model}, torch.zeros(1, 3), threads=before + 1, clock=clock)
    for _ in range(WARM_UP + 2):
        next(steps)
        check()
        assert torch.get_num_threads() == before
        assert model.training
    steps.close()
    check()
    assert {entry[2:] for entry in clock.seen} == {(False, False, before + 1)}


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("out of order")


def test_a_network_that_does_not_run(untouched_model):
    model, before = Broken().train(), torch.get_num_threads()
    check = untouched_model(model)
    with pytest.raises(ModelError, match=r"does not run.*out of order.*shape \(2, 3\)"):
        pv.latency(model, torch.zeros(1, 3), batches=2, threads=before + 1)
    check()
    assert torch.get_num_threads() == before


def test_dense_masked_and_removed(mlp, untouched_model):
    example = torch.randn(1, 12)
    graph = pv.trace(mlp, example)
    plan = pv.rank(mlp, pv.PruningSpec.make("l2", "unit", sparsity=0.5), graph=graph).plan()
    check = untouched_model(mlp)
    found = pv.compare_latency(mlp, plan, example, batches=(1, 2), repeats=2, threads=1)
    check()
    assert found.names == ("dense", "masked", "removed")
    assert found.batches == (1, 2)
    assert all(len(row.samples) == 2 for row in found.rows)
    assert not found.left_out


def test_single_weights_are_not_removed(mlp):
    example = torch.randn(1, 12)
    plan = pv.rank(mlp, pv.PruningSpec.make(sparsity=0.5), graph=pv.trace(mlp, example)).plan()
    clock = Clock()
    reports = list(compare_latency_steps(mlp, plan, example, repeats=2, clock=clock))
    found = reports[-1].result
    assert found.names == ("dense", "masked")
    assert "Not measured: removed (single weights can only be set to zero" in found.text
    # a clock that stands still tells nothing apart
    assert "the same within noise" in found.verdict("masked", 64)
    totals = {report.total for report in reports}
    assert totals == {2 * 2 * 2}
    done = [report.done for report in reports]
    assert done == sorted(done)


def row(name: str, *samples: float, batch: int = 1) -> Latency:
    return Latency(name, batch, 2, "cpu", 1, tuple(samples))


def test_quartiles_by_hand():
    five = row("dense", 0.005, 0.001, 0.003, 0.002, 0.004)
    assert (five.median, five.low, five.high) == (0.003, 0.002, 0.004)
    assert (five.fastest, five.slowest) == (0.001, 0.005)
    assert repr(five) == (
        "Latency(dense, batch 1, 2 threads on cpu: 3 ms, quartiles 2 ms to 4 ms, 5 samples)"
    )


def test_what_cannot_be_told_apart_is_said_so():
    dense = row("dense", 0.010, 0.012, 0.014)  # quartiles 11 and 13 ms
    found = LatencyComparison(
        (dense, row("masked", 0.012, 0.014, 0.016), row("removed", 0.004, 0.006, 0.008),
         row("odd", 0.02, 0.024, 0.028))
    )  # fmt: skip
    assert found.within_noise("masked", 1)  # 13 to 15: they meet at 13
    assert found.verdict("masked", 1) == (
        "With a batch of 1, masked takes 14 ms against 12 ms dense: the same within noise."
    )
    assert found.verdict("removed", 1).endswith("6 ms against 12 ms dense: 2.00 times as fast.")
    assert found.verdict("odd", 1).endswith("24 ms against 12 ms dense: 2.00 times as slow.")
    assert found.verdict("dense", 1) == "Dense takes 12 ms for a batch of 1."
    assert found.text.endswith("Measured on 2 threads on cpu.")
    assert "within noise" in repr(found)
    assert "2.00×" in repr(found)
    with pytest.raises(KeyError):
        found["dense", 64]


def test_without_a_dense_one_the_first_is_the_reference():
    found = LatencyComparison((row("small", 1.0), row("large", 2.0)))
    assert found.reference == "small"
    assert found.speedup("large", 1) == 0.5


def test_durations():
    assert [duration(s) for s in (2.0, 0.0341, 0.0005, 0.0)] == ["2 s", "34.1 ms", "500 µs", "0 µs"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"batches": ()}, "`batches` is empty"),
        ({"batches": (1, 0)}, "`batches` takes whole numbers from 1. Got: 0"),
        ({"batches": True}, "`batches` takes whole numbers"),
        ({"repeats": 2.5}, "`repeats` takes whole numbers"),
        ({"threads": 0}, "`threads` takes whole numbers"),
        ({"limit": 0}, "`limit` is in seconds"),
    ],
)
def test_numbers_that_are_none(mlp, options, problem):
    with pytest.raises(SpecError, match=problem):
        pv.latency(mlp, torch.zeros(1, 12), **options)


def test_no_network():
    with pytest.raises(SpecError, match="No network is named"):
        next(steps_of({}, torch.zeros(1, 3)))
