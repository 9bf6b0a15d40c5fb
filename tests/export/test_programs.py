"""Programs are run before they are handed over; where a package is missing that is said."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import prune as torch_prune
from travelling_networks import NETWORKS

import prunevis as pv
from prunevis.errors import ModelError, SpecError
from prunevis.export import programs
from prunevis.export.programs import onnx_missing, program_of


@pytest.fixture
def pruned(mlp, mlp_data):
    return pv.prune(mlp, mlp_data, granularity="unit", criterion="l2", sparsity=0.5)


def test_a_program_gives_what_the_network_gives(pruned, mlp_data, tmp_path, untouched_model):
    check = untouched_model(pruned.model)
    x = mlp_data.test.inputs
    found = pv.save_program(pruned, tmp_path / "p.pt2", x)
    check()
    assert (tmp_path / "p.pt2").read_bytes() == found.contents
    assert found.any_batch
    assert found.difference <= 1e-5
    assert "any number of examples" in repr(found)
    again = torch.export.load(tmp_path / "p.pt2").module()
    for count in (1, 5):
        torch.testing.assert_close(again(x[:count]), pruned.model.eval()(x[:count]))


def test_the_example_does_not_travel(pruned, mlp_data):
    whole = mlp_data.test.inputs.repeat(100_000 // len(mlp_data.test.inputs) + 1, 1)
    assert len(program_of(pruned, whole[:1]).contents) < 200_000 < whole.nbytes


class FixedBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(x) + torch.zeros(int(x.shape[0]) * 0 + 2, 3)


class LooksAtValues(FixedBatch):
    def forward(self, x):
        return self.fc(x) if float(x.sum()) > 0 else -self.fc(x)


def test_a_fixed_number_of_examples():
    found = program_of(FixedBatch(), torch.randn(2, 4))
    assert not found.any_batch
    assert "a fixed number" in repr(found)


def test_what_cannot_be_followed():
    with pytest.raises(ModelError, match=r"torch\.export cannot follow this network.*safetensors"):
        program_of(LooksAtValues(), torch.randn(2, 4))


def test_other_answers_are_not_handed_over(pruned, mlp_data, tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "_difference", lambda a, b: 2e-5)
    with pytest.raises(ModelError, match=r"gives other answers.*at most 1e-05. Got: 2e-05"):
        pv.save_program(pruned, tmp_path / "p.pt2", mlp_data.test.inputs)
    assert list(tmp_path.iterdir()) == []


def test_the_difference_by_hand():
    a = torch.tensor([[1.0, -4.0]])
    assert programs._difference(a, a) == 0
    assert programs._difference(torch.tensor([[1.0, -3.0]]), a) == 0.25
    assert programs._difference(torch.tensor([[0.25]]), torch.tensor([[0.5]])) == 0.25
    assert programs._difference(a[:, :1], a) == float("inf")


@pytest.mark.parametrize("example", [None, torch.zeros(()), torch.zeros(0, 4)])
def test_the_example_is_a_batch(example):
    with pytest.raises(SpecError, match="must be a batch"):
        program_of(nn.Linear(4, 2), example)


def test_what_is_missing_is_named(pruned, mlp_data, tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "ONNX_NEEDS", ("onnx_of_nobody",))
    assert onnx_missing() == ["onnx_of_nobody"]
    with pytest.raises(SpecError, match=r'not installed.*no onnx_of_nobody.*"prunevis\[onnx\]"'):
        pv.save_onnx(pruned, tmp_path / "m.onnx", mlp_data.test.inputs)


@pytest.mark.skipif(bool(onnx_missing()), reason="needs onnx, onnxscript and onnxruntime")
@pytest.mark.parametrize("name", ["lenet5", "resnet8", "mobile", "conv1d, grouped", "lstm"])
def test_onnx_gives_what_the_network_gives(name, tmp_path):
    import onnxruntime

    make, example = NETWORKS[name]
    torch.manual_seed(0)
    model, x = make().eval(), example()
    found = pv.save_onnx(model, tmp_path / "m.onnx", x)
    assert found.difference <= 1e-5
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    (answer,) = session.run(None, {"input": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(answer), model(x), rtol=1e-5, atol=1e-5)


def test_the_state_dict(mlp, mlp_data, tmp_path):
    result = pv.prune(mlp, mlp_data, sparsity=0.5)
    plain = load_file(pv.save_state(result, tmp_path / "s.safetensors"))
    mlp.load_state_dict(plain)
    assert torch.equal(mlp.fc1.weight == 0, ~result.plan.masks["fc1"])
    masked = load_file(pv.save_state(result, tmp_path / "m.safetensors", masks=True))
    assert torch.equal(masked["fc1.weight_mask"].bool(), result.plan.masks["fc1"])
    other = type(mlp)()
    for layer in ("fc1", "fc2"):
        torch_prune.identity(getattr(other, layer), "weight")
    other.load_state_dict(masked)
    x = mlp_data.test.inputs
    assert torch.equal(other(x), result.model(x))


def test_tied_tensors_have_all_their_names(tmp_path):
    model = NETWORKS["tied weights"][0]()
    found = load_file(pv.save_state(model, tmp_path / "s.safetensors"))
    assert found.keys() == model.state_dict().keys()
    NETWORKS["tied weights"][0]().load_state_dict(found)
