"""A real server under attack: each is refused, and the server still serves."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from apart import run_apart

pytest.importorskip("voila")

from benchmarks.served import free_port
from benchmarks.visitor import Visitor

EVIL = "https://evil.example.org"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    log = tmp_path_factory.mktemp("attacked") / "log"
    command = [sys.executable, "-m", "prunevis.app", "serve", "--port", str(port)]
    more = ["--warm", "1", "--visitors", "4", "--cull", "4", "--images", "200"]
    with log.open("w") as lines:
        process = subprocess.Popen([*command, *more], stdout=lines, stderr=lines)
        try:
            deadline = time.monotonic() + 60
            while "Serving" not in log.read_text("utf-8") and time.monotonic() < deadline:
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/"
            # nothing that was tried has ended in an error
            written = log.read_text("utf-8")
            assert "Traceback" not in written, written
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def attack(address: str, what: Any) -> None:
    """Do what `what(visitor)` does, and see that the visitor and a monitor are still served."""

    async def visit() -> None:
        visitor = Visitor(address)
        await visitor.come()
        try:
            await what(visitor)
            if not visitor.lost:
                await answers(visitor)
            assert b'"status": ' in (await visitor.fetch("health")).body
        finally:
            await visitor.leave()

    run_apart(asyncio.wait_for(visit(), 60))


async def answers(visitor: Visitor) -> None:
    visitor.state.pop("custom", None)
    visitor.say(action="ping")
    await visitor.until(lambda: visitor.state.get("custom") == {"pong": True}, 20)


def test_code_over_the_websocket(address: str, tmp_path: Any) -> None:
    goal = tmp_path / "goal"
    code = {"code": f"open({str(goal)!r}, 'w')", "silent": False, "user_expressions": {}}

    async def tries(visitor: Visitor) -> None:
        before = set(visitor.kinds)
        for channel in ("shell", "control", "stdin", "iopub", "nothing"):
            visitor.send("execute_request", code, channel)
        for kind in ("complete_request", "inspect_request", "history_request", "debug_request"):
            visitor.send(kind, {**code, "cursor_pos": 1, "command": "evaluate"}, "control")
        visitor.send("shutdown_request", {"restart": False}, "control")
        visitor.send("comm_open", {"comm_id": "x", "target_name": "jupyter.widget", "data": {}})
        await answers(visitor)
        assert not visitor.kinds - before & {"error", "execute_reply", "shutdown_reply", "stream"}

    attack(address, tries)
    assert not goal.exists()


def test_other_sites_and_missing_tokens(address: str) -> None:
    async def tries(visitor: Visitor) -> None:
        other = Visitor(address)
        other.kernel_id = visitor.kernel_id
        with pytest.raises(Exception, match="403"):
            await other.connect({"Origin": EVIL})
        assert await visitor.beacon(Origin=EVIL) == 403
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for path in ("", f"api/kernels/{visitor.kernel_id}", "api/kernels", "login"):
                body = None if method == "DELETE" else "{}"
                answer = await visitor.fetch(path, method=method, body=body)
                assert answer.code in (403, 404, 405), (method, path)

    attack(address, tries)


PATHS = [
    *("api/kernels", "api/sessions", "api/terminals", "api/contents", "api/kernelspecs", "api"),
    *("api/status", "api/me", "terminals/websocket/1", "nbconvert/html/app.ipynb", "login"),
    *("files/app.ipynb", "voila/files/app.ipynb", "voila/tree", "voila/api/contents/", "metrics"),
    *("app.ipynb", "voila/render/app.ipynb", "voila/api/themes/x", "voila/static/../../app.ipynb"),
    *("voila/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "%2e%2e/%2e%2e/etc/passwd"),
    *("voila/static//etc/passwd", "voila/labextensions/..%2f..%2f..%2f..%2fetc/passwd"),
    *("voila/templates/x", "voila/templates/lab/static/../index.html.j2", "voila/templates/%00"),
    *("voila/templates/..%2f..%2f/static/..%2f..%2fetc/passwd", "static/..%5c..%5capp.ipynb"),
    "voila/query/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f",
    "api/kernels/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f",
]


def test_paths_that_no_page_needs(address: str) -> None:
    async def tries(visitor: Visitor) -> None:
        for path in PATHS:
            answer = await visitor.fetch(path, follow_redirects=False)
            body = answer.body.decode(errors="replace")
            assert answer.code in (400, 403, 404), (path, answer.code)
            for word in ("Traceback", "site-packages", "root:", visitor.kernel_id, "served_page"):
                assert word not in body, (path, word)

    attack(address, tries)


def test_the_kernel_of_another_visitor_and_of_nobody(address: str) -> None:
    async def tries(visitor: Visitor) -> None:
        stranger = Visitor(address)
        stranger.kernel_id = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
        with pytest.raises(Exception, match="404"):
            await stranger.connect()
        assert await stranger.beacon() == 404
        # of one's own: no session name that breaks the address, and not any number of lines
        stranger.kernel_id, stranger.session = visitor.kernel_id, "a" * 300
        with pytest.raises(Exception, match="400"):
            await stranger.connect()
        lines = [Visitor(address) for _ in range(4)]
        for line in lines:
            line.kernel_id = visitor.kernel_id
        for line in lines[:3]:
            await line.connect()
        with pytest.raises(Exception, match="429"):
            await lines[3].connect()
        for line in lines[:3]:
            line.close()

    attack(address, tries)


def test_malformed_messages(address: str) -> None:
    async def tries(visitor: Visitor) -> None:
        assert visitor.socket is not None
        for text in (
            "",
            "{}",
            "[]",
            "null",
            "[" * 50_000,
            '{"channel": "shell"}',
            "\0",
            "9" * 9999,
        ):
            await visitor.socket.write_message(text)
        for raw in (b"", b"\xff" * 64, b"\0" * 64, b"\x00\x00\x00\x01\x00\x00\x00\x08{"):
            await visitor.socket.write_message(raw, binary=True)
        for data in (None, [], {"method": {}}, {"method": "update", "state": {"x": 1}}):
            visitor.send("comm_msg", {"comm_id": visitor.model_id, "data": data})
        visitor.update({"position": {"a": 1}, "_esm": "alert(1)", "watched": False})
        visitor.say(action="model", name="../../etc/passwd")
        visitor.say(action="unheard of", name=["x"])

    attack(address, tries)


def test_scripts_in_names_come_back_as_text_only(address: str) -> None:
    script = "<img src=x onerror=alert(1)>"

    async def tries(visitor: Visitor) -> None:
        visitor.say(action="model", name=script)
        await visitor.until(lambda: "img" in json.dumps(visitor.state.get("problem", {})), 20)
        assert "Traceback" not in json.dumps(visitor.state["problem"])
        page = (await visitor.fetch(f"?recipe={script.replace(' ', '%20')}")).body.decode()
        assert script not in page

    attack(address, tries)


def test_a_message_that_is_too_long(address: str) -> None:
    async def tries(visitor: Visitor) -> None:
        visitor.say(action="x" * 300_000)
        await answers(visitor)  # dropped
        visitor.say(action="x" * (11 * 2**20))
        while not visitor.lost:
            await asyncio.sleep(0.05)

    attack(address, tries)


def test_a_flood(address: str) -> None:
    async def tries(visitor: Visitor) -> None:
        for _ in range(4000):
            visitor.say(action="ping")
        while not visitor.lost:
            await asyncio.sleep(0.05)
        # another visitor does not notice
        other = Visitor(address)
        await other.come()
        await answers(other)
        await other.leave()

    attack(address, tries)
