"""Starting and ending the real servers, and a browser that may talk to this machine only."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

#: Milliseconds that a browser test waits for a state; far more than any needs, since machines that
#: run tests are often busy. Nothing is measured by it.
PATIENCE = 90_000


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def kernels_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The kernels that a server has running."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if any("ipykernel" in part for part in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@contextmanager
def running(command: list[str], folder: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run a server in `folder`, logged in `server.log`; it and its kernels end with the block."""
    log = (folder / "server.log").open("w", encoding="utf-8")
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
    )
    try:
        yield process
    finally:
        kernels = kernels_of(process) if process.poll() is None else []
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for kernel in psutil.wait_procs(kernels, timeout=20)[1]:
            kernel.kill()
        log.close()


def demo_command(port: int, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "prunevis.app", "demo", "--no-browser", "--port", str(port), *more,
    ]  # fmt: skip


def watch(page: Any, complaints: list[str]) -> None:
    """Collect what goes wrong in `page`, and every request that leaves this machine."""
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: complaints.append(f"page: {error}"))
    page.on(
        "console",
        lambda message: (
            complaints.append(f"console: {message.text}") if message.type == "error" else None
        ),
    )
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "blob:", "data:"))
            else complaints.append(f"request: {request.url}")
        ),
    )


def until(page: Any, condition: str, argument: Any = None) -> None:
    """Wait until a JavaScript condition on the page holds."""
    page.wait_for_function(condition, arg=argument)


def ready(page: Any) -> None:
    page.wait_for_selector("[data-ready='1']")


def state(page: Any, name: str) -> str | None:
    return page.get_by_test_id("page").get_attribute(f"data-{name}")


def settled(page: Any, name: str, wanted: str) -> None:
    until(
        page,
        "([name, wanted]) => document.querySelector(\"[data-testid='page']\")"
        ".getAttribute('data-' + name) === wanted",
        [name, wanted],
    )


def text_becomes(page: Any, testid: str, holds: str) -> None:
    until(
        page,
        "([id, holds]) => [...document.querySelectorAll(`[data-testid='${id}']`)]"
        ".some(e => e.innerText.includes(holds))",
        [testid, holds],
    )
