import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import pdist, squareform

from prunevis.errors import SpecError
from prunevis.statistics import SimilarPair, most_similar_pairs, weight_cosine

rows = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 7), st.integers(1, 5)),
    elements=st.floats(-100, 100, width=32),
).map(torch.from_numpy)


def test_cosine_by_hand():
    found = weight_cosine(torch.tensor([[3.0, 0.0], [1.0, 1.0], [0.0, 2.0], [-6.0, 0.0]]))
    r = 0.5**0.5
    expected = [[1, r, 0, -1], [r, 1, r, -r], [0, r, 1, 0], [-1, -r, 0, 1]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))
    assert found.dtype == torch.float32


def test_cosine_agrees_with_scipy():
    weight = torch.randn(40, 25, generator=torch.Generator().manual_seed(1))
    expected = 1 - squareform(pdist(weight.double().numpy(), "cosine"))
    np.testing.assert_allclose(weight_cosine(weight).numpy(), expected, atol=1e-6)


def test_a_unit_without_weights_resembles_none():
    found = weight_cosine(torch.tensor([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]]))
    assert torch.equal(found, torch.eye(3))


@settings(deadline=None)
@given(rows, st.floats(0.01, 100))
def test_cosine_is_symmetric_bounded_and_blind_to_scale(weight, factor):
    found = weight_cosine(weight)
    assert torch.equal(found, found.T)
    assert torch.equal(found.diagonal(), torch.ones(len(weight)))
    assert found.abs().max() <= 1
    torch.testing.assert_close(weight_cosine(weight.double() * factor), found)


def test_cosine_refuses_layers_that_are_too_wide():
    with pytest.raises(SpecError, match="2,049 units is too large"):
        weight_cosine(torch.ones(2049, 1))


def test_pairs_by_hand():
    matrix = torch.eye(4)
    for a, b, value in ((0, 1, 0.5), (0, 2, -0.9), (0, 3, 0.1), (1, 2, 0.5), (2, 3, 0.2)):
        matrix[a, b] = matrix[b, a] = value
    pairs = most_similar_pairs(matrix.double(), 3)
    assert [(p.a, p.b) for p in pairs] == [(0, 2), (0, 1), (1, 2)]  # a tie keeps its order
    assert [p.value for p in pairs] == pytest.approx([-0.9, 0.5, 0.5])
    assert isinstance(pairs[0], SimilarPair)
    assert len(most_similar_pairs(matrix, 99)) == 6
    assert most_similar_pairs(matrix, 0) == []
    assert most_similar_pairs(torch.ones(1, 1), 5) == []


@settings(deadline=None)
@given(rows, st.integers(0, 30))
def test_pairs_are_sorted_distinct_and_above_the_diagonal(weight, k):
    matrix = weight_cosine(weight)
    pairs = most_similar_pairs(matrix, k)
    sizes = [abs(pair.value) for pair in pairs]
    assert sizes == sorted(sizes, reverse=True)
    assert (
        len({(p.a, p.b) for p in pairs})
        == len(pairs)
        == min(k, len(matrix) * (len(matrix) - 1) // 2)
    )
    assert all(p.a < p.b and matrix[p.a, p.b] == p.value for p in pairs)


def test_a_long_tie_of_pairs_keeps_its_order():
    pairs = most_similar_pairs(torch.ones(30, 30), 100)
    assert [(p.a, p.b) for p in pairs] == [(a, b) for a in range(30) for b in range(a + 1, 30)][
        :100
    ]
