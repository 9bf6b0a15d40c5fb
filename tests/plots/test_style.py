from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.image import imread

from prunevis import plots
from prunevis.errors import SpecError
from prunevis.plots import DARK, LIGHT
from prunevis.plots.style import TITLE_ROOM, blend, diverging, numbers, sequential, theme_of

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(8, 6))
CURVE = {"x": [0.0, 0.5, 0.9], "value": [0.9, 0.8, 0.3], "low": [0.9, 0.7, 0.3], "baseline": 0.9}
#: Every figure that needs no result of another room.
DRAW = {
    "weight_histogram": lambda **o: plots.weight_histogram(WEIGHTS, threshold=0.5, **o),
    "neuron_activity": lambda **o: plots.neuron_activity(RNG.random(12), RNG.random(12), **o),
    "similarity_matrix": lambda **o: plots.similarity_matrix(np.corrcoef(WEIGHTS), **o),
    "tradeoff": lambda **o: plots.tradeoff(CURVE, **o),
    "sensitivity": lambda **o: plots.sensitivity({"a$b": CURVE, "$c$": CURVE}, **o),
    "unit_profile": lambda **o: plots.unit_profile(WEIGHTS[0], RNG.random((9, 1, 4, 4)), **o),
    "mask_image": lambda **o: plots.mask_image(WEIGHTS > 0, **o),
}


def pixels(data: bytes) -> np.ndarray:
    return imread(io.BytesIO(data), format="png")


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_figure_renders_and_leaves_rcparams_alone(name: str, theme: str) -> None:
    before = dict(matplotlib.rcParams)
    ax = DRAW[name](theme=theme, title="layer $x_{ $ \\frac")
    image = pixels(plots.png(ax.figure, dpi=100))
    assert dict(matplotlib.rcParams) == before
    expected = LIGHT if theme == "light" else DARK
    assert to_hex(image[0, 0, :3]) == expected.card
    assert image.std() > 0.01


@pytest.mark.parametrize("name", DRAW)
def test_each_figure_draws_on_given_axes(name: str) -> None:
    ax = plots.new_axes((4, 3))
    figure = ax.figure
    assert DRAW[name](ax=ax) is ax
    assert ax.figure is figure
    assert figure.axes == [ax]


@pytest.mark.parametrize("name", DRAW)
def test_an_unknown_theme_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match=r"no theme called 'blue'.*'light' or 'dark'"):
        DRAW[name](theme="blue")


@pytest.mark.parametrize("name", DRAW)
def test_an_empty_title_takes_no_room(name: str) -> None:
    with_title, without = DRAW[name](title="a title"), DRAW[name](title="")
    assert with_title.get_title(loc="left") == "a title"
    assert without.get_title(loc="left") == ""
    heights = [ax.figure.get_figheight() for ax in (with_title, without)]
    assert heights[0] - heights[1] == pytest.approx(TITLE_ROOM)


def test_no_mathtext_is_parsed() -> None:
    """Mathtext is a process-wide singleton: two threads in it break each other."""
    for draw in DRAW.values():
        ax = draw(title="a $x$ b")
        texts = [*ax.texts, ax.title, ax._left_title, ax.xaxis.label]
        texts += ax.get_yticklabels() if ax.get_yticklabels() else []
        for text in texts:
            assert not (text.get_parse_math() and "$" in text.get_text())


def test_png_size_follows_dpi_and_the_figure_is_as_before() -> None:
    figure = plots.new_axes((4.2, 2.0), "dark").figure
    background, dpi = figure.get_facecolor(), figure.dpi
    assert pixels(plots.png(figure, dpi=200)).shape == (400, 840, 4)
    assert pixels(plots.png(figure, dpi=100)).shape == (200, 420, 4)
    clear = pixels(plots.png(figure, transparent=True))
    assert clear[0, 0, 3] == 0
    assert (figure.get_facecolor(), figure.dpi) == (background, dpi)


def test_png_from_eight_threads_is_what_one_gives() -> None:
    alone = {name: plots.png(draw().figure, 100) for name, draw in _fixed().items()}

    def render(name: str) -> tuple[str, bytes]:
        return name, plots.png(_fixed()[name]().figure, 100)

    with ThreadPoolExecutor(8) as pool:
        for name, data in pool.map(render, list(alone) * 4):
            assert data == alone[name], name


def _fixed() -> dict:
    activity = np.linspace(0, 1, 12)
    return {
        "histogram": DRAW["weight_histogram"],
        "matrix": DRAW["similarity_matrix"],
        "curve": DRAW["tradeoff"],
        "neurons": lambda: plots.neuron_activity(activity, 1 - activity),
    }


def test_drawing_never_imports_pyplot_but_through_seaborn() -> None:
    """seaborn itself imports pyplot; no figure of ours is ever registered there."""
    program = """
import sys
from prunevis import plots
plots.png(plots.weight_histogram([0.1, 0.2, -0.3], threshold=0.15).figure)
plots.png(plots.neuron_activity([0.1, 0.2], [0.0, 1.0]).figure)
plots.png(plots.tradeoff({"x": [0, 0.5], "value": [0.9, 0.8]}).figure)
plots.png(plots.sensitivity({"a": {"x": [0, 0.5], "value": [0.9, 0.8]}}).figure)
plots.png(plots.unit_profile([0.1, 0.2]).figure)
plots.png(plots.mask_image([[True, False]]).figure)
assert "matplotlib.pyplot" not in sys.modules
assert "seaborn" not in sys.modules
import matplotlib
matplotlib.rcParams["font.size"] = 11.5
plots.png(plots.similarity_matrix([[1.0, 0.5], [0.5, 1.0]]).figure)
assert matplotlib.rcParams["font.size"] == 11.5
assert sys.modules["matplotlib.pyplot"].get_fignums() == []
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=root
    )
    assert done.returncode == 0, done.stderr


def test_users_rcparams_do_not_change_the_look() -> None:
    plain = plots.png(DRAW["weight_histogram"]().figure, 100)
    changed = {"axes.grid": True, "axes.facecolor": "red", "savefig.bbox": "tight"}
    with matplotlib.rc_context(changed):
        assert plots.png(DRAW["weight_histogram"]().figure, 100) == plain


def test_blend() -> None:
    assert blend("#000000", "#ffffff", 0.0) == "#000000"
    assert blend("#000000", "#ffffff", 1.0) == "#ffffff"
    mixed = blend("#000000", "#ffffff", np.array([0.25, 2.0]))
    np.testing.assert_allclose(mixed, [[0.25] * 3, [1.0] * 3])


def test_scales_end_in_the_tokens() -> None:
    for theme in (LIGHT, DARK):
        scale = diverging(theme)
        assert [to_hex(scale(x)) for x in (0.0, 1.0)] == [theme.kept, theme.pruned]
        assert to_hex(sequential(theme)(1.0)) == theme.kept
        assert to_hex(scale(np.ma.masked)) == theme.hairline


def test_numbers_reads_tensors_of_any_kind() -> None:
    tensor = torch.tensor([1.0, 2.5], dtype=torch.bfloat16, requires_grad=True)
    np.testing.assert_array_equal(numbers(tensor), [1.0, 2.5])
    np.testing.assert_array_equal(numbers([1, 2]), [1, 2])


def test_theme_of_takes_a_theme() -> None:
    assert theme_of(DARK) is DARK
    assert theme_of("light") is LIGHT
