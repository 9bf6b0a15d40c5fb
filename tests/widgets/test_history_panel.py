"""The history in a browser: the tree by pointer and keys, and two steps side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fixtures import history
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

Open = Callable[..., Any]


def part(page: Any, name: str) -> Any:
    return page.get_by_test_id(name)


def step(page: Any, number: int) -> Any:
    return page.locator(f"[data-testid=step][data-number='{number}']")


def last(page: Any) -> dict[str, Any]:
    return page.evaluate("window.model.sent.at(-1)")


def opened(open_page: Open, state: str = "done", **more: Any) -> Any:
    page = open_page(history=history(state), **more)
    part(page, "tab-history").click()
    return page


def test_before_anything_is_applied(open_page: Open) -> None:
    page = opened(open_page, "fresh")
    expect(part(page, "history-empty")).to_have_text(
        "Nothing is applied yet: move the slider and press Apply; each step then appears here."
    )
    expect(part(page, "step-tree")).to_be_hidden()
    page.evaluate("next => window.model.publish(next)", {"history": history("none")})
    expect(step(page, 6)).to_be_visible()
    expect(part(page, "history-empty")).to_be_hidden()
    expect(part(page, "compare")).to_be_hidden()


def test_the_present_one_is_told_without_colour(open_page: Open) -> None:
    page = opened(open_page)
    expect(page.locator("[data-testid=step]")).to_have_count(6)
    expect(step(page, 6)).to_contain_text("now")
    expect(page.locator("[data-testid=step][aria-current=step]")).to_have_count(1)
    assert step(page, 6).get_attribute("aria-pressed") == "true"
    expect(page.locator(".pv-step-lines path")).to_have_count(5)
    expect(page.locator(".pv-step-lines path[data-off]")).to_have_count(3)
    # a node begins where its line ends
    line = page.locator(".pv-step-lines path").first.bounding_box()
    box = step(page, 2).bounding_box()
    assert line["x"] + line["width"] == pytest.approx(box["x"], abs=4)
    # the share left stands beside its bar
    expect(step(page, 3)).to_contain_text("11 %")


def test_along_the_tree_by_keys(open_page: Open) -> None:
    page = opened(open_page)
    expect(page.locator("[data-testid=step][tabindex='0']")).to_have_count(1)
    step(page, 6).focus()
    focused = "Number(document.activeElement.dataset.number)"
    for key, number in [
        ("ArrowLeft", 5), ("ArrowLeft", 1), ("ArrowLeft", 1), ("ArrowRight", 5), ("ArrowUp", 2),
        ("ArrowRight", 3), ("ArrowDown", 4), ("ArrowDown", 6), ("Home", 1), ("End", 6),
    ]:  # fmt: skip
        page.keyboard.press(key)
        assert page.evaluate(focused) == number, key
        assert step(page, number).get_attribute("aria-pressed") == "true"
    expect(part(page, "step-title")).to_have_text("40 % of units by L2 norm")


def test_what_can_be_done_with_a_step(open_page: Open) -> None:
    page = opened(open_page)
    expect(part(page, "step-go")).to_be_disabled()  # one is there
    expect(part(page, "step-go")).to_have_text("You are here")
    expect(part(page, "step-forget")).to_be_disabled()
    step(page, 2).click()
    expect(part(page, "step-facts")).to_contain_text("90,680")
    part(page, "step-go").click()
    assert last(page) == {"action": "go", "stage": 2}
    expect(part(page, "step-forget")).to_have_text("Forget these 3 steps")
    part(page, "step-forget").click()
    assert last(page) == {"action": "forget", "stage": 2}
    part(page, "step-name").fill("the shallow one")
    part(page, "step-name").press("Enter")
    assert last(page) == {"action": "name", "stage": 2, "text": "the shallow one"}
    assert part(page, "step-name").get_attribute("maxlength") == "40"
    assert part(page, "compare-with").input_value() == "1"  # what it came of
    part(page, "compare-with").select_option("4")
    part(page, "compare-start").click()
    assert last(page) == {"action": "compare", "a": 4, "b": 2}
    step(page, 1).click()
    expect(part(page, "step-forget")).to_be_disabled()
    expect(part(page, "step-title")).to_have_text("dense")


def test_what_is_typed_stays_when_news_arrive(open_page: Open) -> None:
    page = opened(open_page)
    step(page, 3).click()
    part(page, "step-name").fill("half a na")
    news = history("running")
    news["nodes"][0]["name"] = "other"
    page.evaluate("next => window.model.publish(next)", {"history": news})
    expect(step(page, 1)).to_contain_text("other")
    assert part(page, "step-name").input_value() == "half a na"
    assert step(page, 3).get_attribute("aria-pressed") == "true"


def test_a_step_that_becomes_the_present_one_is_picked(open_page: Open) -> None:
    page = opened(open_page, "none")
    step(page, 3).click()
    news = history("none")
    for node in news["nodes"]:
        node["present"] = node["number"] == 4
    page.evaluate("next => window.model.publish(next)", {"history": news})
    expect(step(page, 4)).to_contain_text("now")
    assert step(page, 4).get_attribute("aria-pressed") == "true"


def test_two_side_by_side(open_page: Open) -> None:
    page = opened(open_page)
    expect(part(page, "compare-title")).to_have_text("dense, against: 40 % of units by L2 norm")
    rows = part(page, "compare-scores").locator("tbody tr")
    expect(rows.nth(0)).to_have_text("Right90.00 %83.00 %−7.00 points")
    assert rows.nth(0).locator("td").last.get_attribute("data-tone") == "loss"
    expect(rows.nth(2)).to_have_text("Parameters left431,08061,0007.1× less")
    assert rows.nth(2).locator("td").last.get_attribute("data-tone") == "better"
    expect(part(page, "samples-forgotten").locator("h4")).to_have_text(
        "Forgotten: 912 (right before, wrong after, the 12 that changed most)"
    )
    expect(page.locator("[data-testid=sample]")).to_have_count(14)
    picture = page.get_by_role("img", name="Picture 17 of shirt").first
    assert picture.evaluate("c => [c.width, c.height]") == [28, 28]
    drawn = picture.evaluate("c => [...c.getContext('2d').getImageData(0, 0, 3, 1).data]")
    assert drawn == [0, 0, 0, 255, 7, 7, 7, 255, 14, 14, 14, 255]
    expect(part(page, "samples-other")).to_contain_text("no. 5: 784 values from 0 to 1")
    expect(part(page, "compare-classes").locator("tbody tr").first).to_contain_text("−21.00 points")
    page.get_by_text("Layer by layer").click()
    expect(part(page, "compare-layers").locator("tbody tr").last).to_contain_text("500 → –")


def test_running_and_cancelled(open_page: Open) -> None:
    page = opened(open_page, "running")
    expect(part(page, "compare-doing")).to_have_text("Measuring the second network")
    part(page, "compare-cancel").click()
    assert last(page) == {"action": "cancel", "name": "compare"}
    news = history("running")
    news["comparison"].update(state="cancelled", doing="Cancelled.")
    page.evaluate("next => window.model.publish(next)", {"history": news})
    expect(part(page, "compare-note")).to_contain_text("Cancelled")
    expect(part(page, "compare-cancel")).to_be_hidden()


def test_markup_stays_text(open_page: Open) -> None:
    page = open_page(history=history("none"))
    bad = "<img src=x onerror=window.hacked=1>"
    news = history("none")
    news["nodes"][5].update(name=bad, text=bad)
    part(page, "tab-history").click()
    page.evaluate("next => window.model.publish(next)", {"history": news})
    expect(part(page, "step-title")).to_have_text(bad)
    assert page.evaluate("window.hacked") is None


def test_redo_is_there_while_there_is_something_ahead(open_page: Open) -> None:
    page = open_page()
    expect(part(page, "redo")).to_be_hidden()
    steps = {
        "applied": [], "can_apply": False, "can_undo": True, "can_redo": True, "can_reset": True,
        "apply_text": "", "redo_text": "Again: 80 %",
    }  # fmt: skip
    page.evaluate("next => window.model.publish(next)", {"steps": steps})
    part(page, "redo").click()
    assert last(page) == {"action": "redo"}
    page.evaluate("next => window.model.publish(next)", {"steps": {**steps, "can_redo": False}})
    expect(part(page, "redo")).to_be_hidden()
    expect(part(page, "undo")).to_be_focused()
