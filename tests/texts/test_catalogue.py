"""Catalogues are whole: no text twice, the same holes on both sides, every label in them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import prunevis as pv
from prunevis.app.explorer import Explorer
from prunevis.errors import UnknownNameError
from prunevis.pruning.repairs import REPAIRS
from prunevis.texts import LANGUAGES, catalogue, texts

FOLDER = Path(pv.__file__).parent / "texts"
OTHERS = [name for name in LANGUAGES if name != "en"]
NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*")


def holes(text: str) -> list[str]:
    return re.findall(r"\{(\w*)\}", text)


def test_every_language_has_its_file_and_no_file_is_left_over():
    assert sorted(file.stem for file in FOLDER.glob("*.json")) == sorted(OTHERS)


@pytest.mark.parametrize("language", OTHERS)
def test_no_text_stands_twice(language):
    pairs = json.loads(
        (FOLDER / f"{language}.json").read_text("utf-8"), object_pairs_hook=lambda found: found
    )
    names = [name for name, _ in pairs]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("language", OTHERS)
def test_both_sides_have_the_same_holes(language):
    for english, text in catalogue(language).items():
        assert text.strip(), english
        named = {name for name in holes(english) if name}
        numbers = sum(name == "" for name in holes(english))
        theirs = [name for name in holes(text) if name == "" or name.isdecimal()]
        assert {name for name in holes(text) if name and not name.isdecimal()} == named, english
        if any(theirs):  # places by number
            assert all(1 <= int(name) <= numbers for name in theirs if name), english
        assert len(theirs) == numbers, english
        assert not NUMBER.search(english), f"a number in a key: {english}"


@pytest.mark.parametrize("language", OTHERS)
def test_what_is_chosen_from_has_a_text(language):
    """Labels and sentences of all registries that the page offers."""
    found = catalogue(language)
    shown: list[str] = []
    for registry in (pv.CRITERIA, REPAIRS, pv.SCHEDULES):
        for entry in registry.values():
            shown += [entry.label, entry.summary]
    missing = [text for text in shown if NUMBER.sub("{}", text) not in found]
    assert missing == []


def test_english_is_the_key():
    assert catalogue("en") == {}
    assert texts("en")["entries"] == {}
    assert texts("de")["languages"] == [
        {"name": "en", "label": "English"},
        {"name": "de", "label": "Deutsch"},
    ]


def test_another_language_is_refused_before_anything_is_opened(monkeypatch):
    with pytest.raises(UnknownNameError, match=r"no language called 'dd'\. There are: en, de"):
        Explorer(language="dd", threaded=False)
    monkeypatch.setenv("PRUNEVIS_LANGUAGE", "de")
    explorer = Explorer(threaded=False)
    assert explorer.page.texts["language"] == "de"
    explorer.page._handle_custom_msg({"action": "language", "name": "en"}, [])
    explorer.run_until_idle()
    assert explorer.page.texts["language"] == "en"
    explorer.page._handle_custom_msg({"action": "language", "name": ["x"]}, [])
    explorer.run_until_idle()
    assert "no language called" in explorer.page.problem["text"]
    assert explorer.page.texts["language"] == "en"
    explorer.close()
