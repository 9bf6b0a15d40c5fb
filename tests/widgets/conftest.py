"""A browser with the page in it, and a fake model where Python would be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "harness"))

import harness
from fixtures import scene

Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open a scene; at the end nothing may have been complained about, nor asked of a network."""
    complaints: list[str] = []
    pages = []

    def opened(name: str = "usual", width: int = 1280, theme: str = "light", **more: Any) -> Any:
        file = tmp_path / f"{name}.html"
        file.write_text(harness.build({**scene(name), **more}), "utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
        page.set_default_timeout(60_000)
        pages.append(page)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: complaints.append(message.text) if message.type == "error" else None,
        )
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("file:", "blob:", "data:"))
                else complaints.append(request.url)
            ),
        )
        page.goto(file.as_uri())
        page.evaluate("window.ready")
        return page

    yield opened
    for page in pages:
        page.close()
    assert complaints == []
