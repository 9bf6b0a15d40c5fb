"""Schedules as slices of a page: one-shot, iterative, and one that is drawn."""

from __future__ import annotations

from typing import Any


def knob(name: str, label: str, value: Any, **more: Any) -> dict[str, Any]:
    kind = "choice" if "choices" in more else "flag" if isinstance(value, bool) else "number"
    plain = {"kind": kind, "least": 0, "most": 100, "whole": isinstance(value, int), "choices": []}
    return {"name": name, "label": label, "value": value, **plain, **more}


def schedule(name: str = "one-shot") -> dict[str, Any]:
    """Return the slice of a schedule of 600 steps, 300 an epoch, that ends at 80 %."""
    goals = {"one-shot": [0.8], "iterative": [0.5, 0.8], "drawn": [0.4, 0.8]}[name]
    each = 600 // len(goals)
    corners: list[list[float]] = [[0, 0.0]]
    for k, goal in enumerate(goals):
        corners += [[k * each, corners[-1][1]], [k * each, goal]]
    knobs = {
        "one-shot": [knob("epochs", "Epochs", 2, least=1, most=50)],
        "iterative": [
            knob("rounds", "Rounds", 2, least=1),
            knob("epochs", "Epochs a round", 1.0),
            knob("spacing", "Steps in sparsity", "linear", choices=["exponential", "linear"]),
        ],
        "drawn": [
            knob("epochs", "Epochs", 2.0),
            knob("untrained", "From random weights", False),
        ],
    }[name]
    return {
        "menu": [
            {"name": "one-shot", "label": "One shot", "disabled": None},
            {"name": "iterative", "label": "Iterative", "disabled": None},
            {"name": "drawn", "label": "Drawn by hand", "disabled": None},
            {"name": "slimming", "label": "Slimming", "disabled": "Slimming prunes units only."},
        ],
        "name": name,
        "summary": "Prune and train.",
        "source": "" if name == "drawn" else "Somebody 2015",
        "url": "" if name == "drawn" else "https://example.org/paper",
        "knobs": knobs,
        "points": [[0.0, 0.5], [0.5, 1.0]] if name == "drawn" else None,
        "more": [knob("optimizer", "Optimiser", "sgd", choices=["sgd", "adam"])],
        "advice": "",
        "advised": {},
        "refusal": "",
        "per_epoch": 300,
        "steps": 600,
        "sparsity": 0.8,
        "curve": [*corners, [600, 0.8]],
        "events": [[k * each, goal, f"Round {k + 1}", "none"] for k, goal in enumerate(goals)],
        "phases": [[k * each, (k + 1) * each, f"Round {k + 1}"] for k in range(len(goals))],
        "untrained": False,
    }


def sight() -> dict[str, Any]:
    """Return a layer of which 60 of 100 weights are gone, none of them in the middle of 4 × 4."""
    values = [0, 0, 0, 0, 0, 10, 10, 0, 0, 10, 10, 0, 0, 0, 0, 0]
    return {
        "step": 300,
        "layer": "fc1",
        "edges": [-1.0, -0.5, 0.0, 0.5, 1.0],
        "kept": [20, 0, 0, 20],
        "began": [20, 30, 30, 20],
        "gone": 60,
        "total": 100,
        "pixels": {"layer": "fc1", "rows": 4, "columns": 4, "most": 10, "values": values},
    }
