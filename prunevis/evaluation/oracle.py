"""The oracle: how much the loss really changes when one unit is removed, for every unit.

``Θᵢ = |C(D; W without i) − C(D; W)|`` (Molchanov et al. 2016, "oracle-abs"), with the sign kept too
("oracle-loss"). C is the mean cross-entropy of n labelled examples. It is what criteria try to
guess, and far too slow to prune by: as many forward passes as there are units, so its cost is told
before it starts (`oracle_cost`).
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.data import Examples, as_data
from prunevis.errors import NonFiniteError, NothingToPruneError, SpecError
from prunevis.evaluation.inference import BatchSizer, Predictor
from prunevis.evaluation.tradeoff import check_images
from prunevis.evaluation.unit_losses import UnitLosses
from prunevis.graph.layers import ChannelGroup, ModelGraph
from prunevis.graph.trace import trace
from prunevis.pruning.scoring import classes_leave
from prunevis.steps import finished

#: What a run of the smallest tail takes of a whole forward pass, at least: operators of small
#: networks cost time that no multiply-add explains.
LEAST_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class OracleCost:
    """What an oracle takes, told before it starts.

    Attributes
    ----------
    units, examples
        How many units are removed, one at a time, and on how many examples each.
    macs
        Multiply-adds in all: each unit needs only what comes after the layers that read it.
    seconds
        From one timed forward pass, on this machine as it is now: a guess, that may be off by a
        factor of three.
    """

    units: int
    examples: int
    macs: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.units:,} units × {self.examples:,} examples, "
            f"{self.macs / 1e9:,.3g} billion multiply-adds, about {duration(self.seconds)}"
        )


@dataclass(frozen=True, eq=False, slots=True)
class Oracle:
    """The true change of the loss, unit by unit.

    Attributes
    ----------
    change
        By channel group, float64, shape (units,): mean cross-entropy without the unit minus that
        of the whole network, in nats. Below 0: the network is better without it.
    loss
        Mean cross-entropy of the whole network on the same examples, in nats.
    num_examples, split
        On how many examples, of "train" or "test".
    seconds
        What it took.
    skipped
        Groups without a figure, and why.
    by_removal
        Groups whose units were really taken out, because zeroing what reads them gives another
        result (a normalisation spans them) or the forward pass could not be recorded.
    """

    change: Mapping[str, Tensor] = field(repr=False)
    loss: float
    num_examples: int
    split: str
    seconds: float
    skipped: Mapping[str, str] = field(repr=False)
    by_removal: tuple[str, ...] = ()

    @property
    def absolute(self) -> dict[str, Tensor]:
        """By channel group: ``|change|``, the importance of Molchanov et al. 2016."""
        return {name: change.abs() for name, change in self.change.items()}

    @property
    def num_units(self) -> int:
        """How many units have a figure."""
        return sum(change.numel() for change in self.change.values())

    def __repr__(self) -> str:
        return (
            f"Oracle({self.num_units:,} units of {len(self.change)} groups on "
            f"{self.num_examples:,} {self.split} examples, loss {self.loss:.4f}, "
            f"{self.seconds:.1f} s)"
        )


@dataclass(frozen=True, eq=False, slots=True)
class OracleProgress:
    """How far an oracle is: units done of how many, and the `Oracle` with the last report."""

    done: int
    total: int
    result: Oracle | None = field(default=None, repr=False)


def oracle_groups(
    graph: ModelGraph, layers: Iterable[str] | None = None
) -> tuple[list[ChannelGroup], dict[str, str]]:
    """Return the groups whose units can go, each once, and why others are left out.

    Raises
    ------
    SpecError
        If `layers` names one that there is not, or one whose units cannot be pruned.
    NothingToPruneError
        If no group is left.
    """
    layers = [layers] if isinstance(layers, str) else layers
    asked = None if layers is None else [str(name) for name in layers]
    for name in asked or ():
        if name not in graph.layers:
            raise SpecError(
                f"There is no layer called {name!r}.", fix=f"Layers: {', '.join(graph.layers)}."
            )
    wanted = graph.layers.values() if asked is None else [graph.layers[n] for n in asked]
    chosen: dict[str, ChannelGroup] = {}
    skipped: dict[str, str] = {}
    for layer in wanted:
        group = graph.groups.get(layer.group) if layer.group else None
        reason = layer.reason if group is None else group.reason
        if group is not None and reason is None and group.size < 2:
            reason = "It has a single unit, and one always stays."
        if group is None or reason is not None:
            if asked is not None and layer.is_output:
                raise classes_leave(layer.name)
            if asked is not None:
                raise SpecError(f"The units of `{layer.name}` cannot be pruned. {reason or ''}")
            if not layer.is_output:
                skipped[layer.name] = reason or "Its units form no group."
        else:
            chosen[group.name] = group
    if not chosen:
        why = " ".join(f"`{name}`: {reason}" for name, reason in list(skipped.items())[:3])
        raise NothingToPruneError(
            "No unit of this network can be removed.",
            got=why or "no layer besides the output layer",
            fix="Look at trace(model, example).layers[...].reason.",
        )
    return list(chosen.values()), skipped


def oracle_examples(data: Any, images: int | None, seed: int) -> tuple[Examples, str]:
    """Return a random sample of the training part (of the test part where there is none)."""
    checked = as_data(data)
    examples, split = (checked.test, "test") if checked.train is None else (checked.train, "train")
    if images is not None and images < examples.count:
        generator = torch.Generator().manual_seed(seed)
        where = torch.randperm(examples.count, generator=generator)[:images]
        examples = examples.take(where.to(examples.inputs.device))
    return examples, split


def tail_macs(graph: ModelGraph, group: ChannelGroup) -> int:
    """Return the multiply-adds an example of the layers that read a group and all after them."""
    reached: set[str] = set()
    left = list(group.consumers)
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left += graph.layers[name].consumers
    return sum(graph.layers[name].macs for name in reached)


def oracle_cost(
    model: nn.Module,
    data: Any,
    *,
    images: int | None = 256,
    layers: Iterable[str] | None = None,
    seed: int = 0,
    graph: ModelGraph | None = None,
    device: torch.device | str | None = None,
) -> OracleCost:
    """Return what `oracle` with the same arguments would take; runs a few batches.

    Parameters and errors as for `oracle`.
    """
    check_images(images)
    examples, _ = oracle_examples(data, images, seed)
    steps = oracle_cost_steps(
        model, examples, (examples.count,), layers=layers, graph=graph, device=device
    )
    return finished(steps)[examples.count]


def oracle_cost_steps(
    model: nn.Module,
    data: Any,
    images: Iterable[int],
    *,
    layers: Iterable[str] | None = None,
    graph: ModelGraph | None = None,
    device: torch.device | str | None = None,
) -> Generator[None, None, dict[int, OracleCost]]:
    """Return the cost for each number of `images`, in steps of some 30 ms; as `oracle_cost`."""
    examples, _ = oracle_examples(data, None, 0)
    graph = graph or trace(model, examples.inputs[:1])
    groups, _ = oracle_groups(graph, layers)
    sizer = BatchSizer(first=min(32, examples.count))
    predict = Predictor(model, int(examples.targets.max()) + 1, device=device, sizer=sizer)
    for _ in range(3):  # the first runs also make the kernels
        predict(examples.inputs[: sizer.size])
        yield
    each = sizer.seconds_per_example
    assert each is not None
    return {n: cost_of(graph, groups, min(n, examples.count), each) for n in images}


def cost_of(
    graph: ModelGraph, groups: Iterable[ChannelGroup], examples: int, each: float
) -> OracleCost:
    """Return the cost where a whole forward pass takes `each` seconds an example."""
    units = macs = 0
    forwards = 1.0
    for group in groups:
        after = tail_macs(graph, group)
        units += group.size
        macs += group.size * after
        forwards += group.size * max(LEAST_SHARE, after / max(1, graph.macs))
    return OracleCost(units, examples, (macs + graph.macs) * examples, forwards * examples * each)


def oracle_steps(
    model: nn.Module,
    data: Any,
    *,
    images: int | None = 256,
    layers: Iterable[str] | None = None,
    seed: int = 0,
    graph: ModelGraph | None = None,
    device: torch.device | str | None = None,
) -> Generator[OracleProgress, None, Oracle]:
    """Remove unit after unit; the last report carries the `Oracle`, also returned.

    Parameters as for `oracle`. Closing the generator cancels; a report comes after every batch.
    """
    begin = time.perf_counter()
    check_images(images)
    examples, split = oracle_examples(data, images, seed)
    graph = graph or trace(model, examples.inputs[:1])
    groups, skipped = oracle_groups(graph, layers)
    total = sum(group.size for group in groups)
    yield OracleProgress(0, total)
    losses = UnitLosses(model, graph, examples, device)
    while losses.seen < examples.count:
        losses.run_whole()
        yield OracleProgress(0, total)
    change: dict[str, Tensor] = {}
    removed: list[str] = []
    done = 0
    for group in groups:
        steps = losses.steps(group)
        while True:
            try:
                share = next(steps)
            except StopIteration as stop:
                found, by_removal = stop.value
                break
            yield OracleProgress(done + int(share * group.size), total)
        removed += [group.name] if by_removal else []
        change[group.name] = found / examples.count
        done += group.size
        if not bool(torch.isfinite(found).all()):
            raise NonFiniteError(
                "Without a unit the model gives NaN or infinite outputs.",
                where=group.name,
                fix="Look for NaN or very large weights; a diverged training is the usual cause.",
            )
    seconds = time.perf_counter() - begin
    loss = float(losses.loss.sum()) / examples.count
    result = Oracle(change, loss, examples.count, split, seconds, skipped, tuple(removed))
    yield OracleProgress(total, total, result)
    return result


def oracle(
    model: nn.Module,
    data: Any,
    *,
    images: int | None = 256,
    layers: Iterable[str] | None = None,
    seed: int = 0,
    graph: ModelGraph | None = None,
    device: torch.device | str | None = None,
) -> Oracle:
    """Measure how much the loss changes when one unit is removed, for every unit that can be.

    Parameters
    ----------
    model
        Any module that gives logits (N, classes); it is not changed.
    data
        As for `evaluate`; the training part is used if there is one, as Molchanov et al. do.
    images
        Size of the random sample; None for all examples.
    layers
        Names of layers whose groups are measured, or one name; None for all but the output layer.
    seed
        Of the sample.
    graph
        From `trace`.
    device
        Where inputs are moved to; None for the device of the model's parameters.

    Raises
    ------
    SpecError, NothingToPruneError
        If a layer is unknown or cannot lose units, or none can.
    ModelError, DataError, NonFiniteError
        As `evaluate`.

    Examples
    --------
    >>> found = pv.oracle(model, data)                    # doctest: +SKIP
    >>> found.absolute["conv2"].argsort()[:3]             # the three that matter least
    """
    steps = oracle_steps(
        model, data, images=images, layers=layers, seed=seed, graph=graph, device=device
    )
    return finished(steps)


def duration(seconds: float) -> str:
    """Return e.g. "8 s" or "3 min"."""
    if seconds < 0.5:
        return "half a second"
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"
