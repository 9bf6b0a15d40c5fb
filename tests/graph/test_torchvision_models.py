"""Networks of torchvision, where it is installed: traced, priced and removed from."""

from __future__ import annotations

import time

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from prunevis.graph.trace import trace
from prunevis.pruning.removal import remove_units

models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")


@pytest.mark.parametrize(
    ("name", "prunable"),
    [
        ("resnet18", 12),
        ("resnet50", 37),
        ("resnext50_32x4d", 37),
        ("vgg11_bn", 10),
        ("mobilenet_v2", 25),
        ("densenet121", 120),
        ("squeezenet1_0", 25),
        ("googlenet", 57),
        ("efficientnet_b0", 40),
        ("convnext_tiny", 18),
        ("swin_t", 12),
    ],
)
def test_half_of_the_units_can_go(name, prunable):
    torch.manual_seed(0)
    options = {"init_weights": False} if name == "googlenet" else {}
    model = models.get_model(name, weights=None, **options)
    example = torch.zeros(1, 3, 224, 224)
    start = time.perf_counter()
    graph = trace(model, example)
    assert time.perf_counter() - start < 10
    free = {n: g for n, g in graph.groups.items() if g.reason is None}
    assert len(free) == prunable
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(example)
    assert counter.get_total_flops() == 2 * graph.macs
    # removal compares its outputs with the masked network's, in evaluation and training mode
    kept = {n: torch.randperm(g.size)[: max(1, g.size // 2)] for n, g in free.items()}
    smaller = remove_units(model, graph, kept)
    assert sum(p.numel() for p in smaller.parameters()) < 0.8 * graph.num_params
