"""The drawn network: its nodes, who reads whom, and why channels leave together."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from prunevis.graph.drawing import Drawing, draw
from prunevis.graph.explain import explain_coupling
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.session.state import Session

_NAME = re.compile(r"`([^`]*)`")


def network(session: Session) -> dict[str, Any]:
    """Return what there is to draw of the network, or {} while none is open."""
    found = session.network
    return {} if found is None else drawn(found.stage.graph) | {"stage": found.stage.number}


def drawn(graph: ModelGraph) -> dict[str, Any]:
    """Return a network's drawing as columns: large networks have hundreds of nodes."""
    drawing = draw(graph)
    layers = [graph.layers.get(node.name) for node in drawing.nodes]
    short = _by_node(drawing)
    groups: dict[str, int] = {}
    texts: list[dict[str, Any]] = []
    for name, layer in graph.layers.items():
        # a layer without a group has a reason of its own
        key = layer.group or f"layer {name}"
        if key in groups:
            continue
        groups[key] = len(texts)
        group = graph.groups.get(layer.group or "")
        texts.append(
            {
                "text": _NAME.sub(short, explain_coupling(graph, name)),
                "stays": group is None or group.reason is not None,
            }
        )

    def group_of(index: int) -> int:
        node = drawing.nodes[index]
        return groups.get(node.group or f"layer {node.name}", -1)

    return {
        "kind": [node.kind for node in drawing.nodes],
        "name": [node.name for node in drawing.nodes],
        "block": [-1 if node.block is None else node.block for node in drawing.nodes],
        "group": [group_of(index) for index in range(len(drawing.nodes))],
        "what": [
            _sizes(graph, node.kind) if layer is None else _what(layer)
            for node, layer in zip(drawing.nodes, layers, strict=True)
        ],
        "place": [node.place for node in drawing.nodes],
        "units": [0 if layer is None else layer.num_units for layer in layers],
        "weights": [0 if layer is None else layer.num_weights for layer in layers],
        "params": [0 if layer is None else layer.num_params for layer in layers],
        "macs": [0 if layer is None else layer.macs for layer in layers],
        "edges": [list(edge) for edge in drawing.edges],
        "again": [list(edge) for edge in drawing.again],
        "blocks": [
            {"name": block.name, "parent": -1 if block.parent is None else block.parent}
            for block in drawing.blocks
        ],
        "shut": list(drawing.shut),
        "groups": texts,
        "other_macs": graph.other_macs,
        "unreached": list(graph.untraced),
    }


def _by_node(drawing: Drawing) -> Callable[[re.Match[str]], str]:
    """Return what puts the number of its node for a layer's name, which may be long."""
    number = {node.name: index for index, node in enumerate(drawing.nodes) if node.name}
    return lambda found: f"`@{number[found[1]]}`" if found[1] in number else found[0]


def _what(layer: LayerInfo) -> str:
    """Return what a layer is, e.g. "Conv2d 3×3" or "Linear"."""
    return " ".join([layer.kind, "×".join(map(str, layer.weight_shape[2:]))]).strip()


def _sizes(graph: ModelGraph, kind: str) -> str:
    """Return the size of an example, or the number of the model's outputs."""
    if kind == "input":
        return " × ".join(map(str, graph.input_shape))
    return f"{graph.num_outputs:,}" if kind == "output" and graph.num_outputs else ""
