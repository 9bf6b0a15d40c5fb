"""Published results, to lie quietly behind one's own where network and data are the same.

The table beside this file (`published.csv`) is typed from the papers themselves, from their
authors' code, or from the survey of results that comes with ShrinkBench (Blalock et al. 2020); each
row says which. Ratios are before / after, as everywhere here; where a paper gives a share removed,
s, the compression is 1 / (1 − s). A figure that the source does not give is left empty. The same
name need not mean the same network or the same training (Blalock et al. 2020, section 5.1), so
these points are a background and no baseline.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from prunevis.graph.layers import ModelGraph

TABLE = Path(__file__).with_name("published.csv")

#: Shapes of all weights, by which a network is recognised whatever it is called.
SHAPES: dict[tuple[tuple[int, ...], ...], str] = {
    ((300, 784), (100, 300), (10, 100)): "lenet-300-100",
    ((20, 1, 5, 5), (50, 20, 5, 5), (500, 800), (10, 500)): "lenet5",
}


@dataclass(frozen=True, slots=True)
class Published:
    """One published result.

    Attributes
    ----------
    paper, year
        Where it was published first that we have read it; `year` is None where that is not known.
    data, model, method
        On what, and how.
    top1_dense, top1_pruned
        Accuracy in [0, 1]; `top1_dense` is NaN where the source does not give it.
    compression, speedup
        Parameters and multiply-adds, before / after; NaN where the source does not say.
    source
        Document and table.
    """

    paper: str
    year: int | None
    data: str
    model: str
    method: str
    top1_dense: float
    top1_pruned: float
    compression: float
    speedup: float
    source: str


def published(model: str | ModelGraph, data: str) -> tuple[Published, ...]:
    """Return what was published for the same network and data; empty where nothing was.

    Parameters
    ----------
    model
        A name, e.g. "lenet5" or "LeNet-300-100", or a traced network, which is recognised by the
        shapes of its weights.
    data
        A name, e.g. "MNIST"; case and punctuation do not matter.
    """
    name = network_name(model) if isinstance(model, ModelGraph) else model
    return tuple(
        row
        for row in _table()
        if name and _plain(row.model) == _plain(name) and _plain(row.data) == _plain(data)
    )


def network_name(graph: ModelGraph) -> str:
    """Return what papers call a network of these shapes, "" if it is none of those known here."""
    shapes = tuple(graph.tensors[layer.weight].shape for layer in graph.layers.values())
    return SHAPES.get(shapes, "")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@cache
def _table() -> tuple[Published, ...]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(
            Published(
                paper=row["paper"],
                year=int(row["year"]) if row["year"] else None,
                data=row["data"],
                model=row["model"],
                method=row["method"],
                top1_dense=_share(row["top1_dense"]),
                top1_pruned=_share(row["top1_pruned"]),
                compression=_ratio(row["compression"]),
                speedup=_ratio(row["speedup"]),
                source=row["source"],
            )
            for row in csv.DictReader(file)
        )


def _ratio(text: str) -> float:
    return float(text) if text else math.nan


def _share(text: str) -> float:
    return _ratio(text) / 100
