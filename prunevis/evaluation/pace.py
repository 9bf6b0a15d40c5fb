"""How many threads an operator should use, found out while working.

On a machine that does nothing else two threads are nearly twice as fast as one; next to another
process they were measured 3 to 10 times slower, since each waits for the other at the end of every
operator. Neither stays so for long, so the other choice is tried now and then on a single step:
twice, since the first time oneDNN makes its kernels anew (about 0.5 ms for each convolution).
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

import torch

#: Seconds from one trial to the next: at first, and at most.
FIRST_WAIT, LONGEST_WAIT = 0.4, 6.0
#: What a step must take, against the last like it, for fewer and for more threads to be taken.
FEWER, MORE = 0.9, 0.8
#: Seconds after which another step is rehearsed.
REMEMBERED = 1.0
#: Steps shorter than this, in seconds, tell nothing.
SHORTEST = 5e-4
#: Kinds of steps that are remembered.
MAX_KINDS = 512


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Use `count` threads within operators that this thread calls, and put it back."""
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Pace:
    """Chooses a number of threads and keeps choosing.

    Parameters
    ----------
    options
        Numbers of threads to choose from, ascending.
    count
        The present choice.
    """

    def __init__(self, options: Sequence[int] = (1,), count: int | None = None) -> None:
        self.options = tuple(options)
        self.count = self.options[0] if count is None else count
        self._last: dict[Hashable, float] = {}
        self._wait = FIRST_WAIT
        self._due = 0.0
        self._turn = 0
        self._wins = 0
        #: The step that was run once with the other number of threads, to be judged the next time
        #: it comes; until when that is waited for.
        self._rehearsed: tuple[Hashable, int] | None = None
        self._forget = 0.0

    @contextmanager
    def step(self, kind: Hashable) -> Iterator[None]:
        """Run a step; `kind` is the same for steps that do the same work."""
        usual = self._last.get(kind, 0.0)
        now = time.perf_counter()
        due = len(self.options) > 1 and usual > SHORTEST and now >= self._due
        # kernels are made anew for another number of threads: the first such step only does that
        rehearsed = self._rehearsed == (kind, self._other()) if due else False
        trial = due and (rehearsed or self._rehearsed is None or now >= self._forget)
        count = self._other() if trial else self.count
        with threads(count):
            start = time.perf_counter()
            yield
            took = time.perf_counter() - start
        if trial and rehearsed:
            self._rehearsed = None
            self.judge(count, took, usual)
        elif trial:
            self._rehearsed, self._forget = (kind, count), now + REMEMBERED
        else:
            if len(self._last) >= MAX_KINDS:
                self._last.clear()
            self._last[kind] = took

    def judge(self, count: int, took: float, usual: float) -> None:
        """Take `count` threads from now on if a step that takes `usual` seconds took less.

        More threads must win twice in a row: a step is easily lucky once.
        """
        more = count > self.count
        self._wins = self._wins + 1 if took < usual * (MORE if more else FEWER) else 0
        if self._wins >= (2 if more else 1):
            self.count, self._wins, self._wait = count, 0, FIRST_WAIT
            self._last.clear()
        elif self._wins == 0:
            self._wait = min(1.5 * self._wait, LONGEST_WAIT)
            self._turn += 1
        self._due = time.perf_counter() + (self._wait if self._wins == 0 else 0.0)

    def _other(self) -> int:
        place = self.options.index(self.count)
        near = [self.options[k] for k in (place - 1, place + 1) if 0 <= k < len(self.options)]
        return near[self._turn % len(near)]
