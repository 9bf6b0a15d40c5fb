"""Voila's set-up, without starting it; `tests/browser` drives the running page."""

import json
import os
from pathlib import Path

import pytest

from prunevis.hosting import configuration as made
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
    # a line is not given up while its answer may still be under way
    pings = c.Voila.tornado_settings
    assert pings["ws_ping_timeout"] >= 2 * pings["ws_ping_interval"]
    assert c.VoilaConfiguration.preheat_kernel is True
    assert c.VoilaConfiguration.default_pool_size == 2


def test_no_kernel_is_kept_warm():
    c = made.configuration(Settings(host="127.0.0.1", port=9000, warm=0, cull=120))
    assert c.VoilaConfiguration.preheat_kernel is False
    assert c.VoilaConfiguration.default_pool_size == 0


@pytest.mark.parametrize(("cull", "interval"), [(2, 1), (10, 2), (40, 5), (3600, 5)])
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
    for name in (
        *("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"),
        *("IPYTHONDIR", "TORCHINDUCTOR_CACHE_DIR"),
    ):
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
