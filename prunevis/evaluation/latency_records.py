"""What a clock found: samples of each network, their quartiles, and what may be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one network took for a batch of one size.

    Attributes
    ----------
    name
        "dense", "masked", "removed", or as it was called.
    batch
        Examples in a batch.
    threads
        Within an operator.
    device
        Where it ran, e.g. "cpu" or "cuda:0".
    passes
        Forward passes in each sample.
    samples
        Seconds of one pass, a number a sample, in the order they were taken.
    """

    name: str
    batch: int
    threads: int
    device: str
    passes: int
    samples: tuple[float, ...] = field(repr=False)

    @property
    def median(self) -> float:
        """Seconds for a batch."""
        return float(np.median(self.samples))

    @property
    def low(self) -> float:
        """First quartile: a quarter of the samples took less; linear between two of them."""
        return float(np.quantile(self.samples, 0.25))

    @property
    def high(self) -> float:
        """Third quartile."""
        return float(np.quantile(self.samples, 0.75))

    @property
    def fastest(self) -> float:
        """Seconds of the fastest sample."""
        return min(self.samples)

    @property
    def slowest(self) -> float:
        """Seconds of the slowest sample."""
        return max(self.samples)

    @property
    def per_second(self) -> float:
        """Examples a second, by the median; infinite where the clock saw no time pass."""
        return self.batch / self.median if self.median > 0 else np.inf

    def __repr__(self) -> str:
        return (
            f"Latency({self.name}, batch {self.batch}, {setting(self)}: {duration(self.median)}, "
            f"quartiles {duration(self.low)} to {duration(self.high)}, "
            f"{len(self.samples)} samples)"
        )


@dataclass(frozen=True, eq=False, slots=True)
class LatencyComparison:
    """Networks that were timed in turns.

    Attributes
    ----------
    rows
        One a network and size of batch, by size first.
    left_out
        By name, why there is no such network.
    """

    rows: tuple[Latency, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The networks, in the order they were given."""
        return tuple(dict.fromkeys(row.name for row in self.rows))

    @property
    def batches(self) -> tuple[int, ...]:
        """The sizes of batch, in the order they were given."""
        return tuple(dict.fromkeys(row.batch for row in self.rows))

    @property
    def reference(self) -> str:
        """What the others are compared with: "dense", or the first where there is none."""
        return "dense" if "dense" in self.names else self.names[0]

    def __getitem__(self, key: tuple[str, int]) -> Latency:
        """Return the row of a network and a size of batch; KeyError if there is none."""
        for row in self.rows:
            if (row.name, row.batch) == key:
                return row
        raise KeyError(key)

    def speedup(self, name: str, batch: int) -> float:
        """Return the reference's median / that of `name`, above 1 if `name` is faster."""
        mine = self[name, batch].median
        return self[self.reference, batch].median / mine if mine > 0 else np.inf

    def within_noise(self, name: str, batch: int) -> bool:
        """Whether the quartiles of `name` and of the reference overlap, ends included."""
        mine, other = self[name, batch], self[self.reference, batch]
        return mine.low <= other.high and other.low <= mine.high

    def verdict(self, name: str, batch: int) -> str:
        """Return a sentence on whether `name` is faster, within what can be told apart."""
        if name == self.reference:
            row = self[name, batch]
            return f"{name.capitalize()} takes {duration(row.median)} for a batch of {batch}."
        ratio = self.speedup(name, batch)
        head = f"With a batch of {batch}, {name} takes "
        against = f"{duration(self[name, batch].median)} against "
        against += f"{duration(self[self.reference, batch].median)} {self.reference}"
        if self.within_noise(name, batch):
            return f"{head}{against}: the same within noise."
        if ratio > 1:
            return f"{head}{against}: {ratio:.2f} times as fast."
        return f"{head}{against}: {1 / ratio if ratio > 0 else np.inf:.2f} times as slow."

    @property
    def text(self) -> str:
        """What was measured and what follows, a sentence a line."""
        others = [name for name in self.names if name != self.reference]
        lines = [
            self.verdict(name, batch)
            for batch in self.batches
            for name in (others or [self.reference])
        ]
        lines += [f"Not measured: {name} ({why})." for name, why in self.left_out.items()]
        return "\n".join([*lines, f"Measured on {setting(self.rows[0])}."])

    def __repr__(self) -> str:
        head = f"LatencyComparison({setting(self.rows[0])}):"
        rows = [
            f"  {row.name:<8} batch {row.batch:>4}  {duration(row.median):>9}"
            f"  ({duration(row.low)} to {duration(row.high)})"
            + (
                ""
                if row.name == self.reference
                else "  within noise"
                if self.within_noise(row.name, row.batch)
                else f"  {self.speedup(row.name, row.batch):.2f}×"
            )
            for row in self.rows
        ]
        return "\n".join([head, *rows])


def setting(row: Latency) -> str:
    """Return where it was measured, e.g. "1 thread on cpu"."""
    return f"{row.threads} thread{'' if row.threads == 1 else 's'} on {row.device}"


def duration(seconds: float) -> str:
    """Return `seconds` with three digits, e.g. "3.41 ms".

    >>> duration(0.00341), duration(1.5), duration(0.00004)
    ('3.41 ms', '1.5 s', '40 µs')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"
