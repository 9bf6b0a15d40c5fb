"""From a key that lands where nothing is known to an accuracy on screen, in Chromium under Voila.

Three ways to get there, LeNet-5's weights: the arrow key on a page just opened; a sparsity typed in
between the slider's positions, for which Python makes a new table; the arrow key after another seed
of random pruning, which leaves nothing known. Each is measured in the page, from the key's own time
stamp to the frame after the one that shows the accuracy. A position that turns out to be known when
the key lands (the curve fills in behind) is passed over and counted in a note. In the same run the
usual way: mask a copy, run all 10,000 images in the slider's callback, set a label.
"""

from __future__ import annotations

import random
from statistics import median
from typing import Any

from benchmarks import served, usual_page
from benchmarks.record import Figure, Report

TITLE = "The first estimate: an accuracy at a position not known before, LeNet-5 on the Voila page"
BAR_MS = 120.0
#: Milliseconds to rest between two keys: a person looks before moving on.
REST = 150

#: Returns what the page knows of the accuracy at this position, null while it shows another. The
#: cards of costs are dimmed while a typed position is not in the table: then the accuracy shown
#: belongs to a neighbour.
HERE = """
(wanted) => {
  const here = page().dataset.sparsity === wanted
    && !document.querySelector("[data-testid='card-params']").hasAttribute("data-dim");
  return here ? page().dataset.state : null;
}
"""

#: Notes when a key is pressed, and when an accuracy first shows at `window.wanted`.
WATCH = f"""
() => {{
  const here = {HERE};
  window.probe = {{ wanted: null, key: null, first: null, took: null }};
  document.addEventListener("keydown", (event) => {{
    if (probe.key === null) probe.key = event.timeStamp;
  }}, true);
  const look = () => {{
    const state = probe.wanted === null || probe.took !== null ? null : here(probe.wanted);
    if (state === null) return;
    probe.first ??= state;
    if (state === "unknown") return;
    const from = probe.key;
    probe.took = -1;
    painted((now) => {{ probe.took = now - from; }});
  }};
  new MutationObserver(look).observe(page(), {{ subtree: true, attributes: true,
    attributeFilter: ["data-sparsity", "data-state", "data-k", "data-dim"] }});
}}
"""


def measure(*, quick: bool = False) -> Report:
    """Return ms until an accuracy shows, by the way to an unknown position."""
    count = 3 if quick else 30
    notes: list[str] = []
    with served.chromium() as browser:
        version = browser.version
        with served.demo() as server, served.visit(browser, server.address) as page:
            served.expect_lenet5(page)
            page.evaluate(WATCH)
            ways = {
                "arrow key, a page just opened": by_arrow(page, count, notes),
                "typed between two positions": by_typing(page, count, notes),
                "arrow key, random pruning with a new seed": by_seed(page, count, notes),
            }
        with (
            usual_page.usual("accuracy") as address,
            usual_page.visit(browser, address, notes) as page,
        ):
            usual = usual_page.keys(page, 2 if quick else 15, image=False)
    ours = median([run for runs in ways.values() for run in runs])
    return Report(
        (
            *(Figure(name, "ms", tuple(runs), BAR_MS) for name, runs in ways.items()),
            Figure("the usual way (mask, all images, a label)", "ms", tuple(usual)),
            Figure("how many times as long that takes", "×", (median(usual) / ours,)),
        ),
        chromium=version,
        notes=tuple(notes),
    )


def by_arrow(page: Any, count: int, notes: list[str]) -> list[float]:
    """Walk to the right until `count` positions were unknown."""
    slider = page.get_by_test_id("slider")
    runs, known = [], 0
    slider.focus()
    for percent in range(1, 100):
        if len(runs) == count:
            break
        took = timed(page, percent / 100, lambda: page.keyboard.press("ArrowRight"))
        runs, known = ([*runs, took], known) if took is not None else (runs, known + 1)
    return enough(runs, count, known, "arrow keys", notes)


def by_typing(page: Any, count: int, notes: list[str]) -> list[float]:
    """Type sparsities that are no whole percents."""
    field = page.get_by_test_id("sparsity")
    draw = random.Random(0)
    runs, known = [], 0
    for whole in draw.sample(range(20, 90), 2 * count):
        if len(runs) == count:
            break
        tenths = 10 * whole + draw.randrange(2, 9)
        field.focus()
        page.keyboard.press("Control+A")
        page.keyboard.type(f"{tenths / 10:.1f}")
        took = timed(page, tenths / 1000, lambda: page.keyboard.press("Enter"))
        runs, known = ([*runs, took], known) if took is not None else (runs, known + 1)
    return enough(runs, count, known, "typed positions", notes)


def by_seed(page: Any, count: int, notes: list[str]) -> list[float]:
    """Change the seed of random pruning, take five steps from 30 %, and so on."""
    page.get_by_test_id("criterion").select_option("random")
    page.get_by_test_id("seed").wait_for()
    runs, known = [], 0
    for seed in range(1, 4 * count):
        if len(runs) == count:
            break
        field = page.get_by_test_id("sparsity")
        field.fill("30")
        field.press("Enter")
        field = page.get_by_test_id("seed")
        field.fill(str(seed))
        field.press("Enter")
        # known under the last seed, or not: the new ranking answers for the place it starts from
        page.wait_for_timeout(1500)
        page.get_by_test_id("slider").focus()
        for percent in range(31, 36):
            if len(runs) == count:
                break
            took = timed(page, percent / 100, lambda: page.keyboard.press("ArrowRight"))
            runs, known = ([*runs, took], known) if took is not None else (runs, known + 1)
    return enough(runs, count, known, "arrow keys with a new seed", notes)


def timed(page: Any, sparsity: float, press: Any) -> float | None:
    """Return ms from `press` to an accuracy at `sparsity`; None if one was known already."""
    page.evaluate(
        "(wanted) => Object.assign(probe, { wanted, key: null, first: null, took: null })",
        f"{sparsity:.4f}",
    )
    press()
    page.wait_for_function("() => probe.took !== null && probe.took >= 0")
    took, first = page.evaluate("() => [probe.took, probe.first]")
    page.wait_for_timeout(REST)
    # typed positions are new to the table, so the first that is seen of them may be the answer
    between = abs(100 * sparsity - round(100 * sparsity)) > 1e-6
    return took if between or first == "unknown" else None


def enough(runs: list[float], count: int, known: int, what: str, notes: list[str]) -> list[float]:
    """Return `runs` if there are `count`, and note how many positions were known."""
    if len(runs) < count:
        raise AssertionError(f"Only {len(runs)} of {count} {what} landed where nothing was known.")
    if known:
        notes.append(f"{known} {what} landed where the accuracy was known, and do not count.")
    return runs
