"""Density of one feature under the mixture: EM's line and the band of the posterior. Shared by two figures."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from bayesgmm.compare.comparison import Comparison
from bayesgmm.plots.geometry import Array, density_grid, histogram_bins, marginal_densities, spread_draws
from bayesgmm.plots.style import EM_COLOUR, EM_DASHES, HAIRLINE, POSTERIOR_COLOUR, component_colour
from bayesgmm.posterior.schema import observed_matrix, resolution_of

N_DRAWS = 1000


@dataclass(frozen=True, eq=False)
class MarginalBand:
    """Mixture densities along one feature, per unit of that feature."""

    feature: int
    prob: float
    grid: Array  # (G,)
    em: Array  # (G,)
    mean: Array  # (G,) pointwise posterior mean of the density
    lower: Array  # (G,) pointwise equal-tailed interval
    upper: Array  # (G,)
    components: Array  # (G, K) posterior mean of each weighted component density


def marginal_band(comparison: Comparison, feature: int) -> MarginalBand:
    """EM's density of one feature beside the pointwise posterior interval over at most 1000 draws."""
    params, tree = comparison.em.recorded_params, comparison.tree
    values = observed_matrix(tree)[:, feature]
    em_means = params.means[:, feature]
    em_scales = params.scales[:, feature]
    grid = density_grid(values, em_means, em_scales)
    weights, means, scales = (spread_draws(tree, name, N_DRAWS) for name in ("weights", "means", "scales"))
    scales = np.sqrt(scales**2 + resolution_of(tree) ** 2 / 12)
    by_component = marginal_densities(grid, weights, means[..., feature], scales[..., feature])
    mixture = by_component.sum(axis=-1)
    tail = (1.0 - comparison.ci_prob) / 2.0
    lower, upper = np.quantile(mixture, [tail, 1.0 - tail], axis=0)
    return MarginalBand(
        feature=feature,
        prob=comparison.ci_prob,
        grid=grid,
        em=marginal_densities(grid, params.weights, em_means, em_scales).sum(axis=-1),
        mean=mixture.mean(axis=0),
        lower=lower,
        upper=upper,
        components=by_component.mean(axis=0),
    )


def draw_marginal(axes: Axes, values: Array, band: MarginalBand, *, show_components: bool = False) -> None:
    """A histogram of the feature with the posterior band and EM's line over it."""
    axes.hist(values, bins=histogram_bins(values), density=True, color=HAIRLINE, edgecolor="white", linewidth=0.5, label="data")
    colour = POSTERIOR_COLOUR
    axes.fill_between(band.grid, band.lower, band.upper, color=colour, alpha=0.3, lw=0, label=f"posterior, {band.prob:.0%} band")
    axes.plot(band.grid, band.mean, color=colour, lw=1.2, label="posterior mean")
    if show_components:
        for k, density in enumerate(band.components.T):
            visible = density > 1e-3 * band.mean.max()
            axes.plot(band.grid[visible], density[visible], color=component_colour(k), lw=1.1, ls=":")
    axes.plot(band.grid, band.em, color=EM_COLOUR, lw=1.2, ls=EM_DASHES, label="EM")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
