"""Attention in every spelling: whole heads leave, or the same dimensions of every head."""

from __future__ import annotations

import pytest
import torch
from attention_networks import (
    HEAD_DIM,
    HEADS,
    Biased,
    Chunked,
    Einsum,
    Encoder,
    Grouped,
    HardCoded,
    HeadsFirst,
    Indexed,
    Multihead,
    Unbound,
)
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from prunevis.errors import SpecError
from prunevis.graph.attention import NarrowAttention
from prunevis.graph.trace import trace
from prunevis.pruning.removal import remove_units

TOKENS = torch.randn(2, 5, 12)
SPELLINGS = {
    "unbind": Unbound,
    "chunk": Chunked,
    "index": Indexed,
    "heads first": HeadsFirst,
    "einsum": Einsum,
    "position table": Biased,
    "nn.MultiheadAttention": Multihead,
    "tokens first": lambda: Multihead(batch_first=False),
    "weights returned": lambda: Multihead(weights=True),
    "separate projections": lambda: Multihead(kdim=12, vdim=12),
    "appended key": lambda: Multihead(add_bias_kv=True),
    "appended zero": lambda: Multihead(add_zero_attn=True),
}


def prepared(make):
    torch.manual_seed(0)
    return make().eval()


def inner(graph):
    """Return the groups that lose heads or dimensions."""
    return {
        name: group
        for name, group in graph.groups.items()
        if group.reason is None and any("cuts the units" in tie for tie in group.ties)
    }


def flops(model, inputs):
    # the counter of PyTorch knows attention by its two products only
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(inputs)
    return counter.get_total_flops() / len(inputs)


def removed(model, graph, share, example=TOKENS):
    kept = {
        name: torch.randperm(group.size)[: max(1, round(group.size * (1 - share)))]
        for name, group in graph.groups.items()
        if group.reason is None
    }
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    # raises unless the smaller network gives what the masked one gives, and runs in training
    smaller = remove_units(model, graph, kept).eval()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert flops(smaller, example) == 2 * trace(smaller, example[:1]).macs
    smaller.train()(example).sum().backward()
    return smaller


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_whole_heads_leave(name, share):
    model = prepared(SPELLINGS[name])
    graph = trace(model, TOKENS)
    (group,) = inner(graph).values()
    assert group.size == HEADS
    assert flops(model, TOKENS) == 2 * graph.macs
    smaller = removed(model, graph, share)
    assert sum(p.numel() for p in smaller.parameters()) < graph.num_params


@pytest.mark.parametrize("name", ["unbind", "chunk", "index", "nn.MultiheadAttention"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_the_same_dimensions_of_every_head_leave(name, share):
    model = prepared(SPELLINGS[name])
    graph = trace(model, TOKENS, attention="dimensions")
    dims = 3 if "nn." in name else HEAD_DIM
    assert {group.size for group in inner(graph).values()} == {dims}
    removed(model, graph, share)


def test_the_ties_say_what_leaves():
    (group,) = inner(trace(prepared(Unbound), TOKENS)).values()
    assert any("3 × 4 × 5, and whole heads leave" in tie for tie in group.ties)
    (group,) = inner(trace(prepared(Unbound), TOKENS, attention="dimensions")).values()
    assert any("the same dimensions leave every head" in tie for tie in group.ties)


def test_the_rows_of_a_head_lie_in_query_key_and_value():
    (group,) = inner(trace(prepared(Unbound), TOKENS)).values()
    rows = next(m for m in group.members if m.tensor == "qkv.weight").units
    assert rows.tolist() == [head for _ in range(3) for head in range(4) for _ in range(5)]
    columns = next(m for m in group.members if m.tensor == "proj.weight").units
    assert columns.tolist() == [head for head in range(4) for _ in range(5)]


def test_numbers_of_heads_follow():
    model = prepared(Unbound)
    graph = trace(model, TOKENS)
    assert {size.attribute for size in graph.sizes} == {"num_heads", "attn_dim"}
    (name,) = inner(graph)
    smaller = remove_units(model, graph, {name: torch.tensor([0, 3])})
    assert (smaller.num_heads, smaller.attn_dim, smaller.head_dim) == (2, 10, 5)
    assert model.num_heads == 4


def test_attention_of_pytorch_is_taken_over():
    model = prepared(Multihead)
    graph = trace(model, TOKENS)
    (name,) = inner(graph)
    smaller = remove_units(model, graph, {name: torch.tensor([1, 2])})
    assert type(smaller.attention) is NarrowAttention
    assert type(model.attention) is nn.MultiheadAttention
    assert smaller.attention.num_heads == 2
    assert smaller.attention.in_proj_weight.shape == (18, 12)
    # a second removal works on the result of the first
    again = remove_units(smaller, trace(smaller, TOKENS), {name: torch.tensor([0])})
    assert again.attention.num_heads == 1


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_the_encoder_of_pytorch(share):
    model = prepared(Encoder)
    graph = trace(model, TOKENS)
    assert sorted(group.size for group in inner(graph).values()) == [4, 4]
    smaller = removed(model, graph, share)
    with torch.no_grad():  # where the fused shortcut would be taken
        torch.testing.assert_close(smaller.eval()(TOKENS), smaller.train(False)(TOKENS.clone()))


@pytest.mark.parametrize("batch_first", [True, False])
def test_masks_of_narrow_attention_mean_what_they_mean_in_pytorch(batch_first):
    torch.manual_seed(0)
    ours = nn.MultiheadAttention(12, 4, batch_first=batch_first).eval()
    theirs = nn.MultiheadAttention(12, 4, batch_first=batch_first).eval()
    theirs.load_state_dict(ours.state_dict())
    NarrowAttention.take_over(ours)
    x = torch.randn(5, 3, 12).transpose(0, 1) if batch_first else torch.randn(5, 3, 12)
    padding = torch.tensor([[False] * 5, [False, False, False, True, True], [False] * 4 + [True]])
    causal = torch.ones(5, 5, dtype=torch.bool).triu(1)
    shifted = torch.randn(3 * 4, 5, 5)
    for options in (
        {"key_padding_mask": padding},
        {"attn_mask": causal},
        {"attn_mask": causal, "is_causal": True, "need_weights": False},
        {"attn_mask": shifted, "average_attn_weights": False},
    ):
        expected, weights = theirs(x, x, x, **options)
        got, own = ours(x, x, x, **options)
        torch.testing.assert_close(got, expected)
        if weights is not None:
            torch.testing.assert_close(own, weights)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_grouped_queries_leave_with_their_key_and_value(share):
    model = prepared(Grouped)
    tokens = torch.randint(0, 11, (2, 6))
    graph = trace(model, tokens)
    group = graph.groups["q"]
    assert (group.size, group.reason) == (3, None)
    assert set(group.producers) == {"q", "k", "v"}
    assert graph.groups["gate"].size == 9
    assert graph.layers["embed"].is_output
    smaller = removed(model, graph, share, tokens)
    assert smaller.head.weight is smaller.embed.weight


def test_rotary_positions_keep_the_dimensions_and_heads_leave_instead():
    graph = trace(prepared(Grouped), torch.randint(0, 11, (2, 6)), attention="dimensions")
    assert (graph.groups["q"].size, graph.groups["q"].reason) == (3, None)


def test_what_is_hard_coded_is_refused():
    graph = trace(prepared(HardCoded), TOKENS)
    assert "uses a size that is hard-coded there" in str(graph.groups["qkv"].reason)


def test_there_are_two_ways():
    with pytest.raises(SpecError, match=r"no such way.*'heads' or 'dimensions'.*Got: 'head'"):
        trace(prepared(Unbound), TOKENS, attention="head")
