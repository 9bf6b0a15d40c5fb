"""The page by itself, in a real browser: a fake model stands where Python would be.

Long on purpose: one scene and one fake model serve every panel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fixtures import POSITIONS, scene, table
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

Open = Callable[..., Any]


def part(page: Any, name: str) -> Any:
    return page.get_by_test_id(name)


def sent(page: Any) -> list[dict[str, Any]]:
    return page.evaluate("window.model.sent")


def wait_for_k(page: Any, k: int) -> None:
    """Wait until the page, and the views after it, show position `k`."""
    page.wait_for_selector(f".pv[data-k='{k}'][data-drawn='{k}']", timeout=10_000)


def test_a_move_changes_everything_without_an_answer(open_page: Open) -> None:
    page = open_page()
    page.wait_for_selector(".pv[data-ready='1']")
    before = {
        name: part(page, f"card-{name}").inner_text()
        for name in ("accuracy", "size", "params", "flops")
    }
    title = part(page, "weights-title").inner_text()
    messages = len(sent(page))
    part(page, "slider").focus()
    page.keyboard.press("ArrowLeft")
    wait_for_k(page, 79)
    for name, text in before.items():
        assert part(page, f"card-{name}").inner_text() != text, name
    assert part(page, "weights-title").inner_text() != title
    assert len(sent(page)) == messages
    assert part(page, "sparsity").input_value() == "79.0"
    assert part(page, "slider").get_attribute("aria-valuetext").startswith("79 percent, accuracy ")
    page.wait_for_function("window.model.get('position') === 0.79")


def test_scoreboard_says_what_the_table_says(open_page: Open) -> None:
    page = open_page(position=0.5)
    wait_for_k(page, 50)
    values = table()
    params = part(page, "card-params").inner_text()
    assert f"{round(values['params'][50]):,}" in params
    assert "was 431,080" in params
    flops = part(page, "card-flops").inner_text()
    assert "4.59\u00a0M" in flops
    assert f"{values['effective_flops'][50] / 1e6:.2f}" in flops
    assert "after removal" in flops
    assert "exact, 10,000 of 10,000" in part(page, "card-accuracy").inner_text()


def test_accuracy_card_in_its_three_states(open_page: Open) -> None:
    page = open_page("estimate")
    card = part(page, "card-accuracy")
    assert page.locator(".pv").get_attribute("data-state") == "estimate"
    assert "±" in card.inner_text()
    assert "estimate, 512 of 10,000 images" in card.inner_text()
    part(page, "slider").fill("91")
    wait_for_k(page, 91)
    assert page.locator(".pv").get_attribute("data-state") == "unknown"
    assert "measuring" in card.inner_text()
    part(page, "slider").fill("80")
    wait_for_k(page, 80)
    assert page.locator(".pv").get_attribute("data-state") == "exact"


def test_keyboard_on_the_slider(open_page: Open) -> None:
    page = open_page()
    slider = part(page, "slider")
    slider.focus()
    outside = (
        "window.escaped = 0; document.body.addEventListener('keydown', () => window.escaped++)"
    )
    page.evaluate(outside)
    for key, k in (("PageDown", 70), ("ArrowUp", 71), ("Home", 0), ("PageUp", 10), ("End", 100)):
        page.keyboard.press(key)
        wait_for_k(page, k)
    assert page.evaluate("window.escaped") == 0


def test_sends_the_position_at_most_every_50_ms(open_page: Open) -> None:
    page = open_page(position=0.1)
    saves = page.evaluate(
        """async () => {
          const slider = document.querySelector('[data-testid=slider]');
          const start = performance.now(), before = window.model.saves;
          for (let i = 11; i <= 70; i++) {
            slider.value = i; slider.dispatchEvent(new Event('input'));
            await new Promise((done) => setTimeout(done, 4));
          }
          await new Promise((done) => setTimeout(done, 120));
          return [window.model.saves - before, (performance.now() - start) / 50];
        }"""
    )
    assert 2 <= saves[0] <= saves[1] + 1
    assert page.evaluate("window.model.get('position')") == pytest.approx(0.7)


def test_typed_sparsity_waits_for_its_row(open_page: Open) -> None:
    page = open_page()
    field = part(page, "sparsity")
    field.fill("80.4")
    field.press("Enter")
    page.wait_for_function("window.model.get('position') === 0.804")
    assert part(page, "card-size").get_attribute("data-dim") is not None
    longer = table()
    for name in ("sparsity", "achieved", "params", "bytes", "storage", "dense_bytes",
                 "effective_flops", "removed_flops", "threshold"):  # fmt: skip
        longer[name].insert(81, 0.804 if name == "sparsity" else longer[name][80])
    for shares in longer["layers"].values():
        shares.insert(81, shares[80])
    page.evaluate("next => window.model.publish(next)", {"table": longer})
    wait_for_k(page, 81)
    assert part(page, "card-size").get_attribute("data-dim") is None
    # The curve still has the old length: it belongs to another table.
    assert page.locator(".pv").get_attribute("data-state") == "unknown"


def test_follows_python_and_ignores_other_settings(open_page: Open) -> None:
    page = open_page()
    page.evaluate("window.model.publish({position: 0.25})")
    wait_for_k(page, 25)
    assert part(page, "slider").input_value() == "25"
    page.evaluate("window.model.publish({curve: {...window.model.get('curve'), key: 'another'}})")
    page.wait_for_function("document.querySelector('.pv').dataset.state === 'unknown'")


def test_grabbing_the_curve_moves_the_slider(open_page: Open) -> None:
    page = open_page()
    box = part(page, "curve").bounding_box()
    x = lambda share: box["x"] + 14 + share * (box["width"] - 28)  # noqa: E731
    page.mouse.move(x(0.8), box["y"] + 60)
    page.mouse.down()
    page.mouse.move(x(0.402), box["y"] + 60, steps=4)
    page.mouse.up()
    wait_for_k(page, 40)
    # The thumb stands under the marker, to the pixel.
    marker = page.locator(".pv-curve-marker").first.bounding_box()
    assert marker["x"] + marker["width"] / 2 == pytest.approx(x(0.4), abs=1)


def test_tabs_by_keyboard(open_page: Open) -> None:
    page = open_page()
    assert {"action": "tab", "name": "weights"} in sent(page)
    part(page, "tab-weights").focus()
    for name in (
        "neurons",
        "redundancy",
        "tradeoff",
        "criteria",
        "layers",
        "fine_tune",
        "history",
        "network",
        "weights",
    ):
        page.keyboard.press("ArrowRight")
        assert part(page, f"tab-{name}").get_attribute("aria-selected") == "true"
        expect(part(page, f"panel-{name}")).to_be_visible()
        assert sent(page)[-1] == {"action": "tab", "name": name}
    expect(page.locator("[role=tabpanel]:visible")).to_have_count(1)


def test_controls_send_messages(open_page: Open) -> None:
    page = open_page()
    part(page, "granularity-unit").check()
    part(page, "criterion").select_option("random")
    part(page, "scope-layer").check()
    part(page, "model").select_option("lenet-300-100")
    row = page.locator("[data-testid=layer-row][data-layer=fc1]")
    row.get_by_test_id("tick").uncheck()
    row.get_by_test_id("layer-name").click()
    part(page, "apply").click()
    actions = [message for message in sent(page) if message["action"] not in ("theme", "tab")]
    assert actions[:6] == [
        {"action": "granularity", "name": "unit"},
        {"action": "criterion", "name": "random"},
        {"action": "scope", "name": "layer"},
        {"action": "model", "name": "lenet-300-100"},
        {"action": "tick", "layer": "fc1", "on": False},
        {"action": "layer", "name": "fc1"},
    ]
    assert actions[-1] == {"action": "apply"}
    assert part(page, "undo").is_disabled()


def test_a_layer_gets_its_own_sparsity(open_page: Open) -> None:
    page = open_page()
    row = page.locator("[data-testid=layer-row][data-layer=conv2]")
    row.get_by_test_id("own-edit").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("42.5")
    page.keyboard.press("Enter")
    assert sent(page)[-1] == {"action": "own", "layer": "conv2", "value": 0.425}
    row.get_by_test_id("own-edit").click()
    page.keyboard.type("7")
    page.keyboard.press("Escape")
    assert sent(page)[-1]["value"] == 0.425


def test_neurons_show_which_go_and_pick_one(open_page: Open) -> None:
    page = open_page("units")
    part(page, "tab-neurons").click()
    expect(part(page, "neurons-title")).to_have_text("fc1: 100 of 500 units never fire")
    expect(page.locator(".pv-cell[data-goes]")).to_have_count(275)
    part(page, "slider").fill("60")
    wait_for_k(page, 60)
    expect(page.locator(".pv-cell[data-goes]")).to_have_count(300)
    part(page, "slider").fill("10")
    wait_for_k(page, 10)
    expect(page.locator(".pv-cell[data-goes]")).to_have_count(50)
    assert part(page, "unit").locator("img").get_attribute("alt") == "Weights of unit 12"
    page.locator(".pv-cell").nth(3).click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert [m["unit"] for m in sent(page) if m["action"] == "unit"] == [3, 4]


def test_many_units_are_one_canvas_with_keys(open_page: Open) -> None:
    page = open_page("many")
    part(page, "tab-neurons").click()
    page.locator("canvas[data-testid=cells]").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert sent(page)[-1] == {"action": "unit", "unit": 2046}


def test_fine_tuning_form_and_decision(open_page: Open) -> None:
    page = open_page()
    part(page, "fine-tune").click()
    expect(part(page, "panel-fine_tune")).to_be_visible()
    part(page, "epochs").fill("3")
    part(page, "source").select_option("half")
    part(page, "fine-tune-start").click()
    assert sent(page)[-1] == {
        "action": "fine_tune",
        "schedule": "one-shot",
        "knobs": {"epochs": 3},
        "epochs": 3,
        "learning_rate": 0.001,
        "source": "half",
        "more": {"optimizer": "sgd"},
    }
    expect(part(page, "keep")).to_be_hidden()
    page.evaluate("next => window.model.publish(next)", {"fine_tune": scene("tuning")["fine_tune"]})
    part(page, "fine-tune-cancel").click()
    assert sent(page)[-1] == {"action": "cancel", "name": "fine_tune"}
    assert "14 s left" in part(page, "fine-tune-text").inner_text()
    page.evaluate("next => window.model.publish(next)", {"fine_tune": scene("tuned")["fine_tune"]})
    part(page, "keep").click()
    assert sent(page)[-1] == {"action": "keep"}
    expect(part(page, "fine-tune-change")).to_have_text("+3.7 points")


@pytest.mark.parametrize("name", ["usual", "units", "many", "error", "tuning", "loading", "fresh"])
def test_no_scene_scrolls_sideways_at_390(open_page: Open, name: str) -> None:
    page = open_page(name, width=390)
    for tab in (
        "network",
        "weights",
        "neurons",
        "redundancy",
        "tradeoff",
        "criteria",
        "layers",
        "fine_tune",
        "history",
    ):
        part(page, f"tab-{tab}").click()
        page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
    boxes = [
        part(page, name).bounding_box()["y"] for name in ("card-accuracy", "slider", "tab-weights")
    ]
    boxes.append(page.locator(".pv-side").bounding_box()["y"])
    assert boxes == sorted(boxes)


def test_text_stays_text(open_page: Open) -> None:
    page = open_page("hostile")
    page.wait_for_selector(".pv[data-ready='1']")
    assert page.evaluate("window.hacked") is None
    expect(page.locator(".pv script, .pv-side img, .pv-problem b")).to_have_count(0)
    assert "<script>" in page.locator(".pv-title").inner_text()
    assert "<script>" in page.locator("[data-layer=fc2]").inner_text()


def test_problem_is_told_and_dismissed(open_page: Open) -> None:
    page = open_page("error")
    bar = part(page, "problem")
    assert "got 10 in batch 4" in bar.inner_text()
    assert part(page, "status").inner_text().startswith("Stopped")
    part(page, "dismiss").click()
    assert sent(page)[-1] == {"action": "dismiss"}
    page.evaluate("window.model.publish({problem: {}})")
    bar.wait_for(state="hidden")


def test_loading_is_not_ready(open_page: Open) -> None:
    page = open_page("loading")
    assert page.locator(".pv").get_attribute("data-ready") is None
    assert part(page, "slider").is_disabled()
    rest = {k: v for k, v in scene().items() if k != "status"}
    page.evaluate("next => window.model.publish(next)", rest)
    page.wait_for_selector(".pv[data-ready='1']")
    assert part(page, "slider").is_enabled()


def test_theme_follows_jupyterlab_over_the_system(open_page: Open) -> None:
    page = open_page(theme="dark")
    root = page.locator(".pv")
    assert root.get_attribute("data-pv-theme") == "dark"
    assert {"action": "theme", "name": "dark"} in sent(page)
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")
    page.wait_for_selector(".pv[data-pv-theme='light']")
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_selector(".pv[data-pv-theme='dark']")
    assert sent(page)[-1] == {"action": "theme", "name": "dark"}


def test_two_views_and_their_end(open_page: Open) -> None:
    page = open_page()
    alone = page.evaluate("window.model.listening()")
    page.evaluate("void (window.second = window.show())")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))
    page.locator("[data-testid=slider]").nth(1).fill("33")
    page.wait_for_function(
        "[...document.querySelectorAll('.pv')].every((root) => root.dataset.k === '33')"
    )
    page.evaluate("window.second()")
    assert page.evaluate("window.model.listening()") == alone
    page.evaluate("window.close_page()")
    assert page.evaluate("window.model.listening()") == 0
    expect(page.locator(".pv")).to_have_count(0)


def test_a_key_is_answered_in_the_next_frame(open_page: Open) -> None:
    """No round trip and no waiting: what the frame after a key shows is the new position."""
    page = open_page()
    part(page, "slider").focus()
    start = int(page.locator(".pv").get_attribute("data-k"))
    page.evaluate(
        """() => {
          window.shown = [];
          document.addEventListener('keydown', () => requestAnimationFrame(() => {
            const channel = new MessageChannel();
            channel.port1.onmessage = () =>
              window.shown.push(Number(document.querySelector('.pv').dataset.k));
            channel.port2.postMessage(0);
          }), true);
        }"""
    )
    for count in range(1, 6):
        page.keyboard.press("ArrowLeft")
        page.wait_for_function("count => window.shown.length === count", arg=count)
    assert page.evaluate("window.shown") == [start - k for k in range(1, 6)]


def test_fixture_has_the_contract_of_the_table() -> None:
    values = table()
    for name in (
        "achieved",
        "params",
        "bytes",
        "storage",
        "dense_bytes",
        "effective_flops",
        "removed_flops",
    ):
        assert len(values[name]) == POSITIONS, name
