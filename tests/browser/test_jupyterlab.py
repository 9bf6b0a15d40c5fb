"""The same Explorer in JupyterLab."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
import servers
from servers import settled

pytestmark = pytest.mark.browser

CELL = """\
import torch
import prunevis as pv

torch.manual_seed(0)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Conv2d(1, 8, 3)
        self.head = torch.nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.body(x).relu().mean((2, 3)))


pv.explore(Net(), (torch.randn(600, 1, 8, 8), torch.randint(0, 4, (600,))))
"""


def test_explore_in_jupyterlab(browser: Any, tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["kernelspec"] = {
        "name": "python3", "display_name": "Python 3", "language": "python",
    }  # fmt: skip
    nbformat.write(notebook, tmp_path / "own.ipynb")
    port = servers.free_port()
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password=",
        "--allow-root", f"--ServerApp.root_dir={tmp_path}", "--ServerApp.disable_check_xsrf=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    own = {
        f"JUPYTER_{name}_DIR": str(tmp_path / name.lower())
        for name in ("CONFIG", "DATA", "RUNTIME")
    }
    with servers.running(command, tmp_path, IPYTHONDIR=str(tmp_path / "ipython"), **own) as process:
        for _ in range(600):
            if servers.answers(f"http://127.0.0.1:{port}/api"):
                break
            try:
                process.wait(0.2)
            except servers.subprocess.TimeoutExpired:
                continue
            pytest.fail((tmp_path / "server.log").read_text("utf-8"))
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.set_default_timeout(servers.PATIENCE)
        page.goto(
            f"http://127.0.0.1:{port}/lab/workspaces/test/tree/own.ipynb?reset",
            wait_until="commit",
        )
        page.locator(".jp-NotebookPanel-toolbar").wait_for()
        # a cell that is run before the kernel answers is not run at all
        page.get_by_text("| Idle").first.wait_for()
        page.locator(".jp-Cell .cm-content").first.wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        servers.ready(page)
        slider = page.get_by_test_id("slider")
        slider.scroll_into_view_if_needed()
        slider.focus()
        # JupyterLab takes arrow keys for itself unless the page keeps them
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        settled(page, "sparsity", "0.0300")
        page.keyboard.press("PageUp")
        settled(page, "sparsity", "0.1300")
        settled(page, "state", "exact")
        # a network of one's own comes without training examples, and that is said
        page.get_by_test_id("tab-fine_tune").click()
        servers.text_becomes(page, "fine-tune-note", "no training examples")
        context.close()
