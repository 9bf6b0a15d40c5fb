"""What Voila leaves open is closed in the installed version, and said where it could not be."""

import subprocess
import sys

import pytest

pytest.importorskip("voila")

from prunevis.hosting import handlers, mends
from prunevis.hosting.settings import Settings

MEND = """
import inspect
import voila.app
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from voila.request_info_handler import RequestInfoSocketHandler
from prunevis.hosting.mends import mend
from prunevis.hosting.settings import Settings
before = voila.app.voila_kernel_manager_factory
missing = mend(Settings())
assert missing == [], missing
assert voila.app.voila_kernel_manager_factory is not before
# 200 visits leave nothing behind
RequestInfoSocketHandler.send_updates({"kernel_id": "x", "payload": {}})
assert RequestInfoSocketHandler._cache == {}
# the factory still makes managers, with and without a pool
for preheat in (False, True):
    made = voila.app.voila_kernel_manager_factory(AsyncMappingKernelManager, preheat, 1)
    assert issubclass(made, AsyncMappingKernelManager)
    assert made.__name__ == "TabKernelManager"
    assert inspect.iscoroutinefunction(made.cull_kernel_if_idle)
    # what it reads and calls is there; Jupyter's own culler calls it by this name
    assert any("_kernel_connections" in vars(base) for base in made.__mro__)
    assert "cull_kernel_if_idle" in inspect.getsource(made.cull_kernels)
    if preheat:
        theirs = made.__mro__[1]
        assert "self._pools" in inspect.getsource(theirs.__init__)
        # the pool's own kernels must not be taken for visitors
        assert "super().start_kernel" in inspect.getsource(theirs._initialize)
        assert "return render_task, renderer.rendered_cache, kernel_id" in inspect.getsource(
            theirs.get_rendered_notebook
        )
"""


def test_everything_can_be_mended_in_the_installed_voila():
    # in a process of its own, since it changes classes for good
    run = subprocess.run([sys.executable, "-c", MEND], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_what_cannot_be_mended_is_said(monkeypatch):
    def gone(settings):
        raise ImportError("no such manager")

    monkeypatch.setattr(mends, "_end_with_tabs", gone)
    monkeypatch.setattr(mends, "_forget_requests", lambda settings: None)
    assert mends.mend(Settings()) == ["kernels end with their tabs: no such manager"]


def test_another_version_is_said(monkeypatch):
    monkeypatch.setattr("voila.__version__", "0.6.1")
    monkeypatch.setattr(mends, "_end_with_tabs", lambda settings: None)
    monkeypatch.setattr(mends, "_forget_requests", lambda settings: None)
    (gap,) = mends.mend(Settings())
    assert gap.startswith("Voila 0.6.1 is not one that this was tried with")


def test_handlers_take_the_place_of_voila_s():
    theirs = list(handlers.OURS)
    kept = [(f"/{cls.__name__}", cls) for cls in handlers.THEIRS]
    rules = [(f"/{number}", cls, {"x": 1}) for number, cls in enumerate(theirs)]
    found, missing = handlers.with_ours([*rules, *kept, ("/other", dict)], "/base/")
    assert missing == []
    assert found[0] == ("/base/health", handlers.Health)
    ours, rest = found[1 : 1 + len(theirs)], found[1 + len(theirs) :]
    assert ours == [(f"/{k}", handlers.OURS[cls], {"x": 1}) for k, cls in enumerate(theirs)]
    assert rest == kept  # what nobody asked for is not served
    _, missing = handlers.with_ours([("/other", dict)], "/")
    assert len(missing) == len(theirs) + len(kept)
    assert "TornadoVoilaHandler is not used" in missing
