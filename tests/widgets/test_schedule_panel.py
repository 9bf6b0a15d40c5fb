"""The tab of training: schedules as forms and curves, points drawn by hand, live pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fixtures import scene
from playwright.sync_api import expect
from schedules import schedule, sight

pytestmark = pytest.mark.browser

Open = Callable[..., Any]


def part(page: Any, name: str) -> Any:
    return page.get_by_test_id(name)


def sent(page: Any) -> list[dict[str, Any]]:
    return page.evaluate("window.model.sent")


def publish(page: Any, **slices: Any) -> None:
    page.evaluate("next => window.model.publish(next)", slices)


def drafted(page: Any, count: int) -> dict[str, Any]:
    """Return the last draft once so many have been sent."""
    page.wait_for_function(
        "n => window.model.sent.filter(m => m.action === 'draft').length >= n", arg=count
    )
    return [m for m in sent(page) if m["action"] == "draft"][-1]


@pytest.fixture
def opened(open_page: Open) -> Callable[..., Any]:
    def open_on(name: str, **more: Any) -> Any:
        page = open_page(schedule=schedule(name), **more)
        part(page, "tab-fine_tune").click()
        part(page, "epochs").wait_for()
        return page

    return open_on


def running(**more: Any) -> dict[str, Any]:
    events = [[0, "Round 1"], [300, "Round 2"]]
    saw = [[0, 0.9], [0, 0.7], [150, 0.85], [300, 0.88], [300, 0.6]]
    found = {"events": events, "accuracy": saw, "step": 310, "phase": "Round 2", "sparsity": 0.8}
    tuning = scene("tuning")["fine_tune"]
    return {**tuning, **found, "seconds_left": 12.0, "sight": sight(), "costs": None, **more}


def test_a_schedule_is_chosen_and_its_form_follows(opened: Callable[..., Any]) -> None:
    page = opened("one-shot")
    assert part(page, "schedule").input_value() == "one-shot"
    expect(page.locator("[data-testid=schedule] option:disabled")).to_have_text("Slimming")
    part(page, "schedule").select_option("iterative")
    assert sent(page)[-1] == {"action": "draft", "schedule": "iterative"}
    publish(page, schedule=schedule("iterative"))
    part(page, "knob-rounds").wait_for()
    link = part(page, "schedule-about").locator("a")
    assert link.get_attribute("href") == "https://example.org/paper"
    expect(part(page, "schedule-final")).to_have_text("80.0 % after 2 prunings")


def test_a_knob_is_drafted_as_it_is_typed(opened: Callable[..., Any]) -> None:
    page = opened("iterative")
    part(page, "knob-rounds").fill("5")
    form = drafted(page, 1)
    assert form["knobs"] == {"rounds": 5, "epochs": 1, "spacing": "linear"}
    assert (form["schedule"], form["source"], form["more"]) == (
        "iterative", "train", {"optimizer": "sgd"},
    )  # fmt: skip
    wrong = {**schedule("iterative"), "refusal": "This cannot be."}
    publish(page, schedule=wrong)
    part(page, "schedule-refusal").wait_for()
    expect(part(page, "schedule-refusal")).to_have_text("This cannot be.")
    assert part(page, "knob-rounds").input_value() == "5"  # Python's value has not changed


def test_points_move_by_keys(opened: Callable[..., Any]) -> None:
    page = opened("drawn")
    point = part(page, "point-0")
    assert point.get_attribute("role") == "slider"
    point.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert drafted(page, 2)["knobs"]["points"] == [[0.01, 0.6], [0.5, 1]]
    assert point.get_attribute("aria-valuetext").startswith("after 1 percent of the training, 60")
    part(page, "point-add").click()
    assert len(drafted(page, 3)["knobs"]["points"]) == 3
    page.keyboard.press("Delete")  # the new one has the focus
    assert drafted(page, 4)["knobs"]["points"] == [[0.01, 0.6], [0.5, 1]]


def test_points_are_dragged_past_one_another(opened: Callable[..., Any]) -> None:
    page = opened("drawn")
    page.wait_for_function("document.querySelector('.pv-plan-line').getAttribute('d')")
    before = page.locator(".pv-plan-line").get_attribute("d")
    part(page, "schedule-curve").scroll_into_view_if_needed()
    box = part(page, "point-0").bounding_box()
    whole = part(page, "schedule-curve").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(whole["x"] + 0.8 * whole["width"], box["y"], steps=4)
    assert page.locator(".pv-plan-line").get_attribute("d") != before  # without an answer
    page.mouse.up()
    points = drafted(page, 1)["knobs"]["points"]
    assert points[0] == [0.5, 1]
    assert 0.7 < points[1][0] < 0.9


def test_while_it_runs(opened: Callable[..., Any]) -> None:
    page = opened("iterative")
    publish(page, fine_tune=running())
    saw = page.locator("[data-testid=saw] canvas")
    page.wait_for_selector("[data-testid=saw] canvas[data-events='2']")
    assert saw.get_attribute("data-points") == "5"
    expect(part(page, "live-sparsity")).to_have_text("80.0 %")
    expect(part(page, "live-step")).to_have_text("310 of 600")
    expect(part(page, "live-time")).to_have_text("12 s")
    expect(part(page, "schedule-phase")).to_have_text("Round 2")
    marker = page.locator(".pv-plan-marker")
    line = page.locator(".pv-plan-line").get_attribute("d")
    ends = [float(text.split("L")[-1].split()[0]) for text in (line,)]
    assert 0.45 * ends[0] < float(marker.get_attribute("x1")) < 0.6 * ends[0]
    label = part(page, "training-histogram").get_attribute("aria-label")
    assert "60 of 100 are held at zero" in label
    mask = part(page, "training-mask").get_attribute("aria-label")
    assert "on average 10.0 in the middle quarter, 0.0 outside of it" in mask
    assert part(page, "knob-rounds").is_disabled()
    part(page, "fine-tune-pause").click()
    assert sent(page)[-1] == {"action": "pause"}
    publish(page, fine_tune=running(state="paused"))
    page.wait_for_selector("[data-testid=fine-tune-pause][data-paused=true]")
    assert part(page, "fine-tune-text").inner_text().startswith("Paused: ")
    part(page, "fine-tune-pause").click()
    assert sent(page)[-1] == {"action": "go_on"}


def test_the_outcome_is_compared(opened: Callable[..., Any]) -> None:
    page = opened("iterative")
    done = running(state="done", can_keep=True, after=0.85, costs={"weights": [1000, 100]})
    publish(page, fine_tune=done)
    part(page, "keep").wait_for()
    expect(part(page, "fine-tune-change")).to_have_text("−2.1 points")
    expect(part(page, "weights-change")).to_have_text("10× fewer")
    expect(part(page, "fine-tune-pause")).to_be_hidden()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(opened: Callable[..., Any], width: int) -> None:
    page = opened("drawn", width=width)
    publish(page, fine_tune=running())
    part(page, "training-mask").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
