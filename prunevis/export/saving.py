"""Pruned weights as safetensors with what is needed to rebuild the network, and back.

The file is an ordinary safetensors file: tensors by dotted name, which any program can read. What
became smaller stands in its metadata under ``prunevis``, as JSON:

``format``
    1.
``model``
    ``{"class", "zoo"}``: the network's class, and its name in `MODELS` if it is one of the zoo.
``modules``
    By dotted name ``{"type", "numbers", "was"}``: see `prunevis.export.structure`.
``layouts``
    By tensor: axes in the order of memory, where that is not the usual one.
``zeros``
    By tensor: how many numbers are exactly zero, of parameters that have any; these are the masks.
``pruning``
    What was done, for people; it is not needed to rebuild.
``versions``
    Of prunevis and torch.
``digest``
    SHA-256 over all of the above and over the tensors: a broken file says so.

Nothing is unpickled and nothing is executed, on the way in or out.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.errors import ModelError, SpecError
from prunevis.evaluation.oneshot import Pruned
from prunevis.export.files import digest_of, read_file, written
from prunevis.export.structure import (
    in_order,
    modules_of,
    order_of,
    rebuilt,
    tensors_of,
)
from prunevis.graph.checks import check_model
from prunevis.pruning.exchange import made_permanent
from prunevis.pruning.plan import PruningPlan
from prunevis.zoo import MODELS, load_model

#: Version of what stands in the metadata.
FORMAT = 1


def save(
    model: nn.Module | Pruned,
    path: str | Path,
    *,
    base: nn.Module | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a pruned network as a safetensors file that `load` rebuilds, without a pickle.

    Parameters
    ----------
    model
        With zeros in place, or smaller, or as it came; or what `prune` returned. Masks of
        `torch.nn.utils.prune` are made permanent in the file.
    path
        Where to write; a file there is replaced.
    base
        What it was pruned from. With it the file is rebuilt on the spot to see that it comes back
        bit for bit, and names only what changed. Networks of the zoo need none.
    notes
        What to write down besides, as JSON; e.g. ``{"accuracy": 0.88}``.

    Returns
    -------
    pathlib.Path
        Of the file.

    Raises
    ------
    ModelError
        If the network cannot be written, or does not come back from `base`.
    SpecError
        If `notes` are not JSON.

    Examples
    --------
    >>> result = prune(model, data, granularity="unit", sparsity=0.5)
    >>> save(result, "small.safetensors")
    >>> again = load("small.safetensors", base=MyNet())
    """
    return written(Path(path), contents_of(model, base=base, notes=notes))


def contents_of(
    model: nn.Module | Pruned,
    *,
    base: nn.Module | None = None,
    notes: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the bytes of the file that `save` writes."""
    from safetensors.torch import save as packed

    notes = dict(notes or {})
    if isinstance(model, Pruned):
        notes = {**summary_of(model.plan), "accuracy": model.accuracy_after, **notes}
        model = model.model
    model = made_permanent(model)
    check_model(model)
    zoo, base = _with_base(model, base)
    tensors, layouts = _tensors(model)
    record: dict[str, Any] = {
        "format": FORMAT,
        "model": {"class": type(model).__name__, "zoo": zoo},
        "modules": modules_of(model, base),
        "layouts": layouts,
        "zeros": _zeros(model),
        "pruning": notes,
        "versions": _versions(),
    }
    if base is not None:
        _check_rebuilt(model, rebuilt(base, dict(tensors_of(model)), record["modules"]))
    record["digest"] = digest_of(record, tensors)
    try:
        text = json.dumps(record, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SpecError("Notes must be plain JSON.", got=str(error)) from error
    try:
        return packed(tensors, metadata={"prunevis": text})
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            "The weights cannot be written as safetensors.",
            got=f"{type(error).__name__}: {error}",
            fix="Quantised and sparse tensors have no place in such a file; save dense ones.",
        ) from error


def load(path: str | Path, *, base: nn.Module | None = None) -> nn.Module:
    """Return the network that `save` wrote, in evaluation mode.

    Parameters
    ----------
    path
        Of the file.
    base
        A network of the same class, as it was before pruning; its weights do not matter, and it is
        not changed. Not needed for networks of the zoo.

    Raises
    ------
    ModelError
        If the file is none of ours, broken, or of another network than `base`.
    SpecError
        If the file needs a base and none is given.
    """
    tensors, record = read_file(Path(path))
    if base is None:
        zoo, name = record["model"]["zoo"], record["model"]["class"]
        if zoo is None:
            raise SpecError(
                f"This file is of a {name}, which does not come with prunevis.",
                where=path,
                fix=f"Pass base={name}(...), made as it was before pruning.",
            )
        if zoo not in MODELS:
            raise ModelError(
                f"This file is of the network {zoo!r}, and the zoo has none of that name.",
                expected=", ".join(MODELS),
                where=path,
                fix="Update prunevis, or pass base=.",
            )
        base = _untrained(zoo)
    check_model(base)
    for name, order in record["layouts"].items():
        if name in tensors and sorted(order) == list(range(tensors[name].dim())):
            tensors[name] = in_order(tensors[name], order)
    return rebuilt(base, tensors, record["modules"])


def summary_of(plan: PruningPlan) -> dict[str, Any]:
    """Return in plain JSON what a plan took, for people who open the file."""
    return {
        "spec": dataclasses.asdict(plan.spec),
        "removed": dict(plan.removed),
        "of": dict(plan.total),
    }


def _versions() -> dict[str, str]:
    from prunevis import __version__

    return {"prunevis": __version__, "torch": str(torch.__version__)}


def _with_base(model: nn.Module, base: nn.Module | None) -> tuple[str | None, nn.Module | None]:
    """Return the name in the zoo that rebuilds `model`, and a base, as far as there are."""
    if base is not None:
        check_model(base)
    for name, entry in MODELS.items():
        if entry.factory is type(model):
            try:
                fresh = _untrained(name)
                rebuilt(fresh, tensors_of(model), modules_of(model, fresh))
            except ModelError:
                break  # of that class, with other arguments
            return name, fresh if base is None else base
    return None, base


def _untrained(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return load_model(name, pretrained=False)


def _tensors(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, list[int]]]:
    """Return copies in the usual order of memory, and the orders that were not."""
    tensors: dict[str, Tensor] = {}
    layouts: dict[str, list[int]] = {}
    for name, tensor in tensors_of(model).items():
        order = order_of(tensor.detach())
        if order is not None:
            layouts[name] = order
        # copies share no memory, which safetensors insists on
        tensors[name] = copy.deepcopy(tensor.detach()).cpu().contiguous()
    return tensors, layouts


def _zeros(model: nn.Module) -> dict[str, int]:
    counts = {name: int((value == 0).sum()) for name, value in model.named_parameters()}
    return {name: count for name, count in counts.items() if count}


def _check_rebuilt(model: nn.Module, again: nn.Module) -> None:
    """Raise unless the network came back as it was: modules, numbers and tensors."""
    same = modules_of(model, None) == modules_of(again, None)
    other = tensors_of(again)
    same = same and all(torch.equal(t, other[n].to(t)) for n, t in tensors_of(model).items())
    if not same:
        raise ModelError(
            "The network would not come back from this base as it is.",
            expected="a network that differs from its base in sizes and weights only",
            fix="Pass the base that it was pruned from, or none.",
        )
