"""The whole page by keyboard: everything is reached, in order, seen, and left again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from accessibility import open_tabs
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.access]

Open = Callable[..., Any]

#: Put into the page: what Tab should stop at, in the order of the document, and a short name of it.
STOPS = """
window.nameOf = (node) => {
  const said = node.dataset.testid || node.getAttribute("aria-label") || node.textContent.trim();
  const row = node.closest("[data-layer]");
  return `${row ? row.dataset.layer + " " : ""}${node.localName} ${said.slice(0, 40)}`;
};
window.regionOf = (node) => ["pv-skip", "pv-top", "pv-heart", "pv-tabs-line", "pv-panel", "pv-side"]
  .find((c) => node.closest("." + c));
window.stops = () => {
  const all = [...document.querySelectorAll(
    "button, input, select, textarea, a[href], summary, [tabindex]")];
  const groups = new Set();
  return all.filter((node) => {
    if (node.disabled || node.tabIndex < 0 || node.id === "before") return false;
    if (!node.checkVisibility({ visibilityProperty: true })) return false;
    if (node.type !== "radio") return true;
    // of a group of radio buttons one is stopped at
    const one = document.querySelector(`input[name="${node.name}"]:checked`) || node;
    if (groups.has(node.name) || one !== node) return false;
    groups.add(node.name);
    return true;
  });
};
const before = document.createElement("button");
before.id = "before";
before.textContent = "What stands before the page";
document.body.prepend(before);
"""


def walk(page: Any, key: str) -> list[int]:
    """Press `key` until the focus leaves the page; return the stops by their places."""
    seen = []
    for _ in range(400):
        page.keyboard.press(key)
        place = page.evaluate(
            "() => document.activeElement.matches('body, #before') ? null"
            " : window.expected.indexOf(document.activeElement)"
        )
        if place is None:
            return seen
        seen.append(place)
    raise AssertionError(f"The focus never left the page; the last stops were {seen[-6:]}.")


@pytest.mark.parametrize(
    ("scene", "width"), [("units", 1280), ("usual", 390), ("tuned", 1280), ("error", 1280)]
)
def test_tab_goes_through_everything_in_order_and_out_again(
    open_page: Open, scene: str, width: int
) -> None:
    page = open_page(scene, width=width)
    page.evaluate(STOPS)
    for tab in open_tabs(page):
        page.get_by_test_id(tab).click()
        page.wait_for_timeout(60)
        page.evaluate("window.expected = window.stops(); before.focus()")
        count = page.evaluate("window.expected.length")
        names = page.evaluate("window.expected.map(nameOf)")
        there = walk(page, "Tab")
        assert [names[i] for i in there] == names
        assert there == list(range(count))
        # what is met one after the other lies together
        regions = page.evaluate("window.expected.map(regionOf)")
        order = list(dict.fromkeys(regions))
        wanted = ["pv-skip", "pv-top", "pv-heart", "pv-tabs-line", "pv-panel", "pv-side"]
        assert order == [name for name in wanted if name in order]
    back = walk(page, "Shift+Tab")
    assert back == list(reversed(range(count)))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_focus_is_seen_wherever_it_is(open_page: Open, theme: str) -> None:
    page = open_page("units", theme=theme)
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(STOPS)
    unseen = []
    for tab in ("tab-weights", "tab-network", "tab-neurons", "tab-criteria", "tab-fine_tune"):
        page.get_by_test_id(tab).click()
        page.wait_for_timeout(60)
        page.evaluate("window.expected = window.stops()")
        regions = page.evaluate("window.expected.map(regionOf)")
        for i, region in enumerate(regions):
            # what is the same on every tab is looked at once
            if tab != "tab-weights" and region != "pv-panel":
                continue
            page.evaluate("i => window.expected[i].focus({ focusVisible: true })", i)
            ring = page.evaluate(RING)
            if not ring:
                unseen.append(page.evaluate("i => nameOf(window.expected[i])", i))
    assert unseen == []


#: Whether the focused element, or the box that speaks for it, has an outline of two pixels or more.
RING = """
() => {
  const node = document.activeElement;
  if (!node.matches(":focus-visible")) return false;
  if (node.matches(".pv-slider")) return true; // its thumb has the ring: looked at below
  for (let at = node; at && at !== document.body; at = at.parentElement) {
    const style = getComputedStyle(at);
    if (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2) return true;
    if (at.offsetWidth > 4 * node.getBoundingClientRect().width + 400) return false;
  }
  return false;
}
"""


def test_the_slider_and_the_skip_button_look_different_with_the_focus(open_page: Open) -> None:
    page = open_page("usual")
    page.emulate_media(reduced_motion="reduce")
    slider = page.get_by_test_id("slider")
    without = slider.screenshot()
    slider.focus()
    assert slider.screenshot() != without
    skip = page.get_by_test_id("skip")
    assert skip.bounding_box()["width"] <= 1
    skip.focus()
    assert skip.bounding_box()["width"] > 100
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.className.includes('pv-side')")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.testid") == "model"


def test_arrow_keys_move_inside_of_tabs_cells_and_the_drawing(open_page: Open) -> None:
    page = open_page("units")
    focused = "document.activeElement.dataset.testid"
    page.get_by_test_id("tab-weights").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "tab-neurons"
    page.keyboard.press("End")
    last = open_tabs(page)[-1]
    assert page.evaluate(focused) == last
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == open_tabs(page)[0] == "tab-network"
    # one tab alone is a stop
    expect(page.locator("[role=tab][tabindex='0']")).to_have_count(1)
    page.wait_for_selector("[data-testid=node]")
    expect(page.locator("[data-testid=stage] [tabindex='0']")).to_have_count(1)
    page.locator("[data-testid=stage] [tabindex='0']").focus()
    page.keyboard.press("Home")
    first = page.evaluate("document.activeElement.dataset.name")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.name") != first
    page.get_by_test_id("tab-neurons").click()
    page.locator(".pv-cell[tabindex='0']").focus()
    at = "[...document.querySelectorAll('.pv-cell')].indexOf(document.activeElement)"
    before = page.evaluate(at)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(at) == before + 1
    page.keyboard.press("Enter")
    assert page.evaluate("window.model.sent.at(-1)") == {"action": "unit", "unit": before + 1}


def test_what_hosts_act_on_stays_in_the_page(open_page: Open) -> None:
    page = open_page("usual")
    page.evaluate(
        "() => { window.heard = []; document.body.addEventListener('keydown',"
        " (event) => window.heard.push(event.key)); }"
    )
    for testid in ("slider", "tab-weights", "skip"):
        page.get_by_test_id(testid).focus()
        for key in ("ArrowDown", "ArrowUp", "ArrowRight", "a", "Home", "PageDown"):
            page.keyboard.press(key)
    assert page.evaluate("window.heard") == []
    page.keyboard.press("Tab")
    assert page.evaluate("window.heard") == ["Tab"]
