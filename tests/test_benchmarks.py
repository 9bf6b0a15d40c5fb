"""The benchmarks run and keep what they promise to keep; how fast things are is not tested here."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FIGURE_KEYS = {"name", "unit", "count", "median", "p95", "max", "bar", "judged", "met", "runs"}
MACHINE_KEYS = {"cpus", "load_average", "system", "python", "torch", "voila", "chromium"}


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks")


@pytest.fixture
def record(benchmarks: Any) -> Any:
    return importlib.import_module("benchmarks.record")


@pytest.fixture
def report(benchmarks: Any) -> Any:
    return importlib.import_module("benchmarks.report")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def a_result(record: Any, **more: Any) -> dict[str, Any]:
    figure = record.Figure("a move", "ms", (1.0, 2.0, 9.0), 5.0, **more)
    when = {"date": "2026-01-02T03:04:05+00:00", "machine": record.conditions()["machine"]}
    return record.as_json("slider_move", "A move", record.Report((figure,)), when, quick=False)


@pytest.mark.parametrize("name", ["slider_move", "import_time", "serving"])
def test_a_benchmark_runs_and_keeps_what_the_readme_says(name: str, tmp_path: Path) -> None:
    done = run(name, "--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / f"{name}.json").read_text("utf-8"))
    assert set(result) == {"name", "title", "quick", "date", "machine", "figures", "notes"}
    assert set(result["machine"]) == MACHINE_KEYS
    assert result["name"] == name
    assert result["quick"] is True
    assert result["title"] in done.stdout
    assert any(figure["bar"] is not None for figure in result["figures"])
    for figure in result["figures"]:
        assert set(figure) == FIGURE_KEYS
        assert figure["count"] == len(figure["runs"]) > 0
        assert 0 < figure["median"] <= figure["p95"] <= figure["max"]
        assert (figure["met"] is None) == (figure["bar"] is None) == (figure["judged"] is None)
        assert figure["name"] in done.stdout
    assert str(ROOT) not in json.dumps(result)
    assert str(Path.home()) not in json.dumps(result)


def test_each_benchmark_is_a_module_and_described(benchmarks: Any) -> None:
    readme = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    for name in benchmarks.NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        assert module.TITLE
        assert callable(module.measure)
        assert f"**`{name}`**" in readme
    for key in FIGURE_KEYS | MACHINE_KEYS:
        assert f"`{key}`" in readme, f"README.md does not say what {key} is"


def test_an_unknown_benchmark_is_refused_by_name() -> None:
    done = run("slider_mve")
    assert done.returncode == 2
    assert "there is no benchmark slider_mve; there are slider_move" in done.stderr


def test_percentile_is_the_smallest_run_that_enough_do_not_exceed(record: Any) -> None:
    values = [float(v) for v in range(20, 0, -1)]
    assert record.percentile(values, 0.95) == 19.0
    assert record.percentile(values, 1.0) == 20.0
    assert record.percentile([3.0], 0.95) == 3.0


def test_the_bar_is_held_against_what_it_names(record: Any) -> None:
    runs = (1.0, 2.0, 9.0)
    assert record.Figure("", "ms", runs).met is None
    assert record.Figure("", "ms", runs, 5.0).met is False
    assert record.Figure("", "ms", runs, 5.0, "median").met is True
    assert record.Figure("", "MB", runs, 9.0, "max").met is True


def test_what_should_be_large_must_reach_its_bar(record: Any) -> None:
    runs = tuple(float(v) for v in range(1, 21))
    assert record.Figure("", "×", runs, 2.0, "p5").p5 == 2.0
    assert record.Figure("", "×", runs, 2.0, "p5").met is True
    assert record.Figure("", "×", runs, 2.5, "p5").met is False
    found = record.Figure("", "×", runs, 2.5, "p5").as_json()
    assert record.verdict(found) == "p5 ≥ 2.5 ×: MISSED"


def test_report_fills_in_the_table_again_and_again(
    record: Any, report: Any, tmp_path: Path
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text((ROOT / "benchmarks" / "README.md").read_text("utf-8"), encoding="utf-8")
    record.write(a_result(record), tmp_path)
    report.fill(readme, tmp_path)
    once = readme.read_text("utf-8")
    row = "| `slider_move` | a move | 2.00 ms | 9.00 ms | 3 | p95 ≤ 5 ms: MISSED |"
    assert row in once
    assert "- `slider_move`: 2026-01-02" in once
    assert "**`slider_move`**" in once
    report.fill(readme, tmp_path)
    assert readme.read_text("utf-8") == once


def test_report_says_what_is_missing(report: Any, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match=r"README\.md lacks the lines"):
        report.fill(readme, tmp_path)
    readme.write_text(f"{report.START}\n\nold\n\n{report.END}\n", encoding="utf-8")
    report.fill(readme, tmp_path)
    assert "Not measured yet." in readme.read_text("utf-8")


def test_the_usual_way_counts_as_we_do(benchmarks: Any) -> None:
    torch = importlib.import_module("torch")
    module = importlib.import_module("benchmarks.slider_move")
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    # 20 weights in the one layer, half of them gone, and all else: 5 biases, 10 weights, 2 biases
    assert module.usual(net, ["0"], 0.5) == 10 + 5 + 10 + 2


@pytest.mark.parametrize("name", ["agreement", "race"])
def test_a_page_of_the_documentation_is_written_with_its_figures(name: str, tmp_path: Path) -> None:
    done = run(name, "--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    text = (tmp_path / f"{name}.md").read_text("utf-8")
    assert f"python -m benchmarks {name}" in text  # the command stands beside what it made
    assert "Random (`random`)" in text
    for line in text.splitlines():
        if line.startswith("| L"):  # a bar in a name, as in |w|, is no border
            assert len(re.findall(r"(?<!\\)\|", line)) == (7 if name == "agreement" else 5)
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert shown
    assert sorted(shown) == sorted(path.name for path in tmp_path.glob("*.png"))
    assert str(ROOT) not in text


def test_a_quick_run_does_not_overwrite_the_documentation() -> None:
    done = run("race", "--quick")
    assert done.returncode == 2
    assert "give --out too" in done.stderr


def test_the_list_of_criteria_is_that_of_the_registries():
    from benchmarks.criteria_list import DOCUMENT, document

    built_in = [line for line in document().splitlines() if "https://example.org" not in line]
    assert DOCUMENT.read_text(encoding="utf-8").splitlines() == built_in
