"""A page whose Python or server is gone says so within ten seconds, with a way back."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
import servers
from test_demo_page import kernel_of

pytestmark = pytest.mark.browser

#: Within so many milliseconds it must be said.
SOON = 10_000

#: Counts the pings that the page sends, and lets a test set the clock on.
HANDLES = """
window.pings = 0;
window.later = 0;
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  const text = typeof data === "string" ? data : new TextDecoder().decode(data);
  if (text.includes('"ping"')) window.pings += 1;
  return send.call(this, data);
};
const now = performance.now.bind(performance);
performance.now = () => now() + window.later;
"""


@pytest.fixture
def page(browser: Any, demo: dict[str, Any]) -> Any:
    context = browser.new_context()
    found = context.new_page()
    found.set_default_timeout(servers.PATIENCE)
    found.add_init_script(HANDLES)
    found.goto(demo["address"], wait_until="commit")
    servers.ready(found)
    yield found
    found.close(run_before_unload=True)
    context.close()


def test_a_server_that_hangs_and_comes_back(page: Any, demo: dict[str, Any]) -> None:
    lost = page.get_by_test_id("lost")
    servers.until(page, "() => window.pings > 0")
    os.kill(demo["process"].pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        lost.wait_for(timeout=2 * SOON)
        assert time.monotonic() - start < SOON / 1000
        assert "The server cannot be reached." in lost.inner_text()
        assert "still moves with the slider" in lost.inner_text()
    finally:
        os.kill(demo["process"].pid, signal.SIGCONT)
    # and all is as before, without a reload
    lost.wait_for(state="hidden")


def test_nobody_is_asked_while_nobody_uses_the_page(page: Any) -> None:
    servers.until(page, "() => window.pings > 0")
    # eleven minutes later
    page.evaluate("window.later += 11 * 60000; window.pings = 0")
    page.wait_for_timeout(5000)
    assert page.evaluate("window.pings") == 0
    assert page.get_by_test_id("lost").is_hidden()
    # a touch, and it asks again
    page.get_by_test_id("slider").focus()
    page.keyboard.press("ArrowRight")
    servers.until(page, "() => window.pings > 0")


def test_a_kernel_that_dies_is_said_with_a_way_back(page: Any, demo: dict[str, Any]) -> None:
    lost = page.get_by_test_id("lost")
    servers.until(page, "() => window.pings > 0")
    kernel_of(page, demo).kill()
    start = time.monotonic()
    lost.wait_for(timeout=2 * SOON)
    assert time.monotonic() - start < SOON / 1000
    assert "The Python behind this page has ended." in lost.inner_text()
    assert "Reload to start another and come back to where you are." in lost.inner_text()
    page.get_by_test_id("reload").click()
    servers.ready(page)
    assert page.get_by_test_id("lost").is_hidden()
