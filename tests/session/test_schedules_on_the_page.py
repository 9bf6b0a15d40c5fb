"""Training on a schedule: filling it in, running it, pausing, and what is refused."""

import math

import pytest
import torch
from tiny_networks import answered, labelled
from torch import nn

from prunevis.data import Data
from prunevis.session import drafting
from prunevis.session.watching import Watcher, in_time, seen
from prunevis.training.schedules import SCHEDULES, make_schedule

SHORT = {"rounds": 2, "epochs": 1.0}


@pytest.fixture
def opened(driver, mlp, mlp_data):
    return driver.open(mlp, mlp_data)


def train(opened, schedule, knobs=None, **more):
    """Run a schedule to its end."""
    request = (1, 0.05, "train")
    return opened.do("fine_tune", *request, schedule=schedule, knobs=knobs, **more)


def begin(opened, schedule, knobs):
    worker = opened.controller.worker
    worker.request(
        lambda: opened.controller.fine_tune(None, 0.05, "train", schedule=schedule, knobs=knobs)
    )
    while not opened.session.fine_tuning.steps:
        assert opened.step()
    return worker


def test_the_first_schedule_is_what_fine_tuning_was(opened):
    opened.do("move", 0.5).do("fine_tune", 2, 0.05, "train")
    first = opened.session.fine_tuning.result
    opened.do("discard")
    train(opened, "one-shot", {"epochs": 2})
    second = opened.session.fine_tuning.result
    assert first.label == second.label == "50 % of weights by Magnitude |w|, fine-tuned 2 epochs"
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_iterative_falls_and_recovers_in_view(opened):
    opened.do("move", 0.5)
    train(opened, "iterative", SHORT)
    state = opened.session.fine_tuning
    assert opened.problem == ""
    assert state.state == "done"
    # one step an epoch: the events are at steps 0 and 1
    assert state.events == ((0, "Round 1 of 2"), (1, "Round 2 of 2"))
    at_the_second = [value for step, value in state.accuracy if step == 1]
    assert len(at_the_second) == 2  # measured before and after it
    assert state.sparsity == pytest.approx(0.5, abs=0.02)
    assert state.timeline.steps == 2
    assert state.step == 2
    assert state.before == opened.stage.baseline.accuracy
    assert state.result.label == "50 % of weights by Magnitude |w|, schedule: Iterative"
    sight = state.sight
    assert sight.layer == "fc1"
    zeros = int((state.result.model.fc1.weight == 0).sum())
    assert (sight.gone, sight.total) == (zeros, state.result.model.fc1.weight.numel())
    assert sight.kept.sum() == sight.total - sight.gone
    assert sight.began.sum() == sight.total
    assert sight.pixels is None  # the examples are no images
    before = opened.stage
    opened.do("keep")
    assert opened.stage is state.result
    assert opened.stage.holds_zeros
    assert opened.session.position == 0.5
    opened.do("undo")
    assert opened.stage is before


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_runs_or_says_why_not(opened, name):
    entry = SCHEDULES[name]
    opened.do("choose", "granularity", entry.granularities[0]).do("move", 0.5)
    opened.do("draft", name)
    refusal = drafting.refusal(opened.session)
    if refusal:
        train(opened, name)
        assert refusal in opened.problem
        assert opened.session.fine_tuning.state == "ready"
        return
    train(opened, name)
    state = opened.session.fine_tuning
    assert (opened.problem, state.state) == ("", "done")
    units = entry.granularities[0] == "unit"
    smaller = state.result.graph.num_params < opened.stage.graph.num_params
    assert smaller is units


def test_only_slimming_does_not_fit_a_network_without_batchnorm(opened):
    opened.do("choose", "granularity", "unit")
    reasons = {n: drafting.schedule_unavailable(opened.session, n) for n in SCHEDULES}
    assert reasons.pop("slimming").startswith("There is no BatchNorm")
    assert {n for n, why in reasons.items() if why} == {"lottery", "at-init"}
    assert reasons["lottery"] == "Lottery ticket prunes weights only."


def test_zeros_of_before_stay_zero(opened):
    opened.do("move", 0.3).do("apply").do("move", 0.6)
    zeros = opened.stage.model.fc1.weight == 0
    train(opened, "cubic", {"epochs": 4.0, "begin": 0.5, "frequency": 1})
    assert opened.problem == ""
    model = opened.session.fine_tuning.result.model
    assert int(zeros.sum()) > 0
    assert bool((model.fc1.weight[zeros] == 0).all())


def test_pausing_and_going_on_gives_what_an_unbroken_run_gives(opened):
    opened.do("move", 0.5)
    train(opened, "iterative", SHORT)
    whole = opened.session.fine_tuning.result.model
    opened.do("discard")
    worker = begin(opened, "iterative", SHORT)
    worker.request(opened.controller.pause)
    opened.run()
    assert opened.session.fine_tuning.state == "paused"
    assert opened.session.status.text.endswith("Fine-tuning is paused.")
    assert worker.running("fine_tune")
    opened.do("move", 0.7)  # the page works on meanwhile
    opened.do("fine_tune", 1, 0.05, "train")
    assert "under way" in opened.problem
    opened.do("discard")
    assert opened.session.fine_tuning.state == "paused"
    opened.do("go_on")
    state = opened.session.fine_tuning
    assert state.state == "done"
    for a, b in zip(whole.parameters(), state.result.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_cancelling_a_pause_leaves_the_network(opened):
    opened.do("move", 0.5)
    before = opened.session.network
    worker = begin(opened, "lottery", {"rounds": 1, "epochs": 3.0})
    worker.request(opened.controller.pause)
    opened.run()
    opened.do("cancel", "fine_tune")
    assert opened.session.fine_tuning.state == "cancelled"
    assert opened.session.network is before
    assert not worker.running("fine_tune")


def test_a_draft_follows_its_knobs_and_the_slider(opened):
    opened.do("move", 0.5).do("draft", "iterative", {"rounds": 4, "epochs": 2})
    timeline, per_epoch = drafting.timeline_of(opened.session)
    assert (len(timeline.events), timeline.steps, per_epoch) == (4, 8, 1)
    assert timeline.final == 0.5
    opened.do("move", 0.8)
    assert drafting.timeline_of(opened.session)[0].final == 0.8
    # another schedule and back: what was filled in is still there
    opened.do("draft", "cubic").do("draft", "iterative")
    assert opened.session.draft.made["iterative"] == make_schedule("iterative", rounds=4, epochs=2)
    opened.do("draft", "iterative", None, 0.2, "train", {"batch_size": 16})
    assert drafting.timeline_of(opened.session)[1] == 3  # 48 examples in batches of 16
    assert opened.session.fine_tuning.learning_rate == 0.2


def test_points_that_are_drawn(opened):
    opened.do("move", 0.8)
    opened.do("draft", "drawn", {"epochs": 10, "points": [[0.5, 0.25], [0.0, 0.1]]})
    timeline = drafting.timeline_of(opened.session)[0]
    assert [e.step for e in timeline.events] == [0, 5]
    assert [e.sparsity for e in timeline.events] == pytest.approx([0.08, 0.8])


WRONG = [
    ("draft", ("nonsense",), "There is no such schedule"),
    ("draft", (["cubic"],), "There is no such schedule"),
    ("draft", (None,), "There is no such schedule"),
    ("draft", ("iterative", {"rounds": 0}), "rounds is a whole number from 1 to 100"),
    ("draft", ("iterative", {"rounds": 2.5}), "rounds is a whole number"),
    ("draft", ("iterative", {"rounds": 10**400}), "A number is too large"),
    ("draft", ("iterative", {"rounds": None}), "rounds is a whole number"),
    ("draft", ("iterative", {"epochs": math.nan}), "epochs is a number"),
    ("draft", ("iterative", {"spacing": ["linear"]}), "one of a few words"),
    ("draft", ("iterative", {"nonsense": 1}), "has no field"),
    ("draft", ("iterative", [1]), "Settings are values by name"),
    ("draft", ("cubic", {"untrained": "yes"}), "True or False"),
    ("draft", ("drawn", {"points": [[0, 2]]}), "pairs"),
    ("draft", ("drawn", {"points": [[0, 0.5]] * 300}), "pairs"),
    ("draft", ("drawn", {"points": [[10**400, 0]]}), "A number is too large"),
    ("draft", ("one-shot", {"epochs": 51}), "Epochs are a whole number"),
    ("draft", ("one-shot", None, -1), "The learning rate must be"),
    ("draft", ("one-shot", None, 0.1, "test"), "no such training examples"),
    ("draft", ("one-shot", None, 0.1, "train", {"optimizer": "lbfgs"}), "Optimiser: this cannot"),
    ("draft", ("one-shot", None, 0.1, "train", {"schedule": ["cosine"]}), "Learning rate over"),
    ("draft", ("one-shot", None, 0.1, "train", {"batch_size": 0}), "Examples a step: this"),
    ("draft", ("one-shot", None, 0.1, "train", {"lr": 1}), "Training has no such setting"),
    ("draft", ("one-shot", None, 0.1, "train", {"patience": 2}), "examples to see it by"),
]


@pytest.mark.parametrize(("what", "form", "text"), WRONG, ids=[str(k) for k in range(len(WRONG))])
def test_what_is_filled_in_wrongly_is_said_beside_the_form(opened, what, form, text):
    opened.do(what, *form)
    assert opened.problem == ""
    assert text in opened.session.draft.error
    assert text in drafting.refusal(opened.session)
    assert len(opened.session.draft.error) < 400
    opened.do("draft", "one-shot", {"epochs": 1})
    assert opened.session.draft.error == ""


def test_what_is_too_long_for_a_page_is_refused(opened):
    opened.do("move", 0.5).do("draft", "iterative", {"rounds": 60, "epochs": 1})
    assert drafting.refusal(opened.session).startswith("This is 60.0 epochs of training")
    opened.do("draft", "iterative", {"rounds": 5, "epochs": 1})
    assert drafting.refusal(opened.session) == ""
    opened.do("draft", "cubic", {"epochs": 50, "end": 1.0, "frequency": 1})
    opened.do("draft", "cubic", None, None, None, {"batch_size": 1})
    assert "at most 400 times" in drafting.refusal(opened.session)


def test_nothing_to_prune_is_refused_except_where_training_alone_makes_sense(opened):
    opened.do("draft", "iterative")
    assert drafting.refusal(opened.session).startswith("Move the slider first")
    opened.do("draft", "one-shot")
    assert drafting.refusal(opened.session) == ""


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(12, 8), nn.Linear(8, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x))) * self.scale


def test_modules_that_cannot_be_drawn_anew(driver):
    torch.manual_seed(0)
    model = Scaled()
    examples = answered(model, labelled((12,), 20, 4))
    data = Data(train=examples, test=examples)
    driver.open(model, data).do("move", 0.5).do("draft", "lottery")
    assert drafting.refusal(driver.session).startswith("Random weights cannot be drawn for")
    driver.do("draft", "iterative")
    assert drafting.refusal(driver.session) == ""


class Pixels(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(2 * 4 * 4, 6), nn.ReLU(), nn.Linear(6, 4))


def test_the_mask_of_a_first_layer_is_folded_over_the_pixels(driver):
    torch.manual_seed(0)
    model = Pixels()
    data = Data(
        answered(model, labelled((2, 4, 4), 8, 4)), answered(model, labelled((2, 4, 4), 8, 4))
    )
    driver.open(model, data)
    mask = torch.ones(6, 2, 4, 4, dtype=torch.bool)
    mask[:, :, 0] = False  # no weight reads the first row,
    mask[:4, 1, 1, 2] = False  # and four do not read one pixel's second colour
    found = seen(model, {"1.weight": mask.reshape(6, 32)}, driver.stage.graph, driver.stage, "1", 7)
    assert found.pixels.tolist() == [
        [0, 0, 0, 0], [12, 12, 8, 12], [12, 12, 12, 12], [12, 12, 12, 12],
    ]  # fmt: skip
    assert (found.pixel_layer, found.most, found.step) == ("1", 12, 7)
    assert (found.gone, found.total) == (6 * 8 + 4, 192)
    assert seen(model, {}, driver.stage.graph, driver.stage, "nowhere", 0) is None


def test_closing_a_watched_run_closes_what_it_runs(opened):
    closed = []

    def steps():
        try:
            yield None
            yield None
        finally:
            closed.append(True)

    following = Watcher(opened.controller, opened.stage).follow(steps())
    next(following)
    following.close()
    assert closed == [True]


def test_times_in_words():
    assert [in_time(s) for s in (None, 0.2, 12.4, 89, 200)] == [
        "some time", "1 s", "12 s", "89 s", "3 min",
    ]  # fmt: skip
