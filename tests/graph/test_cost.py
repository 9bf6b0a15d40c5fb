"""The arithmetic against hand-computed figures, against real tensors and torch's own counter."""

import math

import pytest
import torch
from tiny_networks import TinyMLP, TinyResidual, labelled, seeded
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from prunevis.graph import CostModel, cost, trace
from prunevis.pruning import PruningSpec, rank, remove
from prunevis.zoo import MODELS, load_model

IMAGE = torch.zeros(1, 1, 28, 28)


def planned(model, graph, sparsity, **spec):
    return rank(model, PruningSpec.make(**spec), graph=graph).plan(sparsity)


def counted_macs(model, example):
    """Return torch's own count, of one example."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(example)
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


def real_bytes(model):
    return sum(t.numel() * t.element_size() for t in model.state_dict().values())


@pytest.fixture(scope="module")
def zoo():
    found = {}
    for name in MODELS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = load_model(name, pretrained=False)
        found[name] = model, trace(model, IMAGE)
    return found


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [("lenet-300-100", 266_610, 266_200), ("lenet5", 431_080, 2_293_000)],
)
def test_figures_of_the_papers(zoo, name, params, macs):
    found = cost(zoo[name][1])
    assert (found.num_params, found.nonzero_params, found.base_params) == (params,) * 3
    assert (found.macs, found.effective_macs, found.removed_macs, found.base_macs) == (macs,) * 4
    assert (found.flops, found.effective_flops, found.removed_flops) == (2 * macs,) * 3
    assert found.bytes == found.dense_bytes == found.base_bytes == 4 * params
    assert found.storage == "dense"
    assert (found.compression_ratio, found.theoretical_speedup) == (1.0, 1.0)


@pytest.mark.parametrize("name", list(MODELS))
def test_the_dense_network_is_what_it_is(zoo, name):
    model, graph = zoo[name]
    found = cost(graph)
    assert found.num_params == sum(p.numel() for p in model.parameters())
    assert found.bytes == real_bytes(model)  # buffers too, and int64 counts 8
    assert found.macs == counted_macs(model, IMAGE)
    assert sum(layer.macs for layer in found.layers.values()) == found.macs
    for layer in found.layers.values():
        assert layer.sparsity == 0
        assert layer.num_params == layer.nonzero_params == graph.layers[layer.name].num_params


def test_masked_weights_by_hand(mlp):
    graph = trace(mlp, torch.zeros(1, 12))
    plan = planned(mlp, graph, 0.0, layers={"fc1": 0.75, "fc2": 0.25})
    found = cost(graph, plan)
    # fc1: 96 weights, 72 go; fc2: 48, 12 go; fc3: 24; biases 8 + 6 + 4
    assert found.num_params == found.base_params == 186
    assert found.nonzero_params == 186 - 72 - 12
    assert (found.macs, found.effective_macs, found.removed_macs) == (168, 84, 168)
    assert found.compression_ratio == 186 / 102
    assert found.theoretical_speedup == 2.0
    # bitmask: 4 bytes a nonzero and a bit for each; CSR: 8 bytes a nonzero and 4 for each row + 1
    biases, fc3 = 4 * 18, 4 * 24
    assert found.dense_bytes == found.base_bytes == 4 * 186
    fc1, fc2 = 4 * 24 + 12, 4 * 36 + 6
    assert found.bitmask_bytes == fc1 + fc2 + fc3 + biases
    fc1, fc2 = 8 * 24 + 4 * 9, min(4 * 48, 8 * 36 + 4 * 7)  # fc2 is smaller dense
    assert found.csr_bytes == fc1 + fc2 + fc3 + biases
    assert (found.bytes, found.storage) == (found.bitmask_bytes, "bitmask")
    layer = found.layers["fc1"]
    assert (layer.num_params, layer.nonzero_params) == (104, 32)
    assert (layer.macs, layer.effective_macs, layer.removed_macs) == (96, 24, 96)
    assert layer.sparsity == 0.75
    assert repr(found) == (
        "ModelCost(102 of 186 parameters, 84 of 168 MACs, 0.00 of 0.00 MB as bitmask)"
    )


def test_bits_are_rounded_up_to_bytes():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False))
    graph = trace(model, torch.zeros(1, 3))
    plan = planned(model, graph, 5 / 9)
    assert plan.removed == {"0": 5}
    found = cost(graph, plan)
    assert found.bitmask_bytes == 4 * 4 + 2 + 4 * 6
    assert found.csr_bytes == min(4 * 9, 8 * 4 + 4 * 4) + 4 * 6


def test_csr_wins_where_almost_nothing_is_left():
    model = nn.Sequential(nn.Linear(1000, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    graph = trace(model, torch.zeros(1, 1000))
    found = cost(graph, planned(model, graph, 0.999))
    # 4 of 4,000 are left: 4 × 8 + 5 × 4 bytes against 4 × 4 + 500
    assert (found.bytes, found.storage) == (52 + 32, "csr")


def test_effective_macs_count_every_position(residual):
    graph = trace(residual, torch.zeros(1, 1, 6, 6))
    plan = planned(residual, graph, 0.0, layers={"conv1": 0.5})
    found = cost(graph, plan)
    weights = 5 * 6 * 9
    assert plan.removed["conv1"] == weights // 2
    assert found.layers["conv1"].effective_macs == 36 * weights // 2
    assert found.macs - found.effective_macs == 36 * weights // 2


def test_removed_units_by_hand(mlp):
    graph = trace(mlp, torch.zeros(1, 12))
    plan = planned(mlp, graph, 0.0, criterion="l2", granularity="unit", layers={"fc1": 0.5})
    found = cost(graph, plan)
    # 8 of fc1 become 4: 12 × 4 + 4, then 4 × 6 + 6, then 6 × 4 + 4
    assert found.num_params == found.nonzero_params == 52 + 30 + 28
    assert found.macs == 168
    assert found.effective_macs == found.removed_macs == 48 + 24 + 24
    assert found.bytes == found.dense_bytes == 4 * 110
    assert found.layers["fc1"].sparsity == 0.5
    assert found.layers["fc2"].num_params == 30


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("name", list(MODELS))
def test_removal_costs_what_the_smaller_network_really_costs(zoo, name, scope):
    model, graph = zoo[name]
    costs = CostModel(graph)
    ranking = rank(model, PruningSpec.make("l1", "unit", scope), graph=graph)
    for sparsity in (0.25, 0.7, 0.999):
        plan = ranking.plan(sparsity)
        found, smaller = costs.cost(plan), remove(model, plan).eval()
        assert found.num_params == sum(p.numel() for p in smaller.parameters())
        assert found.nonzero_params == found.num_params
        assert found.dense_bytes == found.bytes == real_bytes(smaller)
        assert found.removed_macs == found.effective_macs == counted_macs(smaller, IMAGE)
        assert found.macs == found.base_macs == costs.cost().macs
        assert found.compression_ratio == found.base_params / found.num_params > 1
        assert found.theoretical_speedup == found.base_macs / found.removed_macs > 1
        after = trace(smaller, IMAGE)
        for layer, part in found.layers.items():
            assert part.num_params == after.layers[layer].num_params, layer
            assert part.removed_macs == after.layers[layer].macs, layer


@pytest.mark.parametrize("name", list(MODELS))
def test_masked_weights_cost_what_their_zeros_say(zoo, name):
    model, graph = zoo[name]
    costs = CostModel(graph)
    ranking = rank(model, graph=graph)
    for sparsity in (0.1, 0.9):
        plan = ranking.plan(sparsity)
        found = costs.cost(plan)
        assert found.num_params == found.base_params
        assert found.nonzero_params == found.base_params - plan.num_removed
        gone = {n: int((~m).sum()) for n, m in plan.masks.items()}
        skipped = sum(graph.layers[n].positions * g for n, g in gone.items())
        assert found.effective_macs == found.macs - skipped
        assert found.removed_macs == found.macs
        bitmask = csr = 0
        for tensor, info in graph.tensors.items():
            full = info.numel * info.itemsize
            zeros = gone.get(tensor.removesuffix(".weight"), 0)
            left = info.numel - zeros
            rows = info.shape[0] if info.shape else 1
            bitmask += min(full, 4 * left + math.ceil(info.numel / 8)) if zeros else full
            csr += min(full, 8 * left + 4 * (rows + 1)) if zeros else full
        assert (found.bitmask_bytes, found.csr_bytes) == (bitmask, csr)


class Wide(nn.Module):
    """float64 weights, a float16 buffer, a layer called twice."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.register_buffer("table", torch.zeros(5, dtype=torch.float16))

    def forward(self, x):
        x = torch.relu(self.a(x))
        return self.c(torch.relu(self.b(torch.relu(self.b(x)))))


def test_item_sizes_and_repeated_layers():
    model = seeded(Wide).double()
    model.table = model.table.half()
    graph = trace(model, torch.zeros(1, 3, dtype=torch.float64))
    assert graph.layers["b"].positions == 2
    found = cost(graph)
    assert found.macs == 12 + 2 * 16 + 8
    assert found.bytes == 8 * (16 + 20 + 10) + 5 * 2
    plan = planned(model, graph, 0.0, layers={"b": 0.5})
    found = cost(graph, plan)
    assert found.effective_macs == 12 + 2 * 8 + 8
    assert found.bitmask_bytes == 8 * (16 + 12 + 10) + 2 + 10
    assert found.csr_bytes == 8 * (16 + 10 + 4) + 10 + min(8 * 16, 12 * 8 + 4 * 5)


@pytest.mark.parametrize(("make", "shape"), [(TinyMLP, (12,)), (TinyResidual, (1, 6, 6))])
def test_reading_costs_changes_nothing(make, shape, untouched_model):
    model = seeded(make)
    check = untouched_model(model)
    graph = trace(model, labelled(shape, 1, 4).inputs)
    planned_ = planned(model, graph, 0.5, criterion="l2", granularity="unit")
    assert cost(graph, planned_).num_params < cost(graph).num_params
    check()
