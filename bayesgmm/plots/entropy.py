"""Which observations are hard to place, and why: overlap of the components or doubt about the parameters."""

from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bayesgmm.compare.comparison import Comparison
from bayesgmm.plots.geometry import Array
from bayesgmm.plots.style import (
    DOUBT_COLOUR,
    EM_COLOUR,
    HAIRLINE,
    INK,
    MAX_VECTOR_POINTS,
    MUTED,
    OVERLAP_COLOUR,
    add_legend_below,
    house_style,
    new_figure,
    short_label,
)
from bayesgmm.posterior.schema import observed_matrix

MAX_SHOWN, MIN_SHOWN = 60, 12


@dataclass(frozen=True, eq=False)
class EntropyData:
    """Observations from the most to the least uncertain; entropies in nats, `overlap + doubt` is the entropy."""

    observations: Array  # (N, D) in the order of the data
    columns: tuple[str, ...]
    order: NDArray[np.intp]  # (N,)
    overlap: Array  # (N,) expected entropy given the parameters, in that order, as are the next two
    doubt: Array  # (N,) mutual information between membership and parameters
    em: Array  # (N,)
    maximum: float  # ln K
    n_shown: int  # how many of the most uncertain are worth a bar


def entropy_data(comparison: Comparison) -> EntropyData:
    """The split of each observation's membership entropy, most uncertain first."""
    assignments = comparison.assignments
    order = np.argsort(-assignments["entropy"].values, kind="stable")
    maximum = float(np.log(comparison.em.params.n_components))
    n_unsure = np.sum(assignments["entropy"].values > 0.01 * maximum)
    return EntropyData(
        observations=observed_matrix(comparison.tree),
        columns=tuple(str(column) for column in comparison.em.columns),
        order=order,
        overlap=assignments["expected_entropy"].values[order],
        doubt=assignments["mutual_information"].values[order],
        em=assignments["em_entropy"].values[order],
        maximum=maximum,
        n_shown=int(np.clip(n_unsure, min(MIN_SHOWN, len(order)), MAX_SHOWN)),
    )


@overload
def plot_entropy(comparison: Comparison, *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_entropy(comparison: Comparison, *, figure_data: Literal[True]) -> EntropyData: ...
def plot_entropy(comparison: Comparison, *, figure_data: bool = False) -> Figure | EntropyData:
    """Membership entropy of the most uncertain observations, at most 60, split into overlap and doubt; EM's as diamonds.

    With two features a map above shows where those observations lie: the larger the disc, the larger the entropy.

    Parameters
    ----------
    comparison : Comparison
    figure_data : bool
        Return what would be drawn instead of drawing it; the data hold every observation.

    Returns
    -------
    matplotlib.figure.Figure or EntropyData
    """
    data = entropy_data(comparison)
    if figure_data:
        return data
    with house_style():
        if data.observations.shape[1] == 2:
            figure = new_figure(6.4)
            above, below = figure.subplots(2, height_ratios=[3.4, 2.4])
            _draw_map(above, data)
        else:
            figure = new_figure(3.2)
            below = figure.subplots()
        _draw_split(below, data)
        add_legend_below(below, n_columns=2)
        return figure


def _draw_map(axes: Axes, data: EntropyData) -> None:
    x, y = data.observations[data.order].T
    entropy = data.overlap + data.doubt
    rasterized = len(x) > MAX_VECTOR_POINTS
    axes.scatter(x, y, s=6, color=HAIRLINE, linewidths=0, rasterized=rasterized)
    unsure = slice(0, data.n_shown)
    area = 90.0 * entropy[unsure] / max(data.maximum, np.finfo(float).tiny)
    axes.scatter(x[unsure], y[unsure], s=area, color=OVERLAP_COLOUR, alpha=0.8, ec=INK, linewidths=0.3, rasterized=rasterized)
    axes.set_title("where the uncertain observations lie")
    axes.set_xlabel(short_label(data.columns[0], 48))
    axes.set_ylabel(short_label(data.columns[1], 32))


def _draw_split(axes: Axes, data: EntropyData) -> None:
    n_shown = data.n_shown
    position = np.arange(1, n_shown + 1)
    overlap, doubt, em = data.overlap[:n_shown], data.doubt[:n_shown], data.em[:n_shown]
    axes.bar(position, overlap, width=0.86, color=OVERLAP_COLOUR, label="overlap of components")
    axes.bar(position, doubt, width=0.86, bottom=overlap, color=DOUBT_COLOUR, label="doubt about parameters")
    axes.plot(position, em, "D", mfc="none", mec=EM_COLOUR, mew=0.9, ms=3.5, ls="", label="EM")
    if data.maximum > 0:
        axes.axhline(data.maximum, color=MUTED, lw=0.8, ls=":", label="largest possible, ln K")
    axes.set_title("entropy of membership, in nats")
    axes.set_xlabel(f"the {n_shown} most uncertain of {len(data.order)} observations")
    axes.set_xlim(0.3, n_shown + 0.7)
    axes.grid(axis="y")
