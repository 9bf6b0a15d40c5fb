"""Imports go one way: every file is parsed to prove it, and `import prunevis` stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "prunevis"
FILES = sorted(PACKAGE.rglob("*.py"))

BOTTOM = ("errors", "registry", "steps", "data")
FLOW = ("graph", "statistics", "criteria", "pruning", "evaluation", "training")
CORE = {"torch", "numpy"}
#: Room -> rooms it may use, besides itself and the bottom.
MAY_USE: dict[str, set[str]] = {
    "errors": set(),
    "registry": {"errors"},
    "steps": set(),
    "texts": {"registry"},
    "data": {"errors", "registry"},
    **{room: set(FLOW[:i]) for i, room in enumerate(FLOW)},
    "testing": {"graph", "statistics", "criteria", "pruning"},
    "zoo": set(FLOW),
    "sweeps": {*FLOW, "zoo"},
    "plots": set(FLOW),
    "export": {*FLOW, "zoo", "plots"},
    "session": {*FLOW, "testing", "zoo", "export"},
    "widgets": {*FLOW, "session", "plots"},
    "reproduce": {*FLOW, "zoo", "plots"},
    "hosting": set(),
    "app": {
        *FLOW,
        *("testing", "zoo", "sweeps", "reproduce", "session", "plots", "widgets", "hosting"),
        *("export", "texts"),
    },
    "course": {
        *FLOW,
        *("testing", "zoo", "sweeps", "reproduce", "session", "plots", "widgets", "export"),
    },
}
#: Room -> third parties it may import, at the top of a file or inside a function.
THIRD_PARTIES: dict[str, set[str]] = {
    "errors": set(),
    "registry": set(),
    "steps": set(),
    "texts": set(),
    "data": CORE,
    **dict.fromkeys(FLOW, CORE),
    "testing": CORE,
    "zoo": {*CORE, "safetensors", "torchvision"},
    "sweeps": {*CORE, "distributed", "pyarrow", "tomli"},
    "reproduce": {*CORE, "safetensors", "matplotlib"},
    "plots": {"numpy", "matplotlib", "seaborn", "scipy"},
    "export": {*CORE, "safetensors", "onnx", "onnxruntime", "onnxscript"},
    "session": {*CORE, "traitlets"},
    "widgets": {"numpy", "ipywidgets", "anywidget", "traitlets"},
    "hosting": {
        *("traitlets", "ipykernel", "psutil"),
        *("voila", "jupyter_client", "jupyter_core", "jupyter_server", "tornado", "zmq"),
    },
    "course": {*CORE, "ipywidgets"},
    "app": {
        *CORE,
        *("ipywidgets", "anywidget", "traitlets", "matplotlib", "IPython", "ipykernel"),
        "psutil",
    },
}
#: Only ever imported inside functions, since `import prunevis` must not need them.
LATE = {
    "onnx",
    "onnxruntime",
    "onnxscript",
    "torchvision",
    "seaborn",
    "scipy",
    "distributed",
    "pyarrow",
    "tomli",
}


@dataclass(frozen=True)
class Import:
    """One module that a file imports."""

    module: str
    line: int
    late: bool
    typing_only: bool


def imports_of(tree: ast.Module, module: str) -> list[Import]:
    """Return what `tree` imports; `module` is its dotted name, a package's with ``.__init__``."""
    found: list[Import] = []

    def visit(node: ast.AST, late: bool, typing_only: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, late, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                start = ".".join([*module.split(".")[: -node.level], *filter(None, [start])])
            # `from prunevis import plots` imports the room, not only the package.
            names = [f"{start}.{alias.name}" for alias in node.names]
            found.extend(
                Import(name, node.lineno, late, typing_only)
                for name in (names if start == "prunevis" else [start])
            )
        inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    hidden = typing_only or (guarded and field == "body")
                    visit(child, late or inside, hidden)

    visit(tree, False, False)
    return found


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(params=FILES, ids=name_of)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


def problems_of(tree: ast.Module, module: str, room: str) -> list[str]:
    """Return what breaks the table of imports, one sentence a line."""
    problems = []
    allowed = {room, *MAY_USE[room]} | (set() if room in BOTTOM else set(BOTTOM))
    for item in imports_of(tree, module):
        first, *rest = item.module.split(".")
        if first == "prunevis":
            if item.typing_only:
                continue
            used = rest[0] if rest else "__init__"
            if (
                room in ("app", "export", "sweeps", "reproduce") and used not in MAY_USE
            ):  # a public name, such as __version__
                continue
            if used not in allowed:
                problems.append(f"line {item.line}: {room} may not use {used}")
        elif first not in sys.stdlib_module_names and first != "__future__":
            if first not in THIRD_PARTIES[room]:
                problems.append(f"line {item.line}: {room} may not import {first}")
            elif first in LATE and not item.late and not item.typing_only:
                problems.append(f"line {item.line}: {first} belongs inside a function")
    return problems


def test_every_room_is_in_the_table() -> None:
    rooms = {room_of(path) for path in FILES} - {"__init__", "__main__"}
    assert rooms <= MAY_USE.keys()
    assert MAY_USE.keys() == THIRD_PARTIES.keys()


def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):  # the top of the house: see the subprocess test
        return
    assert problems_of(parse(path), dotted(path), room) == []


@pytest.mark.parametrize(
    ("source", "room", "problem"),
    [
        ("from prunevis.pruning.plan import PruningPlan", "graph", "graph may not use pruning"),
        ("from prunevis import plots", "session", "session may not use plots"),
        ("import prunevis", "criteria", "criteria may not use __init__"),
        ("from ..training import finetune", "graph", "graph may not use training"),
        ("def f():\n    import matplotlib", "evaluation", "evaluation may not import matplotlib"),
        ("import scipy.cluster", "plots", "scipy belongs inside a function"),
    ],
)
def test_a_wrong_import_is_found(source: str, room: str, problem: str) -> None:
    found = problems_of(ast.parse(source), f"prunevis.{room}.example", room)
    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    "source",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from prunevis.training import x",
        "from prunevis.errors import DataError\nfrom prunevis import data",
        "import os, torch, numpy as np",
        "from .layers import LayerInfo",
    ],
)
def test_a_right_import_passes(source: str) -> None:
    assert problems_of(ast.parse(source), "prunevis.graph.example", "graph") == []


def test_no_pyplot_no_pickle(path: Path) -> None:
    modules = {item.module for item in imports_of(parse(path), dotted(path))}
    for module in modules:
        assert not module.startswith(("matplotlib.pyplot", "pylab", "pickle", "dill", "joblib"))
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("matplotlib"):
            assert "pyplot" not in {alias.name for alias in node.names}
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in ("torch.load", "torch.save", "matplotlib.pyplot")


def test_no_output_widget(path: Path) -> None:
    """Pages that use Output hung for ever in 9 of 115 loads under Voila, others never."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ipywidgets"):
            assert "Output" not in {alias.name for alias in node.names}
        if isinstance(node, ast.Attribute) and node.attr == "Output":
            pytest.fail(f"line {node.lineno} uses an Output widget")


def test_only_the_command_line_prints(path: Path) -> None:
    where = path.relative_to(PACKAGE).as_posix()
    if where == "zoo/build.py" or where.startswith("app/commands/"):
        return
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno} prints"


def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules, and dotted names, that are loaded after `code`."""
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


HEAVY = {
    *("matplotlib", "seaborn", "pandas", "scipy", "torchvision"),
    *("ipywidgets", "anywidget", "IPython", "ipykernel", "voila", "jupyter_server"),
}


def test_import_is_light() -> None:
    assert not HEAVY & loaded_by("import prunevis")


def test_headless_names_load_no_widgets() -> None:
    """Who prunes in a script needs neither a browser nor a figure."""
    loaded = loaded_by("import prunevis\nprunevis.prune\nprunevis.load_model\nprunevis.CRITERIA")
    assert not HEAVY & loaded


def test_plots_load_no_widgets_and_no_pyplot() -> None:
    loaded = loaded_by("import prunevis.plots")
    assert "matplotlib" in loaded
    assert "matplotlib.pyplot" not in loaded
    assert not (HEAVY - {"matplotlib"}) & loaded
