"""The look shared by all figures: colours in two themes, axes without clutter, PNG bytes.

Two colours carry meaning everywhere, *kept* (blue) and *pruned* (orange); the rest is ink on paper.
Nothing here reads or changes rcParams, and pyplot is never imported: figures are plain
`matplotlib.figure.Figure` objects, drawn under one lock because Agg's fonts and matplotlib's text
parser are shared by the whole process. Text is never parsed as mathematics, so that a layer called
``a$b`` is safe and no thread meets another in mathtext's singleton.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator

from prunevis.errors import SpecError

#: Held while anything is rendered; reentrant, since seaborn renders while it draws.
LOCK = threading.RLock()

#: matplotlib carries this family with it, so a figure is the same on every machine.
FONT = "DejaVu Sans"

#: Group id of axes that have their figure to themselves; their title begins at its left edge.
WHOLE = "whole figure"

#: Height of a title, in inches.
TITLE_ROOM = 0.26

ThemeName = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one scheme, as ``#rrggbb``.

    Attributes
    ----------
    kept, pruned
        What stays, what goes.
    pruned_text
        `pruned` with enough contrast for small text.
    cut
        The lighter orange of bars and cells that go (`pruned` is for lines).
    faint
        A value of zero on the scale that ends in `kept`.
    paper, card
        Background of the page, and of the cards that figures lie on.
    ink, quiet, hairline, better
        Text, secondary text, rules, and "better".
    """

    name: ThemeName
    kept: str
    pruned: str
    pruned_text: str
    cut: str
    faint: str
    paper: str
    card: str
    ink: str
    quiet: str
    hairline: str
    better: str


LIGHT = Theme(
    name="light",
    kept="#2b6cb0",
    pruned="#d9581c",
    pruned_text="#b3440f",
    cut="#f2b899",
    faint="#e3eaf2",
    paper="#fbfaf7",
    card="#ffffff",
    ink="#1d232b",
    quiet="#66707c",
    hairline="#e7e4dd",
    better="#1a7f4e",
)
DARK = Theme(
    name="dark",
    kept="#6ea8e0",
    pruned="#f08a4b",
    pruned_text="#f59a61",
    cut="#8a5535",
    faint="#29323d",
    paper="#14171b",
    card="#1c2026",
    ink="#e8eaed",
    quiet="#98a2ae",
    hairline="#2d333b",
    better="#4cc38a",
)
THEMES = {"light": LIGHT, "dark": DARK}


def theme_of(theme: str | Theme) -> Theme:
    """Return the theme called `theme`.

    Raises
    ------
    SpecError
        If there is none of that name.
    """
    if isinstance(theme, Theme):
        return theme
    if theme not in THEMES:
        raise SpecError(
            f"There is no theme called {theme!r}.", expected="'light' or 'dark'", where="theme"
        )
    return THEMES[theme]


class ShownFigure(Figure):
    """A figure that Jupyter shows on a cell's last line, without pyplot."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = (round(100 * inches) for inches in self.get_size_inches())
        return png(self), {"width": width, "height": height}


def new_axes(
    figsize: tuple[float, float] = (4.2, 2.4),
    theme: str | Theme = "light",
    *,
    margins: tuple[float, float, float, float] = (0.12, 0.12, 0.34, 0.34),
) -> Axes:
    """Return the axes of a new figure, at 100 dots an inch.

    Parameters
    ----------
    figsize
        Width and height in inches.
    margins
        Left, right, top and bottom in inches. They are fixed, because a layout that fits itself
        renders all text twice.
    """
    colours = theme_of(theme)
    width, height = figsize
    left, right, top, bottom = margins
    figure = ShownFigure(figsize=figsize, dpi=100, facecolor=colours.card)
    figure.set_layout_engine("none")  # whatever rcParams say
    FigureCanvasAgg(figure)
    box = (left / width, bottom / height)
    size = (max(0.1, 1 - (left + right) / width), max(0.1, 1 - (top + bottom) / height))
    return figure.add_axes((*box, *size), gid=WHOLE)


def prepare(
    ax: Axes | None,
    theme: str | Theme,
    *,
    figsize: tuple[float, float],
    margins: tuple[float, float, float, float],
    spines: Sequence[str] = (),
    title: str | None = None,
) -> tuple[Axes, Theme]:
    """Return `ax`, or new axes, with our colours and only the named `spines`.

    With "" as `title` new axes have no room for one.
    """
    colours = theme_of(theme)
    if ax is None:
        if title == "":
            figsize = (figsize[0], figsize[1] - TITLE_ROOM)
            margins = (margins[0], margins[1], margins[2] - TITLE_ROOM, margins[3])
        ax = new_axes(figsize, colours, margins=margins)
    ax.set_facecolor("none")
    ax.grid(False)
    for name, spine in ax.spines.items():
        spine.set(visible=name in spines, color=colours.hairline, linewidth=0.8)
    ax.tick_params(
        which="both",
        length=0,
        pad=4,
        labelsize=7.5,
        colors=colours.quiet,
        labelfontfamily=FONT,
    )
    return ax, colours


def bare(ax: Axes) -> None:
    """Take all ticks off `ax`."""
    ax.set_xticks([])
    ax.set_yticks([])


def write(ax: Axes, x: float, y: float, text: str, colour: str, **options: Any) -> Text:
    """Put plain text at data coordinates (or those of `transform`), never parsed as mathematics."""
    options.setdefault("fontsize", 7.5)
    return ax.text(x, y, text, color=colour, family=FONT, parse_math=False, **options)


def head(ax: Axes, title: str | None, colours: Theme, *, caption: str = "", pad: float = 8) -> None:
    """Set a title flush left, `pad` points above `ax`, and a quiet line beneath it."""
    if title:
        text = ax.set_title(
            title,
            loc="left",
            fontsize=9.5,
            fontweight="bold",
            color=colours.ink,
            family=FONT,
            pad=pad,
            parse_math=False,
        )
        if ax.get_gid() == WHOLE:
            box = ax.get_position()
            width = ax.figure.bbox.width / ax.figure.dpi
            text.set_x((0.14 / width - box.x0) / box.width)
    if caption:
        ax.set_xlabel(
            caption,
            loc="left",
            fontsize=7.5,
            color=colours.quiet,
            family=FONT,
            labelpad=5,
            parse_math=False,
        )


def say(ax: Axes, sentence: str, colours: Theme) -> Axes:
    """Leave `ax` empty but for a sentence that says why."""
    bare(ax)
    write(ax, 0.5, 0.5, sentence, colours.quiet, ha="center", va="center", transform=ax.transAxes)
    return ax


def ticks(axis: Any, form: Callable[[float], str], *, count: int = 5) -> None:
    """Give `axis` about `count` ticks written by `form`; never an offset, never mathtext."""
    axis.set_major_locator(MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))


def blend(start: str, end: str, share: float | np.ndarray) -> Any:
    """Return the colour `share` of the way from `start` to `end`.

    A float gives ``#rrggbb``; an array of shape (n,) gives float64 RGB of shape (n, 3).
    """
    first, last = np.array(to_rgb(start)), np.array(to_rgb(end))
    mixed = first + (last - first) * np.clip(np.asarray(share, float), 0, 1)[..., None]
    return to_hex(tuple(mixed)) if mixed.ndim == 1 else mixed


def sequential(colours: Theme) -> LinearSegmentedColormap:
    """Return the scale from nothing to `kept`."""
    return LinearSegmentedColormap.from_list("kept", [colours.faint, colours.kept])


def diverging(colours: Theme) -> Colormap:
    """Return the scale blue (negative), paper (0), orange (positive); a gap has the hairline."""
    scale = LinearSegmentedColormap.from_list(
        "diverging", [colours.kept, colours.paper, colours.pruned]
    )
    return scale.with_extremes(bad=colours.hairline)


def numbers(values: Any) -> np.ndarray:
    """Return a tensor or anything array-like as a NumPy array, without importing torch."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # NumPy has no such type
            values = values.float()
        values = values.numpy()
    return np.asarray(values)


def png(figure: Figure, dpi: float = 200, *, transparent: bool = False) -> bytes:
    """Render `figure` as PNG bytes; safe from any thread.

    Parameters
    ----------
    dpi
        Dots an inch; figures are laid out for 100, so 200 suits a screen with doubled pixels.
    transparent
        Leave the background out, for a page that paints its own.
    """
    with LOCK:
        before, background = figure.dpi, figure.get_facecolor()
        canvas = FigureCanvasAgg(figure)
        try:
            figure.dpi = dpi
            if transparent:
                figure.set_facecolor("none")
            canvas.draw()
            pixels = np.array(canvas.buffer_rgba())
        finally:
            figure.set_facecolor(background)
            figure.dpi = before
        memory = io.BytesIO()
        # Fast compression: these figures are flat colours, which shrink at any level.
        imsave(
            memory,
            pixels,
            format="png",
            dpi=dpi,
            origin="upper",
            pil_kwargs={"compress_level": 3},
        )
    return memory.getvalue()
