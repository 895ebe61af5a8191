"""The data with the mixture over it: EM's beside the posterior's."""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal, overload

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from bayesgmm.compare.comparison import Comparison
from bayesgmm.plots.geometry import Array, ellipses, most_separated, spread_draws
from bayesgmm.plots.marginal import MarginalBand, draw_marginal, marginal_band
from bayesgmm.plots.style import (
    EM_COLOUR,
    EM_DASHES,
    INK,
    MAX_VECTOR_POINTS,
    MUTED,
    component_colour,
    component_marker,
    house_style,
    new_figure,
    short_label,
)
from bayesgmm.posterior.schema import observed_matrix, resolution_of

MAX_FEATURES = 5


@dataclass(frozen=True, eq=False)
class EllipsePanel:
    """Two features and every component's ellipse over them, as EM, the posterior mean and single draws have it.

    NaN where a component holds less than one row: it then follows the prior, and is not drawn.
    """

    features: tuple[int, int]
    em: Array  # (K, P, 2)
    mean: Array  # (K, P, 2)
    draws: Array  # (S, K, P, 2)


@dataclass(frozen=True, eq=False)
class DensityData:
    """What `plot_density` draws: `panels` for two features or more, `marginal` for one."""

    observations: Array  # (N, D)
    columns: tuple[str, ...]
    label: NDArray[np.intp]  # (N,)
    flips: NDArray[np.bool_]  # (N,)
    n_components: int
    mass: float
    panels: tuple[EllipsePanel, ...]
    marginal: MarginalBand | None
    n_omitted: int


def density_data(comparison: Comparison, *, mass: float = 0.9, n_draws: int = 40) -> DensityData:
    """Ellipses that hold probability `mass` under each component, or for one feature the density and its band.

    Parameters
    ----------
    comparison : Comparison
    mass : float
        Probability inside each ellipse under its own component, between 0 and 1.
    n_draws : int
        Posterior draws shown one by one, evenly spread over all chains.
    """
    em, tree, assignments = comparison.em, comparison.tree, comparison.assignments
    shown = most_separated(em, MAX_FEATURES)
    n_features = em.params.n_features
    one_feature = n_features == 1
    return DensityData(
        observations=observed_matrix(tree),
        columns=tuple(str(column) for column in em.columns),
        label=np.asarray(assignments["label"].values, dtype=np.intp),
        flips=np.asarray(assignments["flips"].values, dtype=bool),
        n_components=em.params.n_components,
        mass=mass,
        panels=() if one_feature else _ellipse_panels(comparison, shown, mass, n_draws),
        marginal=marginal_band(comparison, 0) if one_feature else None,
        n_omitted=n_features - len(shown),
    )


def _ellipse_panels(comparison: Comparison, shown: NDArray[np.intp], mass: float, n_draws: int) -> tuple[EllipsePanel, ...]:
    params, tree = comparison.em.recorded_params, comparison.tree
    noise = np.diag(resolution_of(tree) ** 2 / 12)
    mean_draws, covariance_draws, weight_draws = (
        spread_draws(tree, name, n_draws) for name in ("means", "covariances", "weights")
    )
    posterior = tree["posterior"]
    posterior_means = posterior["means"].mean(("chain", "draw")).transpose("cluster", "feature").values
    posterior_covariances = posterior["covariances"].mean(("chain", "draw")).transpose("cluster", "feature", "feature_bis").values
    row = 1 / len(observed_matrix(tree))
    empty_draws, empty = weight_draws < row, np.asarray(posterior["weights"].mean(("chain", "draw")).values) < row
    panels = []
    for i, j in combinations((int(feature) for feature in shown), 2):
        pair = [i, j]

        def outline(means: Array, covariances: Array, pair: list[int] = pair) -> Array:
            return ellipses(means[..., pair], covariances[..., pair, :][..., pair], mass)

        mean = outline(posterior_means, posterior_covariances + noise)
        draws = outline(mean_draws, covariance_draws + noise)
        mean[empty], draws[empty_draws] = np.nan, np.nan
        panels.append(EllipsePanel(features=(i, j), em=outline(params.means, params.covariances), mean=mean, draws=draws))
    return tuple(panels)


@overload
def plot_density(comparison: Comparison, *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_density(comparison: Comparison, *, figure_data: Literal[True]) -> DensityData: ...
def plot_density(comparison: Comparison, *, figure_data: bool = False) -> Figure | DensityData:
    """The data coloured by posterior label, with EM's mixture (dashed) beside the posterior's.

    One feature: a histogram with EM's density and the posterior band. Two: a scatter with ellipses that hold 90% of each
    component; the thin ones are single posterior draws, the solid one is at the posterior mean. More: every pair of
    features, or of the five that separate the components most. A ringed observation has another label under EM.

    Parameters
    ----------
    comparison : Comparison
    figure_data : bool
        Return what would be drawn instead of drawing it.

    Returns
    -------
    matplotlib.figure.Figure or DensityData
    """
    data = density_data(comparison)
    if figure_data:
        return data
    with house_style():
        if data.marginal is not None:
            return _draw_one_feature(data, data.marginal)
        return _draw_pairs(data) if len(data.panels) > 1 else _draw_two_features(data)


def _draw_one_feature(data: DensityData, marginal: MarginalBand) -> Figure:
    figure = new_figure(3.8)
    axes = figure.subplots()
    draw_marginal(axes, data.observations[:, 0], marginal, show_components=True)
    base = -0.035 * axes.get_ylim()[1]
    rasterized = len(data.label) > MAX_VECTOR_POINTS
    for k in range(data.n_components):
        own = data.observations[data.label == k, 0]
        axes.plot(own, np.full(len(own), base), "|", color=component_colour(k), ms=6, alpha=0.6, rasterized=rasterized)
    axes.set_ylim(bottom=2.0 * base)
    axes.set_xlabel(short_label(data.columns[0], 48))
    handles, _ = axes.get_legend_handles_labels()
    figure.legend(handles=handles + _component_handles(data), loc="outside lower center", ncols=2)
    return figure


def _draw_two_features(data: DensityData) -> Figure:
    figure = new_figure(5.0)
    axes = figure.subplots()
    _draw_panel(axes, data, data.panels[0], size=16.0, rasterized=len(data.label) > MAX_VECTOR_POINTS)
    axes.set_xlabel(short_label(data.columns[data.panels[0].features[0]], 48))
    axes.set_ylabel(short_label(data.columns[data.panels[0].features[1]], 40))
    _add_legend(figure, data)
    return figure


def _draw_pairs(data: DensityData) -> Figure:
    shown = sorted({feature for panel in data.panels for feature in panel.features})
    n_rows = len(shown) - 1
    figure = new_figure(5.4 + 0.2 * data.n_components / 3)
    grid = figure.subplots(n_rows, n_rows, sharex="col", sharey="row", squeeze=False)
    rasterized = len(data.label) * len(data.panels) > MAX_VECTOR_POINTS
    for axes in grid.ravel():
        axes.set_visible(False)
    for panel in data.panels:
        column, row = shown.index(panel.features[0]), shown.index(panel.features[1]) - 1
        axes = grid[row, column]
        axes.set_visible(True)
        _draw_panel(axes, data, panel, size=7.0, rasterized=rasterized)
        axes.locator_params(nbins=3)
        if row == n_rows - 1:
            axes.set_xlabel(short_label(data.columns[panel.features[0]], 14), fontsize=9)
        if column == 0:
            axes.set_ylabel(short_label(data.columns[panel.features[1]], 14), fontsize=9)
    if data.n_omitted:
        note = f"{len(shown)} features that separate the\ncomponents most; {data.n_omitted} not shown"
        figure.text(0.99, 0.99, note, ha="right", va="top", color=MUTED, fontsize=9)
    figure.align_ylabels()
    _add_legend(figure, data)
    return figure


def _draw_panel(axes: Axes, data: DensityData, panel: EllipsePanel, *, size: float, rasterized: bool) -> None:
    thin = 0.7 if len(data.panels) > 1 else 1.0
    points = data.observations[:, list(panel.features)]
    for k in range(data.n_components):
        x, y = points[data.label == k].T
        colour = component_colour(k)
        axes.scatter(x, y, s=size, color=colour, marker=component_marker(k), alpha=0.45, linewidths=0, rasterized=rasterized)
        for outline in panel.draws[:, k]:
            axes.plot(*outline.T, color=colour, lw=0.4, alpha=0.22, zorder=2.1, rasterized=len(data.panels) > 1)
        axes.plot(*panel.mean[k].T, color=colour, lw=1.6 * thin, zorder=2.3)
        axes.plot(*panel.em[k].T, color=EM_COLOUR, lw=1.3 * thin, ls=EM_DASHES, zorder=2.4)
    x, y = points[data.flips].T
    axes.scatter(x, y, s=2.4 * size, facecolors="none", edgecolors=INK, linewidths=0.9, zorder=2.5)


def _component_handles(data: DensityData) -> list[Line2D]:
    return [
        Line2D([], [], ls="", marker=component_marker(k), color=component_colour(k), label=f"component {k}")
        for k in range(data.n_components)
    ]


def _add_legend(figure: Figure, data: DensityData) -> None:
    percent = f"{data.mass:.0%}"
    handles = _component_handles(data)
    handles += [
        Line2D([], [], color=MUTED, lw=1.6, label=f"posterior mean, {percent} ellipse"),
        Line2D([], [], color=MUTED, lw=0.5, label="single posterior draws"),
        Line2D([], [], color=EM_COLOUR, lw=1.3, ls=EM_DASHES, label=f"EM, {percent} ellipse"),
    ]
    if data.flips.any():
        ring = Line2D([], [], ls="", marker="o", mfc="none", mec=INK, label="label differs from EM's")
        handles.append(ring)
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
