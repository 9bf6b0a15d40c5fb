"""What axe-core finds on a page, in lines that a person can act on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: axe-core as its authors published it: npm package axe-core, version 4.14.1, MPL-2.0.
AXE = Path(__file__).parent / "browser" / "axe" / "axe.min.js"


def prepare(page: Any) -> None:
    """Put axe-core into `page`; nothing is asked of a network."""
    page.evaluate(AXE.read_text("utf-8"))


def violations(page: Any) -> list[str]:
    """Return what breaks a rule, of any impact, one line an element."""
    # what a click changes is drawn in the frames after it
    page.evaluate("new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    lines = []
    for rule in found["violations"]:
        for node in rule["nodes"]:
            why = "; ".join(check["message"] for check in node["any"] + node["all"] + node["none"])
            lines.append(f"{rule['impact']} {rule['id']}: {node['html'][:160]} ({why[:300]})")
    return lines


def open_tabs(page: Any) -> list[str]:
    """Return the test ids of all tabs, in their order."""
    return page.eval_on_selector_all("[role=tab]", "tabs => tabs.map((t) => t.dataset.testid)")
