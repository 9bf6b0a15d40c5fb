"""Which way to run a network is fastest here and now: tried, turn by turn.

What is fastest differs from machine to machine, from network to network and, next to other work,
from one second to the next. So ways are run by turns, and the shortest run of each counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

import torch

from prunevis.evaluation.pace import MORE, threads

#: Seconds that one batch should take at most.
STEP = 0.03
#: Seconds that a batch costs however many examples it has.
OVERHEAD = 3e-4
#: Gain that a choice must bring before it is made: timings are noisy.
WORTH = 0.95
#: Runs of each way that is tried.
TURNS = 3
#: Batch at which ways are compared, at most, and the largest there is.
COMPARED, LARGEST = 128, 512

#: Makes what runs a batch in a way; None if the network cannot be run so.
RunOf = Callable[["Way"], Callable[[], object] | None]


@dataclass(frozen=True, slots=True)
class Way:
    """How batches are run.

    Attributes
    ----------
    channels_last
        Whether weights of convolutions lie in memory channel by channel.
    faster
        Whether operators are replaced by those of `kernels`.
    threads
        Threads within an operator.
    batch
        Examples in a batch.
    """

    channels_last: bool = False
    faster: bool = False
    threads: int = 1
    batch: int = 1


def choose_steps(
    run_of: RunOf, options: Sequence[int], count: int, *, layouts: bool
) -> Generator[None, None, tuple[Way, float]]:
    """Return the fastest way and the seconds a batch takes in it; yields between batches.

    Parameters
    ----------
    run_of
        Of the network.
    options
        Numbers of threads, ascending.
    count
        Examples that there are, from 1.
    layouts
        Whether weights may be laid out anew, which takes a copy of them.
    """
    # one example first: of a large network 16 would take many seconds
    (seconds,) = yield from _contest(run_of, [Way()])
    way = Way(batch=max(1, min(16, int(STEP / max(seconds, 1e-6)), count)))
    if way.batch > 1:
        (seconds,) = yield from _contest(run_of, [way])
    fits = int(way.batch * STEP / 2 / max(seconds, 1e-6))
    way = replace(way, batch=max(1, min(fits, COMPARED, count)))
    ways = [
        replace(way, faster=faster, channels_last=last)
        for last in ((False, True) if layouts else (False,))
        for faster in (False, True)
    ]
    times = yield from _contest(run_of, ways)
    way, _ = _fastest(ways, times, WORTH)
    ways = [replace(way, threads=threads) for threads in options]
    times = yield from _contest(run_of, ways, wall=True)
    way, seconds = _fastest(ways, times, MORE)
    ways = [way]
    for batch in (way.batch // 2, 2 * way.batch, 4 * way.batch):
        if 1 <= batch <= min(count, LARGEST) and batch * seconds < STEP * way.batch:
            ways.append(replace(way, batch=batch))
    if len(ways) > 1:
        times = yield from _contest(run_of, ways)
        each = [(took + OVERHEAD) / way.batch for way, took in zip(ways, times, strict=True)]
        way, _ = _fastest(ways, each, WORTH)
    (usual,) = yield from _contest(run_of, [way], wall=True)
    return way, usual


def timed(way: Way, run: Callable[[], object] | None, *, wall: bool = False) -> float:
    """Return the seconds that `run` takes, infinite if there is nothing to run."""
    if run is None:
        return math.inf
    # on one thread its own time is counted: what else the machine does is no property of a way
    # to run; how many threads pay depends on just that
    clock = time.thread_time if way.threads == 1 and not wall else time.perf_counter
    with torch.inference_mode(), threads(way.threads):
        start = clock()
        run()
        return clock() - start


def _contest(
    run_of: RunOf, ways: Sequence[Way], *, wall: bool = False
) -> Generator[None, None, list[float]]:
    """Return the seconds of the shortest of some runs of each way."""
    runs: list[Callable[[], object] | None] = []
    for way in ways:
        runs.append(run_of(way))
        yield
    times = [math.inf] * len(ways)
    for turn in range(TURNS):
        for number, (way, run) in enumerate(zip(ways, runs, strict=True)):
            if turn and times[number] > STEP:
                continue  # so long that once is telling
            times[number] = min(times[number], timed(way, run, wall=wall))
            yield
    return times


def _fastest(ways: Sequence[Way], times: Sequence[float], worth: float) -> tuple[Way, float]:
    """Return the way that takes least, and what it takes; each must beat those before by `worth`.

    Those that come first are the simpler ones.
    """
    best, least = ways[0], times[0]
    for way, took in zip(ways[1:], times[1:], strict=True):
        if took < worth * least:
            best, least = way, took
    return best, least
