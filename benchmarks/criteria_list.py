"""`python -m benchmarks.criteria_list`: write docs/criteria.md, every criterion and repair."""

from __future__ import annotations

from pathlib import Path

from prunevis import CRITERIA, REPAIRS

DOCUMENT = Path(__file__).parents[1] / "docs" / "criteria.md"


def document() -> str:
    """Return the page: a table of criteria for weights, one for units, one of repairs."""
    lines = [
        "# Criteria and repairs", "",
        "Made by `python -m benchmarks.criteria_list`. Importance is always *higher = keep*; each",
        "entry's docstring has the exact formula with shapes. How well they do:",
        "[against the oracle](agreement.md), [in a race](race.md), [repairs](repair.md).", "",
    ]  # fmt: skip
    for granularity, title in (("weight", "Single weights"), ("unit", "Units")):
        lines += [f"## {title}", "", "| name | importance | what goes first | reads | source |"]
        lines.append("|---|---|---|---|---|")
        for name, criterion in CRITERIA.items():
            if granularity in criterion.granularities:
                needs = ", ".join(sorted(criterion.needs)) or "nothing"
                source = f"[{criterion.source}]({criterion.url})"
                cells = (f"`{name}`", criterion.formula, criterion.summary, needs, source)
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    lines += ["## Repairs", "", "| name | what it does | reads | source |", "|---|---|---|---|"]
    for name, repair in REPAIRS.items():
        needs = ", ".join(sorted(repair.needs)) or "nothing"
        source = f"[{repair.source}]({repair.url})" if repair.url else repair.source
        cells = (f"`{name}`", repair.summary, needs, source)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
    print(f"Wrote {DOCUMENT.name}.")
