"""The history: every step as a node of a drawn tree, and two of them side by side."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from prunevis.app.views.words import plain
from prunevis.data import Data
from prunevis.evaluation import Changed, Comparison
from prunevis.pruning import REPAIRS
from prunevis.session import tree
from prunevis.session.comparing import MOST
from prunevis.session.history import Network, Stage
from prunevis.session.state import Session

#: Longest side of a picture that is sent, in pixels; a larger one is scaled down.
LONGEST = 64
#: Classes that are listed, those that changed most.
CLASSES = 40


def history(session: Session) -> dict[str, Any]:
    """Return the tree of steps and the comparison, or {} while there is no network."""
    network = session.network
    if network is None:
        return {}
    places = tree.placed(network.nodes)
    way = {stage.number for stage in network.stages}
    text = ""
    if network.forgotten:
        many = network.forgotten > 1
        text = (
            f"{network.forgotten} step{'s were' if many else ' was'} forgotten to make room: the "
            "oldest ends of other branches go first."
        )
    return {
        "nodes": [_node(network, stage, places[stage.number], way) for stage in network.nodes],
        "text": text,
        "longest_name": tree.MAX_NAME,
        "comparison": _comparison(session),
    }


def _node(network: Network, stage: Stage, place: tuple[int, int], way: set[int]) -> dict[str, Any]:
    cost, step = stage.costs.cost(), stage.step
    spec = None if step is None else step.spec
    tuned = ""
    if step is not None and step.settings is not None:
        epochs = step.settings.epochs
        tuned = f"{epochs:g} epoch{'s' * (epochs != 1)}"
        if step.schedule is not None:
            tuned = f"schedule: {step.schedule.label}"
    return {
        "number": stage.number,
        "parent": stage.parent,
        "column": place[0],
        "row": place[1],
        "name": network.names.get(stage.number, ""),
        "text": plain(stage.label),
        "accuracy": None if stage.baseline is None else stage.baseline.accuracy,
        "params": cost.nonzero_params,
        "bytes": cost.bytes,
        "macs": cost.effective_macs,
        "repair": "" if spec is None or spec.repair == "none" else REPAIRS[spec.repair].label,
        "tuned": tuned,
        "present": stage is network.stage,
        "on_path": stage.number in way,
        "came_of_it": len(tree.branch(network.nodes, stage.number)),
    }


def called(network: Network, number: int) -> str:
    """Return what a step is called: the name it was given, or what was done."""
    return network.names.get(number) or plain(tree.find(network.nodes, number).label)


def _comparison(session: Session) -> dict[str, Any]:
    found, network = session.comparing, session.network
    view: dict[str, Any] = {
        "state": found.state,
        "progress": round(min(1.0, found.progress), 3),
        "doing": plain(found.text) or "",
        "pair": None,
        "names": [],
        "rows": [],
        "layers": [],
        "classes": [],
        "counts": {},
        "samples": [],
        "text": "",
        "note": "",
    }
    if found.pair is not None:
        view["pair"] = list(found.pair)
        view["names"] = [called(network, number) for number in found.pair]
    if found.result is not None:
        view.update(compared(found.result, network.data))
    return view


def compared(found: Comparison, data: Data) -> dict[str, Any]:
    """Return what a comparison found, as the page shows it."""
    kinds = {"forgotten": found.forgotten, "learned": found.learned, "other": found.other}
    return {
        "rows": _rows(found),
        "layers": [
            {
                "name": layer.name,
                "params": list(layer.params),
                "macs": list(layer.macs),
                "units": list(layer.units),
            }
            for layer in found.layers
        ],
        "classes": _classes(found, data),
        "counts": {name: len(kind) for name, kind in kinds.items()},
        "samples": [
            sample for name, kind in kinds.items() for sample in _samples(name, kind, data)
        ],
        "text": _said(found),
        "note": "What networks forget when pruned: Hooker et al. (2019). Of one pair of networks "
        "some of it is chance: two trainings of the same network also differ.",
    }


def _rows(found: Comparison) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "label": "Right",
            "kind": "share",
            "values": [found.before.accuracy, found.after.accuracy],
        },
        {"label": "Loss", "kind": "loss", "values": [found.before.loss, found.after.loss]},
    ]
    before, after = found.costs
    if before is not None and after is not None:
        rows += [
            {
                "label": label,
                "kind": kind,
                "values": [getattr(before, name), getattr(after, name)],
            }
            for label, kind, name in (
                ("Parameters left", "count", "nonzero_params"),
                ("File", "bytes", "bytes"),
                ("MACs, zeros skipped", "count", "effective_macs"),
                ("MACs, as any tool runs it", "count", "removed_macs"),
            )
        ]
    for row in rows:
        row["values"] = [v if math.isfinite(v) else None for v in row["values"]]
    return rows


def _classes(found: Comparison, data: Data) -> list[dict[str, Any]]:
    """Return classes with examples, the one that lost most first."""
    listed = sorted((c for c in found.classes if c.count), key=lambda c: c.change)
    if len(listed) > CLASSES:
        # both ends: what lost and what gained most
        listed = [*listed[: CLASSES // 2], *listed[-CLASSES // 2 :]]
    return [
        {"name": _class(data, c.index), "count": c.count, "values": list(c.accuracy)}
        for c in listed
    ]


def _said(found: Comparison) -> str:
    points = f"{100 * found.difference:+.2f}".replace("-", "−")
    low, high = (f"{100 * v:+.2f}".replace("-", "−") for v in (found.low, found.high))
    chance = "by less than chance may do" if found.p_value >= 0.05 else "beyond chance"
    words = (
        f"On these {found.after.total:,} test examples accuracy changes by {points} points, "
        f"{chance} (McNemar, p {_p(found.p_value)}); on others like them by {low} to {high} "
        f"(95 % interval). "
    )
    if not found.num_changed:
        return words + "Not one prediction changed."
    return words + (
        f"{len(found.forgotten):,} are forgotten, {len(found.learned):,} learned, and "
        f"{len(found.other):,} are wrong in another way."
    )


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _class(data: Data, index: int) -> str:
    return data.class_names[index] if index < len(data.class_names) else f"class {index}"


def _samples(kind: str, found: Changed, data: Data) -> list[dict[str, Any]]:
    samples = []
    for i in range(min(MOST, len(found))):
        index = int(found.index[i])
        label = _class(data, int(found.target[i]))
        said = [_class(data, int(c)) for c in found.predicted[i]]
        sure = [round(float(c), 3) if c == c else None for c in found.confidence[i]]
        values = data.test.inputs[index]
        picture = pixels(values, data)
        what = "Picture" if picture else "Example"
        samples.append(
            {
                "kind": kind,
                "index": index,
                "label": label,
                "said": said,
                "sure": sure,
                "alt": f"{what} {index} of {label}: {said[0]} before, {said[1]} after.",
                "facts": "" if picture else _in_words(values),
                **(picture or {"width": 0, "height": 0, "channels": 0, "pixels": None}),
            }
        )
    return samples


def pixels(values: Tensor, data: Data) -> dict[str, Any] | None:
    """Return one input as a picture, or None if it is none.

    Returns
    -------
    dict or None
        ``{width, height, channels, pixels}``; the pixels are bytes, row by row, 1 or 3 a pixel.
    """
    if values.ndim != 3 or values.shape[0] not in (1, 3) or not values.is_floating_point():
        return None
    picture = values.detach().float().cpu()
    if data.mean is not None and data.std is not None:
        picture = picture * data.std + data.mean
    else:
        low, high = picture.min(), picture.max()
        picture = (picture - low) / (high - low).clamp(min=1e-12)
    longest = max(picture.shape[1:])
    if longest > LONGEST:
        size = [max(1, round(n * LONGEST / longest)) for n in picture.shape[1:]]
        picture = F.interpolate(picture[None], size, mode="area")[0]
    small = (picture.clamp(0, 1) * 255).round().to(torch.uint8)
    return {
        "width": int(small.shape[2]),
        "height": int(small.shape[1]),
        "channels": int(small.shape[0]),
        "pixels": small.permute(1, 2, 0).contiguous().numpy().tobytes(),
    }


def _in_words(values: Tensor) -> str:
    flat = values.detach().reshape(-1).float()
    if flat.numel() <= 6:
        return ", ".join(f"{v:.3g}" for v in flat.tolist())
    return f"{flat.numel():,} values from {flat.min():.3g} to {flat.max():.3g}"
