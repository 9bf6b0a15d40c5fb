"""Where in a traced forward the units of each layer are best observed."""

from __future__ import annotations

import numpy as np

from prunevis.graph.placement import Point
from prunevis.graph.recorder import LayerDraft, Recorder
from prunevis.graph.values import Value


def find_points(recorder: Recorder) -> dict[str, Point]:
    """Return, by layer name, the call whose result shows its units, and their axis there.

    From the layer on, normalisations, additions, scalings and activations that nothing else reads
    before are followed. The point is the last activation among them (the share of zeros is defined
    at the output of the ReLU, Hu et al. 2016), or, without any, the last of them.
    """
    found = {}
    for name, draft in recorder.layers.items():
        point = _point(recorder, draft)
        if point is not None:
            found[name] = point
    return found


def _point(recorder: Recorder, draft: LayerDraft) -> Point | None:
    number, axis = draft.call, draft.value_axis
    value = recorder.calls[number].outputs[0]
    if value.examples is None or value.examples.axis == axis:
        return None
    end, activation = Point(number, axis, value.examples), None
    while len(value.readers) == 1:
        call = recorder.calls[value.readers[0]]
        if call.kind not in ("norm", "activation", "add", "same", "view"):
            break
        result = call.outputs[0]
        new_axis = _follow(value, axis, result)
        if new_axis is None or result.examples is None:
            break
        value, axis = result, new_axis
        if call.kind == "activation":
            activation = Point(call.number, axis, result.examples)
        if call.kind != "view":
            end = Point(call.number, axis, result.examples)
    return activation or end


def _follow(value: Value, axis: int, result: Value) -> int | None:
    """Return the axis of `result` with the same units as `axis` of `value`, if it has one."""
    if result.shape == value.shape and result.examples == value.examples:
        return axis
    ids = value.axes[axis]
    if ids is None or result.examples is None:
        return None
    for place, other in enumerate(result.axes):
        if place != result.examples.axis and other is not None and np.array_equal(ids, other):
            return place
    return None
