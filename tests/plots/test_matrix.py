from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex

from prunevis import plots
from prunevis.errors import DataError
from prunevis.plots import DARK, LIGHT, alt
from prunevis.plots.matrix import MOST_CELLS


def mesh(ax) -> QuadMesh:
    return next(c for c in ax.collections if isinstance(c, QuadMesh))


def values(ax) -> np.ndarray:
    array = mesh(ax).get_array()
    assert array is not None
    count = int(np.sqrt(array.size))
    return np.ma.filled(array.astype(float), np.nan).reshape(count, count)


def blocks() -> np.ndarray:
    """Units 0, 2, 4 alike and 1, 3, 5 alike."""
    kind = np.arange(6) % 2
    return np.where(kind[:, None] == kind, 1.0, -0.5)


def test_cluster_order_puts_alike_side_by_side() -> None:
    order = plots.cluster_order(blocks())
    assert {tuple(sorted(order[:3])), tuple(sorted(order[3:]))} == {(0, 2, 4), (1, 3, 5)}


def test_the_mesh_holds_the_ordered_similarities() -> None:
    matrix = np.corrcoef(np.random.default_rng(1).normal(size=(5, 9)))
    order = np.array([3, 1, 4, 0, 2])
    ax = plots.similarity_matrix(matrix, order=order)
    np.testing.assert_allclose(values(ax), matrix[np.ix_(order, order)])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["3", "1", "4", "0", "2"]
    np.testing.assert_allclose(values(plots.similarity_matrix(matrix, order=None)), matrix)
    assert mesh(ax).get_clim() == (-1, 1)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_colours_are_the_tokens(theme: plots.Theme) -> None:
    ax = plots.similarity_matrix([[1.0, -1.0], [-1.0, 1.0]], theme=theme.name)
    scale = mesh(ax).get_cmap()
    assert [to_hex(scale(x)) for x in (0.0, 1.0)] == [theme.kept, theme.pruned]


def test_more_units_than_cells_are_averaged() -> None:
    count = 2 * MOST_CELLS + 1
    ax = plots.similarity_matrix(np.eye(count), order=None)
    drawn = values(ax)
    assert drawn.shape[0] <= MOST_CELLS
    step = 3
    np.testing.assert_allclose(np.diag(drawn)[:-1], 1 / step)
    assert drawn[0, 1] == 0
    assert any("averages 3 × 3" in text.get_text() for text in ax.texts)


def test_more_than_512_units() -> None:
    rng = np.random.default_rng(0)
    ax = plots.similarity_matrix(np.corrcoef(rng.normal(size=(600, 20))))
    assert np.isfinite(values(ax)).all()
    assert len(ax.get_yticks()) == 0


def test_nan_and_constant_units() -> None:
    matrix = blocks()
    matrix[2] = matrix[:, 2] = np.nan
    ax = plots.similarity_matrix(matrix)
    assert np.isnan(values(ax)).sum() == 11
    assert sorted(plots.cluster_order(np.full((4, 4), np.nan))) == [0, 1, 2, 3]
    assert plots.png(ax.figure, 50)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_units(count: int) -> None:
    ax = plots.similarity_matrix(np.eye(count))
    assert plots.png(ax.figure, 50)
    drawn = [c for c in ax.collections if isinstance(c, QuadMesh)]
    assert len(drawn) == (1 if count == 2 else 0)
    np.testing.assert_array_equal(plots.cluster_order(np.eye(count)), np.arange(count))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 30), st.integers(0, 2**31))
def test_an_order_is_a_permutation(count: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).uniform(-1, 1, (count, count))
    order = plots.cluster_order((matrix + matrix.T) / 2)
    np.testing.assert_array_equal(np.sort(order), np.arange(count))


def test_bad_input() -> None:
    with pytest.raises(DataError, match=r"is square.*\(2, 3\)"):
        plots.similarity_matrix(np.zeros((2, 3)))
    with pytest.raises(DataError, match="every unit once"):
        plots.similarity_matrix(np.eye(3), order=[0, 0, 1])
    with pytest.raises(DataError, match="'size' is not an order"):
        plots.similarity_matrix(np.eye(3), order="size")
    with pytest.raises(DataError, match=r"one label a unit.*3 labels.*1"):
        plots.similarity_matrix(np.eye(3), labels=["a"])


def test_alt_names_the_most_similar_pair() -> None:
    matrix = np.array([[1, 0.2, 0.9], [0.2, 1, np.nan], [0.9, np.nan, 1]])
    assert alt.similarity_matrix(matrix) == (
        "Similarity matrix of 3 units; the most similar are 0 and 2 (0.90)."
    )
    assert alt.similarity_matrix(np.eye(1)) == "Similarity matrix of 1 unit."
    assert "none of them" in alt.similarity_matrix(np.full((2, 2), np.nan))
