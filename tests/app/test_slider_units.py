"""What the slider counts in, patterns and multiples, as the page is told of them."""

import pytest


@pytest.fixture
def visitor(visit, mlp, mlp_data):
    return visit(mlp, mlp_data)


def test_what_can_be_chosen_of_weights(visitor):
    c = visitor.page.controls
    assert [o["name"] for o in c["ofs"]] == ["sparsity", "params", "macs", "bytes"]
    assert c["ofs"][0]["label"] == "of weights"
    assert (c["of"], c["pattern"], c["multiples"], c["pieces_note"]) == ("sparsity", "", [], "")
    assert [p["name"] for p in c["patterns"]] == ["", "2:4", "1:4", "4:8", "4x4", "1x8"]
    assert visitor.page.table["of"] == "sparsity"
    assert visitor.page.table["words"] == "sparsity"
    assert visitor.page.table["threshold"] is not None


def test_a_pattern(visitor):
    page = visitor.send("pattern", name="2:4").page
    assert page.controls["pattern"] == "2:4"
    assert page.controls["pattern_help"].startswith("Of every 4 weights in a row 2 stay")
    assert page.table["sparsity"][-1] == 0.5
    # weights that stay for the pattern may score below the last that goes
    assert page.table["threshold"] is None
    assert page.weights["threshold"] is None
    assert visitor.send("pattern", name="3:7").page.controls["patterns"][-1]["name"] == "3:7"
    assert visitor.send("pattern", name="").page.table["sparsity"][-1] == 0.999


def test_units_in_multiples(visitor):
    page = visitor.send("granularity", name="unit").page
    c = page.controls
    assert [o["name"] for o in c["ofs"]] == ["sparsity", "units", "params", "macs", "bytes"]
    assert c["ofs"][0]["label"] == "of units"
    assert (c["patterns"], c["multiples"]) == ([], [1, 2, 4, 8, 16, 32])
    # the two layers have 8 and 6 units
    problem = visitor.send("multiple_of", value=8).page.problem["text"]
    assert problem.startswith("Nothing in this network can be pruned")
    assert "Of its 8 units none can leave: layers keep a multiple of 8." in problem
    assert visitor.send("min_units", value=1).page.controls["pieces_note"] == ""
    c = visitor.send("multiple_of", value=4).send("min_units", value=4).page.controls
    assert (c["multiple_of"], c["min_units"]) == (4, 4)
    assert visitor.page.problem == {}
    assert visitor.send("min_units", value=7).page.problem["text"].startswith("Nothing")
    note = visitor.send("multiple_of", value=1).page.controls["pieces_note"]
    assert note == "fc2 stays whole. It has 6 units, and at least 7 of each layer stay."


def test_shares_of_flops(visitor):
    page = visitor.send("of", name="macs").page
    assert page.controls["of"] == page.table["of"] == "macs"
    assert page.table["words"] == "of the FLOPs removed"
    base = page.table["base"]["flops"]
    for position, left in zip(page.table["sparsity"], page.table["effective_flops"], strict=True):
        assert left <= base * (1 - position) + 1e-6
    assert page.table["sparsity"][-1] < 0.9
    assert page.curve["known"] == len(page.table["sparsity"])
    assert "Single weights" in visitor.send("of", name="units").page.problem["text"]
