"""Where in a traced forward the units of each layer are best observed."""

from __future__ import annotations

import numpy as np

from prunevis.graph.recorder import LayerDraft, Recorder
from prunevis.graph.values import Value


def find_points(recorder: Recorder) -> dict[str, tuple[int, int]]:
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


def _point(recorder: Recorder, draft: LayerDraft) -> tuple[int, int] | None:
    number, axis = draft.call, draft.value_axis
    value = recorder.calls[number].outputs[0]
    if axis == 0 or not value.batched or not value.batch_first or value.shape[0] % recorder.batch:
        return None
    end, activation = (number, axis), None
    while len(value.readers) == 1:
        call = recorder.calls[value.readers[0]]
        if call.kind not in ("norm", "activation", "add", "same", "view"):
            break
        result = call.outputs[0]
        new_axis = _follow(value, axis, result)
        if new_axis is None or result.shape[0] % recorder.batch or not result.batch_first:
            break
        value, axis = result, new_axis
        if call.kind == "activation":
            activation = (call.number, axis)
        if call.kind != "view":
            end = (call.number, axis)
    return activation or end


def _follow(value: Value, axis: int, result: Value) -> int | None:
    """Return the axis of `result` with the same units as `axis` of `value`, if it has one."""
    if result.shape == value.shape:
        return axis
    ids = value.axes[axis]
    if ids is None:
        return None
    for place, other in enumerate(result.axes):
        if place > 0 and other is not None and np.array_equal(ids, other):
            return place
    return None
