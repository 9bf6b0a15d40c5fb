"""Small networks with known weights, and all that can be collected of them."""

import torch
from torch import nn

from prunevis.criteria import CRITERIA, ScoreContext, prepared
from prunevis.data import Data
from prunevis.graph.trace import trace
from prunevis.statistics import collect_statistics

EVERYTHING = {"maps": True, "inputs": True, "gradients": True}


def context_of(model, data, granularity="unit", collect=None, **options):
    """Return a context with everything collected, or what `collect` names."""
    data = data.train if isinstance(data, Data) else data
    inputs = data if isinstance(data, torch.Tensor) else data[0]
    graph = trace(model, inputs[:1])
    statistics = collect_statistics(model, data, graph=graph, **(collect or EVERYTHING))
    tensors = {n: t.detach() for n, t in [*model.named_parameters(), *model.named_buffers()]}
    return ScoreContext(graph, tensors, statistics, granularity, model=model, **options)


def score(name, context, layer):
    """Return the scores of one layer by the criterion called `name`."""
    criterion = CRITERIA[name]()
    info = context.graph.layers[layer]
    assert criterion.unavailable_for(info, context.graph) is None
    return criterion.score(info, prepared(criterion, context))


def two_layers(first, second, *, relu=True, bias=False):
    """Return a network of two linear layers with these weights, named "0" and "2"."""
    first, second = torch.tensor(first), torch.tensor(second)
    model = nn.Sequential(
        nn.Linear(first.shape[1], first.shape[0], bias=bias),
        nn.ReLU() if relu else nn.Identity(),
        nn.Linear(second.shape[1], second.shape[0], bias=bias),
    )
    with torch.no_grad():
        model[0].weight.copy_(first)
        model[2].weight.copy_(second)
    return model.eval()
