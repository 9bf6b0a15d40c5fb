"""Activations that are kept: by example, within a budget."""

import torch

from prunevis.evaluation.kept import Kept

A, B = frozenset({"a"}), frozenset({"b"})


def values(examples, width=4):
    """Return what stands for the activations of examples: their numbers, `width` times."""
    return examples.float()[:, None].expand(-1, width).contiguous()


def put(kept, frontier, examples, width=4):
    (key,) = frontier
    kept.put(frontier, examples, {key: values(examples, width)})


def test_from_the_second_request_on():
    kept = Kept(10)
    kept.want(A)
    assert not kept.wants(A)
    put(kept, A, torch.arange(5))
    assert kept.get(A, torch.arange(5)) is None
    kept.want(A)
    assert kept.wants(A)
    put(kept, A, torch.arange(5))
    assert torch.equal(kept.get(A, torch.arange(5))["a"], values(torch.arange(5)))
    assert kept.note == ""
    kept.clear()
    assert not kept.wants(A)
    assert kept.bytes == 0


def wanted(count, *frontiers, budget=1024):
    kept = Kept(count, budget)
    for frontier in frontiers * 2:
        kept.want(frontier)
    return kept


def test_in_any_order():
    kept = wanted(10, A)
    put(kept, A, torch.tensor([7, 2, 9]))
    put(kept, A, torch.tensor([2, 0, 1]))
    assert kept.get(A, torch.tensor([0, 3])) is None
    examples = torch.tensor([1, 9, 2, 0, 7, 1])
    assert torch.equal(kept.get(A, examples)["a"], values(examples))


def test_as_far_as_there_is_room():
    kept = wanted(10, A, budget=16 * 4)  # four examples of four float32
    put(kept, A, torch.tensor([5, 3, 8]))
    put(kept, A, torch.tensor([1, 2, 4]))
    assert kept.bytes == 64
    assert kept.get(A, torch.tensor([5, 3, 8, 1])) is not None
    assert kept.get(A, torch.tensor([2])) is None
    assert "4 of 10 images" in kept.note
    put(kept, A, torch.tensor([2]))
    assert kept.get(A, torch.tensor([2])) is None


def test_no_room_for_one():
    kept = wanted(10, A, budget=8)
    put(kept, A, torch.arange(3))
    assert kept.get(A, torch.arange(3)) is None
    assert kept.bytes == 0
    assert "0 of 10" in kept.note


def test_old_ones_make_room():
    kept = wanted(4, A, B, budget=100)
    put(kept, A, torch.arange(4))
    put(kept, B, torch.arange(4))
    assert kept.get(A, torch.arange(4)) is None
    assert kept.get(B, torch.arange(4)) is not None
    assert kept.bytes <= 100


def test_what_was_put_is_a_copy():
    kept, given = wanted(4, A), {"a": values(torch.arange(4))}
    kept.put(A, torch.arange(4), given)
    given["a"].zero_()
    kept.get(A, torch.arange(4))["a"].zero_()
    assert torch.equal(kept.get(A, torch.arange(4))["a"], values(torch.arange(4)))


def test_only_rows_of_examples():
    kept = wanted(4, A)
    for value in (torch.zeros(3, 4), torch.tensor(1.0), (torch.zeros(4), torch.zeros(4))):
        kept.put(A, torch.arange(4), {"a": value})
        assert kept.bytes == 0
    assert kept.get(A, torch.arange(4)) is None


def test_nothing_is_never_wanted():
    kept = wanted(4, frozenset())
    assert not kept.wants(frozenset())
    for number in range(200):
        kept.want(frozenset({number}))
    assert len(kept._sets) == 64
