"""The report stands alone, escapes everything, and says the numbers that were measured."""

from __future__ import annotations

import struct
from html.parser import HTMLParser
from itertools import pairwise

import pytest

import prunevis as pv
from prunevis.app.outcome import report_steps
from prunevis.errors import ModelError, SpecError
from prunevis.export.outcome import scoreboard
from prunevis.export.report import Grid, Picture, Report, document
from prunevis.steps import finished

VOID = {"meta", "img", "br", "link", "input"}


class Reader(HTMLParser):
    """Reads a document strictly: every element is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def read(mlp, mlp_data, tmp_path):
    result = pv.prune(mlp, mlp_data, granularity="unit", criterion="l2", sparsity=0.5)
    path = pv.report(result, tmp_path / "r.html")
    return result, Reader(path.read_text("utf-8"))


def test_it_says_what_was_measured(read):
    result, page = read
    assert f"accuracy {result.accuracy_before:.2%} before" in page.text
    assert f"{result.cost_after.nonzero_params:,}" in page.text
    assert "Units were taken out" in page.text
    for layer in result.cost_before.layers:
        assert layer in page.words
    assert f"prunevis {pv.__version__}" in page.text


def test_it_asks_nothing_of_any_network(read):
    _, page = read
    policy = next(m for m in page.all("meta") if m.get("http-equiv"))
    assert policy["content"].startswith("default-src 'none'; img-src data:;")
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert "href" not in attributes
        assert all(not name.startswith("on") for name in attributes)
    for image in page.all("img"):
        assert image["src"].startswith("data:image/png;base64,iVBORw0KGgo")


def test_who_cannot_see_it_can_read_it(read):
    _, page = read
    assert page.all("html") == [{"lang": "en"}]
    assert [tag for tag, _ in page.elements].count("h1") == 1
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3")]
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert len(page.all("img")) >= 1
    assert all(image["alt"] for image in page.all("img"))
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))


def test_everything_is_escaped():
    evil = '<script>alert("x")</script> & \'"'
    grid = Grid(evil, ("", evil), [(evil, evil)])
    picture = Picture(evil, evil, b"\x89PNG", evil)
    text = document(
        Report(evil, evil, grid, [evil], grid, [picture], [evil], evil, evil, (), [(evil, evil)])
    )
    page = Reader(text)
    assert page.all("script") == []
    assert page.all("img")[0]["alt"] == evil
    assert "<script>" not in text
    assert page.text.count("<script>alert") == text.count("&lt;script&gt;alert") - 3  # attributes


def test_the_scoreboard_by_hand(mlp, mlp_data):
    from prunevis.export.outcome import Outcome

    result = pv.prune(mlp, mlp_data, sparsity=0.5)
    after = result.cost_after
    rows = scoreboard(
        Outcome(result.cost_before, after, result.before, result.after, False, True)
    ).rows
    assert [row[0] for row in rows] == [
        *("Accuracy", "Size of the file", "Parameters", "FLOPs an example"),
        "FLOPs, zeros skipped",
    ]
    dense = result.cost_before.base_params
    assert rows[2][1:3] == (f"{dense:,}", f"{after.nonzero_params:,}")
    assert rows[2][3] == f"{dense / after.nonzero_params:.2f}× less"
    assert rows[3][1] == rows[3][2]  # nothing left, so nothing is saved
    assert rows[3][3] == "as before"


def test_of_a_page(visit, mlp, mlp_data):
    visitor = visit(mlp, mlp_data).send("granularity", name="unit").slide(0.4).send("apply")
    visitor.send("sensitivity")
    page = Reader(finished(report_steps(visitor.session)))
    stages = visitor.session.network.stages
    assert stages[-1].label in page.text
    headings = [page.words[k] for k, word in enumerate(page.words) if word.startswith("How sens")]
    assert headings == ["How sensitive each layer is"]
    assert "What more pruning would cost" in page.text
    assert "def pruned(model, data):" in page.text
    assert "This curve" in page.text
    for image in page.all("img"):
        assert image["alt"].endswith(".")


def test_steps_are_short(visit, mlp, mlp_data):
    visitor = visit(mlp, mlp_data)
    steps = sum(1 for _ in report_steps(visitor.session))
    assert steps >= 6  # a figure each, so that a slider move waits for one at most


def test_pictures_have_a_size(visit, mlp, mlp_data, tmp_path):
    import base64

    path = pv.report(visit(mlp, mlp_data).explorer, tmp_path / "r.html")
    for image in Reader(path.read_text("utf-8")).all("img"):
        data = base64.b64decode(image["src"].partition(",")[2])
        width, height = struct.unpack(">II", data[16:24])
        assert 300 < width < 2000
        assert 200 < height < 2000


def test_what_there_is_no_report_on(tmp_path, mlp):
    with pytest.raises(SpecError, match=r"no report on this.*an Explorer, or what prune returned"):
        pv.report(mlp, tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_where_it_cannot_be_written(tmp_path, mlp, mlp_data):
    with pytest.raises(ModelError, match="cannot be written"):
        pv.report(pv.prune(mlp, mlp_data), tmp_path / "none" / "r.html")
