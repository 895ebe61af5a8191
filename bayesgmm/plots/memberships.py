"""How certain each observation's membership is: the posterior's interval beside EM's plug-in value."""

from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bayesgmm.compare.comparison import Comparison
from bayesgmm.plots.geometry import Array
from bayesgmm.plots.style import (
    EM_COLOUR,
    MAX_VECTOR_POINTS,
    MUTED,
    add_legend_below,
    component_colour,
    house_style,
    new_figure,
)

CERTAIN = 0.01
MIN_SHOWN = 20
MAX_BARS = 50


@dataclass(frozen=True, eq=False)
class MembershipPanel:
    """One component's membership probabilities, observations sorted by the posterior mean.

    `window` is the range of positions worth drawing: outside it the whole interval is below 1% or above 99%.
    """

    component: int
    order: NDArray[np.intp]  # (N,) rows of the data, from the least to the most probable member
    mean: Array  # (N,) in that order, as are the next three
    lower: Array
    upper: Array
    em: Array
    window: tuple[int, int]


def memberships_data(comparison: Comparison) -> tuple[MembershipPanel, ...]:
    """A panel for each component; only one, of component 0, when there are two, as the other is one minus it."""
    assignments = comparison.assignments.transpose("obs", "cluster", ...)
    names = ("membership", "membership_lower", "membership_upper", "em_membership")
    arrays = [np.asarray(assignments[name].values, dtype=np.float64) for name in names]
    n_components = arrays[0].shape[1]
    panels = []
    for k in range(1 if n_components == 2 else n_components):
        mean, lower, upper, em = (array[:, k] for array in arrays)
        order = np.lexsort((em, mean))
        window = _window(lower[order], upper[order])
        panels.append(MembershipPanel(k, order, mean[order], lower[order], upper[order], em[order], window))
    return tuple(panels)


def _window(lower: Array, upper: Array) -> tuple[int, int]:
    n_samples = len(lower)
    uncertain = np.flatnonzero((upper > CERTAIN) & (lower < 1.0 - CERTAIN))
    if len(uncertain) > 0:
        start, stop = int(uncertain[0]), int(uncertain[-1]) + 1
    else:  # show where the members begin
        start = stop = int(np.count_nonzero(lower < 0.5))
    margin = max(2, (MIN_SHOWN - (stop - start) + 1) // 2)
    return max(0, start - margin), min(n_samples, stop + margin)


@overload
def plot_memberships(comparison: Comparison, *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_memberships(comparison: Comparison, *, figure_data: Literal[True]) -> tuple[MembershipPanel, ...]: ...
def plot_memberships(comparison: Comparison, *, figure_data: bool = False) -> Figure | tuple[MembershipPanel, ...]:
    """Membership probabilities of the observations that are not certain, with posterior intervals and EM's values.

    Parameters
    ----------
    comparison : Comparison
    figure_data : bool
        Return what would be drawn instead of drawing it; the data hold every observation, certain or not.

    Returns
    -------
    matplotlib.figure.Figure or tuple of MembershipPanel
    """
    data = memberships_data(comparison)
    if figure_data:
        return data
    with house_style():
        height = 2.7 if len(data) == 1 else 1.85
        figure = new_figure(0.6 + height * len(data))
        grid = figure.subplots(len(data), squeeze=False)[:, 0]
        for axes, panel in zip(grid, data, strict=True):
            _draw_panel(axes, panel, comparison.ci_prob)
        add_legend_below(grid[0], n_columns=3)
        return figure


def _draw_panel(axes: Axes, panel: MembershipPanel, ci_prob: float) -> None:
    start, stop = panel.window
    draw = _draw_bars if stop - start <= MAX_BARS else _draw_band
    draw(axes, panel, f"{ci_prob:.0%} interval")
    axes.set_title(f"probability of belonging to component {panel.component}")
    axes.set_xlim(start - 0.7, stop - 0.3)
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([0, 0.5, 1])
    axes.grid(axis="y")
    axes.set_xticks([])
    n_after = len(panel.mean) - stop
    before = f"← {start} more near 0  |  " if start else ""
    after = f"  |  {n_after} more near 1 →" if n_after else ""
    axes.set_xlabel(f"{before}sorted by probability{after}", fontsize=9, color=MUTED)


def _draw_bars(axes: Axes, panel: MembershipPanel, interval: str) -> None:
    part = slice(*panel.window)
    position = np.arange(*panel.window)
    colour = component_colour(panel.component)
    axes.vlines(position, panel.lower[part], panel.upper[part], color=colour, alpha=0.35, lw=5, label=interval)
    axes.plot(position, panel.mean[part], "o", color=colour, mec="white", mew=0.6, ms=5.5, label="posterior mean")
    axes.plot(position, panel.em[part], "D", mfc="none", mec=EM_COLOUR, mew=1.0, ms=5, label="EM")


def _draw_band(axes: Axes, panel: MembershipPanel, interval: str) -> None:
    part = slice(*panel.window)
    position = np.arange(*panel.window)
    colour = component_colour(panel.component)
    pixels = len(position) > MAX_VECTOR_POINTS
    lower, upper = panel.lower[part], panel.upper[part]
    axes.fill_between(position, lower, upper, step="mid", color=colour, alpha=0.3, lw=0, rasterized=pixels, label=interval)
    axes.step(position, panel.mean[part], where="mid", color=colour, lw=1.4, rasterized=pixels, label="posterior mean")
    axes.plot(position, panel.em[part], ".", color=EM_COLOUR, ms=2.5, rasterized=pixels, label="EM")
