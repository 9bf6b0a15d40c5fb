"""What a schedule does not follow is refused in words, and what is drawn anew really is."""

import pytest
import torch
from torch import nn

from prunevis.data import Data
from prunevis.errors import ModelError, SpecError
from prunevis.pruning import PruningSpec
from prunevis.training import run_schedule
from prunevis.training.fresh import draw_anew
from prunevis.training.keeping import held_out
from prunevis.training.settings import FineTuneSettings


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 3, (90,), generator=generator)
    inputs = torch.randn(90, 6, generator=generator)
    return Data(train=(inputs[:60], targets[:60]), test=(inputs[60:], targets[60:]))


def network():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def test_a_share_to_keep_is_no_schedule(data):
    spec = PruningSpec.make("magnitude", keep=0.3, of="params")
    with pytest.raises(SpecError, match=r"laid out over sparsity.*keep=0.3 of params"):
        run_schedule(network(), data, "one-shot", spec=spec)


def test_what_is_drawn_anew_cannot_be_repaired(data):
    with pytest.raises(SpecError, match="drawn anew cannot be repaired"):
        run_schedule(network(), data, "scratch", granularity="unit", repair="mean")


def test_criteria_do_not_look_at_what_is_held_out(data, monkeypatch):
    from prunevis.training import running

    counts = []
    collect = running.collect_steps

    def noted(model, data, *args, **options):
        counts.append(data.train.count)
        return collect(model, data, *args, **options)

    monkeypatch.setattr(running, "collect_steps", noted)
    run_schedule(
        network(), data, "one-shot", epochs=0.5, criterion="taylor-weight", validation=0.25
    )
    train, held = held_out(running.Examples(*data.train), FineTuneSettings(validation=0.25))
    assert held is not None
    assert set(counts) == {train.count} == {45}


def test_parametrised_modules_cannot_be_drawn_anew():
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)))
    with pytest.raises(ModelError, match=r"cannot be drawn anew.*take weight normalisation"):
        draw_anew(normed, 0)


def test_attention_is_drawn_anew_and_the_random_state_stays():
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    state = torch.get_rng_state()
    draw_anew(layer, 3)
    assert torch.equal(torch.get_rng_state(), state)
    weights = [n for n, p in layer.named_parameters() if p.dim() > 1]
    after = dict(layer.named_parameters())
    assert weights
    assert not any(torch.equal(after[name], before[name]) for name in weights)
