"""The notebooks: they run from top to bottom without an error, and are kept clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
COURSE = sorted((ROOT / "notebooks").glob("*.ipynb"))
SERVED = sorted((ROOT / "prunevis" / "hosting" / "voila").glob("*.ipynb"))
NOTEBOOKS = [*COURSE, *SERVED]
WIDGET = "application/vnd.jupyter.widget-view+json"

#: Most lines of a code cell: a beginner reads it in one go.
MAX_LINES = 10
#: Seconds that a cell may take; far more than any needs, since machines that run tests are busy.
PATIENCE = 600

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook: Any) -> list[Any]:
    return [output for cell in code_of(notebook) for output in cell.outputs]


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep the person's own settings and start-up files out; return where the kernel runs."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def test_there_are_notebooks() -> None:
    assert [path.name for path in COURSE] == ["own_model.ipynb", "start.ipynb"]
    assert [path.name for path in SERVED] == ["app.ipynb"]


@each
def test_is_clean(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in code_of(notebook):
        assert cell.outputs == [], f"{cell.id}: clear the outputs before you commit"
        assert cell.execution_count is None, cell.id
        assert len(cell.source.splitlines()) <= MAX_LINES, f"{cell.id} has too many lines"


@pytest.mark.parametrize("path", COURSE, ids=lambda path: path.name)
def test_says_first_what_it_is_about(path: Path) -> None:
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")


@each
def test_runs_from_top_to_bottom(path: Path, private: Path) -> None:
    notebook = read(path)
    client = NotebookClient(
        notebook, timeout=PATIENCE, resources={"metadata": {"path": str(private)}}
    )
    client.execute()
    outputs = outputs_of(notebook)
    warnings = [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    assert warnings == []
    assert any(WIDGET in output.get("data", {}) for output in outputs), "the page is not shown"
    # a figure that is only named, not drawn, reads "<Figure size ...>"
    texts = [str(output.get("data", {}).get("text/plain", "")) for output in outputs]
    assert not [text for text in texts if text.startswith(("<Figure", "<Axes"))]
