"""Voila's set-up, without starting it; `tests/browser` drives the running page."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prunevis.hosting import configuration as made
from prunevis.hosting import mends
from prunevis.hosting.settings import Settings

pytest.importorskip("voila")


def test_configuration():
    c = made.configuration(Settings(host="0.0.0.0", port=9000, warm=2, cull=120))
    assert (c.Voila.ip, c.Voila.port) == ("0.0.0.0", 9000)
    assert c.Voila.open_browser is False
    assert c.Voila.port_retries > 0
    assert c.VoilaConfiguration.template == "prunevis"
    # nothing leaks to a visitor, and nothing but our own template is served
    assert c.VoilaConfiguration.show_tracebacks is False
    assert c.VoilaConfiguration.strip_sources is True
    assert c.VoilaConfiguration.allow_template_override == "NO"
    assert c.VoilaConfiguration.allow_theme_override == "NO"
    headers = c.Voila.tornado_settings["headers"]
    assert headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert c.VoilaConfiguration.preheat_kernel is True
    assert c.VoilaConfiguration.default_pool_size == 2


def test_no_kernel_is_kept_warm():
    c = made.configuration(Settings(host="127.0.0.1", port=9000, warm=0, cull=120))
    assert c.VoilaConfiguration.preheat_kernel is False
    assert c.VoilaConfiguration.default_pool_size == 0


@pytest.mark.parametrize(("cull", "interval"), [(2, 1), (10, 2), (40, 10), (120, 15), (3600, 15)])
def test_kernels_without_a_tab_end_in_time(cull, interval):
    c = made.configuration(Settings(host="127.0.0.1", port=9000, warm=1, cull=cull))
    manager = c.MappingKernelManager
    assert manager.cull_idle_timeout == cull
    assert manager.cull_interval == interval
    assert manager.cull_connected is False  # never under the hands of somebody who looks


def test_every_setting_is_one_that_voila_has():
    """A setting that is misspelt or gone is ignored by traitlets without a word."""
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
    from voila.app import Voila
    from voila.configuration import VoilaConfiguration
    from voila.execute import VoilaExecutor

    c = made.configuration(Settings(host="127.0.0.1", port=9000, warm=1, cull=120))
    known = {
        "Voila": Voila,
        "VoilaConfiguration": VoilaConfiguration,
        "VoilaExecutor": VoilaExecutor,
        "MappingKernelManager": MappingKernelManager,
    }
    assert set(c) == set(known)
    for section, cls in known.items():
        for name, value in c[section].items():
            assert name in cls.class_trait_names(config=True), (section, name)
            cls.class_traits()[name]._validate(cls.__new__(cls), value)


def test_private_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "/somewhere/else")
    found = made.private_folders(tmp_path)
    ours, other = found["JUPYTER_PATH"].split(os.pathsep)
    assert (Path(ours) / "voila" / "templates" / "prunevis" / "conf.json").is_file()
    assert other == "/somewhere/else"
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        assert Path(found[name]).is_relative_to(tmp_path)
    monkeypatch.delenv("JUPYTER_PATH")
    assert os.pathsep not in made.private_folders(tmp_path)["JUPYTER_PATH"]


def test_the_page_s_notebook():
    import nbformat

    notebook = nbformat.read(made.NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert "served_page()" in "".join(cell.source for cell in code)
    assert notebook.metadata.kernelspec.name == "python3"


def test_the_template_calls_nobody():
    folder = made.HERE / "share" / "voila" / "templates" / "prunevis"
    json.loads((folder / "conf.json").read_text("utf-8"))
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text("utf-8")
            for word in ("cdn", "unpkg", "googleapis", 'src="http', 'href="http', "src='http"):
                assert word not in text.lower(), (path.name, word)


MEND = """
import inspect
from prunevis.hosting.mends import mend
import voila.app
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler
before = VoilaKernelWebsocketHandler.open, voila.app.voila_kernel_manager_factory
missing = mend()
assert missing == [], missing
assert VoilaKernelWebsocketHandler.open is not before[0]
assert inspect.iscoroutinefunction(VoilaKernelWebsocketHandler.open)
assert voila.app.voila_kernel_manager_factory is not before[1]
assert VoilaShutdownKernelHandler.check_xsrf_cookie(None) is None
# the factory still makes managers, with and without a pool
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
for preheat in (False, True):
    made = voila.app.voila_kernel_manager_factory(AsyncMappingKernelManager, preheat, 1)
    assert issubclass(made, AsyncMappingKernelManager)
    assert made.__name__ == "TabKernelManager"
    assert "cull_kernel_if_idle" in vars(made)
    assert inspect.iscoroutinefunction(made.cull_kernel_if_idle)
    # what it reads and calls is there; Jupyter's own culler calls it by this name
    assert "_kernel_connections" in AsyncMappingKernelManager.__dict__ or any(
        "_kernel_connections" in vars(base) for base in made.__mro__
    )
    assert inspect.iscoroutinefunction(made.shutdown_kernel)
    assert "cull_kernel_if_idle" in inspect.getsource(made.cull_kernels)
    if preheat:
        assert "self._pools" in inspect.getsource(made.__mro__[1].__init__)
"""


def test_everything_can_be_mended_in_the_installed_voila():
    # in a process of its own, since it changes classes for good
    run = subprocess.run([sys.executable, "-c", MEND], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


CULL = """
import asyncio
from prunevis.hosting import pool

class Base:
    cull_idle_timeout = 10

    def __init__(self):
        self._kernel_connections, self._pools, self.ended = {}, {}, []

    async def shutdown_kernel(self, kernel_id):
        self.ended.append(kernel_id)
        self._kernel_connections.pop(kernel_id)

    async def cull_kernel_if_idle(self, kernel_id):
        raise AssertionError("Jupyter's own culling spares what is busy, and must not be asked")

class Bare(Base):  # made without a pool
    def __init__(self):
        super().__init__()
        del self._pools

class Clock:
    now = 1000.0
    def monotonic(self):
        return self.now

class Task:
    def __init__(self, kernel_id=None, *, done=True, cancelled=False, error=None):
        self.state, self.kernel_id, self.error = (done, cancelled), kernel_id, error
    def done(self):
        return self.state[0]
    def cancelled(self):
        return self.state[1]
    def exception(self):
        assert self.state == (True, False), "would raise"
        return self.error
    def result(self):
        assert self.state == (True, False) and self.error is None, "would raise"
        return {"kernel_id": self.kernel_id}

pool.time = clock = Clock()
make = pool.manager_factory(lambda base, *args, **kwargs: base)
assert issubclass(make(Base, True, 1), Base)

def manager(base=Base, **connections):
    clock.now = 1000.0
    made = make(base, True, 1)()
    made._kernel_connections.update(connections)
    return made

def cull(made, at):
    clock.now = 1000.0 + at
    for kernel_id in list(made._kernel_connections):
        asyncio.run(made.cull_kernel_if_idle(kernel_id))
    return made.ended
"""

CULLED = {
    "a kernel without a tab ends after the time, not before, busy or idle": """
for base in (Base, Bare):
    made = manager(base, a=0)
    assert cull(made, 0) == cull(made, 5) == cull(made, 9.9) == []
    assert cull(made, 10) == ["a"]
    assert cull(made, 100) == ["a"]  # once
""",
    "one with a tab never does, and its neighbour's end is not its own": """
made = manager(a=1, b=0, c=2)
for at in range(0, 100_000, 5):
    cull(made, at)
assert made.ended == ["b"]
""",
    "the clock starts when it is first seen alone, and for each by itself": """
made = manager(a=0, b=1)
cull(made, 0)
made._kernel_connections["b"] = 0
assert cull(made, 8) == []
assert cull(made, 12) == ["a"]
assert cull(made, 17.9) == ["a"]
assert cull(made, 18) == ["a", "b"]
""",
    "a tab that comes back starts the clock again": """
made = manager(a=0)
cull(made, 0)
made._kernel_connections["a"] = 1
assert cull(made, 9) == []
made._kernel_connections["a"] = 0
assert cull(made, 11) == cull(made, 20.9) == []
assert cull(made, 21) == ["a"]
""",
    "one that waits in the pool never does, and has the whole time once it is handed over": """
made = manager(a=0, b=0)
made._pools = {"x.ipynb": [], "y.ipynb": [Task("other"), Task("a")]}
for at in range(0, 1000, 5):
    cull(made, at)
assert made.ended == ["b"]
made._pools["y.ipynb"].pop()
assert cull(made, 1000) == cull(made, 1009) == ["b"]
assert cull(made, 1010) == ["b", "a"]
""",
    "a pool that is being filled, or could not be, does no harm": """
made = manager(a=0, b=0)
made._pools = {"x": [
    Task(done=False), Task(cancelled=True), Task(error=RuntimeError("no kernel")), Task("a")
]}
cull(made, 0)
assert cull(made, 60) == ["b"]
""",
}


@pytest.mark.parametrize("what", CULLED)
def test_kernels_end_with_their_tabs(what):
    run = subprocess.run(
        [sys.executable, "-c", CULL + CULLED[what]], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_what_cannot_be_mended_is_said(monkeypatch):
    def gone():
        raise ImportError("no such handler")

    monkeypatch.setattr(mends, "_no_delay", gone)
    monkeypatch.setattr(mends, "_closing_beacon", lambda: None)
    monkeypatch.setattr(mends, "_end_with_tabs", lambda: None)
    assert mends.mend() == ["TCP_NODELAY on the kernel's websocket: no such handler"]
