"""From the command to a page that answers.

Cold: the server is started, and the page opened the moment its address is printed, when no kernel
is warm yet. All processes but the browser are new; the disk's cache is not emptied. A second
visitor, after the first has left, finds a kernel that had time to get ready.
"""

from __future__ import annotations

from time import perf_counter

from benchmarks import served
from benchmarks.record import Figure, Report

TITLE = "The page is ready: from `prunevis demo` to a page that answers"
BAR_S = 8.0


def measure(*, quick: bool = False) -> Report:
    """Return seconds until the slider answers, each run on a server of its own."""
    printed, shown, cold, warm = [], [], [], []
    with served.chromium() as browser:
        version = browser.version
        for _ in range(1 if quick else 5):
            with served.demo() as demo:
                printed.append(demo.announced - demo.started)
                marks: list[float] = []
                with served.visit(browser, demo.address, marks):
                    shown.append(marks[0] - demo.started)
                    cold.append(marks[1] - demo.started)
                # the first visitor is gone; wait for the kernel kept ready for the next one
                demo.wait_until_idle()
                start = perf_counter()
                with served.visit(browser, demo.address, marks):
                    warm.append(marks[-1] - start)
    return Report(
        (
            Figure("cold: from the command to the page ready", "s", tuple(cold), BAR_S, "median"),
            Figure("of that, until the address is printed", "s", tuple(printed)),
            Figure("of that, until the page shows that it loads", "s", tuple(shown)),
            Figure("a second visitor, from the address to the page ready", "s", tuple(warm)),
        ),
        chromium=version,
    )
