"""Unconstrained coordinates of the mixture's parameters, as NumPy over any batch of draws.

u = (y, means, ln scales, x), raveled and joined, with

- weights = softmax(y_1, ..., y_{K-1}, -sum y);
- row i of the Cholesky factor of a correlation matrix = (x_i1, ..., x_i,i-1, 1) divided by its length.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]


class Parameters(NamedTuple):
    """weights (..., K), means (..., K, D), scales (..., K, D), correlation_trils (..., K, D, D)."""

    weights: Array
    means: Array
    scales: Array
    correlation_trils: Array

    @property
    def scale_trils(self) -> Array:
        return self.scales[..., None] * self.correlation_trils


def n_coordinates(n_components: int, n_features: int) -> int:
    """Number of free parameters, and of coordinates."""
    return n_components - 1 + 2 * n_components * n_features + n_components * n_features * (n_features - 1) // 2


def constrain(u: Array, n_components: int, n_features: int) -> Parameters:
    """Parameters of coordinates u (..., n_coordinates)."""
    batch = u.shape[:-1]
    block = n_components * n_features
    y, means, log_scales, x = np.split(u, np.cumsum([n_components - 1, block, block]), axis=-1)
    logits = np.concatenate([y, -y.sum(axis=-1, keepdims=True)], axis=-1)
    rows = np.zeros((*batch, n_components, n_features, n_features))
    lower = np.tril_indices(n_features, -1)
    rows[..., lower[0], lower[1]] = x.reshape(*batch, n_components, -1)
    rows[..., np.arange(n_features), np.arange(n_features)] = 1.0
    return Parameters(
        softmax(logits, axis=-1),
        means.reshape(*batch, n_components, n_features),
        np.exp(log_scales).reshape(*batch, n_components, n_features),
        rows / np.sqrt((rows**2).sum(axis=-1, keepdims=True)),
    )


def unconstrain(parameters: Parameters) -> Array:
    """Coordinates (..., n_coordinates) of parameters; the reverse of `constrain`."""
    weights, means, scales, correlation_trils = parameters
    batch = weights.shape[:-1]
    logits = np.log(weights)
    y = (logits - logits.mean(axis=-1, keepdims=True))[..., :-1]
    lower = np.tril_indices(means.shape[-1], -1)
    rows = correlation_trils / np.diagonal(correlation_trils, axis1=-2, axis2=-1)[..., None]
    x = rows[..., lower[0], lower[1]]
    return np.concatenate([y, means.reshape(*batch, -1), np.log(scales).reshape(*batch, -1), x.reshape(*batch, -1)], axis=-1)


def log_jacobian(parameters: Parameters) -> Array:
    """ln |d parameters / d u|.

    The simplex is measured by its first K - 1 weights, a correlation matrix's Cholesky factor by its strictly lower triangle.
    """
    weights, _, scales, correlation_trils = parameters
    n_components, n_features = scales.shape[-2:]
    log_diagonal = np.log(np.diagonal(correlation_trils, axis1=-2, axis2=-1))
    return (
        np.log(n_components)
        + np.log(weights).sum(axis=-1)
        + np.log(scales).sum(axis=(-1, -2))
        + ((np.arange(n_features) + 2) * log_diagonal).sum(axis=(-1, -2))
    )


def from_mixture(params: MixtureParams) -> Parameters:
    """The same mixture by scales and correlations."""
    return Parameters(params.weights, params.means, params.scales, params.scale_trils / params.scales[:, :, None])
