"""What the page brings along from others: named with its version, with its licence beside it."""

from __future__ import annotations

import re

from prunevis.widgets.page import STATIC, Page


def test_a_vendored_script_says_what_it_is_and_has_its_licence():
    vendored = [path for path in STATIC.glob("*.js") if path.read_text("utf-8").startswith("/*!")]
    assert [path.name for path in vendored] == ["04-dagre.js"]
    for path in vendored:
        script = path.read_text("utf-8")
        assert re.match(r"/\*! dagre \d+\.\d+\.\d+, .*npm package @dagrejs/dagre", script)
        licence = path.with_name(f"{path.stem}.LICENSE.txt").read_text("utf-8")
        assert licence.startswith("Copyright (c) 2012-2014 Chris Pettitt")
        assert "Permission is hereby granted, free of charge" in licence
        assert len(script) < 60_000


def test_the_page_asks_for_nothing_else():
    scripts = str(Page._esm)
    assert "sourceMappingURL" not in scripts
    # an `import` or a request would leave the page; text like "import" may occur
    assert not re.search(r"^\s*import\b|\bimport\(|XMLHttpRequest|sendBeacon", scripts, re.M)
    # the one request is for how the page's own server does, once its kernel is silent
    assert re.findall(r"\bfetch\([^,)]*", scripts) == ["fetch(address"]
    asked = re.search(r"function healthAddress\(\) \{.*?\n\}", scripts, re.S)
    assert asked
    assert "//" not in re.sub(r"^\s*//.*$", "", asked[0], flags=re.M)
