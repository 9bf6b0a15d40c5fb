"""Folded BatchNorms and layers cut out of wider ones."""

import pytest
import torch
from torch import nn

from prunevis.evaluation.program import Program
from prunevis.evaluation.recording import Codes, Leaf, record
from prunevis.evaluation.rewriting import folded, narrowed

aten = torch.ops.aten


def names_of(model, cuts=None):
    tensors = (*model.named_parameters(), *model.named_buffers())
    return {id(t): Leaf(n, (cuts or {}).get(n, ())) for n, t in tensors}


def recorded(model, inputs, codes=None, cuts=None):
    with torch.inference_mode():
        return record(
            model.eval(), inputs, names_of(model, cuts), Codes() if codes is None else codes
        )


def test_fold_by_hand():
    layer, norm = nn.Linear(1, 1), nn.BatchNorm1d(1, eps=0.0)
    with torch.no_grad():
        layer.weight.fill_(3)
        layer.bias.fill_(1)
        norm.weight.fill_(5)
        norm.bias.fill_(7)
        norm.running_mean.fill_(2)
        norm.running_var.fill_(4)
    # s = 5 / 2, W' = 3 s = 7.5, b' = (1 - 2) s + 7 = 4.5
    found = folded(recorded(nn.Sequential(layer, norm), torch.ones(2, 1)), {})
    (call,) = found.calls
    assert call.operator is aten.linear.default
    assert sorted(float(t.detach()) for t in found.leaves.values()) == [4.5, 7.5]


CONVS = [
    (nn.Conv1d, nn.BatchNorm1d, 1),
    (nn.Conv2d, nn.BatchNorm2d, 2),
    (nn.Conv3d, nn.BatchNorm3d, 3),
]


@pytest.mark.parametrize(("conv", "norm", "sides"), CONVS)
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"groups": 2}])
@pytest.mark.parametrize("affine", [True, False])
def test_fold_gives_what_both_give(conv, norm, sides, options, affine):
    torch.manual_seed(0)
    model = nn.Sequential(conv(4, 6, 3, **options), norm(6, affine=affine), nn.ReLU())
    model[1].running_mean.normal_()
    model[1].running_var.uniform_(0.5, 2)
    x = torch.randn(3, 4, *[5] * sides)
    found = folded(recorded(model, x), {})
    assert [call.operator for call in found.calls][1:] == [aten.relu.default]
    with torch.inference_mode():
        torch.testing.assert_close(next(Program([found]).run(x)), model(x))


class Both(nn.Module):
    def __init__(self, forward, layer, norm):
        super().__init__()
        self.layer, self.norm, self.run = layer, norm, forward

    def forward(self, x):
        return self.run(self, x)


@pytest.mark.parametrize(
    ("forward", "layer", "norm", "shape"),
    [
        (lambda s, x: s.norm(y := s.layer(x)) + y, nn.Linear(3, 4), nn.BatchNorm1d(4), (5, 3)),
        (lambda s, x: s.norm(s.layer(x)), nn.Linear(3, 4), nn.BatchNorm1d(4), (5, 4, 3)),
        (lambda s, x: s.norm(s.layer(x)), nn.Linear(3, 6), nn.BatchNorm1d(4), (5, 4, 3)),
        (
            lambda s, x: s.norm(s.layer(x.float()).double()),
            nn.Linear(3, 4),
            nn.BatchNorm1d(4).double(),
            (5, 3),
        ),
    ],
    ids=["read by others", "over places", "over other places", "cast between"],
)
def test_no_fold(forward, layer, norm, shape):
    model = Both(forward, layer, norm)
    x = torch.randn(shape)
    found = folded(recorded(model, x), {})
    assert any(call.operator is aten.batch_norm.default for call in found.calls)
    with torch.inference_mode():
        torch.testing.assert_close(next(Program([found]).run(x)), model(x))


def test_no_fold_that_is_not_finite():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, eps=0.0))
    model[1].running_var.zero_()
    found = folded(recorded(model, torch.ones(2, 2)), {})
    assert len(found.calls) == 2


def narrower(layer, rows):
    kind = type(layer)
    given = (3, len(rows)) if kind is nn.Linear else (3, len(rows), 3)
    other = kind(*given)
    with torch.no_grad():
        other.weight.copy_(layer.weight[rows])
        other.bias.copy_(layer.bias[rows])
    return other


@pytest.mark.parametrize("layer", [nn.Linear(3, 6), nn.Conv2d(3, 6, 3)], ids=["linear", "conv"])
def test_narrowed_is_the_layer_itself(layer):
    codes, gone = Codes(), {0: [], 1: [4], 3: [4, 0, 1]}
    x = torch.randn(5, 3) if isinstance(layer, nn.Linear) else torch.randn(5, 3, 5, 5)
    stays = {n: torch.tensor([r for r in range(6) if r not in lost]) for n, lost in gone.items()}
    models, recordings = [], []
    for count, rows in stays.items():
        model = nn.Sequential(narrower(layer, rows))
        cuts = {} if not count else dict.fromkeys(("0.weight", "0.bias"), ((0, "g", count),))
        models.append(model)
        recordings.append(recorded(model, x, codes, cuts))
    found = narrowed(recordings[1:], lambda name, group, removed: stays[removed])
    assert [r.calls[0].operator for r in found][1:] == [aten.index_select.default]
    with torch.inference_mode():
        for model, result in zip(models[1:], Program(found).run(x), strict=True):
            torch.testing.assert_close(result, model(x))
    products = 3 if isinstance(layer, nn.Linear) else 27
    for least, operators in ((products, found), (products + 1, recordings[1:])):
        again = narrowed(recordings[1:], lambda name, group, removed: stays[removed], least)
        assert [r.calls[0].operator for r in again] == [r.calls[0].operator for r in operators]
    unknown = narrowed(recordings[1:], lambda name, group, removed: None)
    assert [r.calls[0].operator for r in unknown] == [r.calls[0].operator for r in recordings[1:]]


def test_other_inputs_are_not_narrowed():
    codes, layer = Codes(), nn.Linear(3, 6)
    rows = torch.arange(5)
    plain, scaled = (
        nn.Sequential(layer),
        Both(lambda s, x: s.layer(x * 2), narrower(layer, rows), None),
    )
    first = recorded(plain, torch.ones(2, 3), codes, {"0.weight": ((0, "g", 0),)})
    cuts = dict.fromkeys(("layer.weight", "layer.bias"), ((0, "g", 1),))
    second = recorded(scaled, torch.ones(2, 3), codes, cuts)
    found = narrowed([first, second], lambda *a: rows)
    assert found[1].calls[-1].operator is aten.linear.default
