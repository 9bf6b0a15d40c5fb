"""What a pruning experiment should report: one rule for each point of Blalock et al. 2020.

A rule takes the experiment and gives its state, a sentence with what was found, and how to meet it.
They judge what is in the experiment and nothing else: what a table does not say is not met.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from prunevis.evaluation.experiment import Experiment, Point

Judged = tuple[Literal["met", "not met", "not applicable"], str, str]

#: The ratios they suggest, and how near a point must be to stand for one: a factor of √2.
RATIOS, NEAR = (2, 4, 8, 16, 32), math.sqrt(2)
#: Runs and (dataset, architecture) pairs that are enough.
RUNS, PAIRS = 3, 3
#: Data and networks that are not counted as sufficient any more.
SMALL_DATA = re.compile(r"mnist|digits|usps|toy|tiny$", re.IGNORECASE)
SMALL_MODELS = re.compile(r"lenet|alexnet|caffenet|mlp|tiny", re.IGNORECASE)
#: Of many classes.
MANY = re.compile(r"imagenet|cifar-?100|places|birds|flowers", re.IGNORECASE)
#: By magnitude: of weights, or of all that makes a unit.
MAGNITUDE = ("magnitude", "l1", "l2")
#: Columns that say how pruned networks were trained.
RECIPE = ("epochs", "lr", "learning_rate")


class Rule(NamedTuple):
    """One point of the list."""

    name: str
    title: str
    judge: Callable[[Experiment], Judged]


def _name(pair: tuple[str, str]) -> str:
    return " on ".join(part for part in pair if part) or "one without a name"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def named(found: Experiment) -> Judged:
    """Architectures and data by name."""
    if all(model and data for model, data in found.pairs):
        return "met", f"{_and([_name(pair) for pair in found.pairs])}.", ""
    how = 'Name both: report_card(..., model="LeNet-5", data="MNIST"), or columns of these names.'
    return "not met", "The network or the data have no name.", how


def pairs(found: Experiment) -> Judged:
    """Enough pairs, large and modern ones among them."""
    large = [
        pair
        for pair in found.pairs
        if all(pair) and not SMALL_MODELS.search(pair[0]) and not SMALL_DATA.search(pair[1])
    ]
    why = f"{_number(len(found.pairs), 'pair')} of network and data"
    if len(large) >= PAIRS:
        return "met", f"{why}, {len(large)} of them beyond the small ones.", ""
    small = [_name(pair) for pair in found.pairs if pair not in large]
    why += f", too small to be sufficient: {_and(small)}" if small else ""
    how = "Repeat it on at least three pairs, among them a modern network on large data."
    return "not met", why + ".", how


def definitions(found: Experiment) -> Judged:
    """What a ratio and a speedup are."""
    why = (
        "Compression is the original size / the new size, speedup the original multiply-adds / "
        "the new ones; above 1 is better."
    )
    if any(_known(point.compression) or _known(point.speedup) for point in found.points):
        return "met", why, ""
    return "not met", "There is neither a size nor a number of multiply-adds.", _COSTS


_COSTS = (
    "Give the columns compression_ratio and theoretical_speedup, or params_dense, nonzero_params, "
    "macs_dense and effective_macs."
)


def both(found: Experiment) -> Judged:
    """Size and multiply-adds of every pruned network."""
    lacks = [p for p in found.points if not (_known(p.compression) and _known(p.speedup))]
    if not lacks:
        return "met", "Every pruned network has its size and its multiply-adds.", ""
    count = f"{len(lacks)} of {_number(len(found.points), 'pruned network')}"
    return "not met", f"{count} lack one of the two, which hardly say the same.", _COSTS


def accuracy(found: Experiment) -> Judged:
    """Raw top-1 accuracy, not only its change."""
    return "met", "Every pruned network has its top-1 accuracy itself, not only a change.", ""


def top5(found: Experiment) -> Judged:
    """Top-5 too, where there are many classes."""
    if "top5_after" in found.columns:
        return "met", "Top-5 accuracy stands beside top-1.", ""
    many = [pair for pair in found.pairs if MANY.search(pair[1])]
    if many:
        how = "Measure top-5 too, and give it as columns top5_before and top5_after."
        return "not met", f"{_name(many[0])} has many classes, and top-5 is missing.", how
    return "not applicable", "It is for data of many classes, such as ImageNet.", ""


def control(found: Experiment) -> Judged:
    """The dense network under the same metrics."""
    lacks = sum(not _known(point.before) for point in found.points)
    if not lacks:
        return "met", "The unpruned network was measured on the same data, and each change.", ""
    how = "Measure the network before pruning and give it as the column accuracy_dense."
    return "not met", f"{_number(lacks, 'pruned network')} without its dense accuracy.", how


def points(found: Experiment) -> Judged:
    """Five operating points, from light to heavy pruning."""
    missing = {method: _missing(group) for (*_, method), group in found.methods().items()}
    worst = max(missing, key=lambda method: len(missing[method]))
    if not missing[worst]:
        return "met", "Every method has points near 2, 4, 8, 16 and 32 times smaller.", ""
    lack = _and([f"{ratio}×" for ratio in missing[worst]])
    how = "Prune to 2, 4, 8, 16 and 32 times fewer parameters, or as far as the network goes."
    return "not met", f"{worst} has no point near {lack}.", how


def _missing(group: list[Point]) -> list[int]:
    have = [point.compression for point in group if _known(point.compression)]
    return [r for r in RATIOS if not any(r / NEAR <= value <= r * NEAR for value in have)]


def collapse(found: Experiment) -> Judged:
    """So far that accuracy collapses."""
    whole = [
        method
        for (*_, method), group in found.methods().items()
        if not any(point.after < 0.5 * point.before for point in group)
    ]
    if not whole:
        return "met", "Every method is followed to less than half of the dense accuracy.", ""
    how = "Add points until accuracy is below half of the dense network's."
    return "not met", f"{whole[0]} is not followed to where accuracy collapses.", how


def seeds(found: Experiment) -> Judged:
    """Several runs of all that is drawn."""
    drawn = {
        key: group for key, group in found.methods().items() if any(point.drawn for point in group)
    }
    how = "Run it with at least three: race(..., seeds=(0, 1, 2)), or a table with several seeds."
    if not drawn:
        why = "There is one run; its criterion draws nothing, so only the network could differ."
        return "not met", why, how
    fewest = {key: len({p.seed for p in group if p.seed is not None}) for key, group in
              drawn.items()}  # fmt: skip
    least = min(fewest.values())
    if least >= RUNS:
        same = len(drawn) == len(found.methods())
        who = "Each method" if same else "Each method that draws anything"
        return "met", f"{who} ran with {least} seeds.", ""
    method = min(fewest, key=lambda key: fewest[key])[-1]
    return "not met", f"{method} ran with {_number(least, 'seed')}.", how


def networks(found: Experiment) -> Judged:
    """Several trained networks, not one."""
    how = "Train the network with three seeds, prune each, and judge all of them together."
    for pair in found.pairs:
        mine = [point for point in found.points if point.pair == pair]
        starts = len({point.before for point in mine if _known(point.before)})
        # two networks of a table may happen to be equally accurate; seeds tell them apart
        several = not found.in_memory and starts > 1 and len({p.seed for p in mine}) >= RUNS
        if starts < RUNS and not several:
            why = f"{_name(pair)}: {_number(starts, 'trained network')}; the spread of runs that "
            return "not met", why + "share one is of scoring, not of training.", how
    return "met", "Runs begin with networks that were trained separately.", ""


def spread(found: Experiment) -> Judged:
    """Means and sample standard deviations."""
    single = [s for s in found.summaries() if s.runs < 2 and _drawn(found, s.method)]
    if not single:
        if any(point.drawn for point in found.points):
            return "met", "Means stand with their sample standard deviation (n − 1).", ""
        return "not met", "There is one run of each, so there is no spread.", _SEVERAL
    why = f"{single[0].method} has a single run at {single[0].asked:.0%}."
    return "not met", why, _SEVERAL


_SEVERAL = "Run each point at least three times; the card then gives mean and deviation."


def _drawn(found: Experiment, method: str) -> bool:
    return any(point.drawn for point in found.points if point.method == method)


def random(found: Experiment) -> Judged:
    """Chance takes part."""
    if _everywhere(found, ("random",)):
        return "met", "Random pruning takes part.", ""
    how = 'Add the criterion "random"; a race always has it.'
    return "not met", "Random pruning is missing, so that gains over chance do not show.", how


def magnitude(found: Experiment) -> Judged:
    """Magnitude takes part."""
    if _everywhere(found, MAGNITUDE):
        return "met", "Pruning by magnitude takes part.", ""
    how = 'Add "magnitude" for weights, "l1" or "l2" for units.'
    return "not met", "Pruning by magnitude is missing, the oldest rival and a hard one.", how


def _everywhere(found: Experiment, criteria: tuple[str, ...]) -> bool:
    return all(
        any(p.criterion in criteria for p in found.points if p.pair == pair) for pair in found.pairs
    )


def rivals(found: Experiment) -> Judged:
    """Competing methods on one curve."""
    for pair in found.pairs:
        names = {p.criterion for p in found.points if p.pair == pair} - {"random"}
        if len(names) < 2:
            how = "Race several criteria: prunevis.race(model, data, (...))."
            return "not met", f"{_name(pair)} has no two methods besides chance.", how
    return "met", "Several methods besides chance stand on one trade-off.", ""


def same_start(found: Experiment) -> Judged:
    """The same initial weights for all methods."""
    how = "Give every method the same trained network, one for each seed."
    if any(not _known(point.before) for point in found.points):
        return "not met", "Without dense accuracies it cannot be seen.", how
    starts: dict[tuple[tuple[str, str], int | None], dict[str, set[float]]] = {}
    for point in found.points:
        methods = starts.setdefault((point.pair, point.seed), {})
        methods.setdefault(point.method, set()).add(point.before)
    for (pair, _), methods in starts.items():
        if len({frozenset(each) for each in methods.values()}) > 1:
            why = f"Methods begin with different networks, as their accuracies show: {_name(pair)}."
            return "not met", why, how
    return "met", "All methods of a run begin with the same weights.", ""


def same_code(found: Experiment) -> Judged:
    """The same libraries and code for all."""
    if found.in_memory:
        return "met", "All of it was run by one version of prunevis and its libraries.", ""
    kinds = [version.split(" ")[0] for version in found.versions]
    how = "Run all of it with one version, and keep the columns prunevis and torch."
    if not found.versions:
        return "not met", "The table does not say which versions it was made with.", how
    if len(kinds) > len(set(kinds)):
        return "not met", f"It was made with several versions: {_and(list(found.versions))}.", how
    return "met", f"All rows were made with {_and(list(found.versions))}.", ""


def recipe(found: Experiment) -> Judged:
    """How pruned networks were trained."""
    if not any(point.scheduled for point in found.points):
        return "not applicable", "Nothing was trained after pruning.", ""
    if found.columns & set(RECIPE):
        return "met", "The table says how pruned networks were trained.", ""
    how = "Keep optimiser, learning rate and epochs as columns."
    return "not met", "The table does not say how pruned networks were trained.", how


def _known(value: float) -> bool:
    return not math.isnan(value)


RULES: tuple[Rule, ...] = (
    Rule("named", "Networks and data are named", named),
    Rule("pairs", "Three pairs of network and data, large and modern ones among them", pairs),
    Rule("definitions", "It is said what compression and speedup mean", definitions),
    Rule("size and macs", "Both size and multiply-adds are reported", both),
    Rule("top-1", "Top-1 accuracy is reported as it is", accuracy),
    Rule("top-5", "Top-5 accuracy is reported where there are many classes", top5),
    Rule("control", "The dense network is reported under the same metrics", control),
    Rule("points", "Five operating points from 2 to 32 times smaller", points),
    Rule("collapse", "The range goes to where accuracy collapses", collapse),
    Rule("seeds", "Three runs or more", seeds),
    Rule("networks", "Runs begin with networks trained separately", networks),
    Rule("spread", "Mean and sample standard deviation", spread),
    Rule("random", "Random pruning is among the methods", random),
    Rule("magnitude", "Magnitude pruning is among the methods", magnitude),
    Rule("rivals", "Methods compete on one curve", rivals),
    Rule("same start", "All methods begin with the same weights", same_start),
    Rule("same code", "All methods run with the same code", same_code),
    Rule("recipe", "Training of pruned networks is described", recipe),
)
