"""What is read out, what moves, narrow pages and large type, the system's own few colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from accessibility import open_tabs

pytestmark = [pytest.mark.browser, pytest.mark.access]

Open = Callable[..., Any]


def said(page: Any) -> list[str]:
    return page.evaluate("window.said")


def listen(page: Any) -> None:
    """Collect what the live region says, as a screen reader hears it."""
    page.evaluate(
        "() => { const voice = document.querySelector('[data-testid=voice]');"
        " window.said = voice.textContent ? [voice.textContent] : [];"
        " new MutationObserver(() => window.said.push(voice.textContent))"
        ".observe(voice, { childList: true, characterData: true, subtree: true }); }"
    )


def test_the_scoreboard_is_read_out_once_at_rest_and_not_on_the_way(open_page: Open) -> None:
    page = open_page("units")
    page.wait_for_function("document.querySelector('[data-testid=voice]').textContent !== ''")
    listen(page)
    voice = page.get_by_test_id("voice")
    assert voice.get_attribute("aria-live") == "polite"
    assert said(page)[0].startswith("Exact here. Filling in the curve: 62 of 101. At 55.0 percent")
    page.get_by_test_id("slider").focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert len(said(page)) == 1
    page.wait_for_function("window.said.length === 2")
    shown = {
        name: page.get_by_test_id(f"card-{name}").inner_text()
        for name in ("accuracy", "params", "size", "flops")
    }
    sentence = said(page)[1]
    assert sentence.startswith("At 50.0 percent sparsity: accuracy ")
    for name in ("params", "size"):
        number = shown[name].split("\n")[1].split()[0]
        assert number in sentence, (name, sentence)
    # nothing more is said while nothing changes, nor when the curve goes on elsewhere
    page.evaluate("window.model.publish({ curve: { ...window.model.get('curve'), known: 70 } })")
    page.wait_for_timeout(1500)
    assert len(said(page)) == 2


def test_an_estimate_is_read_out_once_however_often_it_is_refined(open_page: Open) -> None:
    page = open_page("estimate")
    page.wait_for_function("document.querySelector('[data-testid=voice]').textContent !== ''")
    listen(page)
    assert "accuracy about" in said(page)[0]
    page.evaluate(
        "() => { const c = window.model.get('curve'); const value = [...c.value];"
        " value[92] = 0.5; window.model.publish({ curve: { ...c, value } }); }"
    )
    page.wait_for_timeout(1500)
    assert len(said(page)) == 1
    page.evaluate(
        "() => { const c = window.model.get('curve'); const exact = [...c.exact];"
        " exact[92] = 1; window.model.publish({ curve: { ...c, exact } }); }"
    )
    page.wait_for_function("window.said.length === 2")
    assert "accuracy 50.0 percent" in said(page)[1]


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_moves_where_less_motion_is_asked_for(open_page: Open, motion: str) -> None:
    page = open_page("loading")
    page.emulate_media(reduced_motion=motion)
    page.wait_for_timeout(100)
    running = page.evaluate("document.getAnimations().length")
    assert (running == 0) == (motion == "reduce")


@pytest.mark.parametrize("width", [320, 640])
def test_nothing_sticks_out_at_320_pixels_or_twice_the_size(open_page: Open, width: int) -> None:
    page = open_page("units", width=width)  # 640 pixels: 1280 at 200 %
    wide = {}
    for tab in open_tabs(page):
        page.get_by_test_id(tab).click()
        page.wait_for_timeout(80)
        wide[tab] = page.evaluate("document.documentElement.scrollWidth")
    assert {tab: found for tab, found in wide.items() if found > width} == {}


def test_what_is_chosen_and_what_goes_is_seen_in_the_systems_colours(open_page: Open) -> None:
    page = open_page("units")
    page.emulate_media(forced_colors="active")
    page.wait_for_function("matchMedia('(forced-colors: active)').matches")
    page.get_by_test_id("tab-neurons").click()
    ground = page.evaluate("getComputedStyle(document.querySelector('.pv-card')).backgroundColor")
    differs = "([s, g]) => getComputedStyle(document.querySelector(s)).backgroundColor !== g"
    for filled in (
        ".pv-bar i",
        ".pv-rail i",
        ".pv-meter i",
        ".pv-segmented input:checked + span",
        ".pv-cell",
        ".pv-key .pv-key-line",
    ):
        page.wait_for_function(differs, arg=[filled, ground])
    widths = page.evaluate(
        "() => [...document.querySelectorAll('[role=tab]')].map((t) => [t.ariaSelected,"
        " getComputedStyle(t).borderBottomWidth])"
    )
    assert {w for chosen, w in widths if chosen == "true"} == {"4px"}
    assert {w for chosen, w in widths if chosen == "false"} == {"2px"}
