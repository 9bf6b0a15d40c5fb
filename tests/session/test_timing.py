import pytest
from torch import nn

from prunevis.data import Data
from prunevis.session import timing


@pytest.fixture
def timed(driver, mlp, mlp_data, monkeypatch):
    monkeypatch.setattr(timing, "REPEATS", 2)
    driver.open(mlp, mlp_data)
    return driver.do("choose", "granularity", "unit").do("move", 0.5)


def ask(driver):
    driver.controller.worker.request(driver.controller.stopwatch.measure, "asked")
    return driver


def test_dense_masked_and_removed_where_the_slider_stands(timed, untouched_model):
    assert timed.session.timing.state == "none"
    check = untouched_model(timed.session.network.stage.model)
    seen = []
    timed.session.observe(lambda change: seen.append(change["new"]), "timing")
    ask(timed).run()
    check()
    found = timed.session.timing
    assert (found.state, found.position) == ("done", 0.5)
    assert found.setting == timed.session.setting
    assert found.result.names == ("dense", "masked", "removed")
    assert found.result.batches == (1, 64)
    progress = [each.progress for each in seen]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    # what was found stays, with its own position, when the slider moves on
    timed.do("move", 0.8)
    assert timed.session.timing.position == 0.5


def test_cancelled_halfway(timed):
    ask(timed).step(6)
    assert timed.session.timing.state == "running"
    assert "Timing the network" in timed.session.status.text
    timed.do("cancel", "latency")
    assert (timed.session.timing.state, timed.session.timing.result) == ("cancelled", None)
    assert not timed.controller.worker.running(timing.JOB)


def test_another_stage_forgets_it(timed):
    ask(timed).run()
    timed.do("apply")
    assert timed.session.timing.state == "none"
    ask(timed).step(6)
    timed.do("undo")
    assert timed.session.timing.state == "none"
    assert not timed.controller.worker.running(timing.JOB)


def test_before_a_network_is_there(driver):
    driver.controller.session.network = None
    ask(driver).run()
    assert driver.problem.startswith("There is no network to time yet")


class Moody(nn.Module):
    """Refuses batches of more than 60."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(12, 8), nn.Linear(8, 4)

    def forward(self, x):
        if x.shape[0] == 64:
            raise RuntimeError("too many")
        return self.fc2(self.fc1(x).relu())


def test_what_goes_wrong_is_said(driver, mlp_data: Data, monkeypatch):
    monkeypatch.setattr(timing, "REPEATS", 1)
    driver.open(Moody().eval(), mlp_data)
    ask(driver).run()
    assert driver.session.timing.state == "failed"
    assert driver.session.timing.text == "The network does not run on this input."
