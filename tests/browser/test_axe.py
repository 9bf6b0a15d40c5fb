"""Nothing on any tab of the served page breaks a rule of axe-core, light or dark, wide or narrow.

``pytest -m access`` runs this and the other tests of what a page must be to be used by everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import servers
from accessibility import open_tabs, prepare, violations

pytestmark = [pytest.mark.browser, pytest.mark.access]

#: What a tab shows once Python has filled it.
FILLED = {
    "network": "[data-testid=node]",
    "redundancy": "img[alt]",
    "tradeoff": "svg[aria-label]",
    "criteria": "[data-testid=race-start]",
    "layers": "img[alt]",
    "history": "[data-testid=history-empty]",
    "fine_tune": "[data-testid=schedule-about] a",
}


@pytest.fixture(scope="module")
def filled(browser: Any, demo: dict[str, Any]) -> Iterator[Any]:
    """The page of a visitor who has been everywhere: every tab has something to show."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(servers.PATIENCE)
    page.goto(demo["address"], wait_until="commit")
    servers.ready(page)
    page.get_by_test_id("granularity-unit").click()
    servers.until(
        page, "() => document.querySelector(\"[data-testid='criterion']\").value === 'l2'"
    )
    page.get_by_test_id("sparsity").fill("40")
    page.get_by_test_id("sparsity").press("Enter")
    page.get_by_test_id("tab-neurons").click()
    servers.text_becomes(page, "neurons-going", "here")
    page.get_by_test_id("unit-number").fill("3")
    page.get_by_test_id("unit-number").press("Enter")
    page.get_by_test_id("unit").get_by_role("img").wait_for()
    for tab, shown in FILLED.items():
        page.get_by_test_id(f"tab-{tab}").click()
        page.locator(f"[data-testid=panel-{tab}] {shown}").first.wait_for()
    servers.settled(page, "state", "exact")
    prepare(page)
    yield page
    page.close(run_before_unload=True)
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_rule_is_broken_on_any_tab(filled: Any, scheme: str, width: int) -> None:
    filled.set_viewport_size({"width": width, "height": 900})
    filled.emulate_media(color_scheme=scheme)
    servers.until(filled, "s => document.querySelector('.pv').dataset.pvTheme === s", scheme)
    tabs = open_tabs(filled)
    assert len(tabs) >= 8
    found = {}
    for tab in tabs:
        filled.get_by_test_id(tab).click()
        broken = violations(filled)
        if broken:
            found[tab] = broken
    assert found == {}


def test_a_broken_page_would_be_found(filled: Any) -> None:
    filled.evaluate(
        "() => { const bad = document.createElement('div'); bad.id = 'bad';"
        ' bad.innerHTML = \'<img src="data:,"><button></button>'
        '<p style="color: #bbb; background: #fff">hardly to be seen</p>\';'
        " document.querySelector('.pv').append(bad); }"
    )
    found = " ".join(violations(filled))
    filled.evaluate("document.getElementById('bad').remove()")
    for rule in ("image-alt", "button-name", "color-contrast"):
        assert rule in found
