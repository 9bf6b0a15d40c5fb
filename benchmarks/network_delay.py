"""The same keys with a slow network between browser and server.

A proxy of this module's own stands between Chromium and the server and holds back every byte, on
its way there and on its way back, by 100 ms: 200 ms more for each round trip, websocket included
(Chromium's own network emulation leaves websockets alone). What the browser knows must come as
fast as without; what only Python knows comes later by the round trip.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from benchmarks import first_estimate, key_to_paint, served
from benchmarks.record import Figure, Report

TITLE = "200 ms of added network delay: LeNet-5 on the Voila page"
#: Seconds that bytes are held back, each way.
ONE_WAY = 0.1
BAR_MS = key_to_paint.BAR_MS


def measure(*, quick: bool = False) -> Report:
    """Return ms from key to paint, without and with the delay, and to the first estimate."""
    count, estimates = (5, 2) if quick else (60, 30)
    notes: list[str] = []
    with served.chromium() as browser, served.demo() as server:
        version = browser.version
        with served.visit(browser, server.address) as page:
            near = known(page, count)
        with delayed(server.address) as address, served.visit(browser, address) as page:
            far = known(page, count)
            page.evaluate(first_estimate.WATCH)
            late = first_estimate.by_typing(page, estimates, notes)
    return Report(
        (
            Figure("known positions, no delay", "ms", tuple(near), BAR_MS),
            Figure("known positions, 200 ms more a round trip", "ms", tuple(far), BAR_MS),
            Figure("first estimate (typed), 200 ms more a round trip", "ms", tuple(late)),
        ),
        chromium=version,
        notes=tuple(notes),
    )


def known(page: Any, count: int) -> list[float]:
    """Return ms from a key to the paint of costs and accuracy, all of it known."""
    served.expect_lenet5(page)
    page.evaluate(key_to_paint.WATCH)
    return key_to_paint.known_keys(page, count)


@contextmanager
def delayed(address: str) -> Iterator[str]:
    """Give an address that leads to `address` with `ONE_WAY` seconds of delay each way."""
    port = urlsplit(address).port or 80
    loop = asyncio.new_event_loop()
    started = threading.Event()
    own: list[int] = []

    async def serve() -> None:
        server = await asyncio.start_server(
            lambda reader, writer: connect(reader, writer, port), "127.0.0.1", 0
        )
        own.append(server.sockets[0].getsockname()[1])
        started.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait()
    try:
        yield f"http://127.0.0.1:{own[0]}/"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Pass the bytes of one connection on, later, until both sides have ended."""
    try:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(later(reader, there_writer), later(there_reader, writer))


async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write what is read, each piece `ONE_WAY` seconds after it came, in order."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        data = b"more"
        while data:
            try:
                data = await reader.read(65536)
            except OSError:
                data = b""
            await pieces.put((loop.time() + ONE_WAY, data))

    reading = asyncio.ensure_future(read())
    try:
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                return
            writer.write(data)
            await writer.drain()
    except OSError:
        return
    finally:
        reading.cancel()
        writer.close()
