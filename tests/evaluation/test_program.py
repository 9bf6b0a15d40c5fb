"""Merged recordings: shared values once, dead ones dropped, nothing overwritten that is needed."""

from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from prunevis.evaluation.program import Program
from prunevis.evaluation.recording import Codes, Leaf, record

aten = torch.ops.aten


class Counted(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls[func] += 1
        return func(*args, **(kwargs or {}))


def recorded(run, x, codes, leaves):
    with torch.inference_mode():
        return record(run, x, {id(t): key for key, t in leaves.items()}, codes)


def three():
    """Return two recordings of x -> relu(conv(x)) + conv'(.), which share all but conv'."""
    torch.manual_seed(0)
    codes, x = Codes(), torch.randn(4, 2, 5, 5)
    one, two, other = (nn.Conv2d(2, 2, 3, padding=1, bias=False) for _ in range(3))
    leaves = {
        Leaf("one"): one.weight,
        Leaf("two", ((-1, "g", 1),)): two.weight,
        Leaf("two", ((-1, "g", 2),)): other.weight,
    }

    def network(last):
        def run(x):
            y = one(x)
            return torch.relu(y + last(torch.relu(y)))

        return run

    runs = [network(two), network(other)]
    return x, runs, [recorded(run, x, codes, leaves) for run in runs]


def test_what_is_shared_is_called_once():
    x, runs, recordings = three()
    program = Program(recordings)
    with torch.inference_mode(), Counted() as counted:
        found = list(program.run(x))
    assert counted.calls[aten.conv2d.default] == 3
    with torch.inference_mode():
        for run, result in zip(runs, found, strict=True):
            torch.testing.assert_close(result, run(x))


def test_nothing_is_written_over_that_is_needed():
    x, runs, recordings = three()
    program = Program(recordings)
    leaves = {key: leaf.clone() for key, leaf in program.leaves.items()}
    before = x.clone()
    with torch.inference_mode():
        found = {}
        results = list(program.run(x, None, found))
        wanted = [run(x) for run in runs]
        kept = {key: value.clone() for key, value in found.items()}
        assert kept.keys() == program.frontier
        for _ in range(2):
            again = list(program.run(x, found))
            for one, two, right in zip(results, again, wanted, strict=True):
                torch.testing.assert_close(one, right)
                torch.testing.assert_close(two, right)
    assert torch.equal(x, before)
    assert all(torch.equal(program.leaves[key], leaf) for key, leaf in leaves.items())
    assert all(torch.equal(found[key], value) for key, value in kept.items())


def test_the_frontier_is_not_written_over():
    # y = conv(x) is pure, dead after `y + impure`, and as large as the sum
    torch.manual_seed(0)
    x, codes = torch.randn(4, 2, 5, 5), Codes()
    one, two = (nn.Conv2d(2, 2, 3, padding=1, bias=False) for _ in range(2))
    leaves = {Leaf("one"): one.weight, Leaf("two", ((-1, "g", 1),)): two.weight}
    program = Program([recorded(lambda x: one(x) + two(x), x, codes, leaves)])
    found = {}
    with torch.inference_mode():
        (result,) = program.run(x, None, found)
        (value,) = found.values()
        torch.testing.assert_close(value, one(x))
        torch.testing.assert_close(result, one(x) + two(x))


def test_a_view_is_seen():
    torch.manual_seed(0)
    x, codes, layer = torch.randn(4, 3), Codes(), nn.Linear(3, 3)

    def run(x):
        y = layer(x)
        seen = y.view(4, 3, 1)
        return torch.relu(y) + seen[:, :, 0]

    program = Program([recorded(run, x, codes, {Leaf("w"): layer.weight, Leaf("b"): layer.bias})])
    with torch.inference_mode():
        torch.testing.assert_close(next(program.run(x)), run(x))


def test_dead_values_are_dropped():
    _, _, recordings = three()
    program = Program(recordings)
    dropped = [key for steps in program._whole for _, _, dead in steps for key in dead]
    made = [key for steps in program._whole for key, _, _ in steps]
    outputs = {output.key for output in program.outputs}
    assert len(dropped) == len(set(dropped))
    assert set(dropped) == set(made) - outputs


@pytest.mark.parametrize("pruned", [False, True])
def test_frontier_needs_a_layer_before_it(pruned):
    layer, x, codes = nn.Linear(3, 3, bias=False), torch.randn(4, 3), Codes()
    leaf = Leaf("w", ((-1, "g", 1),) if pruned else ())
    program = Program([recorded(lambda x: layer(x * 2), x, codes, {leaf: layer.weight})])
    # pruned: only x * 2 comes before, which costs nothing
    assert len(program.frontier) == (0 if pruned else 1)
