"""A report that stands alone: one HTML file with its pictures inside, for reading and printing.

It asks nothing of any network: its own security policy forbids that. All text is escaped, whatever
a network or its layers are called.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from prunevis.evaluation.report_card import MARKS, SOURCE, ReportCard

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"

_STYLE = """
:root { color-scheme: light; --ink: #1d232b; --quiet: #626c77; --line: #e7e4dd; --kept: #2b6cb0; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 820px; padding: 32px 24px 64px; background: #fff;
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif; }
h1 { margin: 0 0 4px; font-size: 26px; line-height: 1.2; }
h2 { margin: 36px 0 8px; padding-top: 12px; border-top: 1px solid var(--line); font-size: 18px; }
h3 { margin: 20px 0 4px; font-size: 15px; }
p { margin: 6px 0; max-width: 70ch; }
.quiet, figcaption, caption { color: var(--quiet); }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { padding-bottom: 6px; text-align: left; font-size: 13px; }
th, td { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; font-weight: 400; }
thead th { color: var(--quiet); font-size: 13px; }
tbody th { font-weight: 600; }
.n { text-align: right; padding-right: 0; padding-left: 10px; white-space: nowrap; }
.notes { padding-left: 18px; }
figure { margin: 16px 0; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { margin-top: 4px; font-size: 13px; }
pre { margin: 8px 0; padding: 12px 14px; border: 1px solid var(--line); border-radius: 8px;
  background: #fbfaf7; overflow-x: auto; font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
.card { margin: 0; padding: 0; list-style: none; }
.card li { padding: 5px 0 5px 26px; position: relative; }
.card .mark { position: absolute; left: 2px; font-weight: 700; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 8px 0; }
dt { color: var(--quiet); }
dd { margin: 0; }
@media (max-width: 480px) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 6px; } }
@media print {
  @page { margin: 18mm 16mm; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  h2, h3 { break-after: avoid; }
  figure, tr, .card li { break-inside: avoid; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  .wide { overflow: visible; }
}
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure of a report.

    Attributes
    ----------
    title, alt, caption
        Its heading, what it shows for who cannot see it, and a line beneath.
    png
        Bytes.
    """

    title: str
    alt: str
    png: bytes = field(repr=False)
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: the first column names the rows, the others are numbers unless `words` says not.

    Attributes
    ----------
    caption
        One line above it.
    heads, rows
        Texts.
    words
        Columns that hold words, counted from 0.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[int] = frozenset({0})


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says.

    Attributes
    ----------
    title, summary
        The heading and a sentence or two under it.
    scoreboard
        Before and after.
    notes
        Sentences beneath it that keep it honest.
    layers
        What each layer lost; None if there is nothing to say.
    pictures
        In order.
    steps
        What was applied, in words.
    code
        Python that gives the same; "" if there is none.
    recipe
        The same as a small JSON; "" if there is none.
    cards
        Headings and report cards.
    measured
        Terms and what they mean here: data, intervals, versions.
    """

    title: str
    summary: str
    scoreboard: Grid
    notes: Sequence[str] = ()
    layers: Grid | None = None
    pictures: Sequence[Picture] = ()
    steps: Sequence[str] = ()
    code: str = ""
    recipe: str = ""
    cards: Sequence[tuple[str, ReportCard]] = ()
    measured: Sequence[tuple[str, str]] = ()


def document(report: Report) -> str:
    """Return the report as one HTML document."""
    parts = [
        f"<header><h1>{_text(report.title)}</h1><p>{_text(report.summary)}</p></header>",
        "<main>",
        _section("Before and after", _grid(report.scoreboard), _list(report.notes)),
        _section("What was done", _steps(report.steps)),
        *(_section(one.title, _picture(one)) for one in report.pictures),
    ]
    if report.layers is not None:
        parts.append(_section("Layer by layer", _grid(report.layers)))
    if report.cards:
        cards = [part for heading, card in report.cards for part in _card(heading, card)]
        parts.append(_section("Report card", *cards, f'<p class="quiet">{_text(SOURCE)}</p>'))
    if report.code:
        text = "<p>This runs as it stands, and gives the same numbers.</p>"
        parts.append(_section("The same in Python", text, _code(report.code)))
    if report.recipe:
        parts.append(_section("Recipe", _code(report.recipe)))
    terms = "".join(f"<dt>{_text(a)}</dt><dd>{_text(b)}</dd>" for a, b in report.measured)
    parts.append(_section("How this was measured", f"<dl>{terms}</dl>"))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(report.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _text(text: object) -> str:
    return html.escape(str(text))


def _section(heading: str, *parts: str) -> str:
    return f"<section><h2>{_text(heading)}</h2>{''.join(parts)}</section>"


def _list(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences)
    return f'<ul class="notes quiet">{items}</ul>' if items else ""


def _steps(steps: Sequence[str]) -> str:
    if not steps:
        return "<p>Nothing was applied: this is the network as it came.</p>"
    return "<ol>" + "".join(f"<li>{_text(step)}</li>" for step in steps) + "</ol>"


def _grid(grid: Grid) -> str:
    def attribute(column: int) -> str:
        return "" if column in grid.words else ' class="n"'

    heads = "".join(
        f'<th scope="col"{attribute(k)}>{_text(head)}</th>' for k, head in enumerate(grid.heads)
    )
    rows = ""
    for row in grid.rows:
        cells = "".join(f"<td{attribute(k)}>{_text(row[k])}</td>" for k in range(1, len(row)))
        rows += f'<tr><th scope="row">{_text(row[0])}</th>{cells}</tr>'
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{_text(grid.caption)}">'
        f"<table><caption>{_text(grid.caption)}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _picture(one: Picture) -> str:
    address = "data:image/png;base64," + base64.b64encode(one.png).decode("ascii")
    caption = f"<figcaption>{_text(one.caption)}</figcaption>" if one.caption else ""
    return f'<figure><img src="{address}" alt="{_text(one.alt)}">{caption}</figure>'


def _card(heading: str, card: ReportCard) -> list[str]:
    items = "".join(
        f'<li><span class="mark" role="img" aria-label="{item.state}">{MARKS[item.state]}</span>'
        f"<strong>{_text(item.title)}</strong> {_text(item.why)}"
        + (f' <span class="quiet">{_text(item.how)}</span>' if item.how else "")
        + "</li>"
        for item in card.items
    )
    verdict = f"<p>{_text(card.verdict)}</p>"
    return [f"<h3>{_text(heading)}</h3>", verdict, f'<ul class="card">{items}</ul>']


def _code(code: str) -> str:
    return f'<pre tabindex="0"><code>{_text(code)}</code></pre>'
