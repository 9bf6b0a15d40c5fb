"""What is written down of a forward, and what is refused."""

import pytest
import torch
from odd_networks import LOOKS
from torch import nn
from torch.nn import functional as F

from prunevis.evaluation.program import Program
from prunevis.evaluation.recording import INPUT, Codes, Leaf, NotRecordable, Ref, record
from prunevis.evaluation.trust import doubts, state_of

aten = torch.ops.aten


def recorded(run, inputs, names=None, codes=None):
    with torch.inference_mode():
        return record(run, inputs, names or {}, Codes() if codes is None else codes)


def rerun(recording, inputs):
    with torch.inference_mode():
        return next(Program([recording]).run(inputs))


def test_by_hand():
    layer = nn.Linear(3, 2)
    names = {id(layer.weight): Leaf("w"), id(layer.bias): Leaf("b")}
    found = recorded(lambda x: torch.relu(layer(x)), torch.ones(4, 3), names)
    linear, relu = found.calls
    assert (linear.operator, relu.operator) == (aten.linear.default, aten.relu.default)
    assert linear.args == (Ref(INPUT), Ref(Leaf("w")), Ref(Leaf("b")))
    assert relu.args == (Ref(linear.key),)
    assert linear.shapes == relu.shapes == ((4, 2),)
    assert (linear.like_first, relu.like_first) == (False, True)
    assert found.output == Ref(relu.key)
    assert found.leaves == {Leaf("w"): layer.weight, Leaf("b"): layer.bias}


def test_writing_in_place_is_the_same_as_not():
    codes, x = Codes(), torch.randn(4, 3)
    one = recorded(lambda x: torch.relu(x + 1) * 2, x, codes=codes)
    other = recorded(lambda x: (x + 1).relu_().mul_(2), x, codes=codes)
    assert [call.key for call in one.calls] == [call.key for call in other.calls]
    assert torch.equal(rerun(other, x), torch.relu(x + 1) * 2)


def test_numbers_of_other_types_are_other_keys():
    codes, x = Codes(), torch.ones(2, 3)
    keys = {
        recorded(lambda x, k=k: x * k, x, codes=codes).output.key
        for k in (1, 1.0, True, 0.0, -0.0, 2.0)
    }
    assert len(keys) == 6


def test_constants_are_known_by_content():
    codes, x = Codes(), torch.ones(2, 3)

    def run(value):
        return recorded(lambda x: x + torch.tensor([value]), x, codes=codes).output.key

    assert run(1.5) == run(1.5) != run(2.5)


def test_results_of_one_call_are_told_apart():
    x = torch.randn(4, 6)
    found = recorded(lambda x: (lambda a, b: a - 2 * b)(*x.chunk(2, 1)), x)
    fresh = torch.randn(4, 6)
    assert torch.equal(rerun(found, fresh), fresh[:, :3] - 2 * fresh[:, 3:])


@pytest.mark.parametrize("name", LOOKS)
def test_what_looks_at_values_is_refused(name):
    run, reason = LOOKS[name]
    with pytest.raises(NotRecordable, match=reason):
        recorded(run, torch.tensor([[1.0, -2, 3], [4, 5, -6]]))


def test_index_by_numbers_is_no_mask():
    x = torch.randn(2, 4)
    found = recorded(lambda x: x[:, torch.tensor([2, 0])], x)
    assert torch.equal(rerun(found, x), x[:, [2, 0]])


def test_dropout_that_does_not_drop_draws_nothing():
    x = torch.randn(2, 4, 8)
    found = recorded(lambda x: F.scaled_dot_product_attention(x, x, x), x)
    torch.testing.assert_close(rerun(found, x), F.scaled_dot_product_attention(x, x, x))
    with pytest.raises(NotRecordable, match="random"):
        recorded(lambda x: F.dropout(x, 0.5, training=True), x)


def test_a_cached_tensor_keeps_no_mark():
    kept = []
    x = torch.ones(2, 3)
    recorded(lambda x: kept.append(x + 1) or kept[0] * 2, x)
    assert vars(kept[0]) == {}
    with pytest.raises(NotRecordable):  # the tensor of an earlier pass is not one of this pass
        recorded(lambda x: kept[0].mul_(2), x)


def test_codes_never_come_twice():
    codes = Codes()
    first = codes.of("a")
    assert codes.of("a") == first
    codes.clear()
    assert len(codes) == 0
    assert codes.of("b") != first


class Toggles(nn.Module):
    other = False

    def forward(self, x):
        Toggles.other = not Toggles.other
        return x * (2 if Toggles.other else 3)


def looked_at(model, inputs):
    codes = Codes()
    with torch.inference_mode():
        return doubts(model, inputs, lambda x: record(model, x, {}, codes))


def test_doubts():
    x = torch.randn(8, 3)
    assert looked_at(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), x) == ""
    assert looked_at(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), x[:1]) == ""
    assert "different things" in looked_at(Toggles(), x)  # twice: as it was

    class BatchMean(nn.Module):
        def forward(self, x):
            return x - x.mean(0)

    assert "beside it" in looked_at(BatchMean(), x)

    outside = [0]

    class Global(nn.Module):
        def forward(self, x):
            outside[0] += 1
            return x * outside[0]

    assert "different things" in looked_at(Global(), x)

    class Fails(nn.Module):
        def forward(self, x):
            return x.view(8, 3)

    assert "raised RuntimeError" in looked_at(Fails(), x)


def test_state_sees_through_objects():
    class Box:
        def __init__(self):
            self.inner = {"n": [1, 2, {3}]}

    model = nn.Linear(2, 2)
    model.box = Box()
    before = state_of(model)
    assert state_of(model) == before
    model.box.inner["n"][2].add(4)
    assert state_of(model) != before
    before = state_of(model)
    with torch.no_grad():
        model.weight.mul_(1)
    assert state_of(model) != before
