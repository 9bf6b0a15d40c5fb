"""Figures of the page: drawn when looked at, once, for any layer there is."""

import struct
import subprocess
import sys

import pytest
import torch
from tiny_networks import answered, labelled, seeded
from torch import nn

from prunevis.app import figures
from prunevis.app.figures import DPI
from prunevis.data import Data
from prunevis.graph import trace


def is_picture(png, width=None):
    assert isinstance(png, bytes)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    size = struct.unpack(">II", png[16:24])
    assert size[0] > 2 * DPI
    assert size[1] > DPI / 2
    return True


@pytest.fixture
def drawn(monkeypatch):
    """Return the list of figures that were drawn, as names."""
    names = []
    for name in ("redundancy", "unit_detail", "layer_costs", "sensitivity"):
        original = getattr(figures, name)
        monkeypatch.setattr(figures, name, lambda *a, n=name, o=original: names.append(n) or o(*a))
    return names


def test_nothing_is_drawn_that_nobody_looks_at(visit, mlp, mlp_data, drawn):
    visit(mlp, mlp_data).slide(0.5).send("scope", name="layer").send("apply")
    assert drawn == []


def test_redundancy(visit, residual, residual_data, drawn):
    visitor = visit(residual, residual_data).send("layer", name="conv1")
    visitor.send("tab", name="redundancy")
    found = visitor.page.redundancy
    assert found["layer"] == "conv1"
    weights, activations = found["kinds"]
    assert (weights["name"], activations["name"]) == ("weights", "activations")
    for kind in (weights, activations):
        assert is_picture(kind["png"])
        assert kind["alt"]
        assert kind["reason"] is None
    # the most similar pair by hand
    rows = nn.functional.normalize(residual.conv1.weight.detach().flatten(1), dim=1)
    cosine = (rows @ rows.T).fill_diagonal_(0)
    best = weights["pairs"][0]
    assert best["value"] == pytest.approx(float(cosine[best["a"], best["b"]]), abs=1e-3)
    assert abs(best["value"]) == pytest.approx(float(cosine.abs().max()), abs=1e-3)
    assert len(weights["pairs"]) <= 8
    # once with weights alone, at most once more when statistics came
    assert 1 <= drawn.count("redundancy") <= 2
    before = len(drawn)
    visitor.slide(0.5).slide(0.2).send("tab", name="weights").send("tab", name="redundancy")
    assert len(drawn) == before
    visitor.send("theme", name="dark")
    assert len(drawn) == before + 1
    assert visitor.page.redundancy["kinds"][0]["png"] != weights["png"]
    visitor.send("layer", name="conv2")
    assert visitor.page.redundancy["layer"] == "conv2"


def test_a_unit(visit, residual, residual_data, drawn):
    visitor = visit(residual, residual_data).send("tab", name="neurons")
    assert visitor.page.unit == {}
    visitor.send("layer", name="stem").send("unit", unit=3)
    found = visitor.page.unit
    assert (found["layer"], found["unit"]) == ("stem", 3)
    assert is_picture(found["png"])
    assert found["alt"]
    facts = dict(found["facts"])
    assert set(facts) == {"fires in", "mean answer", "largest answer", "norm of its weights"}
    norm = float(residual.stem.weight[3].detach().norm())
    assert float(facts["norm of its weights"]) == pytest.approx(norm, rel=0.01)
    visitor.send("unit", unit=3).send("unit", unit=None)
    assert visitor.page.unit == {}
    assert drawn == ["unit_detail"]


def test_a_unit_that_never_fires_is_said(visit, mlp, mlp_data):
    with torch.no_grad():
        mlp.fc1.bias[5] = -100.0
    visitor = visit(mlp, mlp_data).send("tab", name="neurons").send("unit", unit=5)
    assert visitor.page.unit["text"] == "It fired on none of the images."
    assert dict(visitor.page.unit["facts"])["fires in"] == "0.0 % of its answers"
    assert visitor.send("unit", unit=0).page.unit["text"] == ""


def test_the_layers_tab_follows_the_slider(visit, mlp, mlp_data, drawn):
    visitor = visit(mlp, mlp_data).send("tab", name="layers")
    first = visitor.page.layers_view
    assert is_picture(first["png"])
    assert first["alt"]
    assert first["sensitivity"] == {"state": "none", "png": None, "alt": "", "text": ""}
    visitor.slide(0.5)
    assert visitor.page.layers_view["png"] != first["png"]
    assert drawn == ["layer_costs"] * 2
    visitor.send("sensitivity")
    scan = visitor.page.layers_view["sensitivity"]
    assert scan["state"] == "done"
    assert is_picture(scan["png"])
    assert scan["alt"]
    assert drawn.count("sensitivity") == 1


def test_figures_of_another_network_are_forgotten(visit, residual, residual_data):
    visitor = visit(residual, residual_data).send("granularity", name="unit")
    visitor.send("tab", name="redundancy").send("tab", name="neurons")
    visitor.send("layer", name="conv1").send("unit", unit=0)
    assert visitor.page.unit
    visitor.slide(0.5).send("apply")
    assert visitor.page.unit == {}
    assert visitor.page.redundancy == {}
    visitor.send("tab", name="redundancy")
    assert visitor.page.redundancy["layer"] == "conv1"


def test_a_figure_that_fails_is_a_problem_and_no_more(visit, mlp, mlp_data, monkeypatch):
    def explode(*args, **options):
        raise RuntimeError("no ink")

    visitor = visit(mlp, mlp_data)
    monkeypatch.setattr("prunevis.plots.similarity_matrix", explode)
    visitor.send("tab", name="redundancy")
    assert "no ink" in visitor.problem
    visitor.send("dismiss").send("tab", name="neurons").send("unit", unit=1)
    assert visitor.problem == ""
    assert is_picture(visitor.page.unit["png"])


def test_figures_are_drawn_without_pyplot():
    # a fresh process: another test, or a plugin, may have imported it here
    code = (
        "import sys, torch, prunevis\n"
        "from prunevis.app import Explorer\n"
        "data = prunevis.Data(train=None, test=(torch.rand(9, 4), torch.arange(9) % 2))\n"
        "net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))\n"
        "e = Explorer(net, data, threaded=False, device='cpu')\n"
        "e.controller.look(tab='layers')\n"
        "e.run_until_idle()\n"
        "assert e.page.layers_view['png']\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_weights_of_a_unit_of_a_grouped_transposed_convolution():
    layer = nn.ConvTranspose2d(4, 6, 2, groups=2, bias=False)
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(6 * 16, 2))
    info = trace(model, torch.zeros(1, 4, 3, 3)).layers["0"]
    for unit in range(6):
        own = figures._incoming(info, layer.weight.detach(), unit)
        assert own.shape == (2, 2, 2)
        # it gives this output, and no other, from the inputs of its group
        x = torch.rand(1, 4, 3, 3)
        part = x[:, 2 * (unit // 3) :][:, :2]
        alone = nn.functional.conv_transpose2d(part, own[:, None])
        torch.testing.assert_close(alone[:, 0], layer(x)[:, unit].detach())


class Line(nn.Module):
    """Convolutions over time."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(2, 4, 3, padding=1), nn.Conv1d(4, 5, 3, padding=1)
        self.fc = nn.Linear(5, 3)

    def forward(self, x):
        return self.fc(torch.relu(self.b(torch.relu(self.a(x)))).mean(2))


class Volume(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.fc = nn.Conv3d(1, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(torch.relu(self.a(x)).mean((2, 3, 4)))


class Odd(nn.Module):
    """Pictures of two channels; grouped, depthwise and transposed convolutions."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, padding=1)
        self.g = nn.Conv2d(4, 6, 3, padding=1, groups=2)
        self.d = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.t = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.tg = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2)
        self.one = nn.Conv2d(6, 1, 1)
        self.fc = nn.Linear(144, 3)

    def forward(self, x):
        for layer in (self.a, self.g, self.d, self.t, self.tg, self.one):
            x = torch.relu(layer(x))
        return self.fc(x.flatten(1))


class Words(nn.Module):
    """Whole numbers in, embedded."""

    def __init__(self):
        super().__init__()
        self.embed, self.a, self.fc = nn.Embedding(9, 5), nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.fc(torch.relu(self.a(self.embed(x).mean(1))))


class Colour(nn.Sequential):
    """Coloured pictures, flattened at once."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(48, 4), nn.ReLU(), nn.Linear(4, 3))


ODD = {
    "time": (Line, (2, 7)),
    "volumes": (Volume, (1, 4, 4, 4)),
    "odd convolutions": (Odd, (2, 3, 3)),
    "words": (Words, None),
    "colour": (Colour, (3, 4, 4)),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_every_layer_of_every_network_can_be_looked_at(visit, kind):
    make, shape = ODD[kind]
    model = seeded(make)
    examples = labelled(shape or (4,), 18, 3)
    if shape is None:
        examples = examples._replace(inputs=torch.arange(72).reshape(18, 4) % 9)
    test = answered(model, examples)
    visitor = visit(model, Data(train=test, test=test))
    assert visitor.problem == ""
    for granularity in ("weight", "unit"):
        visitor.send("granularity", name=granularity)
        for name, layer in visitor.session.network.stage.graph.layers.items():
            visitor.send("layer", name=name)
            for tab in ("weights", "neurons", "redundancy", "layers"):
                visitor.send("tab", name=tab)
                assert visitor.problem == "", (name, tab)
            visitor.send("tab", name="neurons").send("unit", unit=layer.num_units - 1)
            assert visitor.problem == "", name
            assert is_picture(visitor.page.unit["png"])
    visitor.slide(0.4)
    if visitor.page.steps["can_apply"]:
        visitor.send("apply")
    assert visitor.problem == ""


def test_the_scan_says_in_what_pieces_and_with_what_repair(visit, mlp, mlp_data):
    visitor = visit(mlp, mlp_data).send("tab", name="layers").send("pattern", name="2:4")
    text = visitor.send("sensitivity").page.layers_view["sensitivity"]["text"]
    assert text.endswith("Pruned in the pattern 2:4.")
    visitor.send("granularity", name="unit").send("multiple_of", value=2)
    visitor.send("min_units", value=3).send("repair", name="least-squares")
    text = visitor.send("sensitivity").page.layers_view["sensitivity"]["text"]
    assert "to multiples of 2 units, with at least 3 units left, repaired each time (" in text
    result = visitor.explorer.session.scan.result
    assert result.achieved["fc2"][-1] == 1 / 3
