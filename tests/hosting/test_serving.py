"""A real server and visitors that speak its websocket: what Voila leaves open, and the cap."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from apart import run_apart

pytest.importorskip("voila")

from benchmarks.served import free_port
from benchmarks.visitor import Full, Visitor

PUBLIC = "https://prune.example.org"


def forked(server: subprocess.Popen[Any]) -> list[psutil.Process]:
    """The kernels: what the loaded process has forked."""
    return [
        grandchild
        for child in psutil.Process(server.pid).children()
        for grandchild in child.children()
    ]


def eventually(condition: Any, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


class Served:
    def __init__(self, process: Any, address: str, log: Path) -> None:
        self.process, self.address, self.log = process, address, log

    def health(self) -> dict[str, Any]:
        import json

        async def ask() -> bytes:
            return (await Visitor(self.address).fetch("health")).body

        return json.loads(run_apart(ask()))

    def kernel(self, visitor: Visitor) -> psutil.Process:
        (own,) = [k for k in forked(self.process) if k.name() == f"pv-{visitor.kernel_id[:8]}"]
        return own

    def rest(self) -> None:
        """Wait until nobody is here and a kernel is warm."""
        assert eventually(lambda: (h := self.health())["visitors"] == 0 and h["warm"] == 1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    port, log = free_port(), folder / "log"
    command = [
        *(sys.executable, "-m", "prunevis.app", "serve", "--port", str(port)),
        *("--base-url", "/prune/", "--warm", "1", "--visitors", "2", "--cull", "4"),
        *("--images", "200", "--embed", "https://course.example.org", "--origin", PUBLIC),
    ]
    with log.open("w") as lines:
        process = subprocess.Popen(
            command, stdout=lines, stderr=lines, env={**os.environ, "TMPDIR": str(folder)}
        )
        try:
            found = Served(process, f"http://127.0.0.1:{port}/prune/", log)
            assert eventually(lambda: "Serving" in log.read_text("utf-8"), 60), log.read_text()
            assert eventually(lambda: found.health()["warm"] == 1, 60), log.read_text()
            yield found
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def served(running: Served) -> Served:
    running.rest()
    return running


def test_a_visit_from_page_to_good_bye(served: Served) -> None:
    async def visit() -> Visitor:
        visitor = Visitor(served.address)
        await visitor.come()
        assert served.kernel(visitor).is_running()
        assert visitor.state["curve"]["total"] == 200
        visitor.update({"position": 0.5})
        await visitor.until(lambda: visitor.state["curve"]["value"][50] is not None)
        assert 0 < visitor.state["curve"]["value"][50] <= 1
        visitor.say(action="ping")
        await visitor.until(lambda: visitor.state.get("custom") == {"pong": True})
        # the beacon of a closing tab carries no token; without the mend it is refused, for ever
        kernel = served.kernel(visitor)
        assert await visitor.beacon(Origin=visitor.origin) == 204
        assert eventually(lambda: not kernel.is_running())
        visitor.close()
        return visitor

    run_apart(visit())
    assert served.health()["visitors"] == 0


def test_a_query_does_not_pass_by_the_pool(served: Served) -> None:
    (warm,) = {kernel.name() for kernel in forked(served.process)}

    async def visit() -> None:
        visitor = Visitor(served.address)
        await visitor.ask_for_page("?theme=dark&template=lab&recipe=abc")
        assert warm == f"pv-{visitor.kernel_id[:8]}"
        await visitor.beacon()

    run_apart(visit())


def test_other_sites_may_neither_connect_nor_end_a_kernel(served: Served) -> None:
    async def visit() -> None:
        visitor = Visitor(served.address)
        await visitor.ask_for_page()
        with pytest.raises(Exception, match="403"):
            await visitor.connect({"Origin": "https://evil.example.org"})
        assert await visitor.beacon(Origin="https://evil.example.org") == 403
        assert served.kernel(visitor).is_running()
        # what the page is reached under behind a proxy is not another site
        await visitor.connect({"Origin": PUBLIC})
        await visitor.leave()

    run_apart(visit())


def test_a_warm_kernel_is_not_culled_between_hand_over_and_connection(served: Served) -> None:
    time.sleep(5)  # idle for longer than the culling time of 4 s

    async def visit() -> None:
        visitor = Visitor(served.address)
        await visitor.ask_for_page()
        await asyncio.sleep(2.5)  # two looks of the culler: a browser that takes its time
        await visitor.connect()
        visitor.send("kernel_info_request", {})
        await visitor.until(lambda: "kernel_info_reply" in visitor.kinds, 20)
        await visitor.leave()

    run_apart(visit())


def test_a_tab_that_goes_without_a_word_frees_its_place(served: Served) -> None:
    async def visit() -> Visitor:
        visitor = Visitor(served.address)
        await visitor.come()
        visitor.close()
        return visitor

    kernel = served.kernel(run_apart(visit()))
    assert eventually(lambda: not kernel.is_running(), 20)
    assert served.health()["visitors"] == 0


def test_further_visitors_wait_and_come_in_when_somebody_leaves(served: Served) -> None:
    async def visit() -> None:
        first, second, third = (Visitor(served.address) for _ in range(3))
        await asyncio.gather(first.come(), second.come())
        answer = await third.fetch()
        assert answer.code == 503
        assert answer.headers["Retry-After"] == "10"
        assert answer.headers["Content-Security-Policy"].startswith("frame-ancestors")
        assert "2 visitors are here now." in answer.body.decode()
        with pytest.raises(Full):
            await third.come()
        health = await third.fetch("health")
        assert b'"status": "full", "visitors": 2, "most": 2, "room": false' in health.body
        await first.leave()
        await third.come()
        await asyncio.gather(second.leave(), third.leave())

    run_apart(visit())


def test_no_traceback_goes_over_the_wire(served: Served) -> None:
    async def visit() -> None:
        visitor = Visitor(served.address)
        await visitor.come()
        # the control channel knows no such method, and raises
        opened = {"comm_id": "x", "target_name": "jupyter.widget.control", "data": {}}
        number = visitor.send("comm_open", opened)
        await visitor.handled(number)
        number = visitor.update({"position": {"not": "a number"}})
        await visitor.handled(number)
        visitor.say(action="ping")
        await visitor.until(lambda: visitor.state.get("custom") == {"pong": True})
        assert not visitor.kinds & {"error", "stream", "execute_input"}
        assert "Traceback" not in " ".join(visitor.texts)
        assert "site-packages" not in " ".join(visitor.texts)
        await visitor.leave()

    run_apart(visit())


def test_a_kernel_that_dies_frees_its_place(served: Served) -> None:
    async def visit() -> None:
        visitor = Visitor(served.address)
        await visitor.come()
        served.kernel(visitor).kill()
        while b'"visitors": 0' not in (await visitor.fetch("health")).body:
            await asyncio.sleep(0.2)
        visitor.close()

    run_apart(asyncio.wait_for(visit(), 60))


def test_every_answer_says_who_may_frame_it(served: Served) -> None:
    async def ask() -> None:
        visitor = Visitor(served.address)
        for path in ("", "health", "nothing-here"):
            answer = await visitor.fetch(path)
            framed = answer.headers["Content-Security-Policy"]
            assert framed == "frame-ancestors 'self' https://course.example.org", path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            if path == "":
                page = answer.body.decode()
        visitor.kernel_id = page.split('"kernelId": "')[1].split('"')[0]
        await visitor.beacon()

    run_apart(ask())


def test_behind_a_proxy_that_does_not_pass_on_the_host(served: Served) -> None:
    """As nginx does by itself: it asks for the page by its own name for the server."""
    port = int(served.address.split(":")[2].split("/")[0])

    async def pipe(reader: Any, writer: Any) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def proxied(reader: Any, writer: Any) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"host:")]
        more = [b"Host: backend", b"X-Forwarded-Proto: https", b"X-Forwarded-For: 203.0.113.9"]
        to, away = await asyncio.open_connection("127.0.0.1", port)
        away.write(b"\r\n".join([lines[0], *more, *lines[1:]]))
        await asyncio.gather(pipe(reader, away), pipe(to, writer), return_exceptions=True)

    async def visit() -> None:
        proxy = await asyncio.start_server(proxied, "127.0.0.1", 0)
        own = proxy.sockets[0].getsockname()[1]
        visitor = Visitor(f"http://127.0.0.1:{own}/prune/")
        await visitor.ask_for_page()
        await visitor.connect({"Origin": PUBLIC})
        visitor.say(action="ping")
        await visitor.until(lambda: visitor.state.get("custom") == {"pong": True})
        assert await visitor.beacon(Origin=PUBLIC) == 204
        visitor.close()
        proxy.close()

    run_apart(visit())
    assert "203.0.113.9" not in served.log.read_text("utf-8")


def test_the_log_says_what_happened_and_not_to_whom(served: Served) -> None:
    text = served.log.read_text("utf-8")
    assert "200 GET /prune/ " in text
    assert "101 GET /prune/api/kernels/*/channels" in text
    assert "a visitor came: 2 here" in text
    assert "a kernel is ended: its tab is gone" in text
    assert "a kernel is ended: it died" in text
    assert "could not be adjusted" not in text
    for personal in ("127.0.0.1 ", "(127.", "recipe=", "theme=", "session_id", "Mozilla"):
        assert personal not in text.split("Serving")[1], personal


def test_kernels_are_forked_from_another_process_if_theirs_is_killed(served: Served) -> None:
    (loaded,) = psutil.Process(served.process.pid).children()
    old = forked(served.process)
    loaded.kill()
    # what was forked from it ends with it, and is replaced
    assert psutil.wait_procs(old, timeout=10)[1] == []
    assert eventually(lambda: [k for k in forked(served.process) if k not in old], 60)
    run_apart(_one_visit(served))


async def _one_visit(served: Served) -> None:
    visitor = Visitor(served.address)
    await visitor.come()
    await visitor.leave()


def test_sigterm_ends_all_and_leaves_nothing(running: Served) -> None:
    async def visit() -> None:
        visitor = Visitor(running.address)
        await visitor.come()
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert len(children) >= 2
        start = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(15) == 0
        assert time.monotonic() - start < 10
        assert psutil.wait_procs(children, timeout=5)[1] == []
        visitor.close()

    run_apart(visit())
    assert running.log.read_text("utf-8").endswith("Ended.\n")
    left = [path.name for path in running.log.parent.iterdir()]
    assert left == ["log"]
