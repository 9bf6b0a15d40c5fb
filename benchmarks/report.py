"""The table of results in `README.md`, made from the JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import NAMES
from benchmarks.record import amount, verdict

START = "<!-- results: filled in by `python -m benchmarks report` -->"
END = "<!-- end of results -->"


def fill(readme: Path, results: Path) -> None:
    """Put the table between the two marks of `readme`.

    Raises
    ------
    ValueError
        If the marks are missing.
    """
    text = readme.read_text("utf-8")
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"{readme.name} lacks the lines {START!r} and {END!r}.")
    found = markdown(load(results))
    readme.write_text(f"{before}{START}\n\n{found}\n\n{END}{after}", encoding="utf-8")


def load(folder: Path) -> list[dict[str, Any]]:
    """Return the results in `folder`, in the order in which benchmarks are listed."""
    paths = (folder / f"{name}.json" for name in NAMES)
    return [json.loads(path.read_text("utf-8")) for path in paths if path.exists()]


def markdown(results: list[dict[str, Any]]) -> str:
    """Return one row a figure, and a line on what each benchmark was measured on."""
    if not results:
        return "Not measured yet."
    lines = ["| | figure | median | p95 | runs | bar |", "|---|---|--:|--:|--:|---|"]
    for result in results:
        for k, figure in enumerate(result["figures"]):
            cells = [
                f"`{result['name']}`" if k == 0 else "",
                figure["name"],
                amount(figure["median"], figure["unit"]),
                amount(figure["p95"], figure["unit"]),
                f"{figure['count']:,}",
                verdict(figure),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for result in results:
        lines.append(f"- `{result['name']}`: {_measured_on(result)}")
    for result in results:
        name = result["name"]
        lines += ["", f"![{result['title']}](results/{name}.png)"]
    return "\n".join(lines)


def _measured_on(result: dict[str, Any]) -> str:
    machine = result["machine"]
    versions = [("Python", "python"), ("torch", "torch"), ("Voila", "voila")]
    parts = [f"{label} {machine[key]}" for label, key in versions if machine[key]]
    if machine["chromium"]:
        parts.append(f"Chromium {machine['chromium']}")
    else:
        parts = parts[:2]
    quick = " A quick run: it measures nothing." if result["quick"] else ""
    notes = "".join(f" {note}" for note in result["notes"])
    return (
        f"{result['date'][:10]}, {machine['cpus']} CPUs, load {machine['load_average']} "
        f"at the start, {', '.join(parts)}.{quick}{notes}"
    )
