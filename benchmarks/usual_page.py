"""The page as one would usually write it, to compare with: ipywidgets and Output under Voila.

A slider of ipywidgets whose callback copies LeNet-5, masks the copy with
`torch.nn.utils.prune.global_unstructured` and counts zeros. The page of costs then draws a new
matplotlib figure and prints into an Output; the page of accuracy runs all test images and sets a
label.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import served
from prunevis.hosting.configuration import private_folders

#: Milliseconds after which a page that uses Output is taken to hang, and opened again.
HANGS = 40_000
TRIES = 4

PRUNED = """
import copy, torch, ipywidgets as W
import prunevis as pv
from torch.nn.utils import prune
torch.set_num_threads(max(1, (__import__("os").cpu_count() or 2) // 2))
model = pv.load_model("lenet5").eval()
graph = pv.trace(model, torch.zeros(1, 1, 28, 28))
names = [name for name, layer in graph.layers.items()]
slider = W.IntSlider(value=0, min=0, max=99, description="Sparsity")

def pruned(sparsity):
    copied = copy.deepcopy(model)
    layers = [(copied.get_submodule(name), "weight") for name in names]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=sparsity)
    for layer, tensor in layers:
        prune.remove(layer, tensor)
    return copied
"""

COSTS = """
import matplotlib.pyplot as plt
from IPython.display import clear_output, display
out = W.Output()

def show(change=None):
    found = pruned(slider.value / 100)
    left = {n: int(torch.count_nonzero(found.get_submodule(n).weight)) for n in names}
    params = sum(int(torch.count_nonzero(p)) for p in found.parameters())
    kept = found.conv2.weight.detach().flatten()
    size = {n: found.get_submodule(n).weight.numel() for n in names}
    flops = sum(2 * graph.layers[n].macs * left[n] / size[n] for n in names)
    with out:
        clear_output(wait=True)
        print(f"{slider.value} %: {params:,} parameters, {4 * params:,} bytes, "
              f"{flops:,.0f} FLOPs if zeros were skipped")
        figure, (one, two) = plt.subplots(1, 2, figsize=(10, 3))
        one.hist(kept[kept != 0].numpy(), bins=80)
        two.bar(list(left), list(left.values()))
        plt.show()

slider.observe(show, "value")
display(slider, out)
show()
"""

ACCURACY = """
from IPython.display import display
data = pv.load_data("fashion-mnist").test
loader = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(data.inputs, data.targets), batch_size=256)
label = W.Label("ready")

def show(change):
    found, right = pruned(slider.value / 100), 0
    with torch.no_grad():
        for inputs, targets in loader:
            right += int((found(inputs).argmax(1) == targets).sum())
    label.value = f"{slider.value} %: {right / len(data.targets):.2%}"

slider.observe(show, "value")
display(slider, label)
"""

PAGES = {"costs": PRUNED + COSTS, "accuracy": PRUNED + ACCURACY}

#: Notes a key and, for `text` in the page, when what came with it was painted.
WATCH = """
() => {
  const probe = window.probe = { wanted: null, key: null, took: null };
  document.addEventListener("keydown", (event) => {
    if (probe.key === null) probe.key = event.timeStamp;
  }, true);
  window.picture = () => document.querySelector(".jp-OutputArea-output img, .widget-output img");
  let busy = false;
  const look = async () => {
    if (busy || probe.wanted === null || probe.took !== null) return;
    if (!document.body.innerText.includes(probe.wanted)) return;
    const image = picture();
    if (probe.image) {
      if (!image || image.src === probe.image) return;
      busy = true;
      await image.decode().catch(() => null);
      busy = false;
    }
    const from = probe.key;
    probe.took = -1;
    painted((now) => { probe.took = now - from; });
  };
  new MutationObserver(look).observe(document.body,
    { subtree: true, childList: true, characterData: true, attributes: true });
}
"""


@contextmanager
def usual(kind: str) -> Iterator[str]:
    """Start Voila with a page of that kind; give its address."""
    port = served.free_port()
    cell = {
        "cell_type": "code",
        "id": "page",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": PAGES[kind],
    }
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        "cells": [cell],
        "metadata": {"kernelspec": spec},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        (where / "usual.ipynb").write_text(json.dumps(notebook), "utf-8")
        command = [sys.executable, "-m", "voila", "usual.ipynb", "--no-browser", f"--port={port}"]
        command += ["--Voila.ip=127.0.0.1", "--Voila.port_retries=0", "--template=lab"]
        path = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH", "")]))
        with (where / "log").open("w") as log:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=where,
                env={**os.environ, **private_folders(where), "PYTHONPATH": path},
            )
            try:
                address = f"http://127.0.0.1:{port}/"
                wait_for(address, process)
                yield address
            finally:
                served.end(process)


def wait_for(address: str, process: subprocess.Popen[str]) -> None:
    """Wait until the server answers; asking for a static file starts no kernel."""
    deadline = time.monotonic() + served.PATIENCE / 1000
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}voila/static/voila.js", timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("Voila did not start.")


@contextmanager
def visit(browser: Any, address: str, notes: list[str]) -> Iterator[Any]:
    """Open the page until it does not hang; say in `notes` how often it did."""
    for again in range(TRIES):
        context = browser.new_context(viewport=served.VIEWPORT)
        page = context.new_page()
        page.set_default_timeout(HANGS)
        page.add_init_script(served.PROBE)
        try:
            page.goto(address, wait_until="commit")
            page.wait_for_selector(".noUi-handle")
            page.wait_for_selector(".jp-OutputArea-output img, .widget-output img, .widget-label")
        except Exception as error:
            context.close()
            if "Timeout" not in str(error) or again == TRIES - 1:
                raise
            continue
        if again:
            notes.append(f"The usual page hung {again} time(s) while loading.")
        try:
            page.evaluate(WATCH)
            yield page
        finally:
            page.close(run_before_unload=True)
            context.close()
        return


def keys(page: Any, count: int, *, image: bool) -> list[float]:
    """Press the right arrow, each once the last is answered; return ms to what is painted."""
    page.locator(".noUi-handle").focus()
    runs = []
    for percent in range(1, count + 1):
        page.evaluate(
            """([wanted, image]) => Object.assign(probe, { wanted, key: null, took: null,
              image: image && picture().src })""",
            [f"{percent} %:", image],
        )
        page.keyboard.press("ArrowRight")
        page.wait_for_function("() => probe.took !== null && probe.took >= 0")
        runs.append(page.evaluate("() => probe.took"))
        page.wait_for_timeout(150)
    return runs
