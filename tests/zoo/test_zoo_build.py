"""The script that makes the shipped files, end to end on a few invented pictures."""

from __future__ import annotations

import dataclasses
import gzip
import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from prunevis.errors import DataError
from prunevis.zoo.architectures import LeNet300100
from prunevis.zoo.build import main, measure, multiply_adds, read_idx, stratified
from prunevis.zoo.packing import unpack
from prunevis.zoo.recipes import RECIPES, Recipe, augment, learning_rate, train


def write_idx(path, array):
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()))


def stripes(count):
    """Pictures whose class is the position of a bright stripe: learnt in one pass."""
    random = np.random.default_rng(0)
    labels = np.arange(count, dtype=np.uint8) % 10
    images = random.integers(0, 40, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 + 2 * label : 6 + 2 * label] = 250
    return images, labels


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for part, count in (("train", 256), ("t10k", 50)):
        images, labels = stripes(count)
        write_idx(source / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(source / f"{part}-labels-idx1-ubyte.gz", labels)
    return source


def build(folder, out, *more):
    main(["--data", str(folder), "--out", str(out), "--per-class", "3", "--epochs", "1", *more])
    return json.loads((out / "manifest.json").read_text(encoding="utf-8"))


def test_all_of_it_on_a_tiny_set(folder, tmp_path, capsys):
    out, threads = tmp_path / "made", torch.get_num_threads()
    manifest = build(folder, out)
    assert torch.get_num_threads() == threads
    names = {"fashion-mnist-train.xz", "fashion-mnist-test.xz"}
    names |= {f"{name}.safetensors" for name in RECIPES}
    assert {f.name for f in out.iterdir()} == names | {"manifest.json"}
    assert set(manifest["files"]) == names
    assert manifest["datasets"]["fashion-mnist"]["train"]["images"] == 30
    assert set(manifest["models"]) == set(RECIPES)
    images, labels = unpack((out / "fashion-mnist-train.xz").read_bytes())
    assert images.shape == (30, 28, 28)
    assert np.bincount(labels).tolist() == [3] * 10
    record = manifest["models"]["lenet-300-100"]
    assert record["epochs"] == record["recipe"]["epochs"] == 1
    assert record["train_images"] == 256
    assert record["num_params"] == 266_610
    assert record["macs"] == 266_200
    assert record["threads"] == 1
    assert record["test_total"] == 50
    assert record["test_accuracy"] == record["test_correct"] / 50
    model = LeNet300100()
    model.load_state_dict(load_file(out / "lenet-300-100.safetensors"))
    assert "lenet-300-100: epoch 1/1: loss" in capsys.readouterr().out


def test_one_network_alone_keeps_the_rest(folder, tmp_path):
    out = tmp_path / "made"
    assert "models" not in build(folder, out, "--dataset-only")
    data = (out / "fashion-mnist-test.xz").stat().st_mtime_ns
    manifest = build(folder, out, "--only", "lenet-300-100")
    assert list(manifest["models"]) == ["lenet-300-100"]
    assert list(manifest["datasets"]) == ["fashion-mnist"]
    assert (out / "fashion-mnist-test.xz").stat().st_mtime_ns == data


def test_where_the_full_set_is_found(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PRUNEVIS_DATA", str(folder))
    main(["--out", str(tmp_path / "made"), "--per-class", "1", "--dataset-only"])
    assert (tmp_path / "made" / "manifest.json").exists()
    with pytest.raises(DataError, match=r"is not there.*--data, or in \$PRUNEVIS_DATA"):
        main(["--data", str(tmp_path), "--out", str(tmp_path / "made")])


def test_idx_files_that_are_not(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match="is damaged"):
        read_idx(path)
    for content in (
        b"",
        b"\x00\x00\x0d\x01\x00\x00\x00\x01ABCD",
        b"\x00\x00\x08\x01\x00\x00\x00\x05A",
    ):
        path.write_bytes(gzip.compress(content))
        with pytest.raises(DataError, match="not an IDX file of bytes"):
            read_idx(path)


def test_stratified_choice():
    labels = np.repeat(np.arange(4, dtype=np.uint8), 25)
    chosen = stratified(labels, 7, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [7] * 4
    assert np.all(np.diff(chosen) > 0)
    assert np.array_equal(chosen, stratified(labels, 7, seed=0))
    assert not np.array_equal(chosen, stratified(labels, 7, seed=1))
    with pytest.raises(DataError, match=r"too few images of class 0.*at least 26.*Got: 25"):
        stratified(labels, 26, seed=0)


def test_measure_by_hand():
    logits = torch.tensor([[3.0, 1.0], [0.0, 0.5], [2.0, 5.0]])
    correct, lead = measure(nn.Identity(), logits, torch.tensor([0, 0, 1]))
    assert (correct, lead) == (2, 0.5)


def test_multiply_adds_by_hand():
    # 2 output channels × 3 × 3 taps × 4 × 4 positions, then 32 × 5.
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(32, 5))
    assert multiply_adds(model, torch.zeros(1, 1, 6, 6)) == 2 * 9 * 16 + 160


def test_learning_rate_rises_and_falls():
    recipe = Recipe(epochs=1, learning_rate=0.4, warm_up=0.2)
    assert learning_rate(0.0, recipe) == 0
    assert learning_rate(0.1, recipe) == pytest.approx(0.2)
    assert learning_rate(0.2, recipe) == pytest.approx(0.4)
    assert learning_rate(0.6, recipe) == pytest.approx(0.2)
    assert learning_rate(1.0, recipe) == pytest.approx(0, abs=1e-12)


def test_augment_moves_and_mirrors_whole_pictures():
    picture = torch.zeros(1, 7, 7, dtype=torch.uint8)
    picture[0, 3, 2], picture[0, 3, 3] = 1, 2
    random = torch.Generator().manual_seed(0)
    seen = {
        tuple(torch.nonzero(x).flatten().tolist() + x[x > 0].tolist())
        for x in augment(picture.expand(500, 7, 7), flip=True, max_shift=1, generator=random)
    }
    # 3 × 3 moves, each mirrored (then the 2 comes first) or not.
    upright = {(r, c, r, c + 1, 1, 2) for r in (2, 3, 4) for c in (1, 2, 3)}
    mirrored = {(r, c, r, c + 1, 2, 1) for r in (2, 3, 4) for c in (2, 3, 4)}
    assert seen == upright | mirrored
    same = augment(picture, flip=False, max_shift=0)
    assert torch.equal(same, picture)


def test_training_repeats_itself_and_leaves_a_plain_network():
    images, labels = stripes(256)
    recipe = Recipe(epochs=2, learning_rate=0.05, seed=3, dropout={"fc1": 0.5}, max_shift=0)
    lines: list[str] = []
    one, two = (
        train(LeNet300100, images, labels, recipe, mean=0.3, std=0.3, report=lines.append)
        for _ in range(2)
    )
    assert len(lines) == 4
    assert not one.training
    assert not any(m._forward_hooks for m in one.modules())
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    other = dataclasses.replace(recipe, seed=4)
    third = train(LeNet300100, images, labels, other, mean=0.3, std=0.3)
    assert not torch.equal(one.get_parameter("fc1.weight"), third.get_parameter("fc1.weight"))


def test_training_learns():
    images, labels = stripes(1280)
    recipe = Recipe(epochs=3, learning_rate=0.05, flip=False, max_shift=0)
    model = train(LeNet300100, images, labels, recipe, mean=0.3, std=0.3)
    inputs = (torch.from_numpy(images)[:, None] / 255 - 0.3) / 0.3
    correct, _ = measure(model, inputs, torch.from_numpy(labels).long())
    assert correct > 1200
