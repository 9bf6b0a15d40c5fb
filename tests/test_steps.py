"""Slow work in steps: run to its end at once, or with reports of one's own."""

from __future__ import annotations

import inspect

import pytest

import prunevis as pv
from prunevis.evaluation.agreement import agreement_steps
from prunevis.evaluation.latency import compare_latency_steps
from prunevis.evaluation.oracle import oracle_steps
from prunevis.evaluation.race import race_steps
from prunevis.evaluation.sensitivity import sensitivity_steps
from prunevis.evaluation.tradeoff import tradeoff_steps
from prunevis.statistics.collecting import collect_steps
from prunevis.steps import finished, reported

#: What is called once, and the same step by step.
TWINS = {
    pv.agreement: agreement_steps,
    pv.collect_statistics: collect_steps,
    pv.compare_latency: compare_latency_steps,
    pv.oracle: oracle_steps,
    pv.race: race_steps,
    pv.sensitivity: sensitivity_steps,
    pv.tradeoff: tradeoff_steps,
}


def counting(pauses, result, error=None):
    yield from range(pauses)
    if error is not None:
        raise error
    return result


@pytest.mark.parametrize("pauses", [0, 1, 5])
def test_both_return_the_result(pauses):
    assert finished(counting(pauses, "seven")) == "seven"

    def outer():
        found = yield from reported(counting(pauses, "seven"), "busy")
        yield found

    assert list(outer()) == ["busy"] * pauses + ["seven"]


def test_what_was_begun_is_gone_on_with():
    steps = counting(3, "seven")
    next(steps)
    assert list(reported(steps, "busy")) == ["busy"] * 2


def test_errors_come_through():
    for run in (finished, lambda steps: list(reported(steps, None))):
        with pytest.raises(ValueError, match="half way"):
            run(counting(2, None, ValueError("half way")))


def test_closing_closes_what_is_inside():
    closed = []

    def inner():
        try:
            yield
            yield
        finally:
            closed.append(True)

    steps = reported(inner(), "busy")
    next(steps)
    steps.close()
    del steps
    assert closed == [True]


@pytest.mark.parametrize("whole", TWINS, ids=lambda twin: twin.__name__)
def test_twins_take_the_same(whole):
    """Same parameters, order, defaults and types, since the docstring is written once only."""
    ways = [inspect.signature(way).parameters for way in (whole, TWINS[whole])]
    # whole calls trace where no graph is given; a clock is for tests
    own = {pv.collect_statistics: "graph", pv.compare_latency: "clock"}.get(whole)
    ways = [{n: p for n, p in way.items() if n != own} for way in ways]
    first, second = (list(way.values()) for way in ways)
    assert first == second
