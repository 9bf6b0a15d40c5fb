"""The works that pruning is known by, done again: `prunevis reproduce NAME`.

Each file holds one work: what the paper did, with its numbers, and the same done here. `base.py`
runs and resumes them, `report.py` puts both side by side, `mnist.py` finds the data.
"""

from prunevis.reproduce import (
    blalock2020,
    han2015,
    keras_guide,
    lottery2019,
    molchanov2016,
    neuron_merging2020,
    noiseout2016,
    pytorch_tutorial,
    snip2019,
    synflow2020,
)
from prunevis.reproduce.base import REPRODUCTIONS, Context, Reproduction, reproduce
from prunevis.reproduce.report import Report

__all__ = [
    "REPRODUCTIONS",
    "Context",
    "Report",
    "Reproduction",
    "blalock2020",
    "han2015",
    "keras_guide",
    "lottery2019",
    "molchanov2016",
    "neuron_merging2020",
    "noiseout2016",
    "pytorch_tutorial",
    "reproduce",
    "snip2019",
    "synflow2020",
]
