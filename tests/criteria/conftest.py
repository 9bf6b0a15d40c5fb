"""A layer with a graph around it, built by hand: criteria need no traced model."""

import dataclasses

import pytest
import torch

from prunevis.criteria import ScoreContext
from prunevis.graph.layers import LayerInfo, ModelGraph, TensorInfo
from prunevis.statistics import Statistics
from prunevis.statistics.sums import LayerSums


class Bench:
    """One layer `a` with a weight, optional tensors beside it, and optional answers."""

    def __init__(self, weight, *, answers=None, norms=(), **tensors):
        weight = torch.as_tensor(weight, dtype=torch.float32)
        units = weight.shape[0]
        self.layer = LayerInfo(
            "a", "Linear", "a.weight", None, tuple(weight.shape), units, 1, weight.numel(),
            weight.numel(), None, tuple(norms), (), "relu", False, None, None,
        )  # fmt: skip
        self.tensors = {"a.weight": weight, **tensors}
        infos = {n: TensorInfo(n, tuple(t.shape), True, 4) for n, t in self.tensors.items()}
        points = {} if answers is None else {"a": (0, 1)}
        self.graph = ModelGraph({"a": self.layer}, {}, infos, 0, (1,), None, (), (), points)
        self.statistics = None
        if answers is not None:
            answers = torch.as_tensor(answers, dtype=torch.float32)
            sums = LayerSums(self.layer, 9, True, 0)
            sums.add(answers.reshape(*answers.shape[:2], -1), torch.arange(len(answers)))
            self.statistics = Statistics(
                {"a": sums.result()}, len(answers), "test", torch.arange(len(answers))
            )

    def context(self, granularity="unit", seed=0):
        return ScoreContext(self.graph, self.tensors, self.statistics, granularity, seed)

    def score(self, criterion, granularity="unit", seed=0, name=None):
        layer = self.layer if name is None else dataclasses.replace(self.layer, name=name)
        return criterion.score(layer, self.context(granularity, seed))


@pytest.fixture(scope="session")
def bench():
    return Bench
