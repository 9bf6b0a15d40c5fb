"""Where examples lie in a result, followed through views, and units observed behind transposes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from prunevis.graph.observe import observe
from prunevis.graph.placement import Placement
from prunevis.graph.trace import trace


def test_by_hand():
    tokens = Placement().moved([1, 0, 2])  # (N, T, C) to (T, N, C)
    assert tokens == Placement(1, 1, 1)
    rows = tokens.regrouped((5, 2, 8), (10, 8), 2)  # to (T · N, C)
    assert rows == Placement(0, 5, 1)
    assert rows.regrouped((10, 8), (5, 2, 8), 2) == tokens
    assert Placement().regrouped((4, 8), (2, 2, 8), 4) is None  # four examples over two axes
    assert tokens.regrouped((5, 2, 8), (5, 4, 4), 2) == Placement(1, 1, 2)  # N · heads
    assert tokens.without(0) == Placement(0, 1, 1)
    assert tokens.without(1) is None
    assert tokens.without(2) == tokens


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.data())
def test_views_are_followed_as_numbers_show(rest, data):
    batch = 3
    order = data.draw(st.permutations(range(len(rest) + 1)))
    shape = (batch, *rest)
    numbers = torch.arange(batch).reshape(-1, *[1] * len(rest)).expand(shape).permute(order)
    placement = Placement().moved(order)
    before = tuple(numbers.shape)
    cut = data.draw(st.integers(1, len(before)))
    after = (int(numbers.numel() // max(1, torch.tensor(before[cut:]).prod())), *before[cut:])
    found = placement.regrouped(before, after, batch)
    if found is not None:
        view = numbers.reshape(after)
        split = view.unflatten(found.axis, (found.outer, batch, found.inner))
        inside = split.movedim(found.axis + 1, 0)
        assert all(bool((inside[n] == n).all()) for n in range(batch))


class Encoder(nn.Module):
    """One encoder layer, tokens or examples first."""

    def __init__(self, batch_first):
        super().__init__()
        self.read = nn.Linear(6, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
        self.out = nn.Linear(8, 3)
        self.swap = not batch_first

    def forward(self, x):
        x = self.read(x)
        x = self.block(x.transpose(0, 1)).transpose(0, 1) if self.swap else self.block(x)
        return self.out(x.mean(1))


@pytest.mark.parametrize("batch_first", [True, False])
def test_units_inside_an_encoder_layer_answer_what_a_hook_sees(batch_first):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Encoder(batch_first).eval()
        inputs = torch.randn(11, 5, 6)
    graph = trace(model, inputs[:2])
    seen = {}
    hook = model.block.linear1.register_forward_hook(
        lambda module, given, result: seen.update(answers=torch.relu(result))
    )
    model(inputs)
    hook.remove()
    expected = seen["answers"] if batch_first else seen["answers"].transpose(0, 1)
    answers = observe(model, graph, inputs)["block.linear1"]
    assert answers.shape == (11, 16, 5)
    torch.testing.assert_close(answers, expected.transpose(1, 2))
