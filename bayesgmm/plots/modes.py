"""Which grouping of the rows each draw of each chain has: what chains are stuck in, or travel between."""

from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bayesgmm.plots.geometry import Array
from bayesgmm.plots.style import HAIRLINE, INK, MUTED, component_colour, house_style, new_figure, short_label
from bayesgmm.posterior.diagnose import Diagnosis
from bayesgmm.posterior.structures import ELSEWHERE

MAX_COLUMNS = 800
"""Of longer chains evenly spaced draws are shown, which a strip of the figure's width cannot tell from all of them."""


@dataclass(frozen=True, eq=False)
class ModesData:
    """The grouping of every draw shown, -1 where it is none of the table, and the shares of the groupings."""

    place: NDArray[np.intp]  # (chain, draw)
    n_draws: int
    share: Array  # (structure,): of the draws, with those that are none of the table last, if there are such
    evidence: Array  # (structure,): of the posterior, by evidence; NaN if unknown
    descriptions: tuple[str, ...]
    n_structures: int


def modes_data(diagnosis: Diagnosis) -> ModesData:
    """Every grouping of the table, and the rest of the draws."""
    structures, table = diagnosis.structures, diagnosis.structures.table
    place = structures.place
    if place.shape[1] > MAX_COLUMNS:
        place = place[:, np.linspace(0, place.shape[1] - 1, MAX_COLUMNS).round().astype(int)]
    share, evidence = (table[name].to_numpy(dtype=float) for name in ("share", "evidence"))
    descriptions = tuple(map(str, table["description"]))
    rest = float((structures.place == ELSEWHERE).mean())
    if rest > 0:
        share, evidence, descriptions = np.append(share, rest), np.append(evidence, np.nan), (*descriptions, "none of these")
    return ModesData(place, structures.place.shape[1], share, evidence, descriptions, len(table))


@overload
def plot_modes(diagnosis: Diagnosis, *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_modes(diagnosis: Diagnosis, *, figure_data: Literal[True]) -> ModesData: ...
def plot_modes(diagnosis: Diagnosis, *, figure_data: bool = False) -> Figure | ModesData:
    """One strip per chain, coloured by how each draw groups the rows; below, the share of each grouping.

    Strips of one colour each are chains in one mode; different colours in different chains are chains that are stuck; mixed
    colours are chains that travel, or draws of several regions that `sample` put together in proportion, in random order.
    Switched labels do not show: permutations of one grouping have one colour.

    Parameters
    ----------
    diagnosis : Diagnosis
    figure_data : bool
        Return what would be drawn instead of drawing it.

    Returns
    -------
    matplotlib.figure.Figure or ModesData
    """
    data = modes_data(diagnosis)
    if figure_data:
        return data
    n_chains, n_bars = len(data.place), len(data.share)
    with house_style():
        figure = new_figure(1.3 + 0.22 * n_chains + 0.42 * n_bars)
        strips, bars = figure.subplots(2, 1, height_ratios=[0.22 * n_chains + 0.2, 0.42 * n_bars + 0.2])
        _draw_strips(strips, data)
        _draw_shares(bars, data)
        return figure


def _draw_strips(axes: Axes, data: ModesData) -> None:
    colours = [HAIRLINE, *(component_colour(place) for place in range(data.n_structures))]
    norm = BoundaryNorm(np.arange(-1.5, data.n_structures + 0.5), len(colours))
    extent = (0.0, float(data.n_draws), len(data.place) - 0.5, -0.5)
    axes.imshow(data.place, ListedColormap(colours), norm, aspect="auto", interpolation="nearest", extent=extent)
    axes.hlines(np.arange(1, len(data.place)) - 0.5, 0, data.n_draws, color="white", lw=2)
    axes.set_yticks(range(len(data.place)))
    axes.set_ylabel("chain")
    axes.set_xlabel("draw")
    axes.set_title("Grouping of the rows in each draw")


def _draw_shares(axes: Axes, data: ModesData) -> None:
    places = np.arange(len(data.share))
    colours = [component_colour(place) if place < data.n_structures else HAIRLINE for place in range(len(places))]
    axes.barh(places - 0.1, 100 * data.share, 0.34, color=colours)
    known = np.isfinite(data.evidence)
    if known.any():
        axes.plot(100 * data.evidence[known], places[known] - 0.1, "D", mfc="white", mec=INK, ms=5, label="by evidence")
        axes.legend(loc="lower right")
    for place, description in enumerate(data.descriptions):
        axes.text(0.5, place + 0.3, short_label(description, 70), fontsize=8, color=MUTED, va="center")
    axes.set_ylim(len(places) - 0.4, -0.4)
    axes.set_xlim(0, 100)
    axes.set_yticks(places, [str(place) if place < data.n_structures else "–" for place in places])
    axes.set_xlabel("% of the draws")
    axes.set_ylabel("grouping")
