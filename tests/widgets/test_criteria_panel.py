"""The tab that compares criteria, in a browser; a fake model stands for Python."""

from __future__ import annotations

from typing import Any

import pytest
from fixtures import criteria_view
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def part(page: Any, name: str) -> Any:
    return page.get_by_test_id(name)


def sent(page: Any) -> list[dict[str, Any]]:
    return page.evaluate("window.model.sent")


def publish(page: Any, state: str) -> None:
    page.evaluate(
        """(next) => new Promise((done) => {
          window.model.publish(next);
          requestAnimationFrame(() => requestAnimationFrame(done));
        })""",
        {"criteria_view": {**criteria_view(state)}},
    )


def test_the_cost_is_told_before_the_oracle_starts(open_page: Any) -> None:
    page = open_page()
    part(page, "tab-criteria").click()
    cost = part(page, "oracle-cost")
    expect(cost).to_contain_text("570 units × 256 examples")
    expect(cost).to_contain_text("about 4 s")
    part(page, "oracle-images").select_option("1024")
    expect(cost).to_contain_text("about 16 s")
    part(page, "agreement-start").click()
    assert sent(page)[-1] == {"action": "agreement", "images": 1024}


def test_at_most_five_criteria_race_and_at_least_one(open_page: Any) -> None:
    page = open_page()
    part(page, "tab-criteria").click()
    expect(part(page, "racer-l2")).to_be_checked()
    for name in ("l1", "mean-activation", "hrank"):
        part(page, f"racer-{name}").check()
    expect(part(page, "racer-taylor-2019")).to_be_disabled()
    part(page, "racer-l1").uncheck()
    expect(part(page, "racer-taylor-2019")).to_be_enabled()
    part(page, "race-at-macs").check(force=True)
    part(page, "race-start").click()
    assert sent(page)[-1] == {
        "action": "race",
        "criteria": ["l2", "apoz", "mean-activation", "hrank"],
        "at": "macs",
    }
    for name in ("l2", "apoz", "mean-activation", "hrank"):
        part(page, f"racer-{name}").uncheck()
    expect(part(page, "race-start")).to_be_disabled()


def test_running_done_and_failed(open_page: Any) -> None:
    page = open_page(criteria_view=criteria_view("running"))
    part(page, "tab-criteria").click()
    expect(part(page, "agreement-doing")).to_have_text(
        "Removing unit 228 of 570", use_inner_text=True
    )
    expect(part(page, "agreement-start")).to_be_disabled()
    expect(part(page, "racer-l1")).to_be_disabled()
    part(page, "race-cancel").click()
    assert sent(page)[-1] == {"action": "cancel", "name": "race"}
    part(page, "agreement-cancel").click()
    assert sent(page)[-1] == {"action": "cancel", "name": "agreement"}
    publish(page, "failed")
    expect(part(page, "agreement-note")).to_contain_text("gives NaN")
    expect(part(page, "agreement-cancel")).to_be_hidden()
    expect(part(page, "racer-l1")).to_be_enabled()
    publish(page, "cancelled")
    expect(part(page, "race-note")).to_contain_text("Nothing was changed")


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_what_was_found(open_page: Any, width: int, theme: str) -> None:
    page = open_page(width=width, theme=theme, criteria_view=criteria_view("done"))
    part(page, "tab-criteria").click()
    expect(part(page, "panel-criteria").locator("img:visible")).to_have_count(3)
    expect(part(page, "race-note")).to_be_hidden()
    rows = part(page, "race-table").locator("tbody tr")
    expect(rows).to_have_count(2)
    assert rows.all_inner_texts() == [
        "L2 norm\t82.0 %\tunder 10 ms",
        "Random\t41.0 % ± 9.3\tunder 10 ms",
    ]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_before_a_network_is_open(open_page: Any) -> None:
    page = open_page(criteria_view={})
    part(page, "tab-criteria").click()
    expect(part(page, "panel-criteria")).to_contain_text("Opening the network")
