"""Fixtures that many tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_networks import (
    TinyMLP,
    TinyResidual,
    answered,
    assert_same,
    labelled,
    seeded,
    snapshot,
)
from torch import nn

from prunevis.data import Data

# Two threads on a busy machine of two cores are slower than one, and sums could differ in order.
torch.set_num_threads(1)

#: No request may leave this machine.
CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]  # fmt: skip


@pytest.fixture
def mlp() -> nn.Module:
    return seeded(TinyMLP)


@pytest.fixture
def residual() -> nn.Module:
    return seeded(TinyResidual)


@pytest.fixture
def mlp_data(mlp) -> Data:
    test = answered(mlp, labelled((12,), 60, 4))
    train = answered(mlp, labelled((12,), 48, 4, seed=1))
    return Data(train=train, test=test, class_names=("a", "b", "c", "d"), name="tiny")


@pytest.fixture
def residual_data(residual) -> Data:
    test = answered(residual, labelled((1, 6, 6), 40, 4))
    train = answered(residual, labelled((1, 6, 6), 32, 4, seed=1))
    return Data(train=train, test=test, name="tiny pictures")


@pytest.fixture
def untouched_model():
    """Return a function that remembers a model, and one that checks that it is as it was."""

    def remember(model: nn.Module):
        before, state = snapshot(model), torch.get_rng_state()

        def check() -> None:
            assert_same(before, snapshot(model))
            assert torch.equal(state, torch.get_rng_state())

        return check

    return remember


class Driver:
    """A controller without a page, driven by hand."""

    def __init__(self) -> None:
        from prunevis.session import Controller, Session

        self.session = Session()
        self.controller = Controller(self.session)
        self.controller.device = "cpu"

    def open(self, model: nn.Module, data: object, name: str = "", label: str = "Tiny") -> Driver:
        from prunevis.session.opening import private_copy

        self.controller.open(lambda: (private_copy(model), data, name, label))
        return self.run()

    def do(self, what: str, *args: object, **options: object) -> Driver:
        """Ask for one thing as a page does, as a request, and run until nothing is left to do."""
        self.controller.worker.request(
            lambda: getattr(self.controller, what)(*args, **options), "asked"
        )
        return self.run()

    def run(self) -> Driver:
        self.controller.worker.run_until_idle()
        return self

    def step(self, count: int = 1) -> int:
        return self.controller.worker.run_until_idle(limit=count)

    @property
    def stage(self):
        return self.session.network.stage

    @property
    def problem(self) -> str:
        found = self.session.problem
        return "" if found is None else f"{found.text} {found.fix}".strip()


@pytest.fixture
def driver():
    found = Driver()
    yield found
    found.controller.worker.stop()


class Visitor:
    """An Explorer whose page's browser is played by the test."""

    def __init__(self, *args: object, **options: object) -> None:
        # here, since most tests need no widgets and these take a second to import
        from prunevis.app import Explorer

        self.explorer = Explorer(*args, threaded=False, device="cpu", **options)
        self.page, self.session = self.explorer.page, self.explorer.session
        self.run()

    def run(self) -> Visitor:
        self.explorer.run_until_idle()
        return self

    def send(self, action: object, **content: object) -> Visitor:
        """Send a message as the browser does."""
        self.page._handle_custom_msg({"action": action, **content}, [])
        return self.run()

    def slide(self, position: object) -> Visitor:
        """Move the slider as the browser does."""
        self.page.set_state({"position": position})
        return self.run()

    @property
    def problem(self) -> str:
        found = self.page.problem
        return f"{found['text']} {found['fix']}".strip() if found else ""


@pytest.fixture
def visit():
    """Return a function that opens an Explorer for a visitor; all are closed at the end."""
    visitors = []

    def make(*args: object, **options: object) -> Visitor:
        visitors.append(Visitor(*args, **options))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.explorer.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for all tests: Playwright cannot be started twice in a process."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("needs /usr/bin/chromium")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=str(chromium), args=CHROMIUM_ARGS)
        yield found
        found.close()
