"""The tables of a report: what a network cost and did before, and what it costs and does now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import torch

from prunevis.evaluation.exact import Evaluation
from prunevis.evaluation.intervals import wilson
from prunevis.evaluation.oneshot import Pruned
from prunevis.export.report import Grid, Picture, Report
from prunevis.graph.cost import ModelCost


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """A network before and after.

    Attributes
    ----------
    before, after
        Costs; of `after`, units that left are counted as gone, and zeros as zeros.
    was, now
        Evaluations on the same examples.
    removed
        Whether units left.
    zeros
        Whether weights are zero.
    """

    before: ModelCost
    after: ModelCost
    was: Evaluation
    now: Evaluation
    removed: bool
    zeros: bool


def scoreboard(outcome: Outcome) -> Grid:
    """Return the four numbers of the page: accuracy, size, parameters, FLOPs."""
    before, after, was, now = outcome.before, outcome.after, outcome.was, outcome.now
    params, flops = before.base_params, 2 * before.base_macs
    rows = [
        ("Accuracy", _accuracy(was), _accuracy(now), f"{100 * (now.accuracy - was.accuracy):+.2f}"
         " points"),
        ("Size of the file", _bytes(before.base_bytes), f"{_bytes(after.bytes)}, "
         f"{_STORED[after.storage]}", _fewer(before.base_bytes, after.bytes)),
        ("Parameters", f"{params:,}", f"{after.nonzero_params:,}",
         _fewer(params, after.nonzero_params)),
        ("FLOPs an example", f"{flops:,}", f"{2 * after.removed_macs:,}",
         _fewer(flops, 2 * after.removed_macs)),
    ]  # fmt: skip
    if outcome.zeros:
        left = after.effective_flops
        rows.append(("FLOPs, zeros skipped", f"{flops:,}", f"{left:,}", _fewer(flops, left)))
    return Grid("The network as it came, and as it is now", ("", "was", "is", "change"), rows)


def honest_notes(outcome: Outcome) -> list[str]:
    """Return what the scoreboard does not say by itself."""
    found = []
    low, high = _interval(outcome.now)
    if low <= outcome.was.accuracy <= high:
        found.append("The change in accuracy is within what other test examples could have given.")
    if outcome.zeros:
        found.append(
            "Weights are zero, not gone: the file is smaller if zeros are stored sparsely, but "
            "ordinary code multiplies them like any number. Only code that skips zeros saves time."
        )
    if outcome.removed:
        found.append("Units were taken out: the network is smaller everywhere it runs.")
    return found


def layer_table(before: ModelCost, after: ModelCost) -> Grid:
    """Return parameters and multiply-adds of each layer, before and now."""
    rows = []
    for name, layer in before.layers.items():
        now = after.layers.get(name)
        if now is None:
            continue
        left, macs = now.nonzero_params, now.effective_macs
        rows.append(
            (
                *(name, f"{layer.num_params:,}", f"{left:,}", _share(left, layer.num_params)),
                *(f"{layer.macs:,}", f"{macs:,}", _share(macs, layer.macs)),
            )
        )
    return Grid(
        "Parameters that are not zero, and multiply-adds without those of zeros",
        ("layer", "parameters", "left", "share", "multiply-adds", "left", "share"),
        rows,
    )


def measured_on(
    name: str, count: int, *more: tuple[str, str], licence: str = ""
) -> list[tuple[str, str]]:
    """Return what the numbers rest on, as terms and words.

    Parameters
    ----------
    name, licence
        Of the data; "" if there is none.
    count
        Test examples.
    *more
        Further terms.
    """
    from prunevis import __version__

    called = name or "data without a name"
    return [
        ("Data", f"{called}, {count:,} test examples, all of them"),
        *([("Their licence", licence)] if licence else []),
        ("Accuracy", "top-1; in brackets the 95 % score interval (Wilson 1927)"),
        ("Size", "the smallest of dense, bitmask and CSR storage, by arithmetic"),
        ("FLOPs", "2 × multiply-adds of one example, by arithmetic"),
        *more,
        ("Versions", f"prunevis {__version__}, torch {torch.__version__}"),
        ("Written", date.today().isoformat()),
    ]


def report_of_pruned(result: Pruned, title: str = "A pruned network") -> Report:
    """Return the report on what `prune` gave."""
    from prunevis import plots
    from prunevis.evaluation.report_card import report_card

    plan = result.plan
    units = plan.granularity == "unit"
    after = result.cost_after
    outcome = Outcome(
        result.cost_before, after, result.before, result.after, units and plan.num_removed > 0,
        not units and plan.num_removed > 0,
    )  # fmt: skip
    what = "units" if units else "weights"
    text = f"{plan.achieved_sparsity:.1%} of {what} by {plan.spec.criterion}"
    ax = plots.layer_costs(after, before=result.cost_before, title="")
    left_out = [f"{name} was left out: {why}" for name, why in result.skipped.items()]
    count = f"{result.after.total:,} test examples"
    return Report(
        title=title,
        summary=f"{text}, scope {plan.spec.scope}: accuracy {result.accuracy_before:.2%} before "
        f"and {result.accuracy_after:.2%} after, on {count}.",
        scoreboard=scoreboard(outcome),
        notes=[*honest_notes(outcome), *left_out],
        layers=layer_table(result.cost_before, after),
        pictures=[picture("Where it went", ax, plots.alt.layer_costs(after))],
        steps=[text],
        cards=[("This experiment", report_card(result))],
        measured=measured_on("", result.after.total),
    )


def picture(title: str, ax: Any, alt: str, caption: str = "") -> Picture:
    """Return a figure of `prunevis.plots` for a report."""
    from prunevis import plots

    return Picture(title, alt, plots.png(ax.figure, 160), caption)


_STORED = {"dense": "dense", "bitmask": "with a bitmask", "csr": "sparse (CSR)"}


def _interval(found: Evaluation) -> tuple[float, float]:
    return wilson(found.correct, found.total)


def _accuracy(found: Evaluation) -> str:
    low, high = _interval(found)
    return f"{found.accuracy:.2%} ({100 * low:.1f} to {100 * high:.1f})"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"


def _fewer(before: int, after: int) -> str:
    if after >= before:
        return "as before" if after == before else f"{after / max(1, before):.2f}× as much"
    return f"{before / max(1, after):.2f}× less"


def _share(part: int, whole: int) -> str:
    return "–" if not whole else f"{100 * part / whole:.1f} %"
