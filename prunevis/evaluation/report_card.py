"""The checklist of Blalock et al. 2020 as a report card that any experiment gets at once.

Blalock, Gonzalez Ortiz, Frankle and Guttag, "What is the state of neural network pruning?", MLSys
2020 (arXiv 2003.03033), found in 81 papers so little that can be compared that section 6 and
appendix B say what every experiment should report. Here each point of that list is one rule, in
our words; `report_rules` holds them.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from prunevis.evaluation.experiment import Summary, experiment_of
from prunevis.evaluation.report_rules import RULES

State = Literal["met", "not met", "not applicable"]

#: So that states are told apart without colour.
MARKS: dict[State, str] = {"met": "✓", "not met": "✗", "not applicable": "–"}
SOURCE = (
    "After section 6 and appendix B of Blalock, Gonzalez Ortiz, Frankle and Guttag, What is the "
    "state of neural network pruning?, 2020 (arXiv 2003.03033), in our words."
)
DEFINITIONS = (
    "Compression: parameters before / parameters left. Speedup: multiply-adds before / "
    "multiply-adds left, in theory. Accuracy: top-1, mean ± sample standard deviation over runs."
)


@dataclass(frozen=True, slots=True)
class ReportItem:
    """One point of the list.

    Attributes
    ----------
    name
        A word to look it up by.
    title
        What is asked, as a short sentence.
    state
        "met", "not met" or "not applicable".
    why
        A sentence with what was found.
    how
        How to meet it, where it is not met; else "".
    """

    name: str
    title: str
    state: State
    why: str
    how: str


@dataclass(frozen=True, eq=False, slots=True)
class ReportCard:
    """What an experiment reports of what it should, with the numbers themselves.

    Attributes
    ----------
    items
        In the order of the list.
    summaries
        Mean and sample standard deviation of each method at each share.
    """

    items: tuple[ReportItem, ...]
    summaries: tuple[Summary, ...] = field(repr=False)

    def __getitem__(self, name: str) -> ReportItem:
        """Return an item by its name; KeyError if there is none."""
        for item in self.items:
            if item.name == name:
                return item
        raise KeyError(name)

    def count(self, state: State) -> int:
        """Return how many items are in that state."""
        return sum(item.state == state for item in self.items)

    @property
    def verdict(self) -> str:
        """How many are met, in a sentence."""
        apply = len(self.items) - self.count("not applicable")
        others = len(self.items) - apply
        tail = f"; {others} do not apply" if others > 1 else "; 1 does not apply" if others else ""
        return f"{self.count('met')} of {apply} met{tail}."

    @property
    def text(self) -> str:
        """Plain text: the verdict, then an item in one to three lines."""
        lines = [f"Report card: {self.verdict}"]
        for item in self.items:
            lines += [f"{MARKS[item.state]} {item.title}", f"    {item.why}"]
            lines += [f"    → {item.how}"] if item.how else []
        return "\n".join([*lines, SOURCE])

    def __repr__(self) -> str:
        return self.text

    @property
    def markdown(self) -> str:
        """The same as Markdown: a table of the items, and one of the results."""
        lines = [f"**Report card: {self.verdict}**", "", "| | asked | found |", "|---|---|---|"]
        for item in self.items:
            found = f"{item.why} *{item.how}*" if item.how else item.why
            mark = f"{MARKS[item.state]} {item.state}"
            lines.append(f"| {mark} | {_cell(item.title)} | {_cell(found)} |")
        lines += ["", "| " + " | ".join(HEADS) + " |", "|---|---|" + "---:|" * (len(HEADS) - 2)]
        lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in self._rows()]
        return "\n".join([*lines, "", DEFINITIONS, "", SOURCE, ""])

    @property
    def html(self) -> str:
        """The same as HTML, without styles: ``<section class="report-card">``."""
        items = "".join(
            f'<li class="{item.state.replace(" ", "-")}"><span aria-label="{item.state}">'
            f"{MARKS[item.state]}</span> <strong>{html.escape(item.title)}</strong> "
            f"{html.escape(item.why)}"
            + (f" <em>{html.escape(item.how)}</em>" if item.how else "")
            + "</li>"
            for item in self.items
        )
        heads = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in HEADS)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        return (
            '<section class="report-card">'
            f"<p><strong>Report card: {html.escape(self.verdict)}</strong></p><ul>{items}</ul>"
            f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
            f"<p>{html.escape(DEFINITIONS)}</p><p>{html.escape(SOURCE)}</p></section>"
        )

    def _repr_html_(self) -> str:
        return self.html

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                " on ".join(part for part in (found.model, found.data) if part) or "not named",
                found.method,
                _times(found.compression),
                _times(found.speedup),
                _percent(found.before),
                _percent(found.mean) + (
                    "" if math.isnan(found.std) else f" ± {100 * found.std:.2f}"
                ),
                "–" if math.isnan(found.change) else f"{100 * found.change:+.2f}",
                str(found.runs),
            )
            for found in self.summaries
        ]  # fmt: skip


#: Columns of the results.
HEADS = (
    *("network", "method", "compression", "speedup", "dense, %", "pruned, %", "change, points"),
    "runs",
)


def report_card(experiment: Any, *, model: str = "", data: str = "") -> ReportCard:
    """Hold an experiment against the checklist of Blalock et al. 2020.

    Parameters
    ----------
    experiment
        From `prunevis.tradeoff`, `race` or `prune`, several of these, or rows of a table; see
        `prunevis.evaluation.experiment.experiment_of` for its columns.
    model, data
        What network and data are called, where the experiment does not say.

    Raises
    ------
    DataError
        If it is no experiment, or holds no pruned network.

    Examples
    --------
    >>> card = report_card(race(model, data), model="LeNet-5", data="MNIST")
    >>> card["seeds"].state, card["seeds"].why
    ('met', 'Each method that draws anything ran with 3 seeds.')
    """
    found = experiment_of(experiment, model=model, data=data)
    items = []
    for rule in RULES:
        state, why, how = rule.judge(found)
        items.append(ReportItem(rule.name, rule.title, state, why, how if state != "met" else ""))
    return ReportCard(tuple(items), found.summaries())


def _times(ratio: float) -> str:
    return "–" if math.isnan(ratio) else f"{ratio:.3g}×"


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.2f}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
