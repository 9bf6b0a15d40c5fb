"""From a key, or a hand on the slider, to new figures on the scoreboard, in Chromium under Voila.

Measured in the page: from the key's own time stamp (when the browser got it) to the frame after the
one in which the text of the parameters' card changed. Chromium's own account, the Event Timing API,
stands beside it: from the same time stamp until the paint is on screen, in steps of 8 ms. Meanwhile
the kernel fills in the curve, as it does for a visitor who has just come.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from benchmarks import served
from benchmarks.record import Figure, Report

TITLE = "Key to paint: the scoreboard of LeNet-5 on the Voila page"
BAR_MS = 50.0
#: Milliseconds between two keys; a held key repeats about every 30.
PACE = 120
DRAG_SECONDS = 3.0
#: Milliseconds below which Chromium's own account is silent; such a key counts as this long.
SHORTEST = 16

#: Collects, of every change of the card, the key it answers and when it was painted.
WATCH = """
() => {
  const card = document.querySelector("[data-testid='card-params']");
  const probe = window.probe = { key: null, keys: [], changes: [], events: [] };
  document.addEventListener("keydown", (event) => { probe.key = event.timeStamp; }, true);
  new MutationObserver(() => {
    const from = probe.key;
    probe.key = null;
    painted((now) => {
      probe.changes.push(now);
      if (from !== null) probe.keys.push(now - from);
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
    """Return ms from key to paint, and how often a drag repaints."""
    with served.lenet5() as (browser, page):
        version = browser.version
        page.evaluate(WATCH)
        keys, events = press_keys(page, 5 if quick else 60)
        gaps, rate = drag(page, 0.5 if quick else DRAG_SECONDS)
    figures = (
        Figure("from the key to the next frame", "ms", tuple(keys), BAR_MS),
        Figure("by Chromium's own account (Event Timing)", "ms", tuple(events), BAR_MS),
        Figure("dragging: between two updates", "ms", tuple(gaps)),
        Figure("dragging: updates a second", "1/s", (rate,)),
    )
    return Report(figures, chromium=version)


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
