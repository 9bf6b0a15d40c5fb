from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

import prunevis as pv
from prunevis import plots
from prunevis.errors import SpecError
from prunevis.evaluation.latency_records import Latency, LatencyComparison
from prunevis.evaluation.published import Published
from prunevis.plots import DARK, LIGHT, alt


def row(criterion: str, seed: int, ratio: float, accuracy: float, **more) -> dict:
    return {
        "criterion": criterion,
        "granularity": "unit",
        "seed": seed,
        "sparsity": 1 - 1 / ratio,
        "compression_ratio": ratio,
        "theoretical_speedup": ratio / 2 + 0.5,
        "accuracy_dense": 0.9,
        "accuracy": accuracy,
        **more,
    }


TABLE = [
    row("l2", 0, 2, 0.88),
    row("l2", 0, 4, 0.70),
    *(row("random", seed, 2, value) for seed, value in enumerate((0.5, 0.6, 0.7))),
    *(row("random", seed, 8, value) for seed, value in enumerate((0.1, 0.2, 0.3))),
]
PAPERS = (
    Published("A", 2015, "mnist", "net", "m", 0.98, 0.97, 12.0, float("nan"), "Table 1"),
    Published("B", 2019, "mnist", "net", "m", 0.98, 0.96, 40.0, 5.0, "Table 1"),
)


def lines_of(ax) -> dict:
    return {line.get_gid(): np.asarray(line.get_xydata()).tolist() for line in ax.lines}


def collections_of(ax) -> dict:
    return {part.get_gid(): part for part in ax.collections}


def test_lines_are_means_and_rings_the_points_that_none_beats():
    ax = plots.tradeoff_judged(TABLE)
    lines = lines_of(ax)
    assert lines["l2, unit"] == [[2, 0.88], [4, 0.70]]
    assert np.allclose(lines["random, unit"], [[2, 0.6], [8, 0.2]])
    # random at 2 is beaten by l2 at 2; at 8 nobody else is as small
    assert np.allclose(lines["front"], [[2, 0.88], [4, 0.7], [8, 0.2]])
    spread = collections_of(ax)["spread random, unit"].get_segments()
    assert np.allclose(spread, [[[2, 0.5], [2, 0.7]], [[8, 0.1], [8, 0.3]]])
    assert "spread l2, unit" not in collections_of(ax)
    assert {"l2", "random"} <= {text.get_text() for text in ax.texts}


def test_against_multiply_adds():
    assert lines_of(plots.tradeoff_judged(TABLE, x="speedup"))["l2, unit"] == [
        [1.5, 0.88], [2.5, 0.70],
    ]  # fmt: skip


def test_published_points_lie_quietly_behind():
    ax = plots.tradeoff_judged(TABLE, published=PAPERS)
    quiet = collections_of(ax)["published"]
    assert np.allclose(quiet.get_offsets(), [[12, 0.97], [40, 0.96]])
    assert to_hex(quiet.get_edgecolor()[0]) == LIGHT.quiet
    assert quiet.get_zorder() < min(line.get_zorder() for line in ax.lines if line.get_gid() in
                                    ("l2, unit", "random, unit"))  # fmt: skip
    assert ax.get_xlim()[1] > 40
    assert "grey: published" in ax.get_xlabel()
    # one of the two has no speedup
    dark = plots.tradeoff_judged(TABLE, x="speedup", published=PAPERS, theme="dark")
    assert np.allclose(collections_of(dark)["published"].get_offsets(), [[5, 0.96]])
    assert to_hex(collections_of(dark)["published"].get_edgecolor()[0]) == DARK.quiet
    # none at all: nothing is said of them
    without = plots.tradeoff_judged(TABLE)
    assert "published" not in collections_of(without)
    assert "published" not in without.get_xlabel()


def timed(name: str, *samples: float, batch: int = 1) -> Latency:
    return Latency(name, batch, 1, "cpu", 1, samples)


def test_against_measured_time():
    only = [each for each in TABLE if each["criterion"] == "l2"]
    times = {0.0: timed("dense", 0.006), 0.5: timed("half", 0.004), 0.75: timed("q", 0.003)}
    ax = plots.tradeoff_judged(only, x="latency", latency=times, published=PAPERS)
    assert lines_of(ax)["l2, unit"] == [[pytest.approx(1.5), 0.88], [pytest.approx(2.0), 0.70]]
    assert "published" not in collections_of(ax)
    assert "batch 1, 1 thread on cpu" in ax.get_xlabel()
    with pytest.raises(SpecError, match="latencies of one method"):
        plots.tradeoff_judged(TABLE, x="latency", latency=times)
    with pytest.raises(SpecError, match=r"latencies of one method.*tradeoff_latency"):
        plots.tradeoff_judged(only, x="latency")


def test_what_cannot_be_drawn():
    with pytest.raises(SpecError, match="not judged by 'watts'"):
        plots.tradeoff_judged(TABLE, x="watts")
    with pytest.raises(SpecError, match="one network and one set of data"):
        plots.tradeoff_judged([row("l2", 0, 2, 0.9, data="a"), row("l2", 0, 2, 0.9, data="b")])
    bare = [{"criterion": "l2", "sparsity": 0.5, "accuracy": 0.5}]
    texts = [text.get_text() for text in plots.tradeoff_judged(bare).texts]
    assert "No point is known on this axis." in texts


def test_measured_along_a_tradeoff(mlp, mlp_data, untouched_model):
    curve = pv.tradeoff(mlp, mlp_data, criterion="l2", granularity="unit",
                        sparsities=(0.0, 0.3, 0.5))  # fmt: skip
    check = untouched_model(mlp)
    times = pv.tradeoff_latency(mlp, curve, mlp_data, repeats=1, shares=(0.5,))
    check()
    assert list(times) == [0.0, 0.5]
    assert [found.name for found in times.values()] == ["dense", "0.5 removed"]
    ax = plots.tradeoff_judged(curve, x="latency", latency=times)
    assert len(lines_of(ax)["l2, unit, global"]) == 1


COMPARED = LatencyComparison(
    (
        timed("dense", 0.001, 0.002, 0.003), timed("masked", 0.001, 0.002, 0.003),
        timed("removed", 0.0005, 0.0005, 0.0005),
        timed("dense", 0.02, batch=64), timed("masked", 0.5, batch=64),
        timed("removed", 0.01, batch=64),
    )
)  # fmt: skip


def test_bars_are_medians_against_the_dense_one():
    ax = plots.latency(COMPARED)
    bars = {patch.get_gid(): round(patch.get_width(), 6) for patch in ax.patches}
    assert bars == {
        "dense 1": 1.0, "masked 1": 1.0, "removed 1": 0.25,
        "dense 64": 1.0, "masked 64": 2.5, "removed 64": 0.5,  # 25 times is cut short
    }  # fmt: skip
    spread = lines_of(ax)["spread dense 1"]
    assert [x for x, _ in spread] == pytest.approx([0.75, 1.25])
    words = [text.get_text() for text in ax.texts]
    assert "2 ms, within noise" in words
    assert "500 µs, 4.00× as fast" in words
    assert "64 examples at once" in words
    assert "1 thread, cpu" in ax.get_xlabel()
    removed = next(patch for patch in ax.patches if patch.get_gid() == "removed 1")
    assert to_hex(removed.get_facecolor()) == LIGHT.kept


def test_nothing_measured_yet():
    ax = plots.latency(LatencyComparison(()))
    assert [text.get_text() for text in ax.texts] == ["Nothing has been measured yet."]
    assert alt.latency(LatencyComparison(())) == "Nothing has been measured yet."


def test_in_words():
    assert alt.tradeoff_judged(TABLE, published=PAPERS) == (
        "Accuracy against compression of 2 methods at 4 points, before 2 published results."
    )
    assert alt.tradeoff_judged(TABLE[:1], x="speedup") == (
        "Accuracy against speedup of 1 method at 1 point."
    )
    assert alt.latency(COMPARED).startswith("Bars of measured time. With a batch of 1, masked")
