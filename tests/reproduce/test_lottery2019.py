"""Lottery tickets: shares that are left, when to stop, and masks that only shrink."""

import pytest
import torch

from prunevis.reproduce.base import Context
from prunevis.reproduce.lottery2019 import _Tickets, early_stop, first_at, left, watched


def test_shares_left_are_those_that_the_paper_names():
    # hidden layers 0.8^k of 265,200 weights, output layer 0.9^k of 1,000
    for rounds, percent in ((3, 51.3), (7, 21.1), (15, 3.6)):
        whole = (265_200 * left(rounds) + 1_000 * left(rounds, "fc3")) / 266_200
        assert round(100 * whole, 1) == percent
    assert left(0) == 1
    assert left(2, "fc3") == pytest.approx(0.81)


def test_training_stops_where_the_loss_is_least():
    assert early_stop([0.5, 0.2, 0.3, 0.2]) == 1
    run = {"steps": [100, 200, 300], "validation": [0.90, 0.98, 0.96]}
    assert first_at(run, 0.95) == 200
    assert first_at(run, 0.99) is None


def test_what_left_stays_away_and_the_rest_begins_where_it_began(tmp_path):
    context = Context(tmp_path, short=True)
    tickets = _Tickets(context, 0)
    one, two = tickets.masks(1), tickets.masks(2)
    for name, mask in two.items():
        # nothing returns
        assert not (mask & ~one[name]).any()
    assert int(two["fc1.weight"].sum()) == 235_200 - round((1 - 0.8**2) * 235_200)
    assert int(two["fc3.weight"].sum()) == 1_000 - round((1 - 0.9**2) * 1_000)
    # one step at a rate of next to nothing leaves the ticket at its first weights, masked
    model = tickets.first()
    begun = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = watched(model, context.data(), 0.0, two, seed=0)
    assert found["steps"] == [1]
    assert found["stop_accuracy"] == found["accuracy"][0]
    now = model.state_dict()
    for name, mask in two.items():
        assert not now[name][~mask].any()
        # Adam's first step moves a weight by its rate, 1.2e-3, at most
        moved = (now[name] - begun[name])[mask].abs().max()
        assert float(moved) <= 1.2e-3 + 1e-6


def test_the_control_has_other_weights():
    tickets = _Tickets(None, 0)
    assert not torch.equal(tickets.first().fc1.weight, tickets.first(1000).fc1.weight)
    assert torch.equal(tickets.first().fc1.weight, tickets.first(0).fc1.weight)
