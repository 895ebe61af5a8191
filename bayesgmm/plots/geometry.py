"""Arrays for drawing: ellipses, grids, densities of one feature. Pure functions, no matplotlib."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.em.result import EMResult

Array = NDArray[np.float64]


def spread_draws(tree: xr.DataTree, name: str, n_draws: int) -> Array:
    """At most `n_draws` posterior draws of one variable, evenly spread over all chains, shape (S, ...)."""
    variable = tree["posterior"][name]
    trailing = [dim for dim in variable.dims if dim not in ("chain", "draw")]
    values = variable.transpose("chain", "draw", *trailing).values
    flat = values.reshape(-1, *values.shape[2:])
    n_kept = min(n_draws, len(flat))
    return np.asarray(flat[np.linspace(0, len(flat) - 1, n_kept).round().astype(int)], dtype=np.float64)


def ellipses(means: Array, covariances: Array, mass: float, n_points: int = 61) -> Array:
    """Outlines of bivariate normal ellipses that hold probability `mass`, shape (..., n_points, 2).

    Every point x has squared Mahalanobis distance (x - mean)' Sigma^-1 (x - mean) equal to the chi-squared quantile of
    `mass` at two degrees of freedom, -2 ln(1 - mass). `means` is (..., 2), `covariances` (..., 2, 2), positive definite.
    """
    angle = np.linspace(0.0, 2.0 * np.pi, n_points)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    radius = np.sqrt(-2.0 * np.log1p(-mass))
    outline: Array = means[..., None, :] + radius * circle @ np.linalg.cholesky(covariances).swapaxes(-1, -2)
    return outline


def separations(means: Array, scales: Array, weights: Array) -> Array:
    """How far apart the components lie along each feature: variance between components over variance within, shape (D,)."""
    centre = weights @ means
    between = weights @ (means - centre) ** 2
    within = weights @ scales**2
    return np.asarray(between / within, dtype=np.float64)


def most_separated(em: EMResult, n_features: int) -> NDArray[np.intp]:
    """Positions of the `n_features` features that separate EM's components most, in the order of the data's columns."""
    strength = separations(em.params.means, em.params.scales, em.params.weights)
    return np.sort(np.argsort(-strength, kind="stable")[:n_features])


def density_grid(values: Array, means: Array, scales: Array, n_points: int = 200) -> Array:
    """A grid over the data of one feature, finer around each component so that a narrow one is not stepped over, shape (G,)."""
    low, high = values.min(), values.max()
    margin = 0.08 * (high - low) if high > low else 3.0 * scales.max()
    even = np.linspace(low - margin, high + margin, n_points)
    local = (means[:, None] + scales[:, None] * np.linspace(-3.0, 3.0, 25)).ravel()
    return np.unique(np.concatenate([even, local[(local > even[0]) & (local < even[-1])]]))


def thinned_trace(draws: Array, n_bins: int = 150) -> tuple[Array, Array]:
    """Positions and values (P,) of the smallest and largest draw in each of `n_bins` stretches: the outline of the full trace."""
    if len(draws) <= 2 * n_bins:
        return np.arange(len(draws), dtype=np.float64), draws
    stretches = np.array_split(np.arange(len(draws)), n_bins)
    kept = np.unique([[part[np.argmin(draws[part])], part[np.argmax(draws[part])]] for part in stretches])
    return kept.astype(np.float64), draws[kept]


def histogram_bins(values: Array) -> int:
    """Number of equal bins by Freedman and Diaconis' rule, between 12 and 60 so that an outlier cannot ask for millions."""
    quartiles = np.quantile(values, [0.25, 0.75])
    width = 2.0 * (quartiles[1] - quartiles[0]) / np.cbrt(len(values))
    wanted = np.ptp(values) / width if width > 0 else 0.0
    return int(np.clip(wanted, 12, 60))


def marginal_densities(grid: Array, weights: Array, means: Array, scales: Array) -> Array:
    """Weighted density of each component along one feature, (..., G, K) from parameters (..., K); summed over K: the mixture."""
    standardised = (grid[:, None] - means[..., None, :]) / scales[..., None, :]
    height = weights / (scales * np.sqrt(2.0 * np.pi))
    return np.asarray(height[..., None, :] * np.exp(-0.5 * standardised**2), dtype=np.float64)
