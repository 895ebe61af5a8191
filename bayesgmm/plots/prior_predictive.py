"""Prior predictive check: the data among data sets that the priors make, and what components they make them of."""

from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from bayesgmm.plots.geometry import Array, ellipses
from bayesgmm.plots.style import (
    INK,
    MAX_VECTOR_POINTS,
    MUTED,
    POSTERIOR_COLOUR,
    component_colour,
    house_style,
    new_figure,
    short_label,
)
from bayesgmm.posterior.schema import group, observed_matrix

MAX_FEATURES = 6
N_LINES = 5
N_MIXTURES = 6
MASS = 0.9
PROBS = (0.025, 0.25, 0.75, 0.975)


@dataclass(frozen=True, eq=False)
class EcdfPanel:
    """Empirical distribution functions of one feature on a grid: the data's and those of the simulated data sets."""

    feature: int
    grid: Array  # (G,)
    observed: Array  # (G,)
    bands: Array  # (4, G) pointwise quantiles PROBS over the data sets
    lines: Array  # (S, G) single data sets


@dataclass(frozen=True, eq=False)
class PriorPredictiveData:
    """What `plot_prior_predictive` draws: a panel for each shown feature and, for two features or more, single mixtures."""

    observations: Array  # (N, D)
    columns: tuple[str, ...]
    panels: tuple[EcdfPanel, ...]
    ellipses: Array | None  # (S, K, P, 2), of the first two features
    weights: Array  # (S, K)
    n_omitted: int


def prior_predictive_data(tree: xr.DataTree) -> PriorPredictiveData:
    """Pointwise bands of the data sets' distribution functions, and ellipses that hold 90% of each component of a few draws."""
    X = observed_matrix(tree)
    simulated = group(tree, "prior_predictive")["X"].transpose("chain", "draw", "obs", "feature")
    values = simulated.values.reshape(-1, *simulated.shape[2:])
    prior = group(tree, "prior").isel(chain=0, draw=slice(N_MIXTURES))
    first_two = prior.isel(feature=slice(2), feature_bis=slice(2))
    means = first_two["means"].transpose("draw", "cluster", "feature").values
    covariances = first_two["covariances"].transpose("draw", "cluster", "feature", "feature_bis").values
    n_features = X.shape[1]
    return PriorPredictiveData(
        observations=X,
        columns=tuple(str(column) for column in prior["feature"].values),
        panels=tuple(_ecdf_panel(d, X[:, d], values[:, :, d]) for d in range(min(n_features, MAX_FEATURES))),
        ellipses=ellipses(means, covariances, MASS) if n_features > 1 else None,
        weights=prior["weights"].transpose("draw", "cluster").values,
        n_omitted=max(n_features - MAX_FEATURES, 0),
    )


def _ecdf_panel(feature: int, observed: Array, simulated: Array) -> EcdfPanel:
    low, high = np.quantile(simulated, [0.01, 0.99])
    grid = np.linspace(min(low, observed.min()), max(high, observed.max()), 300)
    functions = np.array([_ecdf(values, grid) for values in simulated])
    return EcdfPanel(feature, grid, _ecdf(observed, grid), np.quantile(functions, PROBS, axis=0), functions[:N_LINES])


def _ecdf(values: Array, grid: Array) -> Array:
    return np.searchsorted(np.sort(values), grid, side="right") / len(values)


@overload
def plot_prior_predictive(tree: xr.DataTree, *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_prior_predictive(tree: xr.DataTree, *, figure_data: Literal[True]) -> PriorPredictiveData: ...
def plot_prior_predictive(tree: xr.DataTree, *, figure_data: bool = False) -> Figure | PriorPredictiveData:
    """The data's distribution function among those of data sets that the priors make, and a few mixtures that made them.

    Priors that fit the problem have the data well inside the bands, with room on both sides; single mixtures should have
    components about as large and as far apart as you would believe before the data.

    Parameters
    ----------
    tree : DataTree
        From `sample_prior`.
    figure_data : bool
        Return what would be drawn instead of drawing it.

    Returns
    -------
    matplotlib.figure.Figure or PriorPredictiveData
    """
    data = prior_predictive_data(tree)
    if figure_data:
        return data
    heights = [0.7 + 1.75 * -(-len(data.panels) // 2)]
    if data.ellipses is not None:
        heights.append(0.6 + 1.35 * -(-len(data.ellipses) // 3))
    with house_style():
        figure = new_figure(sum(heights))
        parts = figure.subfigures(len(heights), squeeze=False, height_ratios=heights)[:, 0]
        _draw_functions(parts[0], data)
        if data.ellipses is not None:
            _draw_mixtures(parts[1], data, data.ellipses)
        return figure


def _draw_functions(part: SubFigure, data: PriorPredictiveData) -> None:
    n_panels = len(data.panels)
    grid = part.subplots(-(-n_panels // 2), min(n_panels, 2), squeeze=False, sharey=True).ravel()
    for axes, panel in zip(grid, data.panels, strict=False):
        _draw_ecdf(axes, panel, data.columns[panel.feature])
    for axes in grid[n_panels:]:
        axes.set_visible(False)
    handles, labels = grid[0].get_legend_handles_labels()
    part.legend(handles, labels, loc="outside lower center", ncols=4, handlelength=1.5, columnspacing=1.2)
    note = f"; the first {n_panels} of {len(data.columns)} features" if data.n_omitted else ""
    part.suptitle(f"share of the rows up to a value{note}", fontsize=9, color=MUTED)


def _draw_ecdf(axes: Axes, panel: EcdfPanel, column: str) -> None:
    outer_low, inner_low, inner_high, outer_high = panel.bands
    colour = POSTERIOR_COLOUR
    axes.fill_between(panel.grid, outer_low, outer_high, color=colour, alpha=0.15, lw=0, label="95% of data sets")
    axes.fill_between(panel.grid, inner_low, inner_high, color=colour, alpha=0.25, lw=0, label="50%")
    for number, line in enumerate(panel.lines):
        axes.plot(panel.grid, line, color=colour, lw=0.7, alpha=0.8, label="single" if number == 0 else None)
    axes.plot(panel.grid, panel.observed, color=INK, lw=1.4, label="data")
    axes.set_xlim(panel.grid[0], panel.grid[-1])
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(short_label(column, 24))
    axes.locator_params(axis="x", nbins=5)


def _draw_mixtures(part: SubFigure, data: PriorPredictiveData, outlines: Array) -> None:
    """Small multiples: the data, and the ellipses of one draw; every ellipse's centre is in view."""
    first_two = data.observations[:, :2]
    in_view = np.concatenate([first_two, outlines[:, :, :-1].mean(axis=2).reshape(-1, 2)])
    margin = 0.2 * np.ptp(in_view, axis=0)
    (left, bottom), (right, top) = in_view.min(axis=0) - margin, in_view.max(axis=0) + margin
    panels = part.subplots(-(-len(outlines) // 3), 3, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, components, weights in zip(panels, outlines, data.weights, strict=False):
        axes.scatter(*first_two.T, s=2.5, c=MUTED, alpha=0.5, lw=0, rasterized=len(first_two) > MAX_VECTOR_POINTS)
        for k, component in enumerate(components):
            axes.plot(*component.T, color=component_colour(k), lw=0.5 + 2.5 * weights[k])
        axes.set(xlim=(left, right), ylim=(bottom, top))
        axes.locator_params(nbins=4)
    for axes in panels[len(outlines) :]:
        axes.set_visible(False)
    part.supxlabel(short_label(data.columns[0], 40), fontsize=10)
    part.supylabel(short_label(data.columns[1], 24), fontsize=10)
    part.suptitle(f"{len(outlines)} single draws: {MASS:.0%} ellipses, the thicker the heavier", fontsize=9, color=MUTED)
