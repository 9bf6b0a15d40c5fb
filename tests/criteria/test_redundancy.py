import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunevis.criteria import CRITERIA, importance
from prunevis.criteria.redundancy import CONSTANT_UNIT, greedy_redundancy
from prunevis.errors import SpecError


def symmetric(units, pairs):
    matrix = torch.eye(units, dtype=torch.float64)
    for (a, b), value in pairs.items():
        matrix[a, b] = matrix[b, a] = value
    return matrix


def greedy(matrix, strength, constant=None):
    strength = torch.as_tensor(strength, dtype=torch.float64)
    constant = torch.zeros(len(matrix), dtype=torch.bool) if constant is None else constant
    return greedy_redundancy(matrix, strength, constant)


def test_by_hand():
    # 0~1 leaves first: 1 is weaker. Then 0~2 (1~2 went with 1): 0 is weaker. 2~3 next, 3 weaker.
    pairs = {(0, 1): 0.9, (1, 2): 0.8, (0, 2): 0.75, (2, 3): 0.5, (0, 3): 0.6}
    found = greedy(symmetric(4, pairs), [2.0, 1.0, 4.0, 3.0])
    assert found.tolist() == pytest.approx([0.25, 0.1, 1.0, 0.5])


def test_of_copies_all_but_one_score_zero():
    found = greedy(torch.ones(4, 4), [1.0, 3.0, 2.0, 3.0])
    assert found.tolist() == [0.0, 1.0, 0.0, 0.0]  # of equals in strength the later one goes


def test_constant_units_go_before_all_and_count_for_no_pair():
    pairs = {(0, 1): 1.0, (1, 2): 0.4}
    found = greedy(symmetric(3, pairs), [9.0, 1.0, 2.0], torch.tensor([True, False, False]))
    assert found.tolist() == pytest.approx([CONSTANT_UNIT, 0.6, 1.0])


@pytest.mark.parametrize("constant", [True, False])
def test_one_unit_or_nothing_but_constant_ones(constant):
    found = greedy(torch.ones(1, 1), [1.0], torch.tensor([constant]))
    assert found.tolist() == [CONSTANT_UNIT if constant else 1.0]
    assert greedy(torch.empty(0, 0), []).shape == (0,)
    assert greedy(torch.eye(3), [1.0] * 3, torch.ones(3, dtype=torch.bool)).tolist() == [-1.0] * 3


def plain_greedy(matrix, strength):
    """The rule as one would write it down, cubic."""
    left, found = set(range(len(matrix))), [1.0] * len(matrix)
    while len(left) > 1:
        pairs = [(a, b) for a in sorted(left) for b in sorted(left) if a < b]
        a, b = max(pairs, key=lambda pair: float(matrix[pair]))
        out = a if strength[a] < strength[b] else b
        found[out] = 1 - float(matrix[a, b])
        left.remove(out)
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.booleans())
def test_agrees_with_the_plain_rule(seed, units, coarse):
    generator = torch.Generator().manual_seed(seed)
    upper = torch.rand(units, units, generator=generator).triu(1)
    if coarse:  # many ties
        upper = (upper * 4).round() / 4
    matrix, strength = upper + upper.T, torch.rand(units, generator=generator)
    found = greedy(matrix, strength)
    assert found.tolist() == pytest.approx(plain_greedy(matrix, strength.double()))
    assert 0 <= found.min() <= found.max() == 1.0


def test_weight_similarity_by_hand(bench):
    weight = [[1.0, 0.0], [2.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    scores = bench(weight).score(CRITERIA["weight-similarity"]())
    # 0 is the weaker copy of 1; the opposite weights of 2 are no copy; 4 says nothing
    assert scores.tolist() == [0.0, 1.0, 1.0, 1.0, CONSTANT_UNIT]


def test_activation_correlation_by_hand(bench):
    base = torch.tensor([0.0, 1.0, 2.0, 5.0])
    other = torch.tensor([1.0, -1.0, -1.0, 1.0])
    answers = torch.stack([base, 7 - 2 * base, torch.full((4,), 0.3), other], dim=1)
    scores = bench(torch.ones(4, 2), answers=answers[:, :, None]).score(
        CRITERIA["activation-correlation"]()
    )
    assert scores[0] == pytest.approx(0.0, abs=1e-6)  # varies less than its mirror image 1
    assert scores[2] == CONSTANT_UNIT
    rho = torch.corrcoef(torch.stack([base, other]))[0, 1].abs().item()
    assert scores[3] == pytest.approx(1 - rho, rel=1e-5)
    assert scores[1] == 1.0


def test_too_many_units_are_refused_in_words(bench):
    here = bench(torch.ones(2049, 1))
    with pytest.raises(SpecError, match=r"2,049 units is too large.*Where: a"):
        importance(CRITERIA["weight-similarity"](), here.layer, here.context())


def test_two_thousand_units_take_no_cubic_time():
    generator = torch.Generator().manual_seed(0)
    upper = torch.rand(2048, 2048, generator=generator).triu(1)
    matrix, strength = upper + upper.T, torch.rand(2048, generator=generator)
    start = time.perf_counter()
    greedy(matrix, strength)
    assert time.perf_counter() - start < 3.0  # 0.1 s on an idle core
