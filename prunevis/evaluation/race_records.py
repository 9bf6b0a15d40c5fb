"""What a race of criteria found."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from prunevis.evaluation.estimate import AccuracyEstimate
from prunevis.evaluation.exact import Evaluation
from prunevis.graph.cost import ModelCost
from prunevis.pruning.spec import PruningSpec


@dataclass(frozen=True, slots=True)
class RacePoint:
    """One pruned network of a race: how much was to go, its accuracy and its cost."""

    share: float
    sparsity: float
    estimate: AccuracyEstimate
    cost: ModelCost = field(repr=False)


@dataclass(frozen=True, eq=False, slots=True)
class RaceRun:
    """One criterion with one seed.

    Attributes
    ----------
    seed
        Of the calibration sample and of random scores.
    seconds
        What scoring took: the pass over the data that this criterion needs, and ranking.
    points
        One for each share of the race; None where the network cannot be made that small.
    """

    seed: int
    seconds: float
    points: tuple[RacePoint | None, ...] = field(repr=False)


@dataclass(frozen=True, eq=False, slots=True)
class Racer:
    """One criterion of a race.

    Attributes
    ----------
    criterion, label
        Name in `prunevis.CRITERIA`, and its label.
    runs
        One a seed; a single one where nothing is drawn.
    note
        A sentence where there is something to say, else "".
    """

    criterion: str
    label: str
    runs: tuple[RaceRun, ...] = field(repr=False)
    note: str = ""

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Shape (runs, shares), in [0, 1]; NaN where the network cannot be made that small."""
        return np.array(
            [[np.nan if p is None else p.estimate.value for p in run.points] for run in self.runs]
        )

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean accuracy over the seeds, shape (shares,); NaN unless all of them have one."""
        return self.accuracy.mean(0)

    @property
    def std(self) -> NDArray[np.float64]:
        """Sample standard deviation over the seeds, shape (shares,); 0 for a single run."""
        found = self.accuracy
        return found.std(0, ddof=1) if len(found) > 1 else np.zeros(found.shape[1])

    @property
    def low(self) -> NDArray[np.float64]:
        """Lowest accuracy over the seeds, shape (shares,)."""
        return self.accuracy.min(0)

    @property
    def high(self) -> NDArray[np.float64]:
        """Highest accuracy over the seeds, shape (shares,)."""
        return self.accuracy.max(0)

    @property
    def seconds(self) -> float:
        """Median time that scoring took."""
        return float(np.median([run.seconds for run in self.runs]))


@dataclass(frozen=True, eq=False, slots=True)
class Race:
    """Several criteria, one network, one measure.

    Attributes
    ----------
    at
        "sparsity", "params" or "macs": what is equal at each share.
    granularity, scope
        As asked.
    shares
        Ascending: how much of `at` is gone.
    racers
        In the order asked, chance last if it was not named.
    seeds
        Each criterion that draws anything ran once with each.
    baseline
        The unpruned network on the same data.
    num_calibration
        Examples that statistics were taken from.
    spec
        What all were pruned by, but for the criterion, the seed and how much.
    """

    at: str
    granularity: str
    scope: str
    shares: tuple[float, ...]
    racers: tuple[Racer, ...]
    seeds: tuple[int, ...]
    baseline: Evaluation
    num_calibration: int
    spec: PruningSpec = field(repr=False)

    def __getitem__(self, criterion: str) -> Racer:
        """Return a criterion's runs; KeyError if it did not take part."""
        for racer in self.racers:
            if racer.criterion == criterion:
                return racer
        raise KeyError(criterion)

    def __repr__(self) -> str:
        lines = [
            f"  {racer.label:<28} "
            + " ".join("    –" if np.isnan(v) else f"{100 * v:5.1f}" for v in racer.mean)
            + f"   {racer.seconds:.2f} s"
            for racer in self.racers
        ]
        head = f"  {f'% right at share of {self.at} gone':<28} " + " ".join(
            f"{100 * share:5.0f}" for share in self.shares
        )
        return "\n".join([f"Race({self.granularity}, {self.scope}, dense "
                          f"{self.baseline.accuracy:.2%}):", head, *lines])  # fmt: skip
