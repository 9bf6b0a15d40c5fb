"""Slices as Python would publish them: a made-up LeNet-5, numbers that look real, none measured.

Long on purpose: it is the data of one made-up page, and every slice speaks of the same layers.
"""

# ruff: noqa: E501 (rows of data read better whole)

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from schedules import schedule

POSITIONS = 101
BINS = 80
TEST_IMAGES = 10_000
LAYERS = (
    ("conv1", "Conv2d", "20 × 1 × 5 × 5", 500, 576, 0.12),
    ("conv2", "Conv2d", "50 × 20 × 5 × 5", 25_000, 64, 0.062),
    ("fc1", "Linear", "500 × 800", 400_000, 1, 0.028),
    ("fc2", "Linear", "10 × 500", 5_000, 1, 0.09),
)
BASE = {"accuracy": 0.9178, "bytes": 1_724_320, "params": 431_080, "flops": 4_586_000}


def raw(data: bytes) -> dict[str, str]:
    """What the harness turns into a DataView."""
    return {"__bytes__": base64.b64encode(data).decode()}


def picture(draw: Any, size: tuple[float, float] = (3.4, 2.6)) -> dict[str, str]:
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0)
    draw(figure.subplots())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return raw(buffer.getvalue())


def weights_of(name: str) -> np.ndarray:
    _, _, _, count, _, spread = next(layer for layer in LAYERS if layer[0] == name)
    draw = np.random.default_rng(len(name) + count)
    return draw.laplace(0, spread / 1.4, count) * draw.uniform(0.4, 1.3, count)


def thresholds() -> np.ndarray:
    every = np.sort(
        np.abs(np.concatenate([weights_of(name) for name in ("conv1", "conv2", "fc1")]))
    )
    at = (np.arange(POSITIONS) / 100 * len(every)).astype(int) - 1
    return np.where(at < 0, 0.0, every[np.clip(at, 0, len(every) - 1)])


def grid() -> np.ndarray:
    s = np.arange(POSITIONS) / 100
    s[-1] = 0.999
    return s


def table(granularity: str = "weight") -> dict[str, Any]:
    s = grid()
    limit = thresholds()
    shares = {}
    for name, *_ in LAYERS:
        size = np.abs(weights_of(name))
        shares[name] = [float((size <= t).mean()) if name != "fc2" else 0.0 for t in limit]
    left = np.array(
        [sum(n * (1 - shares[name][k]) for name, _, _, n, *_ in LAYERS) for k in range(POSITIONS)]
    )
    macs = np.array(
        [
            sum(n * a * (1 - shares[name][k]) for name, _, _, n, a, _ in LAYERS)
            for k in range(POSITIONS)
        ]
    )
    params = (left + 580).round()
    dense = np.full(POSITIONS, BASE["bytes"])
    if granularity == "unit":
        params = (430_500 * (1 - s) ** 1.6 + 580).round()
        macs = 2_293_000 * (1 - s) ** 1.7 + 4_000
        dense = params * 4
        storage = ["dense"] * POSITIONS
        size = dense
    else:
        bitmask = params * 4 + 431_080 / 8
        csr = params * 6 + 2_400
        size = np.minimum(np.minimum(bitmask, csr), dense)
        storage = [
            "dense" if b == d else "csr" if b == c else "bitmask"
            for b, c, d in zip(size, csr, dense, strict=True)
        ]
    effective = (2 * macs).round()
    return {
        "key": f"lenet5-{granularity}",
        "granularity": granularity,
        "sparsity": s.tolist(),
        "achieved": (s - (0.004 if granularity == "unit" else 0) * (s > 0)).tolist(),
        "params": params.tolist(),
        "bytes": size.round().tolist(),
        "storage": storage,
        "dense_bytes": dense.tolist(),
        "effective_flops": effective.tolist(),
        "removed_flops": effective.tolist()
        if granularity == "unit"
        else [BASE["flops"]] * POSITIONS,
        "threshold": limit.tolist() if granularity == "weight" else None,
        "layers": shares,
        "base": BASE,
    }


def accuracy(s: np.ndarray, granularity: str = "weight") -> np.ndarray:
    cliff, steep = (0.93, 22) if granularity == "weight" else (0.72, 11)
    fall = 1 / (1 + np.exp(-steep * (s - cliff)))
    bend = 0.01 * np.sin(9 * s) * s
    return np.round(0.10 + (BASE["accuracy"] - 0.10) * (1 - fall) + 0.003 * np.sin(5 * s) - bend, 4)


def curve(granularity: str = "weight", filled: str = "part") -> dict[str, Any]:
    s = grid()
    truth = accuracy(s, granularity)
    truth[0] = BASE["accuracy"]
    value: list[float | None] = [None] * POSITIONS
    low, high, seen, exact = list(value), list(value), [0] * POSITIONS, [0] * POSITIONS
    for k in range(POSITIONS):
        full = filled == "all" or (k <= 60 and k % 5 == 0) or (60 < k <= 88) or k in (0, 100)
        guess = filled == "part" and k > 88 and k % 2 == 0
        if filled == "none" and k > 0:
            continue
        if full:
            value[k] = low[k] = high[k] = float(truth[k])
            seen[k], exact[k] = TEST_IMAGES, 1
        elif guess:
            half = 0.006 + 0.03 * (1 - truth[k])
            value[k], low[k], high[k] = (float(truth[k] + d) for d in (0.001, -half, half))
            seen[k] = 512
    return {
        "key": f"lenet5-{granularity}", "value": value, "low": low, "high": high, "seen": seen,
        "exact": exact, "total": TEST_IMAGES, "known": sum(v is not None for v in value),
    }  # fmt: skip


def network(hostile: bool = False) -> dict[str, Any]:
    """LeNet-5 as it is drawn: a chain of four layers between input and output."""
    names = [name for name, *_ in LAYERS]
    sizes = [count for _, _, _, count, *_ in LAYERS]
    units = [20, 50, 500, 10]
    texts = [f"`{name}` has {n} units of its own." for name, n in zip(names, units, strict=True)]
    if hostile:
        texts[1] = "<img src=x onerror=window.hacked=1> `<b>bold</b>`"
    return {
        "stage": 0, "kind": ["input", *["layer"] * 4, "output"], "name": ["", *names, ""],
        "block": [-1] * 6, "group": [-1, 0, 1, 2, 3, -1],
        "what": ["1 × 28 × 28", "Conv2d 5×5", "Conv2d 5×5", "Linear", "Linear", "10"],
        "place": [""] * 6, "units": [0, *units, 0], "weights": [0, *sizes, 0],
        "params": [0, *(n + u for n, u in zip(sizes, units, strict=True)), 0],
        "macs": [0, *(n * a for _, _, _, n, a, _ in LAYERS), 0],
        "edges": [[i, i + 1] for i in range(5)], "again": [], "blocks": [], "shut": [],
        "groups": [{"text": text, "stays": i == 3} for i, text in enumerate(texts)],
        "other_macs": 0, "unreached": [],
    }  # fmt: skip


def weights(layer: str = "conv2", granularity: str = "weight") -> dict[str, Any]:
    values = weights_of(layer)
    counts, edges = np.histogram(values, BINS)
    limit = thresholds()
    cut = np.array(
        [np.histogram(values[np.abs(values) <= t], edges)[0] for t in limit], dtype="<u4"
    )
    return {
        "key": f"lenet5-{granularity}", "layer": layer, "reason": None, "edges": edges.tolist(),
        "counts": counts.tolist(), "original": None, "cut": raw(cut.tobytes()), "K": POSITIONS,
        "threshold": limit.tolist(), "removed": cut.sum(1).tolist(), "total": int(counts.sum()),
        "summary": "A layer with many small weights gives more under one threshold for all layers.",
    }  # fmt: skip


def neurons(granularity: str = "weight", units: int = 500) -> dict[str, Any]:
    draw = np.random.default_rng(3)
    mean = draw.gamma(1.1, 0.4, units)
    zero = np.clip(1 - mean / 2.2 + draw.normal(0, 0.1, units), 0, 0.985)
    dead = draw.choice(units, units // 5, replace=False)
    mean[dead], zero[dead] = 0.0, 1.0
    nearly = draw.choice(units, units // 25, replace=False)
    zero[nearly], mean[nearly] = np.maximum(zero[nearly], 0.992), np.minimum(mean[nearly], 0.01)
    s = grid()
    return {
        "key": f"lenet5-{granularity}", "layer": "fc1", "reason": None, "mean": mean.tolist(),
        "zero_share": zero.tolist(), "never": (zero == 1).astype(int).tolist(),
        "rank": np.argsort(np.argsort(mean)).tolist() if granularity == "unit" else None,
        "cuts": np.minimum((s * units).astype(int), units - 1).tolist() if granularity == "unit" else None,
        "examples": 2_000, "selected": None,
    }  # fmt: skip


def unit(number: int = 12) -> dict[str, Any]:
    image = np.random.default_rng(number).normal(0, 1, (28, 28)).cumsum(0).cumsum(1)

    def draw(ax: Any) -> None:
        ax.imshow(image, cmap="RdBu_r")
        ax.set_axis_off()

    return {
        "layer": "fc1", "unit": number, "png": picture(draw, (2.6, 2.6)), "alt": f"Weights of unit {number}",
        "text": "Fires on shirts and coats; silent on shoes.",
        "facts": [["mean activation", "0.41"], ["zero on", "38 % of images"], ["most like", "unit 31"]],
    }  # fmt: skip


def redundancy() -> dict[str, Any]:
    draw = np.random.default_rng(5)
    base = draw.normal(size=(12, 40))
    rows = base[np.sort(draw.integers(0, 12, 50))] + draw.normal(0, 0.8, (50, 40))
    matrix = np.corrcoef(rows)
    png = picture(lambda ax: ax.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1), (3.6, 3.2))
    pairs = [
        {"a": 12, "b": 31, "value": 0.94},
        {"a": 4, "b": 44, "value": 0.91},
        {"a": 7, "b": 19, "value": 0.88},
    ]
    kind = {"png": png, "alt": "Similarity of 50 units", "reason": None, "pairs": pairs}
    return {
        "layer": "conv2",
        "kinds": [
            {"name": "weights", "label": "By weights (cosine)", "text": "3 pairs above 0.85.", **kind},
            {"name": "activations", "label": "By activations (correlation)", "text": "On 2,000 images.", **kind},
        ],
    }  # fmt: skip


def layers_view() -> dict[str, Any]:
    def draw(ax: Any) -> None:
        ax.barh([layer[0] for layer in LAYERS], [layer[3] for layer in LAYERS], color="#2b6cb0")

    return {
        "png": picture(draw, (4, 2.2)), "alt": "Parameters by layer", "text": "fc1 holds 93 % of all parameters.",
        "sensitivity": {"state": "none", "png": None, "alt": "", "text": ""},
    }  # fmt: skip


def criteria_view(state: str = "none") -> dict[str, Any]:
    """The tab that compares criteria: "none", "running", "done" or "failed"."""

    def draw(ax: Any) -> None:
        ax.imshow([[0.7, 0.2], [0.1, -0.3]], cmap="RdBu", vmin=-1, vmax=1)

    done = state == "done"
    png = picture(draw, (4.2, 2.2)) if done else None
    where = {
        "state": state,
        "progress": 0.4 if state == "running" else 0.0,
        "doing": {
            "running": "Removing unit 228 of 570",
            "failed": "Without a unit the model gives NaN.",
        }.get(state, ""),
    }
    names = {
        "l1": "L1 norm",
        "l2": "L2 norm",
        "apoz": "Share of zeros (APoZ)",
        "mean-activation": "Mean activation",
        "hrank": "Rank of feature maps",
        "taylor-2019": "Taylor (gate)",
    }
    rows = [
        {"label": "L2 norm", "seconds": 0.002, "accuracy": 0.82, "spread": None, "share": 0.5},
        {"label": "Random", "seconds": 0.001, "accuracy": 0.41, "spread": 0.093, "share": 0.5},
    ]
    return {
        "reason": None,
        "costs": [
            {"images": n, "text": f"570 units × {n} examples, 16.7 billion multiply-adds, about {n // 64} s", "seconds": n / 64}
            for n in (128, 256, 512, 1024)
        ],
        "agreement": {**where, "text": "1 is the oracle's own order, 0 is chance." if done else "",
                      "figures": [{"name": n, "png": png, "alt": "Agreement"} for n in ("summary", "layers")] if done else []},
        "race": {**where, "png": png, "alt": "A race", "rows": rows if done else [], "text": "Pruned by units." if done else ""},
        "criteria": [{"name": name, "label": label} for name, label in names.items()],
        "usual": ["l2", "apoz"], "most": 5,
        "measures": [{"name": "sparsity", "label": "Sparsity", "help": "the same share of what can go"},
                     {"name": "params", "label": "Parameters", "help": "the same number of parameters left"},
                     {"name": "macs", "label": "FLOPs", "help": "the same number of multiply-adds left"}],
        "help": "All layers, pruned by unit; chance takes part; 3 seeds; 1,000 test images each.",
    }  # fmt: skip


def controls(
    granularity: str = "weight", layer: str = "conv2", hostile: bool = False
) -> dict[str, Any]:
    total = 431_080
    rows = [
        {
            "name": name, "kind": kind, "shape": shape, "params": n, "share": n / total,
            "ticked": name != "fc2", "own": None, "disabled": None, "is_output": name == "fc2", "together": [],
        }
        for name, kind, shape, n, *_ in LAYERS
    ]  # fmt: skip
    if hostile:
        rows[0]["kind"] = "<img src=x onerror=window.hacked=1>"
        rows[3]["disabled"] = "<script>window.hacked=1</script> cannot be pruned"
    return {
        "models": [
            {"name": "lenet5", "label": "LeNet-5", "detail": "two convolutions, two linear layers"},
            {"name": "lenet-300-100", "label": "LeNet-300-100", "detail": "three linear layers"},
        ],
        "model": "lenet5",
        "granularities": [
            {"name": "weight", "label": "Weights", "help": "Weights become zeros; the network keeps its shape.", "disabled": None},
            {"name": "unit", "label": "Units", "help": "Whole neurons and channels leave; the network gets smaller.", "disabled": None},
        ],
        "granularity": granularity,
        "criteria": [
            {"name": "magnitude", "label": "Magnitude |w|", "summary": "The smallest weights go first. Han et al. 2015",
             "formula": "importance(w) = |w|", "source": "Learning both weights and connections, 2015",
             "url": "https://arxiv.org/abs/1506.02626", "disabled": None},
            {"name": "random", "label": "Random", "summary": "By lot: the baseline that a criterion has to beat.",
             "formula": "", "source": "", "url": "", "disabled": None},
            {"name": "apoz", "label": "Share of zeros", "summary": "", "formula": "", "source": "", "url": "",
             "disabled": "it scores units, not weights"},
        ],
        "criterion": "magnitude",
        "scopes": [
            {"name": "global", "label": "All layers together", "help": "One ranking: layers with small weights give more."},
            {"name": "layer", "label": "Each layer", "help": "Every layer loses the same share."},
        ],
        "scope": "global", "seed": 0, "seed_shown": False, "layer": layer, "layers": rows,
    }  # fmt: skip


def many_layers(count: int = 60) -> list[dict[str, Any]]:
    return [
        {
            "name": f"stages.{i // 9}.blocks.{i % 9}.conv{1 + i % 3}", "kind": "Conv2d", "shape": "64 × 64 × 3 × 3",
            "params": 36_864 * (1 + i // 9), "share": 1 / count, "ticked": i % 7 != 3, "own": 0.25 if i == 4 else None,
            "disabled": "its channels meet aten.pixel_shuffle, for which there is no rule yet" if i % 7 == 3 else None,
            "is_output": i == count - 1, "together": ["stem", "stages.0.blocks.2.conv2"] if i % 9 == 1 else [],
        }
        for i in range(count)
    ]  # fmt: skip


def fine_tune(state: str = "ready") -> dict[str, Any]:
    live = state in ("running", "done")
    steps = list(range(0, 380 if state == "running" else 600, 10)) if live else []
    return {
        "state": state, "reason": None, "epochs": 2, "learning_rate": 0.001,
        "sources": [{"name": "train", "label": "12,000 training images"}, {"name": "half", "label": "every second one"}],
        "source": "train", "progress": 0.63 if state == "running" else 1.0 if live else 0.0,
        "text": "Epoch 2 of 2, about 14 s left" if state == "running" else "600 steps in 38 s" if live else "",
        "steps": steps, "loss": [0.9 * 0.985 ** (t / 6) + 0.25 + 0.04 * np.sin(t) for t in steps],
        "accuracy": [[t, 0.871 + 0.035 * (1 - 0.98 ** (t / 8))] for t in range(0, steps[-1] + 1, 100)] if live else [],
        "before": 0.871 if live else None, "after": 0.9081 if state == "done" else None, "can_keep": state == "done",
    }  # fmt: skip


def history(state: str = "done") -> dict[str, Any]:
    """Two branches with a comparison, or with state "fresh" nothing applied."""

    def node(number, parent, column, row, text, accuracy, params, **more):
        return {
            "number": number,
            "parent": parent,
            "column": column,
            "row": row,
            "name": "",
            "text": text,
            "accuracy": accuracy,
            "params": params,
            "bytes": 4 * params,
            "macs": 6 * params,
            "repair": "",
            "tuned": "",
            "present": False,
            "on_path": False,
            "came_of_it": 1,
            **more,
        }

    nodes = [
        node(1, None, 0, 0, "As it came", 0.9, 431_080, on_path=True, came_of_it=6, name="dense"),
        node(2, 1, 1, 0, "80 % of weights by Magnitude |w|", 0.885, 90_680, came_of_it=3),
        node(
            3,
            2,
            2,
            0,
            "90 % of weights by Magnitude |w|, fine-tuned 2 epochs",
            0.889,
            48_130,
            tuned="2 epochs",
        ),
        node(4, 2, 2, 1, "95 % of weights by LAMP", 0.741, 26_855),
        node(
            5,
            1,
            1,
            2,
            "50 % of units by L2 norm, repaired: Least squares",
            0.862,
            130_000,
            on_path=True,
            came_of_it=2,
            repair="Least squares",
        ),
        node(6, 5, 2, 2, "40 % of units by L2 norm", 0.83, 61_000, on_path=True, present=True),
    ]
    comparison: dict[str, Any] = {
        "state": "none",
        "progress": 0,
        "doing": "",
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
    if state == "fresh":
        nodes = [{**nodes[0], "present": True, "came_of_it": 1}]
    if state == "running":
        comparison.update(
            state="running",
            progress=0.4,
            doing="Measuring the second network",
            pair=[1, 6],
            names=["dense", nodes[5]["text"]],
        )
    if state == "done":
        pixels = base64.b64encode(bytes((7 * i) % 256 for i in range(28 * 28))).decode()
        sample = {
            "index": 17,
            "label": "shirt",
            "said": ["shirt", "T-shirt/top"],
            "sure": [0.91, 0.55],
            "facts": "",
            "alt": "Picture 17 of shirt: shirt before, T-shirt/top after.",
            "width": 28,
            "height": 28,
            "channels": 1,
            "pixels": {"__bytes__": pixels},
        }
        bare = {
            **sample,
            "kind": "other",
            "index": 5,
            "width": 0,
            "pixels": None,
            "facts": "784 values from 0 to 1",
        }
        comparison.update(
            state="done",
            progress=1,
            pair=[1, 6],
            names=["dense", nodes[5]["text"]],
            rows=[
                {"label": "Right", "kind": "share", "values": [0.9, 0.83]},
                {"label": "Loss", "kind": "loss", "values": [0.31, 0.52]},
                {"label": "Parameters left", "kind": "count", "values": [431_080, 61_000]},
                {"label": "File", "kind": "bytes", "values": [1_724_320, 244_000]},
            ],
            layers=[
                {
                    "name": "conv1",
                    "params": [520, 260],
                    "macs": [288_000, 144_000],
                    "units": [20, 10],
                },
                {
                    "name": "fc1",
                    "params": [400_500, None],
                    "macs": [400_000, None],
                    "units": [500, None],
                },
            ],
            classes=[
                {"name": "shirt", "count": 1000, "values": [0.72, 0.51]},
                {"name": "bag", "count": 1000, "values": [0.97, 0.98]},
            ],
            counts={"forgotten": 912, "learned": 1, "other": 1},
            samples=[{**sample, "kind": "forgotten", "index": i} for i in range(12)]
            + [{**sample, "kind": "learned"}, bare],
            text="On these 10,000 test examples accuracy changes by \u22127.00 points, beyond chance.",
            note="Hooker et al. (2019).",
        )
    return {
        "nodes": nodes,
        "text": "2 steps were forgotten to make room.",
        "longest_name": 40,
        "comparison": comparison,
    }


def scene(name: str = "usual") -> dict[str, Any]:
    """All slices of one situation: usual, units, estimate, loading, error, hostile, tuning, tuned, many."""
    granularity = "unit" if name == "units" else "weight"
    slices: dict[str, Any] = {
        "head": {"title": "LeNet-5 on Fashion-MNIST", "note": "10,000 test images"},
        "status": {"kind": "idle", "text": "Exact here. Filling in the curve: 62 of 101", "done": 62, "total": 101},
        "controls": controls(granularity, "fc1" if name == "units" else "conv2", name == "hostile"),
        "table": table(granularity), "curve": curve(granularity), "network": network(name == "hostile"),
        "weights": weights("conv2", granularity), "neurons": neurons(granularity), "unit": {},
        "redundancy": redundancy(), "layers_view": layers_view(), "fine_tune": fine_tune(),
        "schedule": schedule(), "history": history(),
        "criteria_view": criteria_view(),
        "steps": {"applied": [], "can_apply": True, "can_undo": False, "can_redo": False, "can_reset": False,
                  "apply_text": "340,400 of 425,500 weights become zeros"},
        "problem": {}, "position": 0.8,
    }  # fmt: skip
    if name == "units":
        slices["position"] = 0.55
        slices["unit"] = unit()
        slices["neurons"]["selected"] = 12
        slices["steps"]["applied"] = ["80 % of weights by magnitude", "fine-tuned, 2 epochs"]
        slices["steps"].update(can_undo=True, can_reset=True)
    elif name == "estimate":
        slices["position"] = 0.92
        slices["status"] = {"kind": "busy", "text": "Refining 92 %", "done": 512, "total": 10_000}
    elif name == "loading":
        slices = {
            "status": {
                "kind": "loading",
                "text": "Preparing LeNet-5: counting multiply-adds",
                "done": None,
                "total": None,
            }
        }
    elif name == "fresh":
        slices.update(
            position=0.3,
            curve=curve(granularity, "none"),
            neurons={},
            redundancy={},
            layers_view={},
            weights={},
        )
        slices["status"] = {
            "kind": "busy",
            "text": "Measuring the network as it came",
            "done": 1200,
            "total": 10_000,
        }
    elif name == "error":
        slices["status"] = {"kind": "error", "text": "Stopped", "done": None, "total": None}
        slices["problem"] = {
            "id": 3,
            "text": "The labels must lie in 0 to 9, got 10 in batch 4 (test data).",
            "fix": "Subtract 1, or give a network with 11 outputs.",
            "detail": "Traceback\n  File x\nDataError",
        }
        slices["weights"] = {
            "key": "lenet5-weight",
            "layer": "pool1",
            "reason": "pool1 has no weights: pick another layer.",
        }
    elif name == "hostile":
        slices["head"]["title"] = "<script>window.hacked=1</script>"
        slices["problem"] = {
            "id": 1,
            "text": "<b onmouseover=window.hacked=1>x</b>",
            "fix": "",
            "detail": "",
        }
    elif name in ("tuning", "tuned"):
        slices["fine_tune"] = fine_tune("running" if name == "tuning" else "done")
    elif name == "many":
        slices["controls"]["layers"] = many_layers()
        slices["controls"]["models"] = []
        slices["controls"]["model"] = "MyResNet"
        slices["controls"]["seed_shown"] = True
        slices["table"]["layers"] = {
            row["name"]: slices["table"]["layers"]["conv2"] for row in many_layers()
        }
        slices["neurons"] = neurons("weight", 2048)
    return slices
