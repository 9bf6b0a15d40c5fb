"""The shipped networks are what the manifest says, and come without tricks."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from prunevis.errors import ModelError, SpecError, UnknownNameError
from prunevis.zoo import DATASETS, MODELS, ZooEntry, load_data, load_model, manifest
from prunevis.zoo.build import measure, multiply_adds
from prunevis.zoo.models import FILES

NAMES = ("lenet-300-100", "lenet5", "resnet8", "mobile")
AIMS = {"lenet-300-100": 0.895, "lenet5": 0.915, "resnet8": 0.925, "mobile": 0.915}


@pytest.fixture(scope="module")
def test_set():
    return load_data().test


@pytest.fixture
def one_thread():
    """Measure as the build does; on busy machines it is also the fastest."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_registry_holds_the_four():
    assert tuple(MODELS) == NAMES
    for name, entry in MODELS.items():
        assert entry.name == name
        assert entry.dataset in DATASETS
        assert entry.label
        assert entry.description.endswith(".")
        assert entry.license == "MIT"
        assert entry.credit


@pytest.mark.parametrize("name", NAMES)
def test_accuracy_is_as_recorded_and_as_aimed_at(name, test_set, one_thread):
    record = manifest()["models"][name]
    correct, lead = measure(load_model(name), *test_set)
    # Rounding on another processor shifts logits by about 1e-6 of their size. Equality is exact
    # because no image is that close to a tie; were one, this line would say so first.
    assert lead > 2e-5, "an image lies too near a tie for an exact comparison"
    assert correct == record["test_correct"]
    assert record["test_total"] == len(test_set.targets) == 10_000
    assert record["test_accuracy"] == correct / 10_000 == MODELS[name].test_accuracy
    assert correct / 10_000 >= AIMS[name]


@pytest.mark.parametrize(
    ("name", "num_params", "macs"),
    [("lenet-300-100", 266_610, 266_200), ("lenet5", 431_080, 2_293_000)],
)
def test_sizes_of_the_lenets_are_those_of_the_papers(name, num_params, macs):
    model = load_model(name)
    assert sum(p.numel() for p in model.parameters()) == num_params
    assert multiply_adds(model, torch.zeros(1, 1, 28, 28)) == macs


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_as_recorded(name):
    record, model = manifest()["models"][name], load_model(name)
    assert sum(p.numel() for p in model.parameters()) == record["num_params"]
    assert multiply_adds(model, torch.zeros(1, 1, 28, 28)) == record["macs"]
    assert type(model).__name__ == record["architecture"]["class"]
    shapes = {n: list(p.shape) for n, p in model.named_parameters() if p.ndim > 1}
    assert shapes == record["architecture"]["weights"]


def test_resnet8_by_hand():
    # BatchNorm has no multiply-adds to count; a shortcut is a 1×1 convolution.
    w = 24
    blocks = 2 * 9 * w * w * 196
    blocks += (9 * w * 2 * w + 9 * (2 * w) ** 2 + w * 2 * w) * 49
    blocks += (9 * 2 * w * 4 * w + 9 * (4 * w) ** 2 + 2 * w * 4 * w) * 16
    macs = 25 * w * 196 + blocks + 4 * w * 10
    assert multiply_adds(load_model("resnet8"), torch.zeros(1, 1, 28, 28)) == macs


def test_mobile_is_depthwise():
    depthwise = [
        m for m in load_model("mobile").modules() if isinstance(m, nn.Conv2d) and m.groups > 1
    ]
    assert len(depthwise) == 5
    assert all(m.groups == m.in_channels == m.out_channels for m in depthwise)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_arrives_ready(name):
    model = load_model(name)
    assert not any(m.training for m in model.modules())
    assert all(p.requires_grad and p.dtype == torch.float32 for p in model.parameters())
    assert all(torch.isfinite(v).all() for v in model.state_dict().values())
    assert not any(m._forward_hooks for m in model.modules())
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)
    assert model(torch.zeros(0, 1, 28, 28)).shape == (0, 10)


@pytest.mark.parametrize("name", NAMES)
def test_two_loads_share_nothing(name):
    one, two = load_model(name), load_model(name)
    memory = [
        t.untyped_storage().data_ptr() for m in (one, two) for t in (*m.parameters(), *m.buffers())
    ]
    assert len(set(memory)) == len(memory), "tensors share memory"
    with torch.no_grad():
        for p in one.parameters():
            p.zero_()
    fresh = load_model(name).state_dict()
    assert all(torch.equal(v, fresh[k]) for k, v in two.state_dict().items())


def test_loading_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    load_model("lenet5")
    assert torch.equal(torch.get_rng_state(), before)


def test_without_training_the_weights_are_random():
    torch.manual_seed(1)
    one, two = (load_model("lenet5", pretrained=False) for _ in range(2))
    assert not one.training
    assert not torch.equal(one.get_parameter("fc1.weight"), two.get_parameter("fc1.weight"))


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(UnknownNameError, match=r"no model called 'lenet-5'.*Did you mean 'lenet5'"):
        load_model("lenet-5")


def test_an_entry_without_weights_says_so(monkeypatch):
    entry = ZooEntry("tiny", "Tiny", "One layer.", "us", "MIT", "fashion-mnist", nn.Flatten)
    monkeypatch.setitem(MODELS._entries, "tiny", entry)
    assert entry.test_accuracy is None
    assert isinstance(load_model("tiny", pretrained=False), nn.Flatten)
    with pytest.raises(SpecError, match=r"without trained weights. Pass pretrained=False"):
        load_model("tiny")


def test_a_missing_file_says_how_to_make_it(monkeypatch, tmp_path):
    entry = dataclasses.replace(MODELS["lenet5"], weights=tmp_path / "none.safetensors")
    monkeypatch.setitem(MODELS._entries, "lenet5", entry)
    with pytest.raises(ModelError, match=r"weights is missing.*none.safetensors.*zoo\.build"):
        load_model("lenet5")


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_wrong_file_is_refused(monkeypatch, tmp_path, damage):
    path = tmp_path / "wrong.safetensors"
    if damage == "cut":
        path.write_bytes((FILES / "lenet5.safetensors").read_bytes()[:100])
    else:
        save_file({"fc1.weight": torch.zeros(2, 2)}, path)
    entry = dataclasses.replace(MODELS["lenet5"], weights=path)
    monkeypatch.setitem(MODELS._entries, "lenet5", entry)
    with pytest.raises(ModelError, match=r"does not fit LeNet5\. Got: .*wrong.safetensors"):
        load_model("lenet5")


@pytest.mark.parametrize("name", NAMES)
def test_files_are_float32(name):
    with safe_open(FILES / f"{name}.safetensors", "pt") as file:
        kinds = {key: file.get_tensor(key).dtype for key in file.keys()}  # noqa: SIM118
    others = {k for k, kind in kinds.items() if kind != torch.float32}
    assert all(k.endswith("num_batches_tracked") for k in others)
