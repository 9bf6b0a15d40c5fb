"""Whether a repair keeps to its contract; `prunevis.testing.check_repair`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from prunevis.errors import PrunevisError
from prunevis.graph.layers import ModelGraph
from prunevis.graph.trace import trace
from prunevis.pruning.masking import tensor_masks
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.removal import remove_units
from prunevis.pruning.repairs.base import (
    CHOICES,
    REPAIRS,
    Repair,
    RepairContext,
    Repaired,
)
from prunevis.pruning.spec import PruningSpec
from prunevis.registry import metadata_problem
from prunevis.statistics import collect_statistics
from prunevis.statistics.records import Statistics

#: The units of the first layer that are dead, constant and a copy of unit 0.
SPECIAL = {"dead": 2, "constant": 3, "duplicate": 4}
#: Largest change of outputs, as a share of that which deleting alone makes, that counts as none.
TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False, slots=True)
class _Case:
    """A small network with everything that a repair may read."""

    name: str
    model: nn.Module
    graph: ModelGraph
    inputs: Tensor
    statistics: Statistics


def check_repair(repair: str | type[Repair] | Repair) -> None:
    """Check that a repair keeps to what `prunevis.pruning.repairs.base.Repair` promises.

    On two small networks (linear layers; convolutions with BatchNorm, pooling and a linear layer):
    complete metadata; tensors of the network's names, shapes and types, finite; the same twice;
    nothing read that `needs` does not name; the network, its tensors and torch's random state left
    as they were; reasons and notes in sentences, about layers that there are; masked equal to
    removed; and outputs as before where the repair says that it is exact.

    Parameters
    ----------
    repair
        A name in `REPAIRS`, a subclass of `Repair`, or an instance.

    Raises
    ------
    AssertionError
        With a sentence that says what is wrong, and on which network.
    UnknownNameError
        If there is no repair of this name.
    """
    if isinstance(repair, str):
        repair = REPAIRS[repair]
    if isinstance(repair, type):
        repair = repair()
    title = type(repair).__name__
    problem = metadata_problem(repair, CHOICES)
    if problem is not None:
        raise AssertionError(problem)
    for case in _cases():
        for granularity in repair.granularities:
            if granularity == "unit":
                _check_plan(repair, case, _units(case, {"0": [1, 2, 4]}), title)
                for kind in sorted(repair.exact_for):
                    _check_exact(repair, case, _units(case, {"0": [SPECIAL[kind]]}), title, kind)
            else:
                _check_plan(repair, case, _weights(case), title)


def _check_plan(repair: Repair, case: _Case, plan: PruningPlan, title: str) -> Repaired:
    """Check what a repair makes of one plan, and return it."""
    where = f"{title} on {case.name}"
    found, again = (_run(repair, case, plan, where) for _ in range(2))
    for name, tensor in found.tensors.items():
        known = case.model.state_dict().get(name)
        if known is None:
            raise AssertionError(f"{where} gives a tensor `{name}`, which the network has not.")
        if tensor.shape != known.shape or tensor.dtype != known.dtype:
            raise AssertionError(
                f"{where} must give `{name}` of full size, {tuple(known.shape)} {known.dtype}, "
                f"got {tuple(tensor.shape)} {tensor.dtype}."
            )
        if not bool(torch.isfinite(tensor).all()):
            raise AssertionError(f"{where} gives NaN or infinity in `{name}`.")
        if name not in again.tensors or not torch.equal(tensor, again.tensors[name]):
            raise AssertionError(f"{where} gives two different `{name}` for the same plan.")
    for what in ("skipped", "notes"):
        for name, text in getattr(found, what).items():
            if name not in case.graph.layers:
                raise AssertionError(f"{where}: {what} names `{name}`, which is no layer.")
            if not isinstance(text, str) or not text.endswith("."):
                raise AssertionError(f"{where}: {what} of `{name}` is no sentence: {text!r}.")
    if plan.granularity == "unit":
        masked = _masked_output(case, plan, found.tensors)
        kept = {n: k for n, k in plan.kept.items() if plan.removed[n]}
        try:
            smaller = remove_units(case.model, case.graph, kept, mended=found.tensors).eval()
        except PrunevisError as error:
            raise AssertionError(f"{where}: what it gives cannot be removed. {error}") from error
        with torch.no_grad():
            removed = smaller(case.inputs)
        if not torch.allclose(masked, removed, atol=1e-4, rtol=1e-4):
            raise AssertionError(f"{where}: masked and removed outputs differ.")
    return found


def _run(repair: Repair, case: _Case, plan: PruningPlan, where: str) -> Repaired:
    """Run a repair on copies, without what it does not say that it needs."""
    needs = repair.needs
    statistics = None
    if {"inputs", "moments"} & set(needs):
        statistics = case.statistics
        if "moments" not in needs:
            means = {n: replace(one, moment=None) for n, one in statistics.inputs.items()}
            statistics = replace(statistics, inputs=means)
    tensors = {name: tensor.detach() for name, tensor in case.model.state_dict().items()}
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    context = RepairContext(
        model=case.model,
        graph=case.graph,
        tensors=tensors,
        plan=plan,
        statistics=statistics,
        inputs=case.inputs if "examples" in needs else None,
    )
    state = torch.get_rng_state()
    try:
        found = repair.repair(context)
    except Exception as error:
        raise AssertionError(f"{where} fails: {type(error).__name__}: {error}") from error
    if not isinstance(found, Repaired):
        raise AssertionError(f"{where} must give a Repaired, got {type(found).__name__}.")
    if not torch.equal(state, torch.get_rng_state()):
        raise AssertionError(f"{where} changed torch's global random state.")
    for name, tensor in case.model.state_dict().items():
        if not torch.equal(tensor, before[name]):
            raise AssertionError(f"{where} changed `{name}` of the network itself.")
    if any(module.training for module in case.model.modules()):
        raise AssertionError(f"{where} left the network in training mode.")
    return found


def _check_exact(repair: Repair, case: _Case, plan: PruningPlan, title: str, kind: str) -> None:
    found = _check_plan(repair, case, plan, title)
    with torch.no_grad():
        dense = case.model(case.inputs)
    # against a scale that is there even where deleting changes nothing
    scale = float(dense.abs().max())
    changed = float((_masked_output(case, plan, found.tensors) - dense).abs().max())
    if not changed <= TOLERANCE * scale:
        raise AssertionError(
            f"{title} on {case.name} says that it is exact for a {kind} unit, but outputs up to "
            f"{scale:.3g} change by {changed:.3g}."
        )


def _masked_output(case: _Case, plan: PruningPlan, mended: Mapping[str, Tensor]) -> Tensor:
    state = {**case.model.state_dict(), **mended}
    for name, mask in tensor_masks(plan).items():
        state[name] = state[name] * mask
    with torch.no_grad():
        return functional_call(case.model, state, (case.inputs,))


def _units(case: _Case, gone: Mapping[str, list[int]]) -> PruningPlan:
    """Return a plan that takes these units out."""
    ranks, cuts, total = {}, {}, {}
    for name, units in gone.items():
        total[name], cuts[name] = case.graph.groups[name].size, len(units)
        order = units + [unit for unit in range(total[name]) if unit not in units]
        ranks[name] = torch.tensor(order).argsort().to(torch.int32)
    spec = PruningSpec(criterion="l2", granularity="unit", scope="layer")
    return PruningPlan(case.graph, spec, ranks, cuts, dict(cuts), total)


def _weights(case: _Case) -> PruningPlan:
    """Return a plan that takes the smaller half of every layer's weights."""
    ranks = {}
    for name, layer in case.graph.layers.items():
        weight = case.model.get_parameter(layer.weight).detach().abs()
        ranks[name] = weight.flatten().argsort(stable=True).argsort().reshape(weight.shape)
    total = {name: rank.numel() for name, rank in ranks.items()}
    cuts = {name: count // 2 for name, count in total.items()}
    return PruningPlan(case.graph, PruningSpec(), ranks, cuts, dict(cuts), total)


def _cases() -> Iterator[_Case]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        linear = nn.Sequential(
            nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)
        )
        convolutional = nn.Sequential(
            nn.Conv2d(2, 7, 3, padding=1, bias=False),
            nn.BatchNorm2d(7),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(7, 5, 2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(20, 3),
        )
        with torch.no_grad():
            convolutional.get_parameter("1.weight").uniform_(0.5, 1.5)
            convolutional.get_parameter("1.bias").uniform_(0.0, 0.5)
        yield _case("a network of linear layers", linear, torch.randn(64, 12))
        yield _case("a network of convolutions", convolutional, torch.randn(64, 2, 6, 6))


def _case(name: str, model: nn.Sequential, inputs: Tensor) -> _Case:
    """Make units of the first layer special, trace, and collect statistics."""
    model.eval()
    shift = "1.bias" if isinstance(model[1], nn.BatchNorm2d) else "0.bias"
    with torch.no_grad():
        for module in list(model.children())[:2]:
            for tensor in (*module.parameters(), *module.buffers()):
                if tensor.dim():
                    tensor[SPECIAL["duplicate"]] = tensor[0]
        for kind in ("dead", "constant"):
            model.get_parameter("0.weight")[SPECIAL[kind]] = 0.0
            model.get_parameter(shift)[SPECIAL[kind]] = 0.0 if kind == "dead" else 1.5
    graph = trace(model, inputs[:1])
    targets = torch.zeros(len(inputs), dtype=torch.int64)
    statistics = collect_statistics(
        model, (inputs, targets), graph=graph, activations=False, inputs=True
    )
    return _Case(name, model, graph, inputs, statistics)
