from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import servers


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A running `prunevis demo`, with a short culling time."""
    folder = tmp_path_factory.mktemp("demo")
    port = servers.free_port()
    with servers.running(servers.demo_command(port, "--cull", "15"), folder) as process:
        address = f"http://127.0.0.1:{port}/"
        log = folder / "server.log"
        # wait for the line that a person waits for; the process ending is a failure at once
        for _ in range(600):
            if f"Open {address}" in log.read_text("utf-8"):
                break
            try:
                process.wait(0.2)
            except servers.subprocess.TimeoutExpired:
                continue
            pytest.fail(log.read_text("utf-8"))
        yield {"address": address, "process": process, "log": log}


@pytest.fixture
def page(browser: Any, demo: dict[str, Any]) -> Iterator[Any]:
    """The demo page, opened; nothing may have complained at the end."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    found = context.new_page()
    servers.watch(found, complaints)
    found.goto(demo["address"], wait_until="commit")
    servers.ready(found)
    # the smallest network: these tests are about the page
    if found.get_by_test_id("model").input_value() != "lenet-300-100":
        found.get_by_test_id("model").select_option("lenet-300-100")
        servers.text_becomes(found, "card-params", "266,610")
    # measured as it came: before that, applying and fine-tuning ask for a moment's patience
    servers.settled(found, "state", "exact")
    yield found
    found.close(run_before_unload=True)
    context.close()
    assert complaints == []
