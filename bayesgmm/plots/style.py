"""Colours, text and figure size, in one place and applied without touching matplotlib's global settings."""

import io
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDTH = 4.8
"""Width of every figure in inches: 10 point text stays readable when it is shrunk to a phone's screen."""

INK = "#1a1a1a"
MUTED = "#6b7280"
HAIRLINE = "#d4d7dc"
EM_COLOUR = INK
EM_DASHES = (0, (4, 2.5))
POSTERIOR_COLOUR = "#7b4fa3"
OVERLAP_COLOUR = "#56B4E9"
DOUBT_COLOUR = "#E69F00"

COMPONENT_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A800")
"""Okabe and Ito's colour-blind-safe palette (2008), with black kept for EM and yellow darkened for white paper."""

COMPONENT_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

CHAIN_COLOURS = COMPONENT_COLOURS

MAX_VECTOR_POINTS = 2000
"""Above this many points a scatter is drawn as pixels inside the vector figure."""

STYLE: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"],
    "font.size": 10.0,
    "text.color": INK,
    "text.usetex": False,
    # Labels hold the user's column names: a dollar sign in one of them is a dollar sign.
    "text.parse_math": False,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelsize": 10.0,
    "axes.labelcolor": INK,
    "axes.labelweight": "normal",
    "axes.edgecolor": MUTED,
    "axes.facecolor": "white",
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "grid.color": HAIRLINE,
    "grid.linewidth": 0.6,
    "legend.fontsize": 9.0,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "white",
    "figure.dpi": 144.0,
    "savefig.facecolor": "white",
    "savefig.dpi": 144.0,
    "svg.fonttype": "none",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style; matplotlib's settings are as they were afterwards.

    Characters that the font lacks (emoji, other scripts) draw as boxes in a bitmap and as themselves in an SVG; no warning.
    """
    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


class HouseFigure(Figure):
    """A matplotlib Figure that is drawn in the house style whenever it is drawn, and shows itself in a notebook.

    A figure made without pyplot has no notebook representation of its own until pyplot's inline backend is loaded;
    with `_repr_png_` it is shown as the last expression of a cell, and no global list of open figures grows.
    """

    def draw(self, renderer: RendererBase) -> None:
        with house_style():
            super().draw(renderer)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        picture = io.BytesIO()
        FigureCanvasAgg(self).print_png(picture)
        width, height = self.get_size_inches() * 100
        return picture.getvalue(), {"width": int(width), "height": int(height)}


def new_figure(height: float) -> HouseFigure:
    """An empty figure, WIDTH inches wide and `height` inches high. Call it, and draw on it, inside `house_style()`."""
    return HouseFigure(figsize=(WIDTH, height), layout="constrained")


def component_colour(k: int) -> str:
    """The colour of component k; the palette starts again after seven."""
    return COMPONENT_COLOURS[k % len(COMPONENT_COLOURS)]


def component_marker(k: int) -> str:
    """The marker of component k: a second cue beside the colour, and shifted by one each time the palette starts again."""
    return COMPONENT_MARKERS[(k + k // len(COMPONENT_MARKERS)) % len(COMPONENT_MARKERS)]


def add_legend_below(axes: Axes, *, n_columns: int) -> None:
    """A legend under the axes, where it never covers data and never narrows the panel on a phone."""
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(handles, labels, loc="outside lower center", ncols=n_columns, handlelength=1.8)


def short_label(text: object, max_length: int = 28) -> str:
    """`text` on one line, without control characters, and with an ellipsis in the middle where it is longer than `max_length`.

    Direction overrides and lone surrogates are dropped too: the first would reorder the text around the label, the second
    cannot be written as UTF-8.
    """
    line = " ".join("".join(c for c in str(text) if c.isspace() or not _is_dropped(c)).split())
    if len(line) <= max_length:
        return line
    n_kept = max_length - 1
    n_start = (n_kept + 1) // 2
    return f"{line[:n_start]}…{line[len(line) - (n_kept - n_start) :]}"


def _is_dropped(character: str) -> bool:
    """Control, surrogate, unassigned and bidirectional characters; other format characters stay, as emoji need the joiners."""
    return (
        unicodedata.category(character) in {"Cc", "Cs", "Cn"}
        or "\u202a" <= character <= "\u202e"
        or "\u2066" <= character <= "\u2069"
    )
