"""`environment.yml`, `constraints.txt` and the two commands say the same as `pyproject.toml`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
TEST_COMMAND = 'pip install -c constraints.txt -e ".[test]" && pytest'
DEMO_COMMAND = "pip install -c constraints.txt . && prunevis demo"
#: Names that differ on conda-forge; the "-base" packages leave out Qt and statsmodels.
CONDA_NAMES = {
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def requirements() -> list[Requirement]:
    told = project()
    return [
        Requirement(text)
        for text in [*told["dependencies"], *told["optional-dependencies"]["test"]]
    ]


def bound(requirement: Requirement) -> str:
    """Return the one specifier, which is a lower bound."""
    (specifier,) = requirement.specifier
    assert specifier.operator == ">=", f"{requirement} is not a lower bound"
    return specifier.version


def conda_bounds() -> dict[str, str]:
    parsed = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    lines: list[str] = []
    for item in parsed["dependencies"]:
        lines += item["pip"] if isinstance(item, dict) else [item]
    found = [Requirement(line) for line in lines if line != "pip"]
    assert len(found) == len({item.name for item in found}), "a package is named twice"
    return {canonicalize_name(item.name): bound(item) for item in found}


def test_environment_holds_the_same_lower_bounds() -> None:
    expected = {
        canonicalize_name(CONDA_NAMES.get(item.name, item.name)): bound(item)
        for item in requirements()
    }
    expected["python"] = project()["requires-python"].removeprefix(">=")
    assert conda_bounds() == expected


def test_environment_is_conda_forge_alone() -> None:
    parsed = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    assert parsed["name"] == "prunevis"
    assert parsed["channels"] == ["conda-forge", "nodefaults"]


def test_constraints_meet_the_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    wanted = {canonicalize_name(item.name): item.specifier for item in requirements()}
    for pin in pins:
        (specifier,) = pin.specifier
        assert specifier.operator == "==", f"{pin} is not a pin"
        assert wanted.get(canonicalize_name(pin.name), pin.specifier).contains(
            specifier.version, prereleases=True
        ), f"{pin} is below what pyproject.toml asks for"


def test_pyright_brings_its_own_node() -> None:
    """Without the extra, pyright downloads Node from a host that is no package index."""
    (pyright,) = [item for item in requirements() if item.name == "pyright"]
    assert pyright.extras == {"nodejs"}


@pytest.mark.parametrize("command", [TEST_COMMAND, DEMO_COMMAND])
def test_the_readme_has_both_commands(command: str) -> None:
    assert command in (ROOT / "README.md").read_text("utf-8")


def test_ci_runs_the_readmes_command_and_the_linters() -> None:
    script = ROOT / ".ci" / "run"
    lines = [line.strip() for line in script.read_text("utf-8").splitlines()]
    assert TEST_COMMAND in lines
    for command in ("ruff format --check .", "ruff check .", "pyright"):
        assert command in lines
    assert os.access(script, os.X_OK)
