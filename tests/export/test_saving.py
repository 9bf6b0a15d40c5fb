"""What was saved comes back bit for bit, also in another process."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import prune as torch_prune
from travelling_networks import NETWORKS, fresh

import prunevis as pv
from prunevis.errors import ModelError, SpecError
from prunevis.export.files import digest_of
from prunevis.export.structure import in_order, modules_of, order_of, tensors_of
from prunevis.pruning.removal import remove_units


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = fresh(name).eval()
    with torch.no_grad():
        for tensor in tensors_of(model).values():
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand_like(tensor))
    return model


def smaller(name: str) -> nn.Module:
    """Return the network without half of its units, and with a few zeros."""
    model, example = made(name), NETWORKS[name][1]()
    graph = pv.trace(model, example[:1])
    kept = {
        group.name: torch.randperm(group.size)[: max(1, group.size // 2)]
        for group in graph.groups.values()
        if group.reason is None
    }
    found = remove_units(model, graph, kept).eval()
    with torch.no_grad():
        for layer in graph.layers.values():
            if layer.weight in dict(found.named_parameters()):
                found.get_parameter(layer.weight).flatten()[::3] = 0
    return found


@pytest.fixture
def file(tmp_path):
    """A small network without half of its hidden units, saved."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    graph = pv.trace(model, torch.zeros(1, 4))
    found = remove_units(model, graph, {"0": torch.tensor([1, 2, 5])})
    return pv.save(found, tmp_path / "small.safetensors", base=model)


def base() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def record(path: Path) -> dict:
    with safe_open(path, "pt") as opened:
        return json.loads(opened.metadata()["prunevis"])


def rewrite(path: Path, change) -> None:
    """Change what a file says, with a digest that fits again."""
    found, tensors = record(path), load_file(path)
    change(found, tensors)
    found["digest"] = digest_of(found, tensors)
    save_file(tensors, path, metadata={"prunevis": json.dumps(found)})


def test_every_kind_of_network_comes_back_in_a_fresh_process(tmp_path):
    names, answers = list(NETWORKS), {}
    for number, name in enumerate(names):
        model = smaller(name)
        # half of them are saved without being told what they were
        told = fresh(name) if number % 2 else None
        pv.save(model, tmp_path / f"{number}.safetensors", base=told)
        with torch.no_grad():
            answers[name] = model(NETWORKS[name][1]()).detach().clone()
    save_file(answers, tmp_path / "answers.safetensors")
    program = Path(__file__).with_name("travelling_networks.py")
    rooms = [str(program.parents[1] / room) for room in (".", "graph", "evaluation")]
    path = os.pathsep.join([*rooms, str(Path(pv.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(f"{name}: same" for name in names)


def test_the_file_says_what_became_smaller(file):
    found = record(file)
    assert found["modules"] == {
        "0": {"type": "Linear", "numbers": {"out_features": 3}, "was": {"out_features": 6}},
        "2": {"type": "Linear", "numbers": {"in_features": 3}, "was": {"in_features": 6}},
    }
    assert found["model"] == {"class": "Sequential", "zoo": None}
    assert found["versions"]["prunevis"] == pv.__version__
    assert {name: tuple(t.shape) for name, t in load_file(file).items()} == {
        "0.weight": (3, 4), "0.bias": (3,), "2.weight": (3, 3), "2.bias": (3,),
    }  # fmt: skip


def test_what_prune_returned_is_saved_with_what_was_done(mlp, mlp_data, tmp_path, untouched_model):
    check = untouched_model(mlp)
    result = pv.prune(mlp, mlp_data, granularity="unit", sparsity=0.5, criterion="l2")
    path = pv.save(result, tmp_path / "r.safetensors", base=mlp, notes={"by": "me"})
    check()
    pruning = record(path)["pruning"]
    assert pruning["spec"]["criterion"] == "l2"
    assert pruning["removed"] == dict(result.plan.removed)
    assert (pruning["accuracy"], pruning["by"]) == (result.accuracy_after, "me")
    x = mlp_data.test.inputs
    assert torch.equal(pv.load(path, base=mlp)(x), result.model.eval()(x))
    check()


def test_zeros_are_the_masks(mlp, mlp_data, tmp_path):
    result = pv.prune(mlp, mlp_data, sparsity=0.5)
    path = pv.save(result, tmp_path / "r.safetensors")
    assert sum(record(path)["zeros"].values()) >= result.plan.num_removed
    again = pv.load(path, base=mlp)
    for name, mask in result.plan.masks.items():
        assert torch.equal(again.get_submodule(name).weight != 0, mask)


def test_masks_of_torch_are_made_permanent(mlp, tmp_path):
    torch_prune.l1_unstructured(mlp.fc1, "weight", 0.5)
    path = pv.save(mlp, tmp_path / "m.safetensors")
    assert "fc1.weight" in load_file(path)
    assert hasattr(mlp.fc1, "weight_orig")
    again = pv.load(path, base=type(mlp)())
    assert torch.equal(again.fc1.weight, mlp.fc1.weight)


def test_of_a_zoo_network_with_other_arguments_the_base_must_be_given(tmp_path):
    from prunevis.zoo.architectures import ResNet8

    model = ResNet8(width=30)
    path = pv.save(model, tmp_path / "wide.safetensors")
    assert record(path)["model"] == {"class": "ResNet8", "zoo": None}
    with pytest.raises(SpecError, match=r"of a ResNet8, which does not come.*Pass base=ResNet8"):
        pv.load(path)
    pv.load(path, base=ResNet8(width=30))


def test_types_flags_and_random_state(tmp_path):
    model = base().double()
    model[0].weight.requires_grad_(False)
    path = pv.save(model.train(), tmp_path / "d.safetensors")
    before = torch.get_rng_state()
    own = base()
    own[0].weight.requires_grad_(False)
    again = pv.load(path, base=own.train())
    assert (again[0].weight.dtype, own[0].weight.dtype) == (torch.float64, torch.float32)
    assert (again[0].weight.requires_grad, again[2].weight.requires_grad) == (False, True)
    assert (again.training, own.training, model.training) == (False, True, True)
    pv.save(pv.load_model("lenet5"), tmp_path / "z.safetensors")
    after = torch.get_rng_state()
    pv.load(tmp_path / "z.safetensors")
    assert torch.equal(torch.get_rng_state(), after)
    assert len(before) == len(after)


def test_a_base_that_does_not_rebuild_is_refused_on_saving(tmp_path):
    model = base()
    model[1] = nn.Tanh()
    model[0].note = 3
    with pytest.raises(ModelError, match=r"`0` has no such number in the base.*note = 3"):
        pv.save(model, tmp_path / "m.safetensors", base=base())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (lambda: nn.Linear(4, 6), "another network than the base.*`0.weight`"),
        (
            lambda: nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3)),
            r"`0.weight` does not fit.*at most \(2, 4\). Got: \(3, 4\)",
        ),
        (lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Bilinear(6, 1, 3)), "does not fit"),
        (lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU()), "tensors that the base has not"),
    ],
)
def test_another_base(file, other, sentence, untouched_model):
    wrong = other()
    check = untouched_model(wrong)
    with pytest.raises(ModelError, match=sentence):
        pv.load(file, base=wrong)
    check()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda r, t: r.update(format=2), "later version.*format 1. Got: format 2"),
        (lambda r, t: r.update(modules=[]), "makes no sense"),
        (lambda r, t: r.pop("layouts"), "makes no sense"),
        (lambda r, t: r["modules"]["0"].update(numbers={"in_features": "4"}), "makes no sense"),
        (lambda r, t: r["model"].update(zoo=7), "makes no sense"),
        (lambda r, t: r["modules"].update(x={"type": "Linear", "numbers": {}}), "module `x`"),
        (lambda r, t: r["modules"]["0"].update(type="Conv2d"), "Expected: Conv2d. Got: Linear"),
        (lambda r, t: r["modules"]["0"]["numbers"].update(out_features=2), "disagree"),
        (lambda r, t: r["modules"]["0"]["numbers"].update(forward=2), "no such number"),
        (lambda r, t: r["modules"]["0"]["numbers"].update(__class__=2), "no such number"),
        (lambda r, t: t.update({"0.weight": t["0.weight"].int()}), "another type of numbers"),
        (lambda r, t: t.pop("2.bias"), "another network"),
    ],
)
def test_tampered(file, change, sentence, untouched_model):
    rewrite(file, change)
    own = base()
    check = untouched_model(own)
    with pytest.raises(ModelError, match=sentence):
        pv.load(file, base=own)
    check()


def test_an_unknown_zoo_name(file):
    rewrite(file, lambda r, t: r["model"].update(zoo="lenet9"))
    with pytest.raises(ModelError, match="'lenet9', and the zoo has none"):
        pv.load(file)


def test_numbers_of_own_modules_only_become_smaller(tmp_path):
    model = smaller("attention, unbound")
    path = pv.save(model, tmp_path / "a.safetensors", base=fresh("attention, unbound"))
    assert record(path)["modules"][""]["numbers"]["num_heads"] == 2
    rewrite(path, lambda r, t: r["modules"][""]["numbers"].update(num_heads=10**9))
    with pytest.raises(ModelError, match=r"`\.num_heads` does not fit.*Expected: 4"):
        pv.load(path, base=fresh("attention, unbound"))


def bits(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def with_header(length):
    def write(path):
        path.write_bytes(struct.pack("<Q", length) + b"{" + b" " * 40)

    return write


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (bits, "broken.*contents that differ"),
        (lambda p: p.write_bytes(p.read_bytes()[:-20]), "broken"),
        (lambda p: p.write_bytes(b""), "broken.*begin"),
        (lambda p: p.write_bytes(b"hello, this is text"), "broken.*begin"),
        (lambda p: p.write_bytes(pickle.dumps({"a": 1})), "a pickle or an archive"),
        (lambda p: torch.save({"a": torch.ones(1)}, p), "a pickle or an archive"),
        (with_header(10 * 2**30), "broken.*begin"),
        (with_header(40), "broken"),
        (lambda p: save_file({"a": torch.ones(1)}, p), "not what is needed to rebuild"),
        (
            lambda p: save_file({}, p, metadata={"prunevis": "[" * 100_000}),
            "makes no sense",
        ),
        (lambda p: p.unlink(), "no such file"),
    ],
)
def test_broken(file, spoil, sentence):
    spoil(file)
    with pytest.raises(ModelError, match=sentence):
        pv.load(file, base=base())


def test_a_long_header_is_not_read(file, monkeypatch):
    monkeypatch.setattr("prunevis.export.files.MAX_HEADER", 100)
    with pytest.raises(ModelError, match=r"a header of [\d,]+ bytes"):
        pv.load(file, base=base())


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ModelError, match=r"cannot be written.*No such file"):
        pv.save(base(), tmp_path / "nowhere" / "m.safetensors")
    with pytest.raises(SpecError, match="plain JSON"):
        pv.save(base(), tmp_path / "m.safetensors", notes={"x": object()})
    with pytest.raises(ModelError, match=r"not a torch.nn.Module"):
        pv.save(base, tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_the_order_of_memory():
    plain = torch.randn(2, 3, 4, 5)
    last = plain.to(memory_format=torch.channels_last)
    assert order_of(plain) is None
    assert order_of(last) == [0, 2, 3, 1]
    again = in_order(plain, [0, 2, 3, 1])
    assert torch.equal(again, plain)
    assert again.stride() == last.stride()
    assert order_of(torch.ones(1).expand(3)) is None


def test_only_whole_public_numbers_are_written():
    module = nn.Conv2d(2, 4, 3)
    module.rate, module._secret, module.on, module.sizes = 0.5, 3, True, (1, 2)
    numbers = modules_of(module, None)[""]["numbers"]
    assert numbers["kernel_size"] == (3, 3)
    assert numbers["sizes"] == (1, 2)
    assert not {"rate", "_secret", "on", "padding_mode"} & numbers.keys()
