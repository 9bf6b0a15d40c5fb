"""The page's words in other languages: one catalogue each, with the English text as the key.

English is complete by being what the code says. A catalogue is a JSON file of this folder, named
after its language (ISO 639-1), from English to that language. In a key, ``{}`` stands for a number
and ``{a}`` for a name (of a layer, a criterion, ...); the other side may use ``{}`` in the same
order, or ``{1}``, ``{2}`` where the order is another. What a catalogue does not hold stays English.
The page looks texts up in the browser; see ``widgets/static/00-texts.js``.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from prunevis.registry import Registry

#: Language -> its own name for itself.
LANGUAGES: Registry[str] = Registry("language")
LANGUAGES.register("en")("English")
LANGUAGES.register("de")("Deutsch")


@cache
def catalogue(language: str) -> dict[str, str]:
    """Return the texts of a language by the English ones; of English, which is the key, none.

    Parameters
    ----------
    language
        One of `LANGUAGES`.

    Raises
    ------
    UnknownNameError
        If there is no such language here.
    """
    assert LANGUAGES[language]
    if language == "en":
        return {}
    file = Path(__file__).with_name(f"{language}.json")
    return json.loads(file.read_text("utf-8"))


def texts(language: str) -> dict[str, Any]:
    """Return what the page needs to speak a language, as plain JSON.

    Raises
    ------
    UnknownNameError
        If there is no such language here.
    """
    return {
        "language": language,
        "languages": [{"name": name, "label": label} for name, label in LANGUAGES.items()],
        "entries": dict(catalogue(language)),
    }
