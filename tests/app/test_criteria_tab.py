"""What the criteria tab is shown: slices and figures."""

import pytest

from prunevis.session import judging


@pytest.fixture
def visitor(visit, mlp, mlp_data, monkeypatch):
    monkeypatch.setattr(judging, "ORACLE_IMAGES", (16, 32))
    monkeypatch.setattr(judging, "RACE_IMAGES", 20)
    return visit(mlp, mlp_data).send("granularity", name="unit").send("tab", name="criteria")


def is_picture(found) -> bool:
    return isinstance(found, bytes) and found.startswith(b"\x89PNG")


def test_before_anything_was_asked(visitor):
    view = visitor.page.criteria_view
    assert [cost["images"] for cost in view["costs"]] == [16, 32]
    assert "14 units × 16 examples" in view["costs"][0]["text"]
    assert view["agreement"]["state"] == view["race"]["state"] == "none"
    names = [entry["name"] for entry in view["criteria"]]
    assert "l2" in names
    assert not {"random", "oracle", "magnitude", "bn-scale"} & set(names)
    assert set(view["usual"]) <= set(names)
    assert "each losing its share" in visitor.send("scope", name="layer").page.criteria_view["help"]


def test_agreement_gives_two_figures_drawn_anew_for_another_theme(visitor):
    found = visitor.send("agreement", images=16).page.criteria_view["agreement"]
    assert found["state"] == "done"
    assert [figure["name"] for figure in found["figures"]] == ["summary", "layers"]
    assert all(is_picture(figure["png"]) for figure in found["figures"])
    assert "Spearman" in found["figures"][0]["alt"]
    assert "14 units on 16 training images" in found["text"]
    assert "1 criterion cannot" in found["text"] or "criteria cannot" in found["text"]
    visitor.send("theme", name="dark")
    dark = visitor.page.criteria_view["agreement"]["figures"]
    assert dark[0]["png"] != found["figures"][0]["png"]


def test_a_race_gives_a_figure_and_a_table(visitor):
    visitor.send("race", criteria=["l2", "apoz"], at="params")
    found = visitor.page.criteria_view["race"]
    assert is_picture(found["png"])
    assert "at equal parameters" in found["alt"]
    assert [row["label"] for row in found["rows"]][-1] == "Random"
    assert found["rows"][0]["spread"] is None  # nothing is drawn
    assert found["rows"][1]["spread"] is not None
    assert all(0 <= row["accuracy"] <= 1 for row in found["rows"])
    assert "same for every seed" in found["text"]


def test_criteria_of_weights_race_too(visitor):
    visitor.send("granularity", name="weight")
    assert "magnitude" in [entry["name"] for entry in visitor.page.criteria_view["criteria"]]
    visitor.send("race", criteria=["magnitude"], at="sparsity")
    found = visitor.page.criteria_view["race"]
    assert found["state"] == "done"
    assert "Pruned by weights" in found["text"]


def test_the_oracle_says_what_it_cannot_follow_and_the_race_what_it_does(visitor):
    assert visitor.page.criteria_view["agreement"]["note"] == ""
    view = visitor.send("multiple_of", value=2).send("min_units", value=2).page.criteria_view
    assert view["agreement"]["note"].endswith("the multiple and the least units play no part here.")
    said = " Pruned to multiples of 2 units, with at least 2 units left."
    assert view["help"].endswith(said)
    found = visitor.send("race", criteria=["l2"], at="sparsity").page.criteria_view["race"]
    assert found["text"].endswith(said)


def test_forged_messages_are_refused_in_words(visitor):
    assert "not taken on so many" in visitor.send("agreement", images="many").problem
    assert "cannot race" in visitor.send("race", criteria=["<b>"], at="macs").problem
    assert "equal sparsity" in visitor.send("race", criteria=["l2"], at=7).problem


def test_the_slice_is_not_made_while_another_tab_is_open(visit, mlp, mlp_data):
    visitor = visit(mlp, mlp_data)
    assert visitor.page.criteria_view == {}
    visitor.send("tab", name="criteria")
    assert visitor.page.criteria_view["costs"]
