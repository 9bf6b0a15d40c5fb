import json
import zlib

import pytest
import torch
from safetensors.torch import save
from torch import nn

from prunevis.errors import ModelError, SpecError
from prunevis.evaluation.storage import (
    Storage,
    compressed_bytes,
    storage_steps,
    stored_bytes,
)
from prunevis.graph.trace import trace
from prunevis.pruning.ranking import rank
from prunevis.pruning.spec import PruningSpec


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def planned(model, sparsity, granularity="weight"):
    criterion = "magnitude" if granularity == "weight" else "l2"
    spec = PruningSpec.make(criterion, granularity)
    return rank(model, spec, graph=trace(model, torch.zeros(1, 64))).plan(sparsity)


def test_without_compression_it_is_the_size_of_the_file():
    tensors = {
        "b": torch.arange(5.0),
        "a": torch.ones(3, 4, dtype=torch.bfloat16).t(),
        "empty": torch.zeros(0),
        "one": torch.tensor(True),
    }
    file = save({k: v.contiguous() for k, v in tensors.items()})
    header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    assert {header[k]["dtype"] for k in tensors} == {"F32", "BF16", "BOOL"}
    wrapped = len(zlib.compress(file, 0))  # zlib adds a few bytes a block
    assert compressed_bytes(tensors, 0) == pytest.approx(wrapped, abs=16)


def test_zeros_compress():
    noise = torch.randn(100, 100, generator=torch.Generator().manual_seed(0))
    dense = compressed_bytes({"w": noise})
    assert dense > 0.8 * 40_000
    assert compressed_bytes({"w": torch.zeros(100, 100)}) < 300
    with pytest.raises(SpecError, match="from 0 to 9"):
        compressed_bytes({}, 10)


def test_forms_by_hand(model):
    stored = stored_bytes(model, planned(model, 0.75))
    assert stored.dense == 4 * (64 * 64 + 64 + 640 + 10)
    assert stored.bitmask == 4 * 1024 + 4096 // 8 + 4 * (64 + 640 + 10)
    assert stored.csr == 8 * 1024 + 4 * 65 + 4 * (64 + 640 + 10)
    assert stored.compressed < stored.dense
    assert stored.best == min(stored.bitmask, stored.compressed)


def test_smaller_models_are_measured_as_they_are(model):
    stored = stored_bytes(model, planned(model, 0.5, "unit"))
    assert stored.dense == stored.bitmask == 4 * (32 * 64 + 32 + 320 + 10)
    assert model[0].weight.shape == (64, 64)


def test_the_simplest_form_wins_a_tie():
    assert Storage(5, 5, 5, 5).best_name == "dense"
    assert Storage(9, 5, 5, 6).best_name == "bitmask"
    assert Storage(9, 8, 7, 6).best == 6


def test_plan_of_another_network(model):
    with pytest.raises(ModelError, match="made for another network"):
        stored_bytes(nn.Linear(3, 3), planned(model, 0.5))


def test_storage_in_steps_is_the_same_and_is_many(model, monkeypatch):
    monkeypatch.setattr("prunevis.evaluation.storage.CHUNK", 1000)
    plan = planned(model, 0.5)
    found = []

    def run():
        found.append((yield from storage_steps(model, plan)))

    count = sum(1 for _ in run())
    assert found == [stored_bytes(model, plan)]
    # more than the 4 tensors and 2 parts of the header: large tensors are cut up
    assert count > 4 + 2 + 64 * 64 * 4 // 1000
