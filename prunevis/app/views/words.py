"""Sentences of the library, as a page shows them."""

from __future__ import annotations

from typing import overload


@overload
def plain(text: str) -> str: ...
@overload
def plain(text: None) -> None: ...
def plain(text: str | None) -> str | None:
    """Return `text` without the backticks that set off names in code; None stays None."""
    return None if text is None else text.replace("`", "")
