"""Networks of torchvision, where it is installed: traced, priced and removed from."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from prunevis.graph.trace import trace
from prunevis.pruning.removal import remove_units

found = find_spec("torchvision")
if found is None or found.origin is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)
# its compiled operators are not built for every PyTorch; the classifiers call none of them
LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
for operator in sorted(
    {
        "nms",
        *re.findall(
            r"torchvision::(\w+)",
            (Path(found.origin).parent / "_meta_registrations.py").read_text(),
        ),
    }
):
    if not hasattr(torch.ops.torchvision, operator):
        LIBRARY.define(f"{operator}(Tensor x) -> Tensor")
models = import_module("torchvision.models")


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
        ("maxvit_t", 47),
    ],
)
def test_half_of_the_units_can_go(name, prunable):
    torch.manual_seed(0)
    options = {"init_weights": False} if name == "googlenet" else {}
    model = models.get_model(name, weights=None, **options)
    side = 224 if name == "maxvit_t" else 64
    example = torch.zeros(1, 3, side, side)
    graph = trace(model, example)
    free = {n: g for n, g in graph.groups.items() if g.reason is None}
    assert len(free) == prunable
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(example)
    assert counter.get_total_flops() == 2 * graph.macs
    # removal compares its outputs with the masked network's, in evaluation and training mode
    kept = {n: torch.randperm(g.size)[: max(1, g.size // 2)] for n, g in free.items()}
    smaller = remove_units(model, graph, kept)
    assert sum(p.numel() for p in smaller.parameters()) < 0.8 * graph.num_params
