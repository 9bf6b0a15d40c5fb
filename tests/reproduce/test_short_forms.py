"""Every work runs in its short form, from nothing and again from what is kept."""

import json

import pytest
import torch

from prunevis.reproduce import REPRODUCTIONS, reproduce


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", sorted(REPRODUCTIONS))
def test_short_form(name, tmp_path):
    begun = []
    path = reproduce(name, tmp_path, short=True, say=begun.append)
    text = path.read_text("utf-8")
    assert text.startswith(f"# {REPRODUCTIONS[name].title}\n")
    assert "nothing about the paper" in text
    assert "## The paper beside ours" in text
    for line in text.splitlines():
        if line.startswith("!["):
            picture = tmp_path / line[line.rindex("(") + 1 : -1]
            assert picture.read_bytes()[:4] == b"\x89PNG"
            assert line.index("]") > len("![")
    record = json.loads((tmp_path / f"{name}.json").read_text("utf-8"))
    assert record["short"] is True
    assert record["compared"]
    assert set(record["versions"]) == {"prunevis", "torch", "python"}
    assert begun
    # the second run finds every piece and says the same
    begun.clear()
    again = reproduce(name, tmp_path, short=True, say=begun.append)
    assert begun == []
    assert json.loads((tmp_path / f"{name}.json").read_text("utf-8")) == record
    assert again.read_text("utf-8") == text
