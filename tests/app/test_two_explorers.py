"""Two explorers in one kernel: what one does changes nothing that the other shows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_networks import TinyMLP, answered, labelled, seeded

from prunevis.app import Explorer, explore
from prunevis.data import Data

WAIT = 30.0  # seconds until a hang is called one

#: What a person drags to, in each page.
LEFT = (0.1, 0.8, 0.35, 0.9, 0.5)
RIGHT = (0.7, 0.2, 0.95, 0.4, 0.6)


@pytest.fixture
def other() -> tuple[torch.nn.Module, Data]:
    model = seeded(TinyMLP)
    with torch.no_grad():
        model.fc1.weight.mul_(-0.5)
    return model, Data(train=None, test=answered(model, labelled((12,), 40, 4)), name="other")


def shown(explorer: Explorer) -> dict[str, object]:
    """Everything that a page says of its network, apart from figures."""
    page = explorer.page
    names = ("head", "table", "steps", "status", "problem")
    # files are compressed where a hand rests, and how long it does is not the same twice
    curve = {key: value for key, value in page.curve.items() if key != "compressed"}
    return {name: getattr(page, name) for name in names} | {"position": page.position} | curve


def alone(model: torch.nn.Module, data: Data, path: tuple[float, ...]) -> dict[str, object]:
    found = Explorer(model, data, threaded=False, device="cpu")
    found.run_until_idle()
    for position in path:
        found.page.set_state({"position": position})
        found.run_until_idle()
    result = shown(found)
    found.close()
    return result


def until(explorer: Explorer, condition: Callable[[Any], object]) -> None:
    """Wait until a page shows something; asked at each change, so no time is slept through."""
    reached = threading.Event()

    def look(_: object = None) -> None:
        if condition(explorer.page):
            reached.set()

    explorer.page.observe(look)
    look()
    assert reached.wait(WAIT)
    explorer.page.unobserve(look)


def test_drags_in_turn_step_by_step(mlp, mlp_data, other):
    pair = [
        Explorer(mlp, mlp_data, threaded=False, device="cpu"),
        Explorer(*other, threaded=False, device="cpu"),
    ]
    for left, right in zip(LEFT, RIGHT, strict=True):
        for explorer, position in zip(pair, (left, right), strict=True):
            explorer.page.set_state({"position": position})
        # a few steps of one, a few of the other: neither comes to rest between two moves
        for _ in range(7):
            for explorer in pair:
                explorer.controller.worker.run_until_idle(limit=2)
    for explorer in pair:
        explorer.run_until_idle()
    assert shown(pair[0]) == alone(mlp, mlp_data, LEFT)
    assert shown(pair[1]) == alone(*other, RIGHT)
    for explorer in pair:
        explorer.close()


def test_drags_at_the_same_time_on_two_threads(mlp, mlp_data, other):
    pair = [explore(mlp, mlp_data, device="cpu"), explore(*other, device="cpu")]
    paths = (LEFT, RIGHT)
    assert len({explorer.controller.worker._thread for explorer in pair}) == 2
    for explorer in pair:
        explorer.page.set_state({"_view_count": 1})
        until(explorer, lambda page: page.curve.get("known"))

    def drag(explorer: Explorer, path: tuple[float, ...]) -> None:
        for _ in range(20):
            for position in path:
                explorer.page.set_state({"position": position})

    hands = [
        threading.Thread(target=drag, args=(explorer, path))
        for explorer, path in zip(pair, paths, strict=True)
    ]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join(WAIT)
    for explorer in pair:
        until(explorer, lambda page: page.curve.get("known") == 101)
    # one page closes; the other goes on
    pair[0].close()
    pair[1].page._handle_custom_msg({"action": "scope", "name": "layer"}, [])
    until(pair[1], lambda page: page.controls["scope"] == "layer" and page.table["layers"])
    until(pair[1], lambda page: page.curve.get("known") == 101)
    expected = alone(mlp, mlp_data, LEFT)
    assert {k: v for k, v in shown(pair[0]).items() if k != "status"} == {
        k: v for k, v in expected.items() if k != "status"
    }
    assert [explorer.page.position for explorer in pair] == [path[-1] for path in paths]
    assert [explorer.session.position for explorer in pair] == [path[-1] for path in paths]
    assert pair[1].page.problem == {}
    pair[1].close()
