"""PyTorch's pruning tutorial: every step with its calls and with ours, masks bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune as theirs

from prunevis.evaluation.storage import compressed_bytes
from prunevis.graph import trace
from prunevis.graph.layers import ModelGraph
from prunevis.pruning import (
    PruningPlan,
    PruningSpec,
    attach_masks,
    made_permanent,
    masked_state,
    plan_from_masks,
    plan_of_slices,
    rank,
    read_masks,
)
from prunevis.reproduce.base import REPRODUCTIONS, Context, Reproduction
from prunevis.reproduce.networks import new
from prunevis.reproduce.report import Report

LAYERS = ("conv1", "conv2", "fc1", "fc2", "fc3")
#: Shares of all weights that go for the table of sizes.
SHARES = (0.2, 0.5, 0.8, 0.95)


class TutorialNetwork(nn.Module):
    """LeNet of the tutorial: 5×5 convolutions with 6 and 16 maps, then 120, 84 and 10."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10) for images (N, 1, 32, 32)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(x, 1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class EverySecond(theirs.BasePruningMethod):
    """The tutorial's technique of one's own: every other entry goes."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask with every other entry taken out."""
        mask = default_mask.clone()
        mask.view(-1)[::2] = 0
        return mask


#: One step of the tutorial: a masked network by its calls, and the plan by ours.
Step = Callable[[nn.Module, ModelGraph, int], PruningPlan]


def random_unstructured(model: nn.Module, graph: ModelGraph, seed: int) -> PruningPlan:
    """30 % of conv1 by chance; torch is told our draws, since its stream is one of its own."""
    spec = PruningSpec.make("random", scope="layer", layers=["conv1"], seed=seed)
    ranking = rank(model, spec, graph=graph)
    draws = ranking.importance["conv1"]
    theirs.l1_unstructured(model.get_submodule("conv1"), "weight", 0.3, importance_scores=draws)
    return ranking.plan(amount=0.3)


def l1_unstructured(model: nn.Module, graph: ModelGraph, seed: int) -> PruningPlan:
    """The 30 smallest weights of conv1."""
    spec = PruningSpec.make("magnitude", scope="layer", layers=["conv1"])
    plan = rank(model, spec, graph=graph).plan(amount=30)
    theirs.l1_unstructured(model.get_submodule("conv1"), "weight", 30)
    return plan


def ln_structured(model: nn.Module, graph: ModelGraph, seed: int) -> PruningPlan:
    """Half of the filters of conv1 by their L2 norm."""
    plan = plan_of_slices(model, graph, 0.5, n=2, dim=0, layers=["conv1"])
    theirs.ln_structured(model.get_submodule("conv1"), "weight", amount=0.5, n=2, dim=0)
    return plan


def repeated(model: nn.Module, graph: ModelGraph, seed: int) -> PruningPlan:
    """The 30 smallest weights of conv1, and then half of its filters: masks add up."""
    conv1 = model.get_submodule("conv1")
    theirs.l1_unstructured(conv1, "weight", 30)
    before = read_masks(model)
    plan = plan_of_slices(
        made_permanent(model), graph, 0.5, n=2, dim=0, layers=["conv1"], masks=before
    )
    theirs.ln_structured(conv1, "weight", amount=0.5, n=2, dim=0)
    return plan


def several(model: nn.Module, graph: ModelGraph, seed: int) -> PruningPlan:
    """20 % of each convolution and 40 % of each linear layer, the last one included."""
    shares = {name: 0.2 if name.startswith("conv") else 0.4 for name in LAYERS}
    plan = rank(model, PruningSpec.make(scope="layer", layers=shares), graph=graph).plan()
    for name, share in shares.items():
        theirs.l1_unstructured(model.get_submodule(name), "weight", share)
    return plan


def global_unstructured(model: nn.Module, graph: ModelGraph, seed: int) -> PruningPlan:
    """20 % of all weights in one ranking."""
    plan = rank(model, PruningSpec.make(layers=LAYERS), graph=graph).plan(amount=0.2)
    parameters = [(model.get_submodule(name), "weight") for name in LAYERS]
    theirs.global_unstructured(parameters, pruning_method=theirs.L1Unstructured, amount=0.2)
    return plan


def custom(model: nn.Module, graph: ModelGraph, seed: int) -> PruningPlan:
    """Every other weight of fc3: a technique of one's own is a mask."""
    mask = torch.ones(10, 84, dtype=torch.bool)
    mask.view(-1)[::2] = False
    EverySecond.apply(model.get_submodule("fc3"), "weight")
    return plan_from_masks(graph, {"fc3": mask})


#: Steps in the order of the tutorial: its call, ours, and both done.
STEPS: dict[str, tuple[str, Step]] = {
    'random_unstructured(conv1, "weight", 0.3)': (
        'rank(model, PruningSpec.make("random", layers=["conv1"])).plan(amount=0.3)',
        random_unstructured,
    ),
    'l1_unstructured(conv1, "weight", 30)': (
        'rank(model, PruningSpec.make("magnitude", layers=["conv1"])).plan(amount=30)',
        l1_unstructured,
    ),
    'ln_structured(conv1, "weight", 0.5, n=2, dim=0)': (
        'plan_of_slices(model, graph, 0.5, n=2, dim=0, layers=["conv1"])',
        ln_structured,
    ),
    "l1_unstructured, then ln_structured on the same weight": (
        "plan_of_slices(made_permanent(model), ..., masks=read_masks(model))",
        repeated,
    ),
    "l1_unstructured, 20 % of convolutions, 40 % of linear layers": (
        'PruningSpec.make(scope="layer", layers={"conv1": 0.2, ..., "fc3": 0.4})',
        several,
    ),
    "global_unstructured(all, L1Unstructured, 0.2)": (
        "rank(model, PruningSpec.make(layers=[all])).plan(amount=0.2)",
        global_unstructured,
    ),
    "a BasePruningMethod of one's own on fc3": ("plan_from_masks(graph, masks)", custom),
}


#: What is compared beside masks: outcomes of the same call or of ours.
OTHERS = ("what `remove` leaves", "state dict with masks", "masks of biases, read and removed")


@REPRODUCTIONS.register("pytorch-tutorial")
class PytorchTutorial(Reproduction):
    """Pruning Tutorial."""

    title = "PyTorch's tutorial: torch.nn.utils.prune"
    citation = "M. Paganini, Pruning Tutorial, PyTorch."
    url = "https://docs.pytorch.org/tutorials/intermediate/pruning_tutorial.html"
    summary = (
        "A LeNet with random weights is masked by every call of the tutorial and by ours; the "
        "masks, what `remove` leaves and the state dicts are held against each other bit by bit. "
        "Nothing is trained, no data are read."
    )
    data: ClassVar[str] = "fashion-mnist"

    def run(self, context: Context) -> Report:
        """Do it; return the report."""
        runs = [
            context.piece(f"steps-{seed}", lambda seed=seed: _steps(seed)) for seed in context.seeds
        ]
        sizes = context.piece("sizes", _sizes)["rows"]
        report = Report(results={"runs": runs, "sizes": sizes})
        for call in STEPS:
            zeros = runs[0]["zeros"][call]
            equal = all(run["equal"][call] for run in runs)
            verdict = "masks equal bit for bit" if equal else "masks differ"
            report.compare(f"`{call}`: zeros", f"{zeros[0]:,}", f"{zeros[1]:,}", verdict)
        for what in OTHERS:
            equal = all(run["equal"][what] for run in runs)
            report.compare(what, "-", "-", "equal bit for bit" if equal else "differs")
        report.heading("Step by step")
        report.table(
            ["the tutorial", "here"], [[f"`{c}`", f"`{o}`"] for c, (o, _) in STEPS.items()]
        )
        report.text(
            "`remove(module, name)` makes a mask permanent; here `made_permanent(model)` returns a "
            "copy that is. The state dict of a masked network (`weight_orig`, `weight_mask`) is "
            "`masked_state(state, plan)`, and `attach_masks(model, plan)` gives a network with "
            "torch's own masks."
        )
        report.heading("The size of the file")
        report.text(
            "Bytes as a safetensors file and zipped, weights of the first seed, pruned globally: "
            "masks beside the weights make a file larger, zeros alone change nothing until it is "
            "compressed."
        )
        report.table(
            ["zeros", "file with masks", "zipped", "file made permanent", "zipped", "smaller"],
            sizes,
        )
        report.heading("Where and why ours differs")
        report.text(
            "torch draws one stream of random numbers through all layers; ours is one a layer and "
            "seed, so that a layer's draws stay when others are added. With our draws as "
            "`importance_scores` both take the same. The tutorial masks biases too; here weights "
            "alone are pruned, and masks of biases that a network carries are read and made "
            "permanent as they are. A global ranking here always leaves one weight of each layer. "
            "Masks are changed by torch in place on the module; ours are a plan, and the model is "
            "left as it was. The tutorial prints no sizes."
        )
        return report


def _network(seed: int) -> tuple[nn.Module, ModelGraph]:
    model = new(TutorialNetwork, seed).eval()
    return model, trace(model, torch.zeros(1, 1, 32, 32))


def _steps(seed: int) -> dict[str, Any]:
    """Do every step by both; return what is equal, and how many zeros there are."""
    equal: dict[str, bool] = {}
    zeros: dict[str, tuple[int, int]] = {}
    for call, (_, step) in STEPS.items():
        model, graph = _network(seed)
        plan = step(model, graph, seed)
        known = read_masks(model)
        equal[call] = known.keys() == plan.masks.keys() and all(
            bool(torch.equal(known[name].bool(), mask)) for name, mask in plan.masks.items()
        )
        zeros[call] = sum(int((m == 0).sum()) for m in known.values()), plan.num_removed
    model, graph = _network(seed)
    plain = copy.deepcopy(model)
    plan = several(model, graph, seed)
    equal[OTHERS[1]] = _same(masked_state(plain.state_dict(), plan), model.state_dict()) and (
        _same(attach_masks(plain, plan).state_dict(), model.state_dict())
    )
    theirs.l1_unstructured(model.get_submodule("conv1"), "bias", 3)
    biases = int((read_masks(model, "bias")["conv1"] == 0).sum()) == 3
    permanent = made_permanent(model).state_dict()
    for name in LAYERS:
        theirs.remove(model.get_submodule(name), "weight")
    theirs.remove(model.get_submodule("conv1"), "bias")
    equal[OTHERS[0]] = _same(permanent, model.state_dict())
    equal[OTHERS[2]] = biases and bool(
        torch.equal(permanent["conv1.bias"], model.get_parameter("conv1.bias"))
    )
    return {"equal": equal, "zeros": zeros}


def _sizes() -> dict[str, Any]:
    """Return rows of bytes by share of zeros."""
    model, graph = _network(0)
    dense = model.state_dict()
    whole = compressed_bytes(dense)
    rows = [["0 %", "-", "-", *_both(dense), "1.00×"]]
    ranking = rank(model, PruningSpec.make(layers=LAYERS), graph=graph)
    for share in SHARES:
        masked = attach_masks(model, ranking.plan(amount=share))
        permanent = made_permanent(masked).state_dict()
        smaller = whole / compressed_bytes(permanent)
        rows.append(
            [
                f"{100 * share:.0f} %",
                *_both(masked.state_dict()),
                *_both(permanent),
                f"{smaller:.2f}×",
            ]
        )
    return {"rows": rows}


def _both(state: Mapping[str, Tensor]) -> tuple[str, str]:
    return f"{compressed_bytes(state, 0):,}", f"{compressed_bytes(state):,}"


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        bool(torch.equal(tensor, other[name])) for name, tensor in one.items()
    )
