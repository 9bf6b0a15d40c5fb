from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from prunevis import plots
from prunevis.errors import SpecError
from prunevis.plots import DARK, LIGHT, alt


def row(criterion: str, layers: dict[str, float], raw: float, scaled: float) -> SimpleNamespace:
    known = [value for value in layers.values() if not math.isnan(value)]
    mean = sum(known) / len(known) if known else math.nan
    return SimpleNamespace(
        criterion=criterion,
        label=f"By {criterion}",
        layers=layers,
        mean=mean,
        raw=raw,
        normalised=scaled,
    )


FOUND = SimpleNamespace(
    rows=(
        row("flat", {"conv": math.nan, "fc": math.nan}, math.nan, math.nan),
        row("random", {"conv": 0.1, "fc": -0.1}, -0.001, 0.2),
        row("l2", {"conv": 0.9, "fc": 0.5}, 0.4, 0.6),
    ),
    oracle=SimpleNamespace(num_examples=1024, num_units=30, change={"conv": None, "fc": None}),
)
NOBODY = SimpleNamespace(rows=(), oracle=FOUND.oracle)


def racer(criterion: str, accuracy: list[list[float]]) -> SimpleNamespace:
    found = np.array(accuracy)
    return SimpleNamespace(
        criterion=criterion,
        label=f"By {criterion}",
        runs=(None,) * len(found),
        mean=found.mean(0),
        low=found.min(0),
        high=found.max(0),
        seconds=0.25,
    )


RACE = SimpleNamespace(
    at="macs",
    shares=(0.5, 0.8),
    racers=(
        racer("l2", [[0.8, math.nan]]),
        racer("random", [[0.6, 0.2], [0.4, 0.1], [0.5, 0.3]]),
    ),
    seeds=(0, 1, 2),
    baseline=SimpleNamespace(accuracy=0.9),
)


def said(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_rows_are_sorted_by_their_mean_and_cells_hold_rho():
    ax = plots.agreement(FOUND)
    cells = np.ma.filled(ax.collections[0].get_array(), math.nan)
    expected = [[0.7, 0.4, 0.6], [0.0, -0.001, 0.2], [math.nan] * 3]
    assert np.allclose(cells.reshape(3, 3), expected, equal_nan=True)
    words = said(ax)
    assert [w for w in words if w.startswith("By")] == ["By l2", "By random", "By flat"]
    assert words.count("–") == 3
    assert "−0.00" not in words
    assert "1,024 examples" in " ".join(words)


def test_layer_by_layer():
    ax = plots.agreement(FOUND, show="layers")
    cells = np.ma.filled(ax.collections[0].get_array(), math.nan).reshape(3, 2)
    assert cells[:2].tolist() == [[0.9, 0.5], [0.1, -0.1]]
    assert {"conv", "fc"} <= set(said(ax))


def test_of_many_layers_the_first_and_the_last_have_a_column():
    names = [f"layer{k}" for k in range(40)]
    many = SimpleNamespace(
        rows=(row("l2", dict.fromkeys(names, 0.5), 0.5, 0.5),),
        oracle=SimpleNamespace(num_examples=9, num_units=40, change=dict.fromkeys(names)),
    )
    words = said(plots.agreement(many, show="layers"))
    assert [w for w in words if w.startswith("layer")] == [
        f"layer{k}" for k in (0, 1, 2, 3, 4, 36, 37, 38, 39)
    ]


@pytest.mark.parametrize("show", ["summary", "layers"])
def test_no_criterion_yet(show):
    assert said(plots.agreement(NOBODY, show=show)) == ["No criterion has been compared yet."]
    assert "none could be compared" in alt.agreement(NOBODY)


def test_no_such_view():
    with pytest.raises(SpecError, match="no such view"):
        plots.agreement(FOUND, show="all")


def test_blue_agrees_and_orange_contradicts():
    for theme, colours in (("light", LIGHT), ("dark", DARK)):
        mesh = plots.agreement(FOUND, theme=theme).collections[0]
        assert to_hex(mesh.cmap(1.0)) == colours.kept
        assert to_hex(mesh.cmap(0.0)) == colours.pruned


def test_lines_begin_at_the_network_as_it_came_and_bands_span_the_seeds():
    ax = plots.race(RACE)
    lines = {line.get_gid(): np.asarray(line.get_xydata()).tolist() for line in ax.lines}
    assert lines["l2"] == [[0.0, 0.9], [0.5, 0.8]]  # nothing at 80 %: it cannot be that small
    assert np.allclose(lines["random"], [[0.0, 0.9], [0.5, 0.5], [0.8, 0.2]])
    bands = {c.get_gid(): c for c in ax.collections if str(c.get_gid()).startswith("band")}
    assert list(bands) == ["band random"]
    heights = bands["band random"].get_paths()[0].vertices
    assert {(0.8, 0.1), (0.8, 0.3), (0.5, 0.4), (0.5, 0.6)} <= {
        (round(float(x), 6), round(float(y), 6)) for x, y in heights
    }
    assert {"By l2", "By random"} <= set(said(ax))
    assert "3 seeds" in ax.get_xlabel()
    assert "multiply-adds" in ax.get_xlabel()


def test_lines_differ_without_their_colour():
    ax = plots.race(RACE)
    drawn = [line for line in ax.lines if line.get_gid() in ("l2", "random")]
    assert len({line.get_marker() for line in drawn}) == 2
    assert drawn[0].get_linestyle() != drawn[1].get_linestyle()


def test_a_race_without_criteria():
    nobody = SimpleNamespace(**{**RACE.__dict__, "racers": ()})
    assert said(plots.race(nobody)) == ["No criterion has run yet."]
    assert alt.race(nobody) == "Accuracy of 0 criteria at equal multiply-adds."


def test_in_words():
    assert alt.agreement(FOUND) == (
        "Spearman correlation of 3 criteria with the oracle on 30 units; within layers By l2 "
        "agrees most (0.70) and By random least (0.00)."
    )
    assert alt.race(RACE) == (
        "Accuracy of 2 criteria at equal multiply-adds; with 80 % gone: By random 20 %."
    )
