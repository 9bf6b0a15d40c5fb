"""From a key, or a hand on the slider, to new figures on the scoreboard, in Chromium under Voila.

Measured in the page: from the key's own time stamp (when the browser got it) to the moment after
the paint of the first frame that shows the change. Chromium's own account, the Event Timing API,
stands beside it: from the same time stamp until the paint is on screen, in steps of 8 ms. First
while the kernel fills in the curve, as it does for a visitor who has just come; then where every
accuracy is known. In the same run the page as one would usually write it: matplotlib and Output.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import Any

from benchmarks import served, usual_page
from benchmarks.record import Figure, Report

TITLE = "Key to paint: the scoreboard of LeNet-5 on the Voila page"
BAR_MS = 33.0
#: Updates a second during a drag.
BAR_RATE = 40.0
#: Milliseconds between two keys; a held key repeats about every 30.
PACE = 120
DRAGS, DRAG_SECONDS = 5, 2.0
#: Milliseconds below which Chromium's own account is silent; such a key counts as this long.
SHORTEST = 16

#: Collects, of every change of the parameters' card, the key it answers and when it was painted;
#: and of every position that is drawn what was known of its accuracy then. `data-k` is set last.
WATCH = """
() => {
  const card = document.querySelector("[data-testid='card-params']");
  const probe = window.probe = { key: null, keys: [], states: [], changes: [], events: [] };
  document.addEventListener("keydown", (event) => { probe.key = event.timeStamp; }, true);
  new MutationObserver(() => {
    const from = probe.key;
    const state = page().dataset.state;
    probe.key = null;
    painted((now) => {
      probe.changes.push(now);
      if (from === null) return;
      probe.keys.push(now - from);
      probe.states.push(state);
    });
  }).observe(card, { subtree: true, childList: true, characterData: true });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.name === "keydown") probe.events.push(entry.duration);
    }
  }).observe({ type: "event", durationThreshold: 16 });
}
"""


def measure(*, quick: bool = False) -> Report:
    """Return ms from key to paint, how often a drag repaints, and the same of the usual page."""
    count, notes = 5 if quick else 60, []
    with served.chromium() as browser:
        version = browser.version
        with served.demo() as server, served.visit(browser, server.address) as page:
            served.expect_lenet5(page)
            page.evaluate(WATCH)
            keys, events = press_keys(page, count)
            drags = [drag(page, 0.5 if quick else DRAG_SECONDS) for _ in range(DRAGS)]
            exact = known_keys(page, count)
        usual = usual_keys(browser, 3 if quick else 30, notes)
    gaps = [gap for found, _ in drags for gap in found]
    rates = tuple(rate for _, rate in drags)
    figures = (
        Figure("from the key to the paint", "ms", tuple(keys), BAR_MS),
        Figure("by Chromium's own account (Event Timing)", "ms", tuple(events), BAR_MS),
        Figure("accuracy too, where it is known", "ms", tuple(exact), BAR_MS),
        Figure("dragging: between two updates", "ms", tuple(gaps)),
        Figure("dragging: updates a second", "1/s", rates, BAR_RATE, "p5"),
        Figure("the usual page (matplotlib, Output)", "ms", tuple(usual)),
        Figure("how many times as long the usual page takes", "×", (median(usual) / median(keys),)),
    )
    return Report(figures, chromium=version, notes=tuple(notes))


def usual_keys(browser: Any, count: int, notes: list[str]) -> list[float]:
    """Return ms from a key to the usual page's new figure."""
    with (
        usual_page.usual("costs") as address,
        usual_page.visit(browser, address, notes) as page,
    ):
        return usual_page.keys(page, count, image=True)


def known_keys(page: Any, count: int) -> list[float]:
    """Wait until every accuracy is known, walk to the left; return ms to the paint."""
    page.wait_for_function(served.ALL_KNOWN)
    page.get_by_test_id("slider").focus()
    page.keyboard.press("End")
    page.wait_for_timeout(500)
    page.evaluate("() => Object.assign(probe, { key: null, keys: [], states: [] })")
    for _ in range(count):
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(PACE)
    page.wait_for_timeout(500)
    keys, states = page.evaluate("() => [probe.keys, probe.states]")
    if len(keys) != count or set(states) != {"exact"}:
        raise AssertionError(f"{count} keys; {len(keys)} were answered, with {set(states)}.")
    return keys


def press_keys(page: Any, count: int) -> tuple[list[float], list[float]]:
    """Press the right arrow; return ms to the next frame, and Chromium's own durations."""
    page.get_by_test_id("slider").focus()
    for _ in range(count):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(PACE)
    page.wait_for_timeout(500)
    keys, events = page.evaluate("() => [probe.keys, probe.events]")
    if len(keys) != count:
        raise AssertionError(f"{count} keys were pressed, {len(keys)} changed the scoreboard.")
    return keys, events + [SHORTEST] * (count - len(events))


def drag(page: Any, seconds: float) -> tuple[list[float], float]:
    """Drag to and fro; return ms between two updates, and updates a second."""
    slider = page.get_by_test_id("slider")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    left, right = box["x"] + 0.1 * box["width"], box["x"] + 0.9 * box["width"]
    page.mouse.move(left, y)
    page.mouse.down()
    begin = page.evaluate("() => { probe.changes.length = 0; return performance.now(); }")
    there, back = right, left
    while page.evaluate("() => performance.now()") - begin < 1000 * seconds:
        # more than a percent a move, so that each is one to another position; the next one is sent
        # as soon as the browser has dealt with the last
        page.mouse.move(there, y, steps=60)
        there, back = back, there
    finish, changes = page.evaluate("() => [performance.now(), probe.changes]")
    page.mouse.up()
    gaps = [after - before for before, after in pairwise(changes)]
    if not gaps:
        raise AssertionError("Dragging changed nothing on the scoreboard.")
    return gaps, 1000 * len(changes) / (finish - begin)
