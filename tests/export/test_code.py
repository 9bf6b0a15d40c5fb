"""The code of a click path gives what the page gave, to the last bit, in a fresh process."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch

import prunevis as pv
from prunevis.app.explorer import Explorer
from prunevis.app.outcome import code_of
from prunevis.export.code import Start, Step, script
from prunevis.session.jobs import BACKGROUND, REFINE, SPARE

ZOO = Start("lenet5", "fashion-mnist", layers={"weight": ["conv1", "fc1"], "unit": ["conv1"]})


def test_one_step_reads_like_a_person_wrote_it():
    spec = pv.PruningSpec.make("l2", "unit", "layer", 0.5, ["conv1"])
    code = script(ZOO, [Step("50 % of units", spec)], accuracy=0.9, count=100)
    assert code == textwrap.dedent(
        """\
        import prunevis as pv

        model = pv.load_model("lenet5")
        data = pv.load_data("fashion-mnist")

        # 50 % of units
        result = pv.prune(
            model, data, criterion="l2", granularity="unit", scope="layer", sparsity=0.5
        )
        model = result.model

        print(f"{pv.evaluate(model, data.test).accuracy:.2%}")  # the page: 90.00% of 100
        pv.save(model, "lenet5-pruned.safetensors")
        """
    )


def test_nothing_applied():
    code = script(ZOO, [])
    assert code.splitlines() == [
        "import prunevis as pv",
        "",
        'model = pv.load_model("lenet5")',
        'data = pv.load_data("fashion-mnist")',
        "",
        'print(f"{pv.evaluate(model, data.test).accuracy:.2%}")',
        'pv.save(model, "lenet5-pruned.safetensors")',
    ]


def test_what_goes_without_saying_is_left_out():
    named = pv.PruningSpec.make("magnitude", layers={"fc1": None, "conv1": 0.25}, seed=3)
    code = script(ZOO, [Step("x", named)])
    assert 'layers={"fc1": None, "conv1": 0.25}' in code
    assert "seed=3" in code
    assert "repair" not in code
    some = pv.PruningSpec.make("magnitude", layers=["fc1"])
    assert 'layers=["fc1"]' in script(ZOO, [Step("x", some)])
    every = pv.PruningSpec.make("magnitude", layers=["fc1", "conv1"])
    assert "layers" not in script(ZOO, [Step("x", every)])


def test_a_network_of_ones_own_is_a_function(mlp, mlp_data):
    spec = pv.PruningSpec.make("l2", "unit", sparsity=0.5)
    start = Start(None, None, attention="dimensions")
    code = script(start, [Step("50 % of units", spec)])
    assert "load_model" not in code
    assert 'attention="dimensions"' in code
    space: dict = {}
    exec(code, space)
    found = space["pruned"](mlp, mlp_data)
    assert found.fc1.out_features < mlp.fc1.out_features


@pytest.mark.parametrize("name", ["a\"b\\c'", "müon", "x" * 60])
def test_any_name_becomes_a_literal(name):
    spec = pv.PruningSpec.make("magnitude", layers={name: 0.5})
    compile(script(Start(None, None), [Step("x", spec)]), "code", "exec")
    assert repr(spec.layers)
    space: dict = {}
    line = next(x for x in script(ZOO, [Step("x", spec)]).splitlines() if "layers=" in x)
    exec(line.strip().rstrip(","), space)
    assert space["layers"] == {name: 0.5}


def test_a_label_cannot_leave_its_comment():
    code = script(ZOO, [Step("a\nimport os; os.abort()", pv.PruningSpec())])
    assert "# a import os; os.abort()" in code


class Clicks:
    """A page on which a test clicks; what nobody asked for is not measured."""

    def __init__(self) -> None:
        self.explorer = Explorer("lenet-300-100", threaded=False, device="cpu")
        self.session = self.explorer.session
        self.run()

    def run(self):
        worker = self.explorer.controller.worker
        worker.pause(REFINE, BACKGROUND, SPARE)
        worker.run_until_idle()
        return self

    def send(self, action, **content):
        self.explorer.page._handle_custom_msg({"action": action, **content}, [])
        return self.run()

    def slide(self, position):
        self.explorer.page.set_state({"position": position})
        return self.run()


@pytest.fixture
def clicks():
    torch.set_num_threads(1)
    page = Clicks()
    yield page
    page.explorer.close()


QUARTER = {"epochs": 1, "learning_rate": 0.02, "source": "quarter"}


def weights_and_units(visitor):
    visitor.slide(0.7).send("apply").send("granularity", name="unit").send("criterion", name="l2")
    visitor.send("repair", name="least-squares").slide(0.4).send("apply")


def shares_of_parameters(visitor):
    visitor.send("criterion", name="wanda").send("own", layer="fc2", value=0.2)
    visitor.send("of", name="params").slide(0.6).send("apply")


def tuned_twice(visitor):
    visitor.slide(0.6).send("apply").slide(0.8).send("fine_tune", **QUARTER).send("keep")
    visitor.send("granularity", name="unit").send("criterion", name="random").send("seed", value=5)
    more = {"optimizer": "adam", "distil": 0.3, "schedule": "linear"}
    visitor.slide(0.3).send("fine_tune", **QUARTER, more=more).send("keep")


def on_a_schedule(visitor):
    visitor.slide(0.5).send("apply").slide(0.8)
    knobs = {"rounds": 2, "epochs": 1}
    visitor.send("fine_tune", **QUARTER, schedule="iterative", knobs=knobs).send("keep")


#: Runs each program in a folder of its own.
RUN = """
import os, runpy, sys
for program in sys.argv[1:]:
    os.chdir(os.path.dirname(program))
    runpy.run_path(program)
"""


def test_the_same_numbers_in_a_fresh_process(clicks, tmp_path):
    expected, printed, programs = [], [], []
    for do in (weights_and_units, shares_of_parameters, tuned_twice, on_a_schedule):
        clicks.send("reset").send("model", name="lenet-300-100")
        for action, name in (("granularity", "weight"), ("criterion", "magnitude"),
                             ("of", "sparsity"), ("repair", "none")):  # fmt: skip
            clicks.send(action, name=name)
        do(clicks)
        assert clicks.session.problem is None
        expected.append(clicks.explorer.model.state_dict())
        stages = clicks.session.network.stages
        printed.append(f"{stages[-1].baseline.accuracy:.2%}")
        code = code_of(clicks.session)
        assert code.count("\n# ") == len(stages) - 1 >= 1
        assert max(map(len, code.splitlines())) <= 100
        folder = tmp_path / do.__name__
        folder.mkdir()
        programs.append(folder / "path.py")
        programs[-1].write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, *map(str, programs)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == printed
    for program, state in zip(programs, expected, strict=True):
        found = pv.load(program.with_name("lenet-300-100-pruned.safetensors")).state_dict()
        assert found.keys() == state.keys()
        assert all(torch.equal(found[name], value) for name, value in state.items())


def test_code_is_as_the_formatter_leaves_it(tmp_path):
    spec = pv.PruningSpec.make("l2", "unit", "layer", 0.123456789, {"conv1": 0.5, "fc1": None})
    steps = [
        Step("a", spec, settings=pv.FineTuneSettings(lr=0.5), source="quarter"),
        Step("b", spec, True, pv.FineTuneSettings(), pv.make_schedule("drawn")),
    ]
    for start in (ZOO, Start(None, None)):
        program = tmp_path / "path.py"
        program.write_text(script(start, steps), encoding="utf-8")
        for command in (["format", "--check", "--diff"], ["check", "--select", "E,F,W,I"]):
            done = subprocess.run(
                ["ruff", *command, "--isolated", "--line-length", "88", str(program)],
                capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr


def test_steps_whose_networks_were_forgotten_are_in_the_code(clicks, monkeypatch):
    monkeypatch.setattr("prunevis.session.history.MAX_NODES", 2)
    for sparsity in (0.5, 0.6, 0.7):
        clicks.slide(sparsity).send("apply")
    assert len(clicks.session.network.nodes) == 2
    code = code_of(clicks.session)
    places = [code.index(f"sparsity={sparsity}") for sparsity in (0.5, 0.6, 0.7)]
    assert places == sorted(places)
