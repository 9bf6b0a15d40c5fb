"""The websocket sends at once and passes on only what a page needs; the waiting page."""

import json
import re
import socket

import pytest
from apart import run_apart

pytest.importorskip("voila")

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

from prunevis.hosting import handlers
from prunevis.hosting.waiting import waiting_page


def message(kind, **more):
    return {"header": {"msg_type": kind}, "content": {}, **more}


def older(body):
    """A message with one buffer as it was sent first: offsets of four bytes."""
    text = json.dumps(body).encode()
    numbers = [2, 12, 12 + len(text)]
    return b"".join(n.to_bytes(4, "big") for n in numbers) + text + b"\0" * 40


def newer(body):
    """The same in the form that is asked for today: each part by itself."""
    parts = [b"iopub", json.dumps(body["header"]).encode(), b"{}", b"{}", b"{}", b"\0" * 40]
    offsets = [8 * (len(parts) + 2)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    numbers = [len(offsets), *offsets]
    return b"".join(n.to_bytes(8, "little") for n in numbers) + b"".join(parts)


FORMS = [
    (None, lambda body: body),
    (None, json.dumps),
    (None, older),
    ("v1.kernel.websocket.jupyter.org", newer),
]


@pytest.mark.parametrize(("protocol", "form"), FORMS)
@pytest.mark.parametrize("kind", ["comm_msg", "status", "error", "stream", "execute_input"])
def test_only_what_a_page_needs_is_passed_on(monkeypatch, protocol, form, kind):
    sent = []
    monkeypatch.setattr(
        WebSocketHandler, "write_message", lambda self, text, binary=False: sent.append(text)
    )
    line = object.__new__(handlers.KernelSocket)
    line.ws_connection = True
    monkeypatch.setattr(handlers.KernelSocket, "selected_subprotocol", protocol)
    body = form(message(kind))
    # Voila's own reads the older form with buffers without end, and fills the memory
    handlers.KernelSocket.write_message(line, body, True)
    assert sent == ([body] if kind in ("comm_msg", "status") else [])


def test_what_comes_after_the_tab_has_gone_is_dropped_without_an_exception():
    line = object.__new__(handlers.KernelSocket)
    line.ws_connection = None
    assert handlers.KernelSocket.write_message(line, message("comm_msg")) is None


def test_messages_are_sent_at_once(monkeypatch):
    """Nagle's algorithm held each up to 40 ms: the socket is told not to."""
    theirs = handlers.VoilaKernelWebsocketHandler
    found = []

    async def opened(self, *args):
        stream = self.ws_connection.stream
        found.append(stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self.close()

    monkeypatch.setattr(theirs, "open", opened)

    def bare(cls):
        """The handler `cls` without a kernel."""
        plain = {"prepare": lambda self: None, "initialize": lambda self: None}
        plain |= {"check_origin": lambda self, origin="": True, "on_close": lambda self: None}
        plain |= {"get": WebSocketHandler.get, "select_subprotocol": lambda self, given: None}
        return type("Bare", (cls,), plain)

    async def ask():
        application = Application([("/ours", bare(handlers.KernelSocket)), ("/v", bare(theirs))])
        listening, port = bind_unused_port()
        server = HTTPServer(application)
        server.add_socket(listening)
        for path in ("ours", "v"):
            line = await websocket_connect(f"ws://127.0.0.1:{port}/{path}")
            assert await line.read_message() is None
        server.stop()

    run_apart(ask())
    assert found == [1, 0]


def test_the_waiting_page():
    text = waiting_page(20, "/prune/health")
    assert "20 visitors are here now." in text
    assert 'const health = "/prune/health";' in text
    assert "1 visitor is here now." in waiting_page(1, "/health")
    # it asks nobody else, and works without scripts
    assert not re.search(r"https?://|//cdn|@import", text)
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in text
    assert "</script>" not in waiting_page(1, "/</script>/health").split("const here")[0]
