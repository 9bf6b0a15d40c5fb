"""Tracing and observing leave a model exactly as it was, also when they fail."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from small_networks import IMAGE, Net, Residual, conv
from torch import nn

from prunevis.errors import TraceError
from prunevis.graph.observe import observe
from prunevis.graph.trace import trace


def snapshot(model):
    return {
        "tensors": {k: v.clone() for k, v in model.state_dict().items()},
        "identity": {k: id(v) for k, v in model.named_parameters()},
        "flags": [m.training for m in model.modules()],
        "frozen": [p.requires_grad for p in model.parameters()],
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "hooks": [len(m._forward_hooks) for m in model.modules()],
        "attributes": [sorted(m.__dict__) for m in model.modules()],
        "random": (torch.get_rng_state(), random.getstate(), np.random.get_state()),  # noqa: NPY002
        "enabled": torch.is_grad_enabled(),
        "shortcut": torch.backends.mha.get_fastpath_enabled(),
    }


def same(left, right):
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, np.ndarray):
        return np.array_equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


class Careless(nn.Module):
    """Stores results on itself, counts, writes into a buffer and draws numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.c = conv(3, 4), conv(4, 2)
        self.calls, self.seen = 0, []
        self.register_buffer("average", torch.zeros(4))

    def forward(self, x):
        self.calls += 1
        y = self.a(x)
        self.seen.append(y)
        self.last = y
        self.average.lerp_(y.mean((0, 2, 3)), 0.1)
        random.random()
        return self.c(y + torch.rand(()))


def mixed():
    model = Residual().train()
    model.bn1.eval()
    model.conv1.weight.requires_grad_(False)
    model(torch.randn(IMAGE)).sum().backward()
    return model


@pytest.mark.parametrize("make", [mixed, Careless], ids=["residual", "careless"])
def test_trace_and_observe_leave_everything_as_it_was(make):
    model, inputs = make(), torch.randn(3, 3, 8, 8)
    before = snapshot(model)
    graph = trace(model, torch.zeros(IMAGE))
    assert same(snapshot(model), before)
    observe(model, graph, inputs)
    assert same(snapshot(model), before)
    assert getattr(model, "seen", []) == []
    assert not hasattr(model, "last")


def test_also_after_an_exception():
    def forward(m, x):
        torch.rand(3)
        m.stored = x
        m.training = True
        raise RuntimeError("late")

    model = Net(forward, a=conv(3, 4)).train()
    before = snapshot(model)
    with pytest.raises(TraceError, match="late"):
        trace(model, torch.zeros(IMAGE))
    assert same(snapshot(model), before)


def test_frozen_models_are_traced_all_the_same():
    model = Residual().requires_grad_(False)
    graph = trace(model, torch.zeros(IMAGE))
    assert len(graph.layers) == 5
    assert not any(p.requires_grad for p in model.parameters())


def test_tracing_works_in_inference_mode():
    with torch.inference_mode():
        graph = trace(Residual(), torch.zeros(IMAGE))
    assert graph.groups["conv2"].reason is None
