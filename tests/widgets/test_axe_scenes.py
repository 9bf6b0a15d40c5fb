"""Nothing in any situation of the page breaks a rule of axe-core: also while it loads, or fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from accessibility import open_tabs, prepare, violations

pytestmark = [pytest.mark.browser, pytest.mark.access]


@pytest.mark.parametrize(
    ("scene", "scheme", "width"),
    [
        ("loading", "dark", 390),
        ("fresh", "light", 390),
        ("error", "light", 1280),
        ("hostile", "light", 390),
        ("tuning", "dark", 390),
        ("tuned", "light", 1280),
        ("many", "light", 1280),
    ],
)
def test_no_rule_is_broken(
    open_page: Callable[..., Any], scene: str, scheme: str, width: int
) -> None:
    page = open_page(scene, width=width, theme=scheme)
    prepare(page)
    found = {}
    for tab in open_tabs(page):
        page.get_by_test_id(tab).click()
        broken = violations(page)
        if broken:
            found[tab] = broken
    assert found == {}
