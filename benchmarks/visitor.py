"""A visitor without a browser: fetches the page and speaks to its kernel over the websocket.

What a browser does, as far as the server and the kernel can tell: the page's address, the socket,
the state of the page's widget, moves of the slider, pings, and the beacon at the end.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

#: Seconds after which a wait is given up; nothing is measured by it.
PATIENCE = 120.0


class Full(Exception):
    """There is no room: the page is where to wait."""


class Visitor:
    """One visitor; `come` first, `leave` last.

    Parameters
    ----------
    address
        The page's, with a slash at the end.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.session = uuid.uuid4().hex
        self.kernel_id = self.model_id = ""
        self.state: dict[str, Any] = {}
        self.kinds: set[str] = set()
        self.texts: list[str] = []
        self.socket: WebSocketClientConnection | None = None
        self.lost = False
        self._news = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._done: set[str] = set()

    async def fetch(self, path: str = "", **more: Any) -> HTTPResponse:
        """Return the answer to a request, whatever its status."""
        request = HTTPRequest(self.address + path, request_timeout=PATIENCE, **more)
        return await AsyncHTTPClient().fetch(request, raise_error=False)

    async def ask_for_page(self, query: str = "") -> HTTPResponse:
        """Fetch the page, and with it a kernel."""
        answer = await self.fetch(query)
        if answer.code == 503:
            raise Full(answer.body.decode())
        html = answer.body.decode()
        self.kernel_id = _after(html, '"kernelId": "') or _after(html, '"kernelId":"')
        self.model_id = _after(html, '"model_id": "') or _after(html, '"model_id":"')
        return answer

    async def connect(self, headers: dict[str, str] | None = None) -> None:
        """Open the socket to the kernel."""
        url = self.address.replace("http", "ws", 1)
        path = f"api/kernels/{self.kernel_id}/channels?session_id={self.session}"
        request = HTTPRequest(url + path, headers=headers or {"Origin": self.origin})
        self.socket = await websocket_connect(request, max_message_size=64 * 1024 * 1024)
        self._reader = asyncio.ensure_future(self._read())

    @property
    def origin(self) -> str:
        """What a browser would say that it comes from."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    async def come(self, query: str = "") -> None:
        """Open the page and wait until it could be used."""
        await self.ask_for_page(query)
        await self.connect()
        self.send("comm_msg", {"comm_id": self.model_id, "data": {"method": "request_state"}})
        await self.until(lambda: bool(self.state.get("table", {}).get("sparsity")))
        self.update({"_view_count": 1})

    async def leave(self) -> None:
        """Close the page as a browser does: the beacon, then the socket."""
        await self.beacon()
        self.close()

    async def beacon(self, **headers: str) -> int:
        """Send what a closing tab sends; return the status."""
        path = f"voila/api/shutdown/{self.kernel_id}"
        return (await self.fetch(path, method="POST", body="", headers=headers)).code

    def close(self) -> None:
        """Close the socket, as when a browser is gone."""
        if self._reader is not None:
            self._reader.cancel()
        if self.socket is not None:
            self.socket.close()

    def send(self, kind: str, content: dict[str, Any], channel: str = "shell") -> str:
        """Send a message; return its number."""
        assert self.socket is not None
        number = uuid.uuid4().hex
        header = {
            "msg_id": number,
            "msg_type": kind,
            "session": self.session,
            "username": "",
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "version": "5.3",
        }
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self.socket.write_message(json.dumps({**message, "channel": channel, "buffers": []}))
        return number

    def update(self, state: dict[str, Any]) -> str:
        """Set traits of the page's widget."""
        data = {"method": "update", "state": state, "buffer_paths": []}
        return self.send("comm_msg", {"comm_id": self.model_id, "data": data})

    def say(self, **message: Any) -> str:
        """Send the page's widget a message of its own."""
        data = {"method": "custom", "content": message}
        return self.send("comm_msg", {"comm_id": self.model_id, "data": data})

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Wait until a condition holds; it is looked at after each message."""
        deadline = time.monotonic() + timeout
        while not condition():
            self._news.clear()
            left = deadline - time.monotonic()
            if self.lost or left <= 0:
                raise TimeoutError("The kernel was lost." if self.lost else "Nothing came.")
            await asyncio.wait_for(self._news.wait(), left)

    async def handled(self, number: str, timeout: float = PATIENCE) -> None:
        """Wait until the kernel is done with a message."""
        await self.until(lambda: number in self._done, timeout)
        self._done.clear()

    async def _read(self) -> None:
        assert self.socket is not None
        while (text := await self.socket.read_message()) is not None:
            self._take(_message(text))
            self._news.set()
        self.lost = True
        self._news.set()

    def _take(self, message: dict[str, Any]) -> None:
        kind, content = message["header"]["msg_type"], message["content"]
        self.kinds.add(kind)
        if kind not in ("comm_msg", "comm_open"):
            self.texts.append(json.dumps(content))
        if kind == "status" and content.get("execution_state") == "idle":
            self._done.add(message["parent_header"].get("msg_id", ""))
        if kind == "comm_msg" and content["comm_id"] == self.model_id:
            data = content["data"]
            if data.get("method") in ("update", "echo_update"):
                self.state.update(data["state"])
            elif data.get("method") == "custom":
                self.state["custom"] = data["content"]


def _message(text: str | bytes) -> dict[str, Any]:
    if isinstance(text, str):
        return json.loads(text)
    # with buffers: their number and offsets, four bytes each; the first is the message
    count = int.from_bytes(text[:4], "big")
    offsets = [int.from_bytes(text[4 * k : 4 * k + 4], "big") for k in range(1, count + 1)]
    return json.loads(text[offsets[0] : offsets[1] if count > 1 else None])


def _after(text: str, mark: str) -> str:
    start = text.find(mark)
    return "" if start < 0 else text[start + len(mark) : text.index('"', start + len(mark))]
