from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from prunevis import plots
from prunevis.errors import DataError
from prunevis.plots import DARK, LIGHT, alt
from prunevis.plots.masks import MOST_PIXELS
from prunevis.plots.profile import MOST_BARS

RNG = np.random.default_rng(0)


def image(ax: Axes, gid: str = "weights") -> np.ndarray:
    found = next(i for i in ax.images if i.get_gid() == gid)
    return np.ma.filled(np.ma.asarray(found.get_array(), float), np.nan)


def bars(ax: Axes) -> np.ndarray:
    """Signed heights: the page's y axis points down."""
    artist = next(c for c in ax.collections if c.get_gid() == "weights")
    corners = np.array([path.vertices[:4] for path in artist.get_paths()])
    return corners[:, 0, 1] - corners[:, 1, 1]


def said(ax: Axes) -> str:
    return " ".join(text.get_text() for text in ax.texts)


def test_a_first_filter_is_a_picture() -> None:
    kernel = RNG.normal(size=(1, 5, 5))
    ax = plots.unit_profile(kernel)
    np.testing.assert_allclose(image(ax), kernel[0])
    drawn = next(i for i in ax.images if i.get_gid() == "weights")
    low, high = drawn.get_clim()
    assert -low == high == np.abs(kernel).max()
    assert "25 weights, 5 × 5" in said(ax)


def test_a_vector_on_a_picture_is_one() -> None:
    weights = RNG.normal(size=784)
    ax = plots.unit_profile(weights, input_shape=(1, 28, 28))
    np.testing.assert_allclose(image(ax), weights.reshape(28, 28))


def test_kernels_are_a_mosaic_with_gaps() -> None:
    kernels = RNG.normal(size=(5, 3, 3))
    mosaic = image(plots.unit_profile(kernels))
    assert mosaic.shape == (7, 11)
    np.testing.assert_allclose(mosaic[:3, :3], kernels[0])
    np.testing.assert_allclose(mosaic[4:, :3], kernels[3])
    assert np.isnan(mosaic[3]).all()


def test_other_vectors_are_bars_in_order() -> None:
    weights = np.array([0.5, -1.0, 0.25])
    heights = bars(plots.unit_profile(weights))
    np.testing.assert_allclose(heights / heights[0], weights / 0.5)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_bars_are_coloured_by_sign(theme: plots.Theme) -> None:
    ax = plots.unit_profile([0.5, -1.0], theme=theme.name)
    artist = next(c for c in ax.collections if c.get_gid() == "weights")
    assert [to_hex(c) for c in artist.get_facecolor()] == [theme.pruned, theme.kept]


def test_many_weights_show_the_largest_of_each_stretch() -> None:
    weights = np.zeros(MOST_BARS * 3)
    weights[4] = -2.0
    ax = plots.unit_profile(weights)
    heights = bars(ax)
    assert heights.size == MOST_BARS
    assert np.flatnonzero(heights).tolist() == [1]
    assert "largest of each 3" in said(ax)


def test_very_many_kernels_are_norms() -> None:
    ax = plots.unit_profile(np.ones((500, 3, 3)))
    assert "L2 norm of 500 input channels" in said(ax)
    assert (bars(ax) > 0).all()
    assert "one an input channel" in said(plots.unit_profile(np.ones((20, 1, 1))))


def test_the_nine_strongest_inputs_with_their_values() -> None:
    pictures = RNG.random((12, 1, 6, 6))
    ax = plots.unit_profile(np.ones((1, 3, 3)), pictures, np.arange(12.0, 0, -1))
    assert len([i for i in ax.images if str(i.get_gid()).startswith("input")]) == 9
    shown = image(ax, "input 2")
    low, high = pictures[2, 0].min(), pictures[2, 0].max()
    np.testing.assert_allclose(shown, (pictures[2, 0] - low) / (high - low))
    assert " 12 " in f" {said(ax)} "


def test_colour_pictures_and_flat_ones() -> None:
    ax = plots.unit_profile([1.0], RNG.random((2, 3, 4, 4)))
    assert image(ax, "input 1").shape == (4, 4, 3)
    flat = plots.unit_profile([1.0], np.full((1, 1, 4, 4), 7.0))
    assert (image(flat, "input 0") == 0).all()


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        (None, "No inputs were recorded"),
        (np.zeros((0, 1, 4, 4)), "No inputs were recorded"),
        (np.zeros((9, 20)), "These inputs are not pictures."),
        (np.zeros((9, 7, 4, 4)), "These inputs are not pictures."),
    ],
)
def test_without_pictures_it_says_so(inputs: object, sentence: str) -> None:
    ax = plots.unit_profile([1.0, 2.0], inputs, [3.0])
    assert sentence in said(ax)
    assert "Largest answer: 3" in said(ax)


@pytest.mark.parametrize("weights", [[], [0.0], [float("nan"), 1.0], np.full((1, 3, 3), np.nan)])
def test_odd_weights_still_draw(weights: object) -> None:
    assert plots.png(plots.unit_profile(weights).figure, 50)


def test_mask_is_shares_that_stay() -> None:
    mask = np.array([[True, False, True], [False, False, True]])
    ax = plots.mask_image(mask)
    np.testing.assert_array_equal(ax.images[0].get_array(), mask.astype(float))
    scale = ax.images[0].get_cmap()
    assert [to_hex(scale(x)) for x in (0.0, 1.0)] == [LIGHT.cut, LIGHT.kept]
    assert ax.get_title(loc="left") == "6 weights, 50 % go"


def test_a_filter_mask_is_flattened_and_a_large_one_averaged() -> None:
    assert plots.mask_image(np.ones((4, 3, 5, 5), bool)).images[0].get_array().shape == (4, 75)
    rng = np.random.default_rng(0)
    mask = rng.random((10, 2 * MOST_PIXELS + 1)) < 0.3
    shown = plots.mask_image(mask).images[0].get_array()
    assert shown.shape == (10, -(-mask.shape[1] // 3))
    np.testing.assert_allclose(shown[:, 0], mask[:, :3].mean(1))
    np.testing.assert_allclose(shown[:, -1], mask[:, -(mask.shape[1] % 3 or 3) :].mean(1))


def test_counts_mark_pixels_that_feed_nothing() -> None:
    counts = np.array([[0, 3], [5, 0]])
    ax = plots.mask_image(counts)
    assert ax.images[0].get_array().mask.tolist() == [[True, False], [False, True]]
    assert ax.images[0].get_clim() == (0, 5)
    assert ax.get_title(loc="left") == "2 of 4 inputs feed nothing"


def test_mask_of_nothing_and_of_the_wrong_kind() -> None:
    assert "no mask" in plots.mask_image(np.zeros((0, 4), bool)).texts[0].get_text()
    with pytest.raises(DataError, match=r"two axes.*\(3,\)"):
        plots.mask_image([True, False, True])


def test_alt() -> None:
    assert alt.unit_profile(np.ones(25), [0.5, 2.0]) == (
        "The 25 weights of a unit and the 2 inputs that excite it most, up to 2."
    )
    assert alt.mask_image(np.array([[True, False]])) == "Mask of 1 by 2 weights; 50 % stay."
    assert "1 have none left" in alt.mask_image([[0, 1]])
