"""`deploy/` and `binder/`: they load, and say what the rest of the repository says."""

from __future__ import annotations

import configparser
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from prunevis.app.commands import serve

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGES = sorted(DEPLOY.rglob("*.md"))
HOSTING = (ROOT / "docs" / "hosting.md").read_text("utf-8")
OPTIONS = {option[0] for option in (*serve.OPTIONS, *serve.LISTS)}
VARIABLES = {serve.variable(name) for name in OPTIONS}
#: Of the tools beside ours: read from the environment by `jupyterhub_config.py`.
THEIRS = {"PRUNEVIS_COPY", "PRUNEVIS_HUB_TRIAL", "PRUNEVIS_"}
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib", "seaborn-base": "seaborn"}

dockerfile = pytest.mark.parametrize("folder", ["docker", "huggingface"])


def text(*parts: str) -> str:
    return DEPLOY.joinpath(*parts).read_text("utf-8")


def instructions(folder: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile and what they say, in order."""
    joined = re.sub(r"\\\n", " ", text(folder, "Dockerfile"))
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_pages_point_to_files_that_exist(path: Path) -> None:
    page = path.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page):
        assert (path.parent / target).exists(), target
    for anchor in re.findall(r"docs/hosting\.md#([\w-]+)\)", page):
        heads = re.findall(r"^#+ (.+)$", HOSTING, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


def test_every_folder_has_a_page_and_the_index_lists_it() -> None:
    index = text("README.md")
    for folder in (path for path in DEPLOY.iterdir() if path.is_dir()):
        assert (folder / "README.md").exists(), folder.name
        assert f"({folder.name}/README.md)" in index


def test_options_and_variables_are_real() -> None:
    for path in sorted([*DEPLOY.rglob("*"), *(ROOT / "binder").iterdir()]):
        if not path.is_file():
            continue
        said = path.read_text("utf-8")
        assert set(re.findall(r"PRUNEVIS_[A-Z_]*", said)) <= VARIABLES | THEIRS, path
        for line in re.findall(r"(?:^|[ `])prunevis (?:serve )?(--[^`\n]*)", said, re.MULTILINE):
            assert set(re.findall(r"--([a-z][a-z-]*)", line)) <= OPTIONS, (path, line)


@dockerfile
def test_the_image_is_not_root_and_holds_no_secret(folder: str) -> None:
    found = instructions(folder)
    *_, user = [said for name, said in found if name == "USER"]
    assert int(user.split(":")[0]) >= 1000
    assert [name for name, _ in found][-1] in ("CMD", "ENTRYPOINT")
    assert {name for name, _ in found} <= {
        *("FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "EXPOSE", "HEALTHCHECK"),
        *("STOPSIGNAL", "ENTRYPOINT", "CMD"),
    }
    assert not re.search(r"(?i)password|token|secret|api_key", text(folder, "Dockerfile"))
    # what is copied is what is named, and nothing else
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[1] == "*"
    for name in (line[1:] for line in ignored if line.startswith("!")):
        assert (ROOT / name).exists()


@dockerfile
def test_the_image_has_the_versions_that_are_tested(folder: str) -> None:
    """Torch's version comes out of constraints.txt itself, and Python's is one of ours."""
    said = text(folder, "Dockerfile")
    assert "$(grep '^torch==' /src/constraints.txt)" in said
    assert len(re.findall("^torch==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)) == 1
    assert not re.search(r"\btorch==\d", said)
    for version in re.findall(r"^FROM python:([\d.]+)-slim", said, re.MULTILINE):
        assert f"Programming Language :: Python :: {version}" in project()["classifiers"]


@dockerfile
def test_the_health_check_asks_for_our_health(folder: str) -> None:
    (check,) = [said for name, said in instructions(folder) if name == "HEALTHCHECK"]
    command = json.loads(check[check.index("CMD ") + 4 :])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "healthcheck", "exec")
    assert "health" in command[2]


def test_the_space() -> None:
    head = yaml.safe_load(text("huggingface", "README.md").split("---")[1])
    assert head["sdk"] == "docker"
    (port,) = re.findall(r"PRUNEVIS_PORT=(\d+)", text("huggingface", "Dockerfile"))
    assert head["app_port"] == int(port)
    assert "PRUNEVIS_EMBED=https://huggingface.co" in text("huggingface", "Dockerfile")


def test_compose_builds_our_image_read_only() -> None:
    (service,) = yaml.safe_load(text("docker", "compose.yaml"))["services"].values()
    context = DEPLOY / "docker" / service["build"]["context"]
    assert (context / service["build"]["dockerfile"]).resolve() == DEPLOY / "docker" / "Dockerfile"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()


def test_kubernetes_keeps_visitors_in_their_pod() -> None:
    found = {item["kind"]: item for item in yaml.safe_load_all(text("kubernetes", "prunevis.yaml"))}
    pod = found["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    # or a service called prunevis would set PRUNEVIS_PORT
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["image"].endswith(f":{project()['version']}")
    assert found["Deployment"]["spec"]["replicas"] > 1
    notes = found["Ingress"]["metadata"]["annotations"]
    assert notes["nginx.ingress.kubernetes.io/affinity"] == "cookie"
    values = yaml.safe_load(text("kubernetes", "values.yaml"))
    assert values["singleuser"]["image"]["tag"] == project()["version"]
    assert all(isinstance(value, str) for value in values["singleuser"]["extraEnv"].values())


def test_binder_installs_what_prunevis_needs() -> None:
    parsed = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text("utf-8"))
    lines = [line for line in parsed["dependencies"] if line != "pip" and "python=" not in line]
    there = {
        CONDA_NAMES.get(item.name, item.name): str(item.specifier)
        for item in map(Requirement, lines)
    }
    wanted = {
        item.name: str(item.specifier) for item in map(Requirement, project()["dependencies"])
    }
    del wanted["tomli"]  # of Python 3.10 alone
    assert there == wanted
    for name in ("postBuild", "start"):
        path = ROOT / "binder" / name
        assert os.access(path, os.X_OK)
        assert path.read_text("utf-8").startswith("#!/bin/bash")


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("proxy/nginx.conf", "nginx"),
        ("proxy/Caddyfile", ""),
        ("proxy/traefik.yml", "yaml"),
        ("systemd/prunevis.service", "ini"),
        ("voila/voila.py", "python"),
    ],
)
def test_the_files_are_what_hosting_shows(name: str, language: str) -> None:
    # every second piece between fences is a block, with its language on the first line
    blocks = [
        piece.split("\n", 1)[1]
        for piece in HOSTING.split("```")[1::2]
        if piece.split("\n", 1)[0] == language
    ]
    assert any(text(name).endswith(block) for block in blocks if block.strip())


def test_the_service_starts_ours() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(text("systemd", "prunevis.service"))
    assert unit["Service"]["ExecStart"] == "/opt/prunevis/bin/prunevis serve"
    assert yaml.safe_load(text("proxy", "traefik.yml"))["http"]["routers"]["prunevis"]


def test_the_page_is_the_one_that_is_served() -> None:
    served = ROOT / "prunevis" / "hosting" / "voila" / "app.ipynb"
    assert json.loads(text("voila", "page.ipynb")) == json.loads(served.read_text("utf-8"))


def test_jupyterhub_takes_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    from traitlets.config.loader import PyFileConfigLoader

    monkeypatch.setenv("PRUNEVIS_HUB_TRIAL", "1")
    loaded = PyFileConfigLoader("jupyterhub_config.py", str(DEPLOY / "jupyterhub")).load_config()
    assert loaded.JupyterHub.bind_url.startswith("http://127.0.0.1:")
    assert loaded.Spawner.environment["PRUNEVIS_MEMORY"] == "1500"
    monkeypatch.delenv("PRUNEVIS_HUB_TRIAL")
    real = PyFileConfigLoader("jupyterhub_config.py", str(DEPLOY / "jupyterhub")).load_config()
    # without accounts only when that is asked for
    assert real.JupyterHub.authenticator_class == "pam"
    assert "allow_all" not in real.Authenticator
    app = pytest.importorskip("jupyterhub.app", reason="needs jupyterhub")
    known = {cls.__name__: cls.class_trait_names() for cls in app.JupyterHub.classes}
    known["JupyterHub"] = app.JupyterHub.class_trait_names()
    for section in ("JupyterHub", "Spawner"):
        assert set(real[section]) <= set(known[section]), section
