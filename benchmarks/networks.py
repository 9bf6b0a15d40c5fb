"""Networks that prunevis never saw: traced, priced, pruned by unit at 30 and 70 %, and checked.

Every network runs in a process of its own. The checks are the same each time: the smaller network
gives what the masked one gives; it runs in evaluation mode, and a training step changes it;
`FlopCounterMode` counts 2 × our multiply-adds; the original is bit for bit what it was. Seconds are
of processor time on one thread, for tracing and both removals together.

Torch-Pruning, where it is installed, is given the same networks and inputs and has to leave, at
both shares, a smaller network that runs in evaluation mode and in a training step. It is told which
layer classifies, and stopped after 120 seconds.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.network_lists import Network, networks
from benchmarks.record import Figure, Report
from prunevis.graph.examples import tensors_in
from prunevis.graph.trace import trace
from prunevis.pruning.removal import remove_units

TITLE = "Networks that prunevis never saw"
SHARES = (0.3, 0.7)
#: Seconds of processor time until a process is stopped.
LIMIT = 120
DOCUMENT = Path(__file__).parents[1] / "docs" / "coverage.md"


@dataclass(frozen=True)
class Found:
    """What became of one network.

    `seconds` is None where the process was stopped; `problem` is None where every check held.
    `units` is the share of units that may leave, `reasons` why others may not, most frequent first.
    """

    family: str
    name: str
    params: int = 0
    groups: int = 0
    prunable: int = 0
    units: float = 0.0
    seconds: float | None = None
    problem: str | None = None
    reasons: tuple[str, ...] = ()
    size: str = ""


def measure(*, quick: bool = False) -> Report:
    """Return seconds and passes over all networks; write the table, unless quick."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL + 1)
    everything = list(networks(("torchvision", "timm", "transformers")))
    if quick:
        everything = everything[:2]
    with_theirs = find_spec("torch_pruning") is not None
    ours: list[Found] = []
    theirs: list[Found] = []
    for network in everything:
        ours.append(_apart(_ours, network))
        if with_theirs and network.family == "torchvision":
            theirs.append(_apart(_theirs, network))
        print(_row(ours[-1], theirs[-1] if theirs else None), flush=True)
    if everything and not quick:
        DOCUMENT.write_text(_document(ours, theirs), encoding="utf-8")
    figures = []
    for family in ("torchvision", "timm", "transformers"):
        seconds = [f.seconds for f in ours if f.family == family and f.seconds is not None]
        if seconds:
            name = f"{family}: trace and both removals"
            figures.append(Figure(name, "s", tuple(seconds), bar=10.0, judged="max"))
    passed = sum(f.problem is None for f in ours)
    notes = [f"{passed} of {len(ours)} networks passed every check."]
    if theirs:
        done = sum(f.problem is None for f in theirs)
        notes.append(f"Torch-Pruning passed its checks on {done} of {len(theirs)}.")
    return Report(tuple(figures), notes=tuple(notes))


def _apart(work: Callable[[Network], Found], network: Network) -> Found:
    """Run in a process of its own that is stopped after `LIMIT` seconds of work."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def child() -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        start = int(used.ru_utime + used.ru_stime)
        allowed = start + LIMIT + 60  # the network is made in this time too
        resource.setrlimit(resource.RLIMIT_CPU, (allowed, allowed))
        try:
            queue.put(asdict(work(network)))
        except Exception as error:
            text = str(error).strip().splitlines()
            said = f"{type(error).__name__}: {text[0] if text else ''}"
            queue.put(asdict(Found(network.family, network.name, problem=said)))

    process = context.Process(target=child)
    process.start()
    while process.is_alive() and queue.empty():
        time.sleep(0.02)
    if queue.empty():
        process.join()
        return Found(network.family, network.name, problem=f"stopped after {LIMIT} s")
    found = queue.get()
    process.join()
    return Found(**{**found, "reasons": tuple(found["reasons"])})


def _ours(network: Network) -> Found:
    model, example = _made(network)
    size = "×".join(str(s) for s in _first(example).shape[1:])
    start = time.process_time()
    graph = trace(model, example)
    seconds = time.process_time() - start
    free = {name: group for name, group in graph.groups.items() if group.reason is None}
    known = [(t, t._version, t.detach().sum().item()) for t in _tensors(model)]
    problem = None
    for share in SHARES:
        generator = torch.Generator().manual_seed(1)
        kept = {
            name: torch.randperm(g.size, generator=generator)[: max(1, round(g.size * (1 - share)))]
            for name, g in free.items()
        }
        kept = _without_emptying(graph, kept)
        start = time.process_time()
        smaller = remove_units(model, graph, kept)
        seconds += time.process_time() - start
        problem = problem or _check(smaller, example, graph.example)
        del smaller
        gc.collect()
    if any(t._version != version or t.detach().sum().item() != s for t, version, s in known):
        problem = problem or "the original was changed"
    reasons: dict[str, int] = {}
    for group in graph.groups.values():
        if group.reason is not None and not group.is_output:
            text = group.reason
            reasons[text] = reasons.get(text, 0) + 1
    total = sum(group.size for group in graph.groups.values() if not group.is_output)
    return Found(
        network.family,
        network.name,
        params=graph.num_params,
        groups=sum(not group.is_output for group in graph.groups.values()),
        prunable=len(free),
        units=sum(group.size for group in free.values()) / max(1, total),
        seconds=round(seconds, 2),
        problem=problem,
        reasons=tuple(_kinds(reasons)),
        size=size,
    )


def _made(network: Network) -> tuple[nn.Module, Any]:
    """Return a network without neutral numbers, behind which mistakes would hide.

    Fresh networks have scales of one, shifts of zero, blocks scaled by nearly nothing and heads
    that give zero whatever they read.
    """
    torch.manual_seed(0)
    model, example = network.make()
    with torch.no_grad():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.dim() == 1:
                tensor.add_(torch.randn_like(tensor), alpha=0.1)
            elif not tensor.any():
                tensor.normal_(0.0, 0.02)
    return model.eval(), example


def _first(example: Any) -> torch.Tensor:
    return tensors_in(example)[0]


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]


def _without_emptying(graph: Any, kept: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Add units where a group that spans several layers would lose all of one of them."""
    for name, units in kept.items():
        for member in graph.groups[name].members:
            if not torch.isin(member.units, kept[name]).any() and (member.units >= 0).all():
                kept[name] = torch.cat([kept[name], member.units[:1]])
        kept[name] = kept[name].unique() if len(kept[name]) != len(units) else kept[name]
    return kept


def _check(smaller: nn.Module, example: Any, single: Any) -> str | None:
    """Return what is wrong with a smaller network, or None; that it equals is checked before."""
    args, named = single.batch(lambda tensor: tensor, 1)
    # attention is two products to PyTorch's counter, which does not know the fused operator of the
    # processor
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        smaller.eval()(*args, **named)
    macs = trace(smaller, example).macs
    if counter.get_total_flops() != 2 * macs:
        return f"counted {counter.get_total_flops():,} FLOPs, we say {2 * macs:,}"
    return _train(smaller, *single.noise(torch.device("cpu")))


def _train(model: nn.Module, args: Any, named: Any) -> str | None:
    """Return what is wrong with a step of training, or None."""
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    outputs = tensors_in(model(*args, **named))
    numbers = [out.float() for out in outputs if out.is_floating_point()]
    loss = sum((out * torch.randn_like(out)).mean() for out in numbers)
    loss.backward()  # type: ignore[union-attr]
    if not any(p.grad is not None and bool(p.grad.any()) for p in parameters):
        return "a training step has no gradient"
    with torch.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.sub_(parameter.grad, alpha=1e-6)
    return None


def _kinds(reasons: dict[str, int]) -> list[str]:
    """Return reasons without places, each with the number of groups, most frequent first."""
    found: dict[str, int] = {}
    for text, count in reasons.items():
        head, _, tail = text.partition("` in `")
        kind = f"{head}`{tail.partition('`')[2]}" if tail else text
        found[kind] = found.get(kind, 0) + count
    order = sorted(found, key=lambda kind: -found[kind])
    return [f"{kind} ({found[kind]})" for kind in order[:3]]


def _theirs(network: Network) -> Found:
    import torch_pruning

    problem, seconds, params = None, 0.0, 0
    for share in SHARES:
        model, example = _made(network)
        params = sum(p.numel() for p in model.parameters())
        last = [m for m in model.modules() if getattr(m, "out_features", 0) == 1000]
        last += [m for m in model.modules() if getattr(m, "out_channels", 0) == 1000]
        start = time.process_time()
        pruner = torch_pruning.pruner.MagnitudePruner(
            model,
            example,
            importance=torch_pruning.importance.MagnitudeImportance(p=2),
            pruning_ratio=share,
            ignored_layers=last,
        )
        pruner.step()
        seconds += time.process_time() - start
        with torch.no_grad():
            got = tensors_in(model.eval()(example))
        if got[0].shape[-1] != 1000:
            problem = problem or f"gives {got[0].shape[-1]} classes of 1,000"
        left = sum(p.numel() for p in model.parameters())
        if left == params:
            problem = problem or "removed nothing"
        problem = problem or _train(model, (torch.randn(2, *example.shape[1:]),), {})
    return Found(network.family, network.name, params, seconds=round(seconds, 2), problem=problem)


def _row(found: Found, theirs: Found | None) -> str:
    said = "ok" if found.problem is None else found.problem
    units = f"{found.prunable} of {found.groups} | {found.units:.0%}"
    seconds = "" if found.seconds is None else f"{found.seconds:.1f}"
    row = f"| {found.name} | {found.params / 1e6:.1f} | {found.size} | {units} | {seconds} | {said}"
    if theirs is not None and theirs.name == found.name:
        own = "" if theirs.seconds is None else f"{theirs.seconds:.1f}"
        row += f" | {own} | {theirs.problem or 'ok'}"
    return row + " |"


def _document(ours: list[Found], theirs: list[Found]) -> str:
    lines = [
        "# Networks that were tried", "",
        "Made by `python -m benchmarks networks`, with torchvision, timm, transformers and",
        "torch-pruning beside prunevis; none of them is a dependency. Weights are random.",
        "",
        "Each network is traced with its smallest input, priced, and loses 30 % and 70 % of the",
        "units of every group that may be pruned, in a process of its own. It passes if the",
        "smaller network gives what the masked one gives, runs in evaluation mode and in a step of",
        "training, if `FlopCounterMode` counts 2 × our multiply-adds, and if the original is what",
        "it was. Seconds are of processor time on one thread, for the trace and both removals.",
        "PyTorch's counter runs attention as two products: it counts nothing for the fused",
        "operator of the processor. Groups that give the outputs are not counted.", "",
    ]  # fmt: skip
    if theirs:
        lines += [
            "Torch-Pruning 1.6.1 gets the same networks and inputs, is told which layer",
            "classifies, and has to leave, at both shares, a network that runs, learns and still",
            f"gives 1,000 classes; it is stopped after {LIMIT} s. Our seconds hold the comparison",
            "of the smaller network with the masked one, which it does not make.", "",
        ]  # fmt: skip
    by_name = {found.name: found for found in theirs}
    for family in dict.fromkeys(found.family for found in ours):
        rows = [found for found in ours if found.family == family]
        passed = sum(found.problem is None for found in rows)
        slowest = max((found.seconds or 0.0) for found in rows)
        lines += [f"## {family}", ""]
        summary = f"{passed} of {len(rows)} pass; the slowest takes {slowest:.1f} s."
        own = [by_name[found.name] for found in rows if found.name in by_name]
        if own:
            done = [found for found in own if found.problem is None]
            summary += f" Torch-Pruning: {len(done)} of {len(own)}."
        lines += [summary, ""]
        head = "| network | parameters (M) | input | groups | units | seconds | result |"
        lines.append(head + (" Torch-Pruning: seconds | result |" if own else ""))
        lines.append("|---" * (9 if own else 7) + "|")
        lines += [_row(found, by_name.get(found.name)) for found in rows]
        reasons = [(found.name, found.reasons) for found in rows if found.reasons]
        if reasons:
            lines += ["", "Why other groups stay whole (and how many):", ""]
            lines += [f"- {name}: {' '.join(why)}" for name, why in reasons]
        lines.append("")
    return "\n".join(lines)


with suppress(ImportError):  # imported once, before processes are made from this one
    import torch_pruning  # noqa: F401
