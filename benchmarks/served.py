"""The page as a visitor gets it: `prunevis demo`, and Chromium."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

CHROMIUM = "/usr/bin/chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
VIEWPORT = {"width": 1280, "height": 1000}

#: Milliseconds after which a wait is given up; nothing is measured by it.
PATIENCE = 180_000

#: Put into every page: `painted(call)` calls back with the time of a frame that shows what has
#: changed by now. The frame that is under way may or may not, so the next one is taken, and of that
#: the moment after its layout and paint, where a message posted in it arrives. Rather late than
#: early: up to a frame (17 ms) more than a person waits.
PROBE = """
window.painted = (call) => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => call(performance.now());
  channel.port2.postMessage(null);
});
window.page = () => document.querySelector("[data-testid='page']");
"""

#: True once the accuracy of every position is known exactly.
ALL_KNOWN = """
() => {
  const status = document.querySelector("[data-testid='status']");
  return status.dataset.kind === "idle" && status.innerText.includes("Every position");
}
"""


@dataclass(frozen=True)
class Demo:
    """A running `prunevis demo`: its address, its process, and when it was started."""

    address: str
    process: subprocess.Popen[str]
    started: float
    announced: float

    def kernels(self) -> list[psutil.Process]:
        """Return the kernels that run for it."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if any("ipykernel" in part for part in child.cmdline()):
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found

    def wait_until_idle(self, kernels: int = 1) -> None:
        """Wait until so many kernels run, and the server and they have nothing to do."""
        deadline = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < deadline:
            running = self.kernels()
            before = seconds_used([psutil.Process(self.process.pid), *running])
            time.sleep(2)
            after = seconds_used([psutil.Process(self.process.pid), *running])
            if len(running) == kernels and after - before < 0.1:
                return
        raise TimeoutError(f"The server did not come to rest with {kernels} kernel(s).")


def seconds_used(processes: list[psutil.Process]) -> float:
    """Return the processor time that these have taken, the ended ones left out."""
    used = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system
    return used


@contextmanager
def demo() -> Iterator[Demo]:
    """Start `prunevis demo --no-browser`; give it once it prints its address, end it afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "prunevis.app", "demo", "--no-browser", "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder) / "errors"
        with errors.open("w", encoding="utf-8") as log:
            started = time.perf_counter()
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
            try:
                address = announcement(process)
                if address is None:
                    raise RuntimeError(f"The demo did not start:\n{errors.read_text('utf-8')}")
                yield Demo(address, process, started, time.perf_counter())
            finally:
                end(process)


def announcement(process: subprocess.Popen[str]) -> str | None:
    """Wait for the address that the demo prints; None if it ended without."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Open "):
            return line.split()[1]
    return None


def end(process: subprocess.Popen[str]) -> None:
    """End the server and, if they outlive it, its kernels."""
    children = []
    if process.poll() is None:
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
    for child in psutil.wait_procs(children, timeout=20)[1]:
        child.kill()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def chromium() -> Iterator[Any]:
    """Give a Chromium that may talk to this machine only."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(browser: Any, address: str, marks: list[float] | None = None) -> Iterator[Any]:
    """Open the page as a new visitor and wait until it is ready; close its tab afterwards.

    To `marks` are added the times at which the page shows itself, still loading, and is ready.
    """
    marks = [] if marks is None else marks
    context = browser.new_context(viewport=VIEWPORT)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.add_init_script(PROBE)
    try:
        page.goto(address, wait_until="commit")
        page.wait_for_selector("[data-testid='page']")
        marks.append(time.perf_counter())
        page.wait_for_selector("[data-ready='1']")
        marks.append(time.perf_counter())
        yield page
    finally:
        # with its last words, which end its kernel
        page.close(run_before_unload=True)
        context.close()


def expect_lenet5(page: Any) -> None:
    """Make sure that the page shows what the figures are about."""
    if page.get_by_test_id("model").input_value() != "lenet5":
        raise AssertionError("The demo opens with another network; this measures LeNet-5.")
