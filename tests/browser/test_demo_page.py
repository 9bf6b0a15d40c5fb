"""The demo as a visitor uses it: the real server, a real kernel, a real browser."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
import servers
from servers import settled, state, text_becomes, until

pytestmark = pytest.mark.browser


def part(page: Any, name: str) -> Any:
    return page.get_by_test_id(name)


def number(page: Any, card: str) -> str:
    return part(page, card).inner_text()


def slide_to(page: Any, percent: int) -> None:
    """Drag the thumb with the mouse, as a person does."""
    slider = part(page, "slider")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    value = float(slider.input_value())
    top = float(slider.get_attribute("max"))
    # the thumb's centre travels the track's width less the thumb's own
    thumb = 28
    at = lambda v: box["x"] + thumb / 2 + (box["width"] - thumb) * v / top  # noqa: E731
    y = box["y"] + box["height"] / 2
    page.mouse.move(at(value), y)
    page.mouse.down()
    goal = top * percent / 100
    for step in range(1, 11):
        page.mouse.move(at(value + (goal - value) * step / 10), y)
    page.mouse.up()
    part(page, "sparsity").fill(str(percent))
    part(page, "sparsity").press("Enter")
    until(
        page,
        "p => Math.abs(Number(document.querySelector(\"[data-testid='page']\")"
        ".dataset.sparsity) - p / 100) < 1e-6",
        percent,
    )


def test_dragging_the_slider_moves_the_scoreboard_and_accuracy_becomes_exact(page: Any) -> None:
    before = number(page, "card-params")
    assert "266,610" in before
    slide_to(page, 80)
    assert "54,450" in number(page, "card-params")  # 266,610 less 80 % of 266,200 - 1,000
    settled(page, "state", "exact")
    assert "10,000 of 10,000" in number(page, "card-accuracy")
    # 2 × (266,200 - 212,160) operations are left if zeros are skipped, 532,400 if they are not
    assert "108" in number(page, "card-flops")
    assert "532" in number(page, "card-flops")
    # the histogram's cut moved with it
    assert "go" in part(page, "weights-title").inner_text()


def test_keys_move_by_one_and_by_ten(page: Any) -> None:
    part(page, "slider").focus()
    page.keyboard.press("PageUp")
    settled(page, "sparsity", "0.1000")
    page.keyboard.press("ArrowRight")
    settled(page, "sparsity", "0.1100")
    page.keyboard.press("End")
    settled(page, "sparsity", "0.9990")
    page.keyboard.press("Home")
    settled(page, "sparsity", "0.0000")


def test_layer_criterion_granularity_and_a_neuron(page: Any) -> None:
    page.locator("[data-layer='fc2']").get_by_test_id("layer-name").click()
    text_becomes(page, "weights-title", "fc2")
    part(page, "granularity-unit").click()
    until(page, "() => document.querySelector(\"[data-testid='criterion']\").value !== 'magnitude'")
    part(page, "criterion").select_option("apoz")
    part(page, "tab-neurons").click()
    text_becomes(page, "neurons-title", "fc2")
    slide_to(page, 50)
    settled(page, "state", "exact")
    assert "after removal" in number(page, "card-flops")
    part(page, "unit-number").fill("3")
    part(page, "unit-number").press("Enter")
    part(page, "unit").get_by_role("img").wait_for()
    assert part(page, "unit").get_by_role("img").get_attribute("alt")


def test_redundancy_and_layers_show_figures_with_words(page: Any) -> None:
    part(page, "tab-redundancy").click()
    images = part(page, "panel-redundancy").get_by_role("img")
    until(
        page,
        "() => 2 <= document.querySelectorAll(\"[data-testid='panel-redundancy'] img[alt]\")"
        ".length",
    )
    assert all(image.get_attribute("alt") for image in images.all())
    part(page, "tab-layers").click()
    until(page, "() => document.querySelector(\"[data-testid='panel-layers'] img[alt]\") !== null")


def test_the_drawn_network_picks_a_layer_for_all_views(page: Any) -> None:
    part(page, "tab-network").click()
    node = page.locator("[data-testid=node][data-name='fc2']")
    node.wait_for()
    assert page.locator("[data-testid=node]").count() == 3
    node.click()
    settled_on = "[data-testid=node][data-name='fc2'][data-current]"
    page.wait_for_selector(settled_on)
    assert "fc2 has 100 units of its own" in part(page, "network-caption").inner_text()
    slide_to(page, 80)
    until(
        page,
        "() => [...document.querySelectorAll('.pv-node-goes')].every(e => e.innerText !== '0 %')",
    )
    part(page, "to-weights").click()
    text_becomes(page, "weights-title", "fc2")


def test_apply_undo_and_reset(page: Any) -> None:
    slide_to(page, 60)
    part(page, "apply").click()
    text_becomes(page, "applied", "60 %")
    assert "was" in number(page, "card-accuracy")
    until(page, "() => !document.querySelector(\"[data-testid='undo']\").disabled")
    part(page, "undo").click()
    until(page, "() => document.querySelector(\"[data-testid='undo']\").disabled")
    assert "266,610" in number(page, "card-params")


def test_fine_tuning_starts_cancels_runs_and_is_kept(page: Any) -> None:
    slide_to(page, 90)
    part(page, "tab-fine_tune").click()
    part(page, "epochs").fill("20")
    part(page, "fine-tune-start").click()
    part(page, "fine-tune-cancel").wait_for()
    part(page, "fine-tune-cancel").click()
    until(page, "() => !document.querySelector(\"[data-testid='fine-tune-start']\").disabled")
    part(page, "epochs").fill("1")
    part(page, "source").select_option("quarter")
    part(page, "fine-tune-start").click()
    part(page, "keep").wait_for()
    part(page, "keep").click()
    text_becomes(page, "applied", "fine-tuned 1 epoch")
    assert state(page, "sparsity") == "0.9000"


def test_iterative_pruning_is_seen_as_a_saw(page: Any) -> None:
    slide_to(page, 90)
    part(page, "tab-fine_tune").click()
    part(page, "schedule").select_option("iterative")
    part(page, "knob-rounds").fill("3")
    part(page, "epochs").fill("0.1")
    part(page, "source").select_option("quarter")
    text_becomes(page, "schedule-final", "90.0 % after 3 prunings")
    part(page, "fine-tune-start").click()
    part(page, "keep").wait_for()
    saw = page.locator("[data-testid=saw] canvas")
    assert saw.get_attribute("data-events") == "3"
    assert int(saw.get_attribute("data-points")) >= 6  # before and after each
    assert "held at zero" in part(page, "training-histogram").get_attribute("aria-label")
    assert "28 by 28 pixels" in part(page, "training-mask").get_attribute("aria-label")
    part(page, "keep").click()
    text_becomes(page, "applied", "schedule: Iterative")
    assert state(page, "sparsity") == "0.9000"


def test_what_goes_wrong_is_said_and_goes_away(page: Any) -> None:
    part(page, "tab-fine_tune").click()
    part(page, "learning-rate").fill("99")
    part(page, "fine-tune-start").click()
    text_becomes(page, "problem", "learning rate")
    assert "Traceback" not in part(page, "problem").inner_text()
    part(page, "dismiss").click()
    part(page, "problem").wait_for(state="hidden")
    # and the page works on
    slide_to(page, 30)
    settled(page, "state", "exact")


def test_own_sparsity_and_ticks(page: Any) -> None:
    row = page.locator("[data-layer='fc1']")
    row.get_by_test_id("tick").uncheck()
    slide_to(page, 50)
    until(
        page,
        "() => document.querySelector(\"[data-testid='card-params']\").innerText"
        ".includes('251,610')",  # fc2 alone: half of its 30,000 weights
    )


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_and_the_scheme_is_followed(
    browser: Any, demo: dict[str, Any], width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    found = context.new_page()
    complaints: list[str] = []
    servers.watch(found, complaints)
    found.goto(demo["address"], wait_until="commit")
    servers.ready(found)
    wide = found.evaluate("() => document.documentElement.scrollWidth")
    assert wide <= width
    assert found.locator("[data-pv-theme]").first.get_attribute("data-pv-theme") == scheme
    found.close(run_before_unload=True)
    context.close()
    assert complaints == []


def test_two_tabs_do_not_disturb_each_other(page: Any, browser: Any, demo: dict[str, Any]) -> None:
    context = browser.new_context()
    other = context.new_page()
    other.set_default_timeout(servers.PATIENCE)
    other.goto(demo["address"], wait_until="commit")
    servers.ready(other)
    slide_to(page, 70)
    assert state(other, "sparsity") == "0.0000"
    other.close(run_before_unload=True)
    context.close()


def kernel_of(page: Any, demo: dict[str, Any]) -> psutil.Process:
    mine = page.evaluate(
        "() => JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId"
    )
    kernels = servers.kernels_of(demo["process"])
    (own,) = [k for k in kernels if any(mine in part for part in k.cmdline())]
    return own


@pytest.mark.parametrize("beacon", [False, True], ids=["the tab vanished", "the tab was closed"])
def test_kernels_end_with_their_tabs(browser: Any, demo: dict[str, Any], beacon: bool) -> None:
    """Without a beacon too, and although the kernel is busy filling in the curve."""
    context = browser.new_context()
    found = context.new_page()
    found.set_default_timeout(servers.PATIENCE)
    found.goto(demo["address"], wait_until="commit")
    servers.ready(found)
    own = kernel_of(found, demo)
    found.close(run_before_unload=beacon)
    context.close()
    _, alive = psutil.wait_procs([own], timeout=servers.PATIENCE / 1000)
    assert not alive
    assert "could not be adjusted" not in demo["log"].read_text("utf-8")
