"""Places, counts and remembered scores, by hand and against torch's stable sort."""

import numpy as np
import pytest
import torch

from prunevis.pruning import order as order_module
from prunevis.pruning.order import BLOCK, order_steps, sortable
from prunevis.steps import finished


def put_in_order(layers):
    """Return the order of some layers' scores, and the place of each."""
    layers = [np.asarray(layer) for layer in layers]
    keys = [sortable(layer.astype(np.float32)) for layer in layers]
    double = any(layer.dtype == np.float64 for layer in layers)
    steps = order_steps([str(k) for k in range(len(layers))], keys, layers if double else None)
    return finished(steps), keys


def by_torch(layers):
    """Return the same places by one stable sort of everything, the best of each layer last."""
    flat = torch.cat([torch.as_tensor(layer) for layer in layers])
    starts = np.cumsum([0, *map(len, layers)])
    best = torch.zeros(len(flat), dtype=torch.bool)
    for start, layer in zip(starts, layers, strict=False):
        best[start + len(layer) - 1 - int(np.argmax(np.asarray(layer)[::-1]))] = True
    found = torch.sort(flat, stable=True).indices
    found = torch.cat([found[~best[found]], found[best[found]]])
    places = torch.empty(len(flat), dtype=torch.int64)
    places[found] = torch.arange(len(flat))
    return places.numpy(), found.numpy(), flat.numpy()


def test_by_hand():
    order, keys = put_in_order([np.float32([3, -0.0, -2, 0]), np.float32([0, 1, 1])])
    # 3 and the second 1 are the best of their layers; the zeros are equal, whatever their sign
    assert [k.tolist() for k in keys] == [[6, 1, 0, 2], [3, 4, 5]]
    assert [order.counts(cut) for cut in range(8)] == [
        [0, 0], [1, 0], [2, 0], [3, 0], [3, 1], [3, 2], [3, 3], [4, 3],
    ]  # fmt: skip
    assert order.owner.tolist() == [0, 0, 0, 1, 1, 1, 0]
    assert order.known == {0: -2.0, 1: 0.0, 2: 0.0, 3: 0.0, 4: 1.0, 5: 1.0, 6: 3.0}


def test_one_layer_needs_no_counts():
    order, keys = put_in_order([np.float32([2, 1])])
    assert (order.owner, order.counts_before, order.nbytes) == (None, None, 0)
    assert order.counts(1) == [1]
    assert keys[0].tolist() == [1, 0]


def test_sortable_keeps_the_order_of_floats():
    values = np.float32([-np.inf, -2.5, -1e-40, 0, 1e-40, 1.5, 3e38, np.inf])
    assert (np.diff(sortable(values).astype(np.int64)) > 0).all()
    assert sortable(np.float32([-0.0])) == sortable(np.float32([0.0]))


@pytest.mark.parametrize("kind", ["normal", "few values", "equal", "doubles", "equal as floats"])
def test_many_groups_give_what_one_sort_gives(kind, monkeypatch):
    monkeypatch.setattr(order_module, "GROUP", 1000)
    monkeypatch.setattr(order_module, "STEP", 0.0)
    rng = np.random.default_rng(0)
    sizes = (3 * BLOCK + 5, 7, 1, 2 * BLOCK, 900)
    layers = {
        "normal": [rng.standard_normal(n, np.float32) for n in sizes],
        "few values": [rng.integers(-3, 4, n).astype(np.float32) for n in sizes],
        "equal": [np.ones(n, np.float32) for n in sizes],
        "doubles": [rng.random(n) for n in sizes],
        "equal as floats": [1 + rng.integers(0, 3, n) * 1e-12 for n in sizes],
    }[kind]
    order, keys = put_in_order(layers)
    places, found, flat = by_torch(layers)
    assert np.array_equal(np.concatenate(keys), places)
    owner = np.repeat(np.arange(len(sizes)), sizes)[found]
    assert np.array_equal(order.owner, owner)
    for cut in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 20_000, len(flat)):
        assert order.counts(cut) == np.bincount(owner[:cut], minlength=len(sizes)).tolist()
    for share in range(1, 1000):
        place = round(share * len(flat) / 1000) - 1
        assert order.known[place] == flat[found[place]]


def test_more_layers_than_a_byte_can_name():
    layers = [np.float32([k, k + 0.5]) for k in range(300)]
    order, _ = put_in_order(layers)
    assert order.owner.dtype == np.uint16
    assert order.owner[:300].tolist() == list(range(300))


def test_pieces_that_stay_and_pieces_of_several():
    keys = [sortable(np.float32([5, 1, 3, 2])), sortable(np.float32([4, 0]))]
    stays = [np.array([False, False, True, True]), np.array([False, False])]
    sizes = [np.array([2, 3, 1, 4]), np.array([1, 5])]
    order = finished(order_steps(["a", "b"], keys, None, stays, sizes))
    # b's 4 stays as its highest; of a the 3 and the 2 stay, though 5 is higher
    assert [k.tolist() for k in keys] == [[2, 1, 4, 3], [5, 0]]
    assert (order.total, order.most) == (16, 3)
    assert order.ends.tolist() == [0, 5, 8, 10, 14, 15, 16]
    assert [order.counts(cut) for cut in range(7)] == [
        [0, 0], [0, 5], [3, 5], [5, 5], [9, 5], [10, 5], [10, 6],
    ]  # fmt: skip
    # the nearest cut, of two as near the lower; never what stays, never less than is gone
    assert [order.cut(n) for n in (0, 2, 3, 6, 7, 9, 10, 16)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [order.cut(0, least) for least in (1, 5, 6)] == [1, 1, 2]
    assert order.nbytes == order.owner.nbytes + order.counts_before.nbytes + order.ends.nbytes


def test_many_that_stay_are_sorted_in_groups(monkeypatch):
    monkeypatch.setattr(order_module, "GROUP", 64)
    generator = np.random.default_rng(0)
    scores = generator.normal(size=5000).astype(np.float32)
    stays = generator.random(5000) < 0.5
    sizes = generator.integers(1, 4, 5000)
    keys, other = [sortable(scores[:3000]), sortable(scores[3000:])], [stays[:3000], stays[3000:]]
    steps = order_steps(["a", "b"], keys, None, other, [sizes[:3000], sizes[3000:]])
    order = finished(steps)
    ascending = np.argsort(scores, kind="stable")
    found = np.concatenate([ascending[~stays[ascending]], ascending[stays[ascending]]])
    assert np.array_equal(np.argsort(np.concatenate(keys)), found)
    assert order.most == (~stays).sum()
    assert order.counts_before.tolist() == [[0, 0], [
        int(sizes[found[:BLOCK]][found[:BLOCK] < 3000].sum()),
        int(sizes[found[:BLOCK]][found[:BLOCK] >= 3000].sum()),
    ]]  # fmt: skip
    for cut in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5000):
        inside = found[:cut]
        assert order.counts(cut) == [
            int(sizes[inside][inside < 3000].sum()), int(sizes[inside][inside >= 3000].sum()),
        ]  # fmt: skip
