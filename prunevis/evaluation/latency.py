"""How long a forward pass takes: measured, with its spread, dense against masked against removed.

Multiply-adds say what must be computed, a clock says how long this machine took for it, and the two
often disagree: zeros are multiplied like any other number, and what is gained at one example may be
lost at 64 (Han, Mao and Dally 2016 found no gain from sparse weights with batches). So nothing is
said here without its spread, its batch and its number of threads.

All networks are measured in one run, in turns, and whoever came first comes last in the next round:
another process that takes the machine for a moment then slows them all alike. Each sample follows
an untimed pass of the same network, so that none pays for what another has pushed out of the cache,
and holds as many passes as it takes to be longer than the clock is coarse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from prunevis.errors import ModelError, SpecError
from prunevis.evaluation.inference import device_of
from prunevis.evaluation.latency_records import Latency, LatencyComparison
from prunevis.evaluation.oneshot import zeroed
from prunevis.evaluation.pace import threads as with_threads
from prunevis.graph.checks import check_model
from prunevis.graph.examples import Example
from prunevis.graph.state import untouched
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.removal import remove
from prunevis.steps import finished

#: Batches and repeats unless told otherwise; fewer than 20 samples make poor quartiles.
BATCHES, REPEATS = (1, 64), 30
#: Untimed passes of each network before the first sample.
WARM_UP = 3
#: A sample holds so many passes that it takes about this many seconds, at most `MOST_PASSES`.
SAMPLE, MOST_PASSES = 0.004, 200
#: Samples that are taken even if the time is up.
LEAST = 5

Clock = Callable[[], float]


@dataclass(frozen=True, eq=False, slots=True)
class LatencyProgress:
    """How far measuring is: samples taken, of how many, and what runs, in words."""

    done: int
    total: int
    text: str
    result: LatencyComparison | None = field(default=None, repr=False)


def latency_steps(
    models: Mapping[str, nn.Module],
    example_input: Any,
    *,
    batches: int | Sequence[int] = BATCHES,
    repeats: int = REPEATS,
    threads: int | None = None,
    limit: float = 30.0,
    batch_axis: int = 0,
    left_out: Mapping[str, str] | None = None,
    clock: Clock = time.perf_counter,
) -> Generator[LatencyProgress, None, LatencyComparison]:
    """Time several networks in turns; the last report carries the result, also returned.

    A report comes after every sample, so that a step takes two passes of one network, or a little
    more than `SAMPLE` seconds where that is longer. Closing the generator cancels.

    Parameters
    ----------
    models
        By the name of each in the result. "dense", if it is there, is what others are compared
        with; else the first.
    left_out
        By name, why there is no such network; passed on.
    clock
        Seconds, ascending.

    The others as for `latency`.
    """
    if not models:
        raise SpecError("No network is named.", fix="Give at least one.")
    sizes = _sizes(batches)
    count = torch.get_num_threads() if threads is None else _whole(threads, "threads")
    if not limit > 0:
        raise SpecError("`limit` is in seconds, above 0.", got=repr(limit))
    for model in models.values():
        check_model(model)
    example = Example.first_of(example_input, batch_axis)
    names, wanted = list(models), _whole(repeats, "repeats")
    total = len(names) * len(sizes) * wanted
    done = 0
    rows: list[Latency] = []
    for place, size in enumerate(sizes):
        runs = {name: _Run(model, example, size, count, clock) for name, model in models.items()}
        text = f"batch {size}"
        for name, run in runs.items():
            for _ in range(WARM_UP):
                yield LatencyProgress(done, total, f"Warming up {name}, {text}")
                run.warm()
        taken: dict[str, list[float]] = {name: [] for name in names}
        started = clock()
        for turn in range(wanted):
            if turn >= LEAST and clock() - started > limit:
                break
            for name in names if turn % 2 == 0 else reversed(names):
                taken[name].append(runs[name].sample())
                done += 1
                yield LatencyProgress(done, total, f"Measuring {name}, {text}")
        done = (place + 1) * len(names) * wanted
        rows += [
            Latency(name, size, count, str(runs[name].device), runs[name].passes, tuple(found))
            for name, found in taken.items()
        ]
    result = LatencyComparison(tuple(rows), dict(left_out or {}))
    yield LatencyProgress(total, total, "Measured", result)
    return result


def latency(
    model: nn.Module,
    example_input: Any,
    *,
    batches: int | Sequence[int] = BATCHES,
    repeats: int = REPEATS,
    threads: int | None = None,
    limit: float = 30.0,
    batch_axis: int = 0,
) -> LatencyComparison:
    """Measure how long `model` takes for a batch, in evaluation mode and without gradients.

    Parameters
    ----------
    model
        Any module; it is as before afterwards, and so is the number of threads.
    example_input
        A batch as a tensor, a tuple or a mapping by name; its first example is repeated. It is
        moved to where the model lies.
    batches
        Examples in a batch, from 1, or several such numbers; every size is measured.
    repeats
        Samples of each, from 1.
    threads
        Within an operator, from 1; None for as many as PyTorch uses now.
    limit
        Seconds for each size of batch, after which no more than 5 samples are taken.
    batch_axis
        Which axis of the input counts the examples.

    Raises
    ------
    SpecError
        If one of these numbers is none of that.
    ModelError
        If the network does not run on this input.
    """
    return finished(
        latency_steps(
            {"dense": model},
            example_input,
            batches=batches,
            repeats=repeats,
            threads=threads,
            limit=limit,
            batch_axis=batch_axis,
        )
    )


def compare_latency_steps(
    model: nn.Module,
    plan: PruningPlan,
    example_input: Any,
    *,
    batches: int | Sequence[int] = BATCHES,
    repeats: int = REPEATS,
    threads: int | None = None,
    limit: float = 30.0,
    batch_axis: int = 0,
    clock: Clock = time.perf_counter,
) -> Generator[LatencyProgress, None, LatencyComparison]:
    """Time a network dense, masked and removed; as `compare_latency`, step by step."""
    size = len(_sizes(batches)) * (3 if plan.granularity == "unit" else 2)
    size *= _whole(repeats, "repeats")
    yield LatencyProgress(0, size, "Making the masked and the removed network")
    models = {"dense": model, "masked": zeroed(model, plan)}
    left_out: dict[str, str] = {}
    if plan.granularity == "unit":
        yield LatencyProgress(0, size, "Making the removed network")
        models["removed"] = remove(model, plan)
    else:
        left_out["removed"] = "single weights can only be set to zero, not taken out"
    result = yield from latency_steps(
        models,
        example_input,
        batches=batches,
        repeats=repeats,
        threads=threads,
        limit=limit,
        batch_axis=batch_axis,
        left_out=left_out,
        clock=clock,
    )
    return result


def compare_latency(
    model: nn.Module,
    plan: PruningPlan,
    example_input: Any,
    *,
    batches: int | Sequence[int] = BATCHES,
    repeats: int = REPEATS,
    threads: int | None = None,
    limit: float = 30.0,
    batch_axis: int = 0,
) -> LatencyComparison:
    """Measure how long a network takes dense, masked (zeros in place) and removed (smaller).

    Parameters
    ----------
    model
        The network that the plan was made for; it is not changed.
    plan
        From `Ranking.plan`. Of single weights nothing is removed; `LatencyComparison.left_out`
        says so.

    The others as for `latency`.

    Raises
    ------
    SpecError, ModelError
        As `latency` and `remove`.
    """
    return finished(
        compare_latency_steps(
            model,
            plan,
            example_input,
            batches=batches,
            repeats=repeats,
            threads=threads,
            limit=limit,
            batch_axis=batch_axis,
        )
    )


class _Run:
    """One network at one size of batch."""

    def __init__(
        self, model: nn.Module, example: Example, size: int, threads: int, clock: Clock
    ) -> None:
        self.model, self.threads, self.clock = model, threads, clock
        self.device = device_of(model) or torch.device("cpu")
        self.args, self.kwargs = example.batch(lambda leaf: leaf.to(self.device), size)
        self.passes = 1

    def warm(self) -> None:
        """Run once, and see how many passes make a sample."""
        with self._ready():
            took = self._timed(1)
        self.passes = max(1, min(MOST_PASSES, round(SAMPLE / took) if took > 0 else MOST_PASSES))

    def sample(self) -> float:
        """Return seconds of one pass, on average over those of a sample."""
        with self._ready():
            self._timed(1)
            return self._timed(self.passes) / self.passes

    @contextmanager
    def _ready(self) -> Iterator[None]:
        shortcut = torch.backends.mha.get_fastpath_enabled()
        with untouched(self.model), with_threads(self.threads), torch.inference_mode():
            # attention takes its fused shortcut wherever it would for whoever uses the network
            torch.backends.mha.set_fastpath_enabled(shortcut)
            yield

    def _timed(self, passes: int) -> float:
        wait = getattr(torch, self.device.type).synchronize
        try:
            wait()
            start = self.clock()
            for _ in range(passes):
                self.model(*self.args, **self.kwargs)
            wait()  # a GPU has only been told so far what to do
            return self.clock() - start
        except Exception as error:
            shape = tuple(next(iter([*self.args, *self.kwargs.values()])).shape)
            raise ModelError(
                "The network does not run on this input.",
                got=f"{type(error).__name__}: {error}",
                where=f"a batch of shape {shape}",
                fix="Give `example_input` as the network's forward takes it.",
            ) from error


def _whole(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SpecError(f"`{name}` takes whole numbers from 1.", got=repr(value))
    return value


def _sizes(batches: int | Sequence[int]) -> tuple[int, ...]:
    several = (batches,) if isinstance(batches, int) else batches
    sizes = tuple(dict.fromkeys(_whole(size, "batches") for size in several))
    if not sizes:
        raise SpecError("`batches` is empty.", fix="Give at least one size, e.g. (1, 64).")
    return sizes
