"""The rule of recurrent layers that run as one operator."""

from __future__ import annotations

from prunevis.graph.contractions import count_macs, layer_of, note_units, read_units
from prunevis.graph.recorder import Call, Rule
from prunevis.graph.values import Axes

#: PyTorch's number for an LSTM among recurrent layers.
_LSTM = 2


def lstm_layer(call: Call) -> list[Axes]:
    """One direction of one layer of an LSTM, over all steps: four gates for each hidden unit.

    The weights are ``(4 × hidden, inputs)`` and ``(4 × hidden, hidden)``, each with a bias.
    """
    source, state = call.value(call.arg("input")), call.value(call.arg("hx_"))
    tensors = [call.value(call.arg(f"weight{k}")) for k in range(4)]
    unfollowed: list[Axes] = [(None,) * result.dim() for result in call.results]
    if int(call.arg("mode")) != _LSTM or any(value.axes[0] is None for value in tensors):
        call.block_all("is a recurrent layer of a kind that is not followed.")
        return unfollowed
    drafts = [layer_of(call, weight, 1, 0, value_axis=0) for weight in tensors[:2]]
    hidden = tensors[1].axes[1]
    assert hidden is not None
    sentence = f"{call.here} gives each hidden unit four gates and reads it again at the next step."
    for value in tensors:
        rows = value.axes[0]
        assert rows is not None
        if value.tensor is not None:
            call.recorder.roles.setdefault((value.tensor, 0), "producer")
        for part in rows.reshape(4, -1):
            call.atoms.tie(hidden, part, sentence)
    read_units(call, source.axes[-1], tensors[0].axes[1])
    if not state.uniform:
        read_units(call, state.axes[-1], hidden)
    for draft, weight, bias in zip(drafts, tensors[:2], tensors[2:], strict=True):
        if draft is not None:
            count_macs(call, draft, source, call.arg("input").numel() // source.shape[-1])
            note_units(draft, weight.axes[0])
            draft.bias = draft.bias or bias.tensor
    if drafts[0] is not None:
        call.layer = drafts[0].name
    return [
        *((*(None,) * (result.dim() - 1), hidden) for result in call.results[:3]),
        *unfollowed[3:],
    ]


RULES: dict[str, Rule] = {"mkldnn_rnn_layer": lstm_layer}
