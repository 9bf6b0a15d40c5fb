"""The page in German: nothing of the usual scenes stays English, numbers are written as there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from accessibility import open_tabs
from playwright.sync_api import expect

from prunevis.texts import texts

pytestmark = pytest.mark.browser
Open = Callable[..., Any]

#: What is a name or a formula, and the made-up sentences of the scenes.
NAMES = re.compile(
    r"et al\.|^[A-Z][\w-]+ (&|,|et)|\{\}\)?\.?$|^(Conv2d|Linear|LeNet|ResNet|\w*conv\d?|fc\{?)|"
    r"^[\w.]+ = |importance|importance\(|arxiv|https?:|·|^\W*\w{1,3}\W*$"
)


@pytest.mark.parametrize("scene", ["usual", "units", "estimate", "fresh"])
def test_no_words_of_the_page_itself_stay_english(open_page: Open, scene: str) -> None:
    page = open_page(scene, texts=texts("de"))
    for tab in open_tabs(page):
        page.get_by_test_id(tab).click()
        page.wait_for_timeout(60)
    left = [text for text in page.evaluate("window.untranslated()") if not NAMES.search(text)]
    # sentences of the scenes are made up; what the scripts say must all be there
    from harness import joined

    said = joined("js")
    own = [text for text in left if f'"{text}"' in said]
    assert own == []


def test_the_menu_changes_the_language_and_keeps_the_tab(open_page: Open) -> None:
    page = open_page("units", texts=texts("en"))
    menu = page.get_by_test_id("language")
    expect(menu).to_have_value("en")
    page.get_by_test_id("tab-neurons").click()
    menu.select_option("de")
    sent = page.evaluate("window.model.sent.filter((m) => m.action === 'language')")
    assert sent == [{"action": "language", "name": "de"}]
    page.evaluate("(t) => window.model.publish({ texts: t })", texts("de"))
    expect(page.get_by_test_id("tab-neurons")).to_have_text("Neuronen")
    expect(page.get_by_test_id("tab-neurons")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_test_id("apply")).to_have_text("Anwenden")
    expect(page.get_by_test_id("language")).to_have_value("de")
    assert page.locator(".pv").get_attribute("lang") == "de"
    assert page.locator(".pv").count() == 1
    page.evaluate("(t) => window.model.publish({ texts: t })", texts("en"))
    expect(page.get_by_test_id("tab-neurons")).to_have_text("Neurons")
    expect(page.get_by_test_id("apply")).to_have_text("Apply")


def test_numbers_are_written_as_in_the_language(open_page: Open) -> None:
    page = open_page("usual", texts=texts("de"))
    card = page.get_by_test_id("card-params")
    shown = card.inner_text()
    assert re.search(r"\d{2,3}\.\d{3}", shown), shown
    assert not re.search(r"\d,\d{3}", shown), shown
    assert re.search(r"\d,\d", page.get_by_test_id("card-accuracy").inner_text())
    # names are left alone
    expect(page.get_by_test_id("layer").locator("option").first).to_have_text("conv1")


def test_markup_in_a_catalogue_stays_text(open_page: Open) -> None:
    wicked = texts("de")
    wicked["entries"]["Undo"] = "<img src=x onerror=window.hacked=1>"
    page = open_page("usual", texts=wicked)
    expect(page.get_by_test_id("undo")).to_have_text("<img src=x onerror=window.hacked=1>")
    assert page.evaluate("window.hacked === undefined")
