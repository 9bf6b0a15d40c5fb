"""What the slider counts in, where it ends, and the quieter choices; a fake model for Python."""

from __future__ import annotations

from typing import Any

import pytest
from fixtures import controls, curve, table
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

CHOICES = {
    "ofs": [{"name": "sparsity", "label": "of weights"}, {"name": "macs", "label": "of FLOPs"}],
    "of": "sparsity",
    "patterns": [{"name": "", "label": "None"}, {"name": "2:4", "label": "2 of 4"}],
    "pattern": "",
    "pattern_help": "Which weights go is free.",
    "multiples": [],
    "multiple_of": 1,
    "min_units": 1,
    "pieces_note": "",
}


def last(page: Any) -> Any:
    return page.evaluate("window.model.sent.at(-1)")


def shortened(values: dict[str, Any], count: int) -> dict[str, Any]:
    """Return a slice with the first `count` of whatever it has for each position."""
    long = len(values.get("sparsity") or values["value"])
    cut = {k: v[:count] for k, v in values.items() if isinstance(v, list) and len(v) == long}
    return values | cut


def test_the_unit_is_chosen_beside_the_slider(open_page: Any) -> None:
    page = open_page(controls=controls() | CHOICES, table=table("weight") | {"of": "sparsity"})
    heading = page.locator(".pv-sparsity-line .pv-h")
    expect(heading).to_have_text("Sparsity")
    page.get_by_test_id("of").select_option("macs")
    assert last(page) == {"action": "of", "name": "macs"}
    flops = table("weight") | {"of": "macs", "words": "of the FLOPs removed"}
    page.evaluate("(table) => window.model.publish({ table })", flops)
    page.wait_for_function(
        "() => document.querySelector('.pv-sparsity-line .pv-h').innerText === 'Removed'"
    )
    slider = page.get_by_test_id("slider")
    slider.press("ArrowRight")
    assert "percent of the FLOPs removed, accuracy" in slider.get_attribute("aria-valuetext")


def test_a_slider_ends_where_no_more_can_go(open_page: Any) -> None:
    page = open_page(
        position=0.2,
        controls=controls() | CHOICES | {"pattern": "2:4"},
        table=shortened(table("weight"), 51) | {"achieved": [k / 100 for k in range(51)]},
        curve=shortened(curve("weight"), 51),
    )
    slider = page.get_by_test_id("slider")
    slider.press("End")
    assert page.get_by_test_id("sparsity").input_value() == "50.0"
    expect(page.get_by_test_id("achieved")).to_have_text("no more can go")
    page.get_by_test_id("sparsity").fill("80")
    page.get_by_test_id("sparsity").press("Enter")
    expect(page.get_by_test_id("sparsity")).to_have_value("50.0")
    slider.press("ArrowLeft")
    assert page.get_by_test_id("sparsity").input_value() == "49.0"
    expect(page.get_by_test_id("achieved")).to_have_text("")


@pytest.mark.parametrize("width", [1280, 390])
def test_quieter_choices_are_folded_and_say_what_is_set(open_page: Any, width: int) -> None:
    page = open_page(width=width, controls=controls() | CHOICES)
    more, pattern = page.get_by_test_id("more"), page.get_by_test_id("pattern")
    expect(pattern).to_be_hidden()
    assert more.get_attribute("aria-expanded") == "false"
    more.click()
    assert more.get_attribute("aria-expanded") == "true"
    pattern.select_option("2:4")
    assert last(page) == {"action": "pattern", "name": "2:4"}
    expect(page.get_by_test_id("multiple-of")).to_be_hidden()

    units = {"patterns": [], "multiples": [1, 8], "multiple_of": 8, "pieces_note": "b stays whole."}
    page.evaluate("(controls) => window.model.publish({ controls })", controls() | CHOICES | units)
    multiple, least = page.get_by_test_id("multiple-of"), page.get_by_test_id("min-units")
    multiple.wait_for()
    expect(pattern).to_be_hidden()
    assert multiple.input_value() == "8"
    assert "multiples of 8" in page.locator(".pv-more-line").inner_text()
    expect(page.get_by_test_id("pieces-note")).to_have_text("b stays whole.")
    multiple.select_option("1")
    assert last(page) == {"action": "multiple_of", "value": 1}
    least.fill("16")
    least.press("Enter")
    assert last(page) == {"action": "min_units", "value": 16}
    box = page.locator(".pv-more-box").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
