"""What `docs/hosting.md` says of options is what the command takes; its examples load."""

from __future__ import annotations

import ast
import configparser
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("voila")

from prunevis.app.commands import serve
from prunevis.hosting import configuration
from prunevis.hosting.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "hosting.md").read_text("utf-8")


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[number]


def test_the_table_lists_every_option_with_its_variable_and_default():
    rows = re.findall(r"^\| `--([a-z-]+)` \| `(\w+)` \| (\S+) \| ", PAGE, re.MULTILINE)
    expected = [(name, serve.variable(name), str(usual)) for name, _, usual, _, _ in serve.OPTIONS]
    expected += [(name, serve.variable(name), "none") for name, _ in serve.LISTS]
    assert rows == expected


def test_every_option_that_is_used_exists():
    names = {option[0] for option in (*serve.OPTIONS, *serve.LISTS)}
    assert set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", PAGE)) <= names | {"now"}
    assert set(re.findall(r"PRUNEVIS_\w+", PAGE)) <= {serve.variable(name) for name in names}


def test_voila_takes_the_configuration_that_is_shown(tmp_path):
    from traitlets.config.loader import PyFileConfigLoader

    text = block("python")
    ast.parse(text)
    (tmp_path / "voila.py").write_text(text, "utf-8")
    shown = PyFileConfigLoader("voila.py", str(tmp_path)).load_config()
    ours = configuration.configuration(Settings())
    for section, values in shown.items():
        for name in values:
            if name != "cull_idle_timeout":
                assert name in ours[section], (section, name)
    for name in ("show_tracebacks", "allow_template_override", "allow_theme_override"):
        assert shown.VoilaConfiguration[name] == ours.VoilaConfiguration[name]


def test_the_service_and_the_health_that_are_shown():
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(block("ini"))
    assert unit["Service"]["ExecStart"].endswith("prunevis serve")
    assert set(json.loads(block("json"))) == {"status", "visitors", "most", "room", "warm"}
