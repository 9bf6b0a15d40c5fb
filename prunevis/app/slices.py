"""Which slices of the page there are to renew, when, and in which order."""

from __future__ import annotations

#: Which slices a change of the session makes stale.
STALE: dict[str, tuple[str, ...]] = {
    "network": (
        *("head", "controls", "network", "weights", "neurons", "fine_tune", "steps"),
        *("criteria_view", "judged_view", "schedule", "history"),
    ),
    "setting": ("controls", "steps", "curve", "criteria_view", "schedule"),
    "position": ("steps", "schedule"),
    "table": ("table", "curve", "weights", "neurons", "steps", "judged_view", "schedule"),
    "curve": ("curve", "judged_view"),
    "statistics": ("neurons", "controls"),
    "view": ("controls", "weights", "neurons", "unit", "redundancy", "layers_view"),
    "fine_tuning": ("fine_tune", "schedule"),
    "draft": ("schedule",),
    "scan": ("layers_view",),
    "judging": ("criteria_view", "judged_view"),
    "timing": ("judged_view",),
    "comparing": ("history",),
    "problem": ("problem",),
    "status": ("status",),
    "replay": ("status",),
}

#: What a recipe tells of; its slice is sent when a page is at rest.
IN_RECIPE = frozenset({"network", "setting", "position", "table", "view", "replay"})

#: Slices that a moved slider waits for.
URGENT = ("table", "curve", "status")
#: Slices that take tens of milliseconds for a large layer.
SLOW = frozenset({"network", "weights", "neurons", "redundancy", "unit", "layers_view"})
#: Slices that only one tab shows, made when it is open.
OF_TAB = {
    "network": "network",
    "weights": "weights",
    "neurons": "neurons",
    "criteria_view": "criteria",
    "judged_view": "tradeoff",
    "schedule": "fine_tune",
    "history": "history",
}
#: Those of them that are not made before.
ON_DEMAND = frozenset({"network", "criteria_view", "judged_view", "schedule", "history"})
#: Slices that figures of another name are part of.
SLICE_OF = {
    **dict.fromkeys(("layers", "sensitivity"), "layers_view"),
    **dict.fromkeys(("agreement", "agreement_layers", "race"), "criteria_view"),
}
