"""Contrast of the page's tokens, by the formula of WCAG 2.2: 4.5 for text, 3 for what is drawn."""

from __future__ import annotations

import re

import pytest

from prunevis.widgets.page import STATIC

pytestmark = pytest.mark.access

Colour = tuple[float, float, float]


def tokens() -> dict[str, dict[str, str]]:
    """Return the colours of each scheme, by their names."""
    css = (STATIC / "00-tokens.css").read_text("utf-8")
    light, dark = re.findall(r"\{(.*?)\n\}", css, re.DOTALL)
    find = re.compile(r"--pv-([\w-]+): (#[0-9a-f]{6,8});")
    return {"light": dict(find.findall(light)), "dark": dict(find.findall(dark))}


def rgb(colour: str) -> Colour:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def over(colour: str, ground: Colour, opacity: float = 1.0) -> Colour:
    """Lay a colour, with its own alpha or an opacity, over an opaque one."""
    alpha = opacity * (int(colour[7:9], 16) / 255 if len(colour) == 9 else 1.0)
    red, green, blue = (
        alpha * a + (1 - alpha) * b for a, b in zip(rgb(colour), ground, strict=True)
    )
    return red, green, blue


def luminance(colour: Colour) -> float:
    """Relative luminance, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: Colour, other: Colour) -> float:
    """Contrast ratio, 1 to 21, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_formula_by_hand() -> None:
    assert contrast(rgb("#000000"), rgb("#ffffff")) == pytest.approx(21)
    # (0x77 / 255 + 0.055) / 1.055 = 0.494466; to the power of 2.4 it is 0.184475
    assert luminance(rgb("#777777")) == pytest.approx(0.184475, abs=1e-6)
    assert contrast(rgb("#777777"), rgb("#ffffff")) == pytest.approx(1.05 / 0.234475, abs=1e-4)
    # half of black over white is (0.5, 0.5, 0.5): 0.214041
    assert luminance(over("#000000", rgb("#ffffff"), 0.5)) == pytest.approx(0.214041, abs=1e-6)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["card", "paper", "sunken"])
@pytest.mark.parametrize("name", ["ink", "quiet", "kept-text", "pruned-text", "better"])
def test_text_can_be_read_on_every_ground(scheme: str, ground: str, name: str) -> None:
    found = tokens()[scheme]
    plain = rgb(found[ground])
    shaded = over(found["shade"], plain)  # a button under the pointer
    assert min(contrast(rgb(found[name]), g) for g in (plain, shaded)) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_on_surfaces_of_its_own(scheme: str) -> None:
    found = tokens()[scheme]
    card = rgb(found["card"])
    assert contrast(card, rgb(found["ink"])) >= 4.5  # the chosen option, the first button, a tip
    assert contrast(card, rgb(found["pruned-text"])) >= 4.5  # the sign of a problem
    assert contrast(rgb(found["ink"]), over(found["pruned"], card, 0.09)) >= 4.5  # its text
    # a chip that is pressed
    assert contrast(rgb(found["kept-text"]), over(found["kept-soft"], card)) >= 4.5


#: What is drawn in a token, and the opacity it is drawn with.
DRAWN = [
    ("kept", 1.0),  # bars, the curve, the ring of the focus
    ("kept", 0.75),  # the curve where it is an estimate
    ("pruned", 1.0),  # the slider, its marker, what is cut
    ("better", 1.0),  # the sign of rest, ticks of the report card
    ("quiet", 0.8),  # the line of the start
    ("quiet", 0.85),  # deletion without the repair
    ("edge", 1.0),  # the edges of fields
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["card", "paper"])
@pytest.mark.parametrize(("name", "opacity"), DRAWN)
def test_what_is_drawn_can_be_seen(scheme: str, ground: str, name: str, opacity: float) -> None:
    found = tokens()[scheme]
    behind = rgb(found[ground])
    assert contrast(over(found[name], behind, opacity), behind) >= 3


def test_every_opacity_of_a_line_is_measured() -> None:
    css = "\n".join(path.read_text("utf-8") for path in sorted(STATIC.glob("*.css")))
    drawn = re.findall(r"\.pv-curve-(?:base|guess|deleted)[^{}]*\{[^}]*opacity: ([\d.]+)", css)
    drawn += re.findall(r"\.pv-curve-exact \{[^}]*opacity: ([\d.]+)", css)
    assert len(drawn) == 4
    assert {float(opacity) for opacity in drawn} <= {opacity for _, opacity in DRAWN}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_stays_and_goes_differ_without_colour(scheme: str) -> None:
    found = tokens()[scheme]
    # hatched besides; the line over the soft ground is seen too
    assert contrast(rgb(found["kept"]), rgb(found["pruned-soft"])) >= 2
    assert contrast(rgb(found["pruned"]), rgb(found["pruned-soft"])) >= 2
