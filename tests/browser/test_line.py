"""What the page sends while its line to Python closes, or breaks for a while."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import servers
from servers import settled, until

pytestmark = pytest.mark.browser

#: Keeps the page's sockets and what each sent; `window.slide(percent)` moves its slider at once.
HANDLES = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    this.sent = [];
    window.sockets.push(this);
  }
  send(data) {
    this.sent.push(typeof data === "string" ? data : new TextDecoder().decode(data));
    super.send(data);
  }
};
window.slide = (percent) => {
  const slider = document.querySelector("[data-testid='slider']");
  slider.value = percent;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
};
"""

#: No hand moves the slider any more; a timer that is set at a move has long fired by then.
AT_REST = "() => !document.querySelector(\"[data-testid='page']\").hasAttribute('data-moving')"


@pytest.fixture
def page(browser: Any, demo: dict[str, Any]) -> Iterator[Any]:
    """The demo page with handles; nothing may have complained at the end."""
    complaints: list[str] = []
    context = browser.new_context()
    found = context.new_page()
    servers.watch(found, complaints)
    found.add_init_script(HANDLES)
    found.goto(demo["address"], wait_until="commit")
    servers.ready(found)
    yield found
    found.close(run_before_unload=True)
    context.close()
    assert complaints == []


def sends(page: Any, percent: int) -> list[int]:
    """The numbers of the sockets that the position was sent through, once for each time."""
    return page.evaluate(
        "wanted => window.sockets.flatMap((s, i) =>"
        " s.sent.filter((text) => text.includes(wanted)).map(() => i))",
        f'"position":{percent / 100}',
    )


def hear(page: Any) -> None:
    """Ask Python for what only it knows, and wait for its answer."""
    page.get_by_test_id("granularity-unit").click()
    until(page, "() => document.querySelector(\"[data-testid='criterion']\").value !== 'magnitude'")


def test_a_move_after_the_host_closed_the_line_is_no_error(page: Any) -> None:
    page.evaluate("window.dispatchEvent(new Event('beforeunload')); slide(20); slide(30)")
    settled(page, "sparsity", "0.3000")
    until(page, AT_REST)
    # a tab sends a message of another kind
    page.get_by_test_id("tab-neurons").click()
    page.get_by_test_id("panel-neurons").wait_for()
    assert sends(page, 30) == []


def test_a_move_that_waits_for_its_turn_is_sent_before_the_page_goes(page: Any) -> None:
    page.evaluate("window.moved = performance.now(); slide(20)")
    hear(page)  # its answer to the move came before
    # no time has passed since the move, so the next one waits
    page.evaluate(
        "performance.now = () => window.moved; slide(30);"
        "const gone = () => window.sockets.flatMap(s => s.sent).join().includes('position\":0.3');"
        "window.before = gone(); window.dispatchEvent(new Event('pagehide')); window.after = gone()"
    )
    assert page.evaluate("[window.before, window.after]") == [False, True]


def test_a_move_while_the_line_is_broken_is_sent_when_it_is_back(page: Any) -> None:
    before = page.evaluate(
        "() => new Promise((done) => {"
        "  const socket = window.sockets.at(-1);"
        "  socket.addEventListener('close', () => { slide(40); done(window.sockets.length); });"
        "  socket.close();"
        "})"
    )
    hear(page)
    assert any(socket >= before for socket in sends(page, 40))
