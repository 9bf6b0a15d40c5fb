"""The history on the served page: two branches, gone to and compared, with what was forgotten."""

from __future__ import annotations

from typing import Any

import pytest
import servers
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_branching_going_back_and_comparing(browser: Any, demo: dict[str, Any]) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(servers.PATIENCE)
    page.goto(demo["address"], wait_until="commit")
    servers.ready(page)
    part = page.get_by_test_id
    part("tab-history").click()
    expect(part("history-empty")).to_contain_text("Nothing is applied yet")

    def apply(percent: str, steps: int) -> None:
        part("sparsity").fill(percent)
        part("sparsity").press("Enter")
        expect(part("apply")).to_be_enabled(timeout=servers.PATIENCE)
        part("apply").click()
        expect(part("step")).to_have_count(steps, timeout=servers.PATIENCE)
        servers.settled(page, "ready", "1")

    apply("60", 2)
    part("undo").click()
    expect(part("redo")).to_be_visible(timeout=servers.PATIENCE)
    apply("95", 3)
    numbers = [int(n) for n in part("step").evaluate_all("s => s.map((x) => x.dataset.number)")]
    expect(page.locator("[aria-current=step]")).to_have_attribute("data-number", str(numbers[2]))
    part("compare-start").click()  # with what it came of
    expect(part("compare")).to_have_attribute("data-state", "done", timeout=servers.PATIENCE)
    expect(part("compare-text")).to_contain_text("10,000 test examples")
    expect(page.locator("[data-kind=forgotten] canvas")).to_have_count(12)
    page.locator(f"[data-testid=step][data-number='{numbers[1]}']").click()
    part("step-go").click()
    expect(page.locator("[aria-current=step]")).to_have_attribute(
        "data-number", str(numbers[1]), timeout=servers.PATIENCE
    )
    expect(part("applied")).to_contain_text("60 %")
    page.close(run_before_unload=True)
