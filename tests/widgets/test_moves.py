"""How a move reaches the screen, and what the size card counts; a fake model stands for Python."""

from __future__ import annotations

from typing import Any

import pytest
from fixtures import POSITIONS, curve, table

pytestmark = pytest.mark.browser


def part(page: Any, name: str) -> Any:
    return page.get_by_test_id(name)


def frames(page: Any, count: int = 1) -> None:
    page.evaluate(
        """(n) => new Promise((done) => {
          const next = () => (n-- > 0 ? requestAnimationFrame(next) : done());
          next();
        })""",
        count,
    )


@pytest.mark.parametrize(
    ("granularity", "position", "counted"),
    [("weight", 0.0, False), ("weight", 0.3, True), ("unit", 0.3, False)],
)
def test_a_compressed_file_counts_only_where_weights_became_zero(
    open_page: Any, granularity: str, position: float, counted: bool
) -> None:
    """Any file packs a little: that is no merit of pruning, but packed zeros are."""
    costs = table(granularity)
    # as with masked weights at little sparsity: no form of file is smaller, except the packed one
    costs.update(storage=["dense"] * POSITIONS, bytes=costs["dense_bytes"])
    k = round(100 * position)
    if granularity == "weight" and not position:
        costs["params"][0] = costs["base"]["params"]
    packed = 0.75 * costs["dense_bytes"][k]
    known = {**curve(granularity), "compressed": [packed] * POSITIONS}
    page = open_page(position=position, table=costs, curve=known)
    card = part(page, "card-size")
    assert "compressed file" in card.inner_text()  # it is said in any case
    main = card.locator(".pv-ledger[data-main] > span").first.inner_text()
    assert main == ("compressed file" if counted else "dense tensors")
    shown = packed if counted else costs["dense_bytes"][k]
    assert f"{shown / 1e6:.2f}\nMB" in card.inner_text()


def test_a_key_is_drawn_in_its_own_event_and_the_views_after_the_paint(open_page: Any) -> None:
    page = open_page(position=0.5)
    frames(page, 3)
    got = page.evaluate(
        """() => new Promise((done) => {
          const at = () => document.querySelector(".pv").dataset.k;
          const text = (id) => document.querySelector(`[data-testid='${id}']`).innerText;
          const before = [text("card-params"), text("weights-title")];
          const slider = document.querySelector("[data-testid='slider']");
          slider.dispatchEvent(new KeyboardEvent("keydown", { key: "PageUp", bubbles: true }));
          const k = at();
          const told = [text("card-params") !== before[0], text("weights-title") !== before[1]];
          slider.dispatchEvent(new KeyboardEvent("keydown", { key: "PageUp", bubbles: true }));
          const second = at();  // the same frame: nobody sees what lies between
          requestAnimationFrame(() => requestAnimationFrame(() => done([k, told, second, at()])));
        })"""
    )
    assert got == ["60", [True, False], "60", "70"]
    page.wait_for_function(
        "() => document.querySelector(\"[data-testid='weights-title']\").innerText.includes('%')"
    )
    gone = page.evaluate("() => model.get('weights').removed[70] / model.get('weights').total")
    page.wait_for_function(
        "(text) => document.querySelector(\"[data-testid='weights-title']\")"
        ".innerText.includes(text)",
        arg=f"{100 * gone:.0f} % go",
    )


def test_nothing_else_moves_while_the_slider_does(open_page: Any) -> None:
    page = open_page(status={"kind": "busy", "text": "Fine-tuning", "done": None, "total": None})
    line = ".pv-progress-line i"
    state = f"() => getComputedStyle(document.querySelector('{line}')).animationPlayState"
    assert page.evaluate(state) == "running"
    part(page, "slider").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(".pv[data-moving]")
    assert page.evaluate(state) == "paused"
    page.wait_for_selector(".pv:not([data-moving])")
    assert page.evaluate(state) == "running"


def test_views_out_of_sight_are_drawn_when_they_come_into_sight(open_page: Any) -> None:
    page = open_page(width=390, position=0.5)
    title = part(page, "weights-title")
    page.wait_for_function(
        "() => { const b = document.querySelector('.pv-histogram').getBoundingClientRect();"
        " return b.top > innerHeight; }"
    )
    frames(page, 4)
    before = title.inner_text()
    part(page, "slider").focus()
    page.keyboard.press("PageUp")
    page.wait_for_selector(".pv[data-k='60'][data-drawn='60']")
    assert title.inner_text() == before
    title.scroll_into_view_if_needed()
    page.wait_for_function(
        "(before) => document.querySelector(\"[data-testid='weights-title']\")"
        ".innerText !== before",
        arg=before,
    )


def test_an_answer_of_python_that_crossed_a_move_is_answered(open_page: Any) -> None:
    """Python must not rest on a position that the page no longer shows."""
    page = open_page(position=0.5)
    part(page, "slider").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => model.get('position') === 0.51")
    saves = page.evaluate("() => model.saves")
    page.evaluate("() => model.set('position', 0.0)")  # "apply" was done
    page.wait_for_selector(".pv[data-k='0']")
    page.wait_for_function("(saves) => model.saves > saves", arg=saves)
    assert page.evaluate("() => model.get('position')") == 0
