"""A reload, or a kernel that dies, leads back to where the visitor was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import servers
from servers import settled, text_becomes, until
from test_demo_page import kernel_of, part, slide_to

from prunevis.session.recipe import Recipe

pytestmark = pytest.mark.browser


def address_says(page: Any, position: float) -> Recipe:
    """Wait until the address holds the recipe of `position`, and return it."""
    for _ in range(300):
        if "recipe=" in page.url:
            found = Recipe.read(page.url)
            if abs(found.position - position) < 1e-9:
                return found
        page.wait_for_timeout(100)
    pytest.fail(page.url)


def here(page: Any) -> tuple[str, ...]:
    names = ("card-accuracy", "card-params", "applied")
    chosen = part(page, "tab-neurons").get_attribute("aria-selected")
    return (*(part(page, name).inner_text() for name in names), str(chosen))


@pytest.fixture
def somewhere(browser: Any, demo: dict[str, Any]) -> Any:
    """A page on which something was done."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    found = context.new_page()
    found.set_default_timeout(servers.PATIENCE)
    found.goto(f"{demo['address']}?a=b", wait_until="commit")
    servers.ready(found)
    part(found, "model").select_option("lenet-300-100")
    text_becomes(found, "card-params", "266,610")
    slide_to(found, 60)
    part(found, "apply").click()
    text_becomes(found, "applied", "60 %")
    slide_to(found, 75)
    part(found, "tab-neurons").click()
    settled(found, "state", "exact")
    yield found
    found.close(run_before_unload=True)
    context.close()


def arrived(page: Any) -> None:
    servers.ready(page)
    text_becomes(page, "applied", "60 %")
    settled(page, "sparsity", "0.7500")
    settled(page, "state", "exact")
    until(
        page,
        "() => document.querySelector(\"[data-testid='tab-neurons']\")"
        ".getAttribute('aria-selected') === 'true'",
    )


def test_a_reload_and_a_dead_kernel_lead_back(somewhere: Any, demo: dict[str, Any]) -> None:
    page = somewhere
    recipe = address_says(page, 0.75)
    assert len(recipe.steps) == 1
    assert "?a=b&recipe=" in page.url
    before = here(page)
    page.reload(wait_until="commit")
    arrived(page)
    assert here(page) == before
    kernel_of(page, demo).kill()
    part(page, "lost").wait_for()
    part(page, "reload").click()
    arrived(page)
    assert here(page) == before
    assert part(page, "problem").is_hidden()
    assert "recipe=" not in Path(demo["log"]).read_text("utf-8")


def test_a_forged_address_is_said_and_the_page_works(browser: Any, demo: dict[str, Any]) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(servers.PATIENCE)
    page.goto(f"{demo['address']}?recipe=abc", wait_until="commit")
    servers.ready(page)
    text_becomes(page, "problem", "This recipe is broken, or none.")
    slide_to(page, 30)
    settled(page, "state", "exact")
    page.close(run_before_unload=True)
    context.close()


def test_saved_and_opened(somewhere: Any, tmp_path: Path) -> None:
    page = somewhere
    address_says(page, 0.75)
    part(page, "share").click()
    with page.expect_download() as waiting:
        part(page, "save-recipe").click()
    file = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(file)
    assert file.name == "lenet-300-100-recipe.json"
    assert json.loads(file.read_text("utf-8"))["position"] == 0.75
    part(page, "reset").click()
    settled(page, "sparsity", "0.0000")
    part(page, "share").click()
    part(page, "recipe-file").set_input_files(file)
    arrived(page)
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}", "utf-8")
    part(page, "recipe-file").set_input_files(wrong)
    text_becomes(page, "share-told", "This file holds no recipe.")
    part(page, "share").press("Escape")
    part(page, "copy-link").wait_for(state="hidden")
