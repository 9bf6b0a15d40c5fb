"""From a click on Cancel to the page saying so, in Chromium under Voila.

Fine-tuning of LeNet-5 is started, a while after its first steps it is cancelled; so is the scan of
the layers. Measured in the page, from the click's own time stamp to the paint of "cancelled", or of
the scan's button being free again.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks import served
from benchmarks.record import Figure, Report

TITLE = "Cancel: from the click to the page saying so, LeNet-5 on the Voila page"
BAR_MS = 200.0

#: Notes a click, and when what is waited for is painted.
WATCH = """
() => {
  window.probe = { done: null, click: null, took: null };
  document.addEventListener("click", (event) => { probe.click = event.timeStamp; }, true);
  new MutationObserver(() => {
    if (!probe.done || probe.took !== null || probe.click === null || !probe.done()) return;
    probe.took = -1;
    const from = probe.click;
    painted((now) => { probe.took = now - from; });
  }).observe(page(), { subtree: true, childList: true, characterData: true, attributes: true });
  window.part = (id) => document.querySelector(`[data-testid='${id}']`);
}
"""


def measure(*, quick: bool = False) -> Report:
    """Return ms from the click to the paint, of fine-tuning and of the scan."""
    count = 2 if quick else 20
    draw = random.Random(0)
    with served.chromium() as browser:
        version = browser.version
        with served.demo() as server, served.visit(browser, server.address) as page:
            served.expect_lenet5(page)
            page.wait_for_function("() => page().dataset.state === 'exact'")
            page.evaluate(WATCH)
            page.get_by_test_id("sparsity").fill("80")
            page.get_by_test_id("sparsity").press("Enter")
            page.get_by_test_id("tab-fine_tune").click()
            page.get_by_test_id("epochs").fill("20")
            tuning = [fine_tuning(page, draw) for _ in range(count)]
            page.get_by_test_id("tab-layers").click()
            scans = [scan(page, draw) for _ in range(count)]
    return Report(
        (
            Figure("fine-tuning", "ms", tuple(tuning), BAR_MS),
            Figure("the scan of the layers", "ms", tuple(scans), BAR_MS),
        ),
        chromium=version,
    )


def fine_tuning(page: Any, draw: random.Random) -> float:
    """Start, wait for steps and a while more, cancel; return ms."""
    page.get_by_test_id("fine-tune-start").click()
    page.wait_for_function("() => part('fine-tune-text').innerText.includes('epoch')")
    return cancelled(
        page,
        "fine-tune-cancel",
        "() => part('fine-tune-note').dataset.state === 'cancelled'",
        draw,
    )


def scan(page: Any, draw: random.Random) -> float:
    """Start, wait for the first answers and a while more, cancel; return ms."""
    page.get_by_test_id("scan").click()
    page.wait_for_function("() => part('scan').innerText === 'Scanning…'")
    return cancelled(page, "scan-cancel", "() => !part('scan').disabled", draw)


def cancelled(page: Any, button: str, done: str, draw: random.Random) -> float:
    """Click on `button` at a random time; return ms until `done` is painted."""
    page.wait_for_timeout(draw.uniform(100, 500))
    page.evaluate(f"() => Object.assign(probe, {{ done: {done}, click: null, took: null }})")
    page.get_by_test_id(button).click()
    page.wait_for_function("() => probe.took !== null && probe.took >= 0")
    took = page.evaluate("() => probe.took")
    page.evaluate("() => { probe.done = null; }")
    return took
