"""The shipped data: whole, balanced, credited, small, and never a pickle."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from prunevis.data import as_data
from prunevis.errors import DataError, UnknownNameError
from prunevis.zoo import DATASETS, load_data, manifest
from prunevis.zoo import datasets as datasets_module
from prunevis.zoo.build import DEBIAN, read_full, stratified
from prunevis.zoo.models import FILES
from prunevis.zoo.packing import pack, unpack


@pytest.fixture(scope="module")
def data():
    return load_data()


def test_shapes_and_kinds(data):
    assert data.train.inputs.shape == (12_000, 1, 28, 28)
    assert data.test.inputs.shape == (10_000, 1, 28, 28)
    for part in (data.train, data.test):
        assert part.inputs.dtype == torch.float32
        assert part.targets.dtype == torch.int64
        assert part.targets.shape == part.inputs.shape[:1]


def test_every_class_has_its_share(data):
    assert data.train.targets.bincount().tolist() == [1200] * 10
    assert data.test.targets.bincount().tolist() == [1000] * 10


def test_pictures_can_be_shown_again(data):
    pixels = (data.test.inputs * data.std + data.mean) * 255
    assert torch.allclose(pixels, pixels.round(), atol=1e-3)
    assert pixels.round().min() == 0
    assert pixels.round().max() == 255


def test_normalised_by_the_mean_of_the_full_set(data):
    record = manifest()["datasets"]["fashion-mnist"]
    assert (data.mean, data.std) == (record["mean"], record["std"])
    assert abs(float(data.train.inputs.mean())) < 0.02
    assert abs(float(data.train.inputs.std()) - 1) < 0.02


def test_names_and_credit(data):
    assert len(data.class_names) == 10
    assert (data.class_names[0], data.class_names[9]) == ("T-shirt/top", "Ankle boot")
    assert data.name == "Fashion-MNIST"
    assert "MIT" in data.license
    assert "zalandoresearch/fashion-mnist" in data.source
    text = (FILES / "FASHION-MNIST-LICENSE.txt").read_text(encoding="utf-8")
    assert "The MIT License" in text
    assert "Copyright (c) 2017 Zalando SE" in text


def test_the_rest_of_prunevis_takes_it(data):
    checked = as_data(data, num_classes=10)
    assert checked.test.count == 10_000
    assert checked.note == ""


def test_two_loads_are_independent(data):
    other = load_data("fashion-mnist")
    assert torch.equal(other.test.inputs, data.test.inputs)
    other.test.inputs.zero_()
    other.train.targets.zero_()
    assert data.test.inputs.abs().sum() > 0
    assert data.train.targets.sum() > 0


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(UnknownNameError, match=r"no dataset called 'mnist'.*fashion-mnist"):
        load_data("mnist")


def test_the_entry_says_what_a_menu_needs():
    entry = DATASETS["fashion-mnist"]
    assert entry.label == "Fashion-MNIST"
    assert entry.description.endswith(".")


@pytest.mark.skipif(not DEBIAN.exists(), reason="the full Fashion-MNIST is not installed")
def test_they_are_the_published_images(data):
    images, labels = read_full(DEBIAN, "t10k")
    pixels = ((data.test.inputs * data.std + data.mean) * 255).round()
    assert np.array_equal(pixels[:, 0].numpy(), images)
    assert np.array_equal(data.test.targets.numpy(), labels)
    images, labels = read_full(DEBIAN, "train")
    chosen = stratified(labels, 1200, manifest()["datasets"]["fashion-mnist"]["seed"])
    pixels = ((data.train.inputs * data.std + data.mean) * 255).round()
    assert np.array_equal(pixels[:, 0].numpy(), images[chosen])
    assert np.array_equal(data.train.targets.numpy(), labels[chosen])


def test_files_are_few_small_and_no_pickles():
    starts = {".safetensors": None, ".json": b"{", ".xz": b"\xfd7zXZ\x00", ".txt": b"The images"}
    files = [f for f in FILES.iterdir() if f.is_file()]
    assert {f.suffix for f in files} == set(starts)
    assert sum(f.stat().st_size for f in files) < 12_000_000
    for file in files:
        raw = file.read_bytes()
        if file.suffix == ".safetensors":  # a length, then that many bytes of JSON
            length = int.from_bytes(raw[:8], "little")
            assert isinstance(json.loads(raw[8 : 8 + length]), dict)
        else:
            assert raw.startswith(starts[file.suffix])


def test_files_are_those_of_the_manifest():
    recorded = manifest()["files"]
    present = {f.name for f in FILES.iterdir() if f.suffix in {".xz", ".safetensors"}}
    assert set(recorded) == present
    for name, record in recorded.items():
        raw = (FILES / name).read_bytes()
        assert len(raw) == record["bytes"], name
        assert hashlib.sha256(raw).hexdigest() == record["sha256"], name


def test_a_missing_file_says_how_to_make_it(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets_module, "FILES", tmp_path)
    with pytest.raises(DataError, match=r"'fashion-mnist' is missing.*zoo\.build --dataset-only"):
        load_data()


def test_packing_by_hand():
    # A black row, a column of 5s, a black pixel under a bright one.
    images = np.array([[[0, 5], [0, 5]], [[9, 0], [0, 200]]], np.uint8)
    labels = np.array([3, 1], np.uint8)
    back, answers = unpack(pack(images, labels))
    assert back.tolist() == images.tolist()
    assert answers.tolist() == [3, 1]


@given(st.data(), st.integers(0, 5), st.integers(1, 9))
def test_packing_loses_nothing(draw, count, side):
    pixel = st.one_of(st.just(0), st.integers(0, 255))
    images = draw.draw(npst.arrays(np.uint8, (count, side, side), elements=pixel))
    labels = draw.draw(npst.arrays(np.uint8, count))
    back, answers = unpack(pack(images, labels))
    assert np.array_equal(back, images)
    assert np.array_equal(answers, labels)
    assert back.flags.writeable
    assert answers.flags.writeable


def test_packing_refuses_what_it_cannot_hold():
    good = np.zeros((2, 4, 4), np.uint8)
    with pytest.raises(DataError, match=r"cannot be packed\. Expected: uint8"):
        pack(good.astype(np.float32), np.zeros(2, np.uint8))
    with pytest.raises(DataError, match=r"labels do not fit.*uint8, shape \(2,\)"):
        pack(good, np.zeros(3, np.uint8))


@pytest.mark.parametrize("keep", [0, 20, -8])
def test_a_damaged_file_is_refused(keep):
    packed = pack(np.eye(4, dtype=np.uint8)[None], np.zeros(1, np.uint8))
    with pytest.raises(DataError, match="data file is damaged"):
        unpack(packed[:keep])


def test_another_xz_file_is_refused():
    import lzma

    with pytest.raises(DataError, match="data file is damaged"):
        unpack(lzma.compress(b"\x05\x00\x00\x00\x02\x00 too short"))
