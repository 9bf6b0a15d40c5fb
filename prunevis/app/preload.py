"""What kernels share that are forked from one process: `rehearse` loads it and tries it once.

The data are read once, and a page is opened and measured as for a first visitor, so that libraries
have set themselves up. Nothing here leaves a thread behind: a fork would not have it.
"""

from __future__ import annotations

from typing import Any

from prunevis import plots
from prunevis.app import sources
from prunevis.app.explorer import Explorer
from prunevis.app.served import quiet_threads


def rehearse() -> None:
    """Open the page of a visitor, measure, draw a figure, and close it."""
    quiet_threads()
    sources.share()
    explorer = Explorer(served=True, threaded=False)
    # nobody looks: the curve is not filled in
    explorer.pauses.views(0)
    explorer.run_until_idle()
    network = explorer.session.network
    if network is not None:
        axes: Any = plots.weight_histogram(next(iter(network.stage.model.parameters())))
        plots.png(axes.figure)
    explorer.close()
