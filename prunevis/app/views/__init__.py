"""The session in the page's words: pure functions from snapshots to plain JSON.

What each slice holds is written down in `prunevis.widgets.page`. No function here draws, measures
or changes anything; figures come from `prunevis.app.figures`.
"""

from prunevis.app.views.controls import controls, head
from prunevis.app.views.history import history
from prunevis.app.views.judged import judged_view
from prunevis.app.views.judging import criteria_view
from prunevis.app.views.layers import neurons, weights
from prunevis.app.views.network import network
from prunevis.app.views.numbers import curve, table
from prunevis.app.views.progress import layers_view, problem, status, steps
from prunevis.app.views.training import fine_tune, schedule

__all__ = [
    "controls",
    "criteria_view",
    "curve",
    "fine_tune",
    "head",
    "history",
    "judged_view",
    "layers_view",
    "network",
    "neurons",
    "problem",
    "schedule",
    "status",
    "steps",
    "table",
    "weights",
]
