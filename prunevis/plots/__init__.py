"""Figures, in matplotlib and seaborn: each draws on `ax`, or makes a figure of its own.

``f(data, *, ax=None, theme="light") -> Axes``. They take results or plain arrays, never pyplot, and
leave rcParams alone; `png` renders a figure from any thread, `alt` says it in words. ``title=None``
is the figure's own title if it has one, ``title=""`` none at all::

    ax = prunevis.plots.weight_histogram(model.conv2.weight, threshold=0.053)
    ax.figure.savefig("weights.png")
"""

from prunevis.plots import alt
from prunevis.plots.activity import neuron_activity
from prunevis.plots.agreement import agreement
from prunevis.plots.bars import layer_costs
from prunevis.plots.curves import sensitivity, tradeoff
from prunevis.plots.histogram import weight_histogram
from prunevis.plots.judged import tradeoff_judged
from prunevis.plots.latency import latency
from prunevis.plots.masks import mask_image
from prunevis.plots.matrix import cluster_order, similarity_matrix
from prunevis.plots.profile import unit_profile
from prunevis.plots.race import race
from prunevis.plots.style import DARK, LIGHT, Theme, new_axes, png

__all__ = [
    "DARK",
    "LIGHT",
    "Theme",
    "agreement",
    "alt",
    "cluster_order",
    "latency",
    "layer_costs",
    "mask_image",
    "neuron_activity",
    "new_axes",
    "png",
    "race",
    "sensitivity",
    "similarity_matrix",
    "tradeoff",
    "tradeoff_judged",
    "unit_profile",
    "weight_histogram",
]
