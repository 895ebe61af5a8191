"""Observed information of a mixture in the coordinates of its covariance family, and the delta method.

The coordinates, and so every matrix here, have no units: see `bayesgmm.em.coordinates`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em.coordinates import Coordinates
from bayesgmm.kernels.density import compute_responsibilities
from bayesgmm.kernels.information import (
    BLOCK_ENTRIES,
    compute_information_moments,
    quadratic_features,
)
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]


class Information(NamedTuple):
    """What the data say about the coordinates at theta = 0.

    Attributes
    ----------
    log_likelihood : float
    gradient : (P,)
        First derivatives of the log-likelihood.
    observed : (P, P)
        Minus its second derivatives.
    score_products : (P, P)
        sum_n w_n s_n s_n' with s_n the gradient of ln p(x_n).
    """

    log_likelihood: float
    gradient: Array
    observed: Array
    score_products: Array


class _Responses(NamedTuple):
    """How one component's ln pi_k, R_k^{-1} mu_k and R_k^{-1} Sigma_k R_k^{-T} answer to the coordinates that move them."""

    places: NDArray[np.intp]
    log_weights: Array
    means: Array
    covariances: Array


class _Seen(NamedTuple):
    """The mixture of recorded values: its parameters, inverse roots P_k^{-1} of its covariances, and P_k^{-1} R_k.

    Where values are exact P_k is R_k, and the last is None.
    """

    params: MixtureParams
    inverse_roots: Array
    turns: Array | None

    def turned(self, responses: _Responses, k: int) -> _Responses:
        """The same with P_k in place of R_k: d (Sigma_k + H) = d Sigma_k."""
        if self.turns is None:
            return responses
        turn = self.turns[k]
        covariances = turn @ responses.covariances @ turn.T
        return responses._replace(means=responses.means @ turn.T, covariances=covariances)

    def turned_back(self, gradient: Array, k: int) -> Array:
        """A gradient (D, D) in the P_k coordinates of a covariance, in those of R_k."""
        return gradient if self.turns is None else self.turns[k].T @ gradient @ self.turns[k]


def _seen(coordinates: Coordinates, resolution: Array | None) -> _Seen:
    if resolution is None or not resolution.any():
        return _Seen(coordinates.params, coordinates.inverse_roots, None)
    recorded = coordinates.params.recorded(resolution)
    inverse_roots = np.tril(np.linalg.inv(recorded.scale_trils))
    return _Seen(recorded, inverse_roots, inverse_roots @ coordinates.roots)


def information_at(X: Array, row_weights: Array, coordinates: Coordinates, resolution: Array | None = None) -> Information:
    r"""First and second derivatives of sum_n w_n ln p(x_n).

    With a_nk the gradient of ln(pi_k N(x_n; mu_k, Sigma_k)) and A_nk its second derivatives (Boldea and Magnus 2009, theorem 1,
    written in coordinates in which Sigma_k is the identity)::

        s_n    = sum_k gamma_nk a_nk
        second = sum_n w_n (sum_k gamma_nk (a_nk a_nk' + A_nk) - s_n s_n')

    Parameters
    ----------
    X : (N, D) float64
    row_weights : (N,) float64
    coordinates : Coordinates
    resolution : (D,), optional
        Step that each column was rounded to: the derivatives are of the likelihood of the recorded values.
    """
    seen = _seen(coordinates, resolution)
    params = seen.params
    moments = compute_information_moments(X, params.weights, params.means, params.scale_trils, seen.inverse_roots, row_weights)
    n_components, size, _ = moments.within.shape
    gradient = np.zeros(coordinates.size)
    second = np.zeros((coordinates.size, coordinates.size))
    slopes = np.zeros((coordinates.size, n_components, size))
    for k in range(n_components):
        responses = seen.turned(_responses(coordinates, k), k)
        places = np.ix_(responses.places, responses.places)
        slope = _slopes(responses)
        slopes[responses.places, k] = slope
        gradient[responses.places] += slope @ moments.within[k, 0]
        second[places] += slope @ moments.within[k] @ slope.T + _second(responses, moments.within[k])
        covariance_places = np.ix_(coordinates.directions[k].places, coordinates.directions[k].places)
        second[covariance_places] += coordinates.directions[k].second(
            seen.turned_back(_covariance_gradient(moments.within[k], params.n_features), k)
        )
    n_free = n_components - 1
    second[:n_free, :n_free] += moments.within[:, 0, 0].sum() * _log_weight_curvature(params.weights)
    flat = slopes.reshape(coordinates.size, -1)
    score_products = flat @ moments.between.reshape(n_components * size, -1) @ flat.T
    observed = score_products - second
    return Information(moments.log_likelihood, gradient, (observed + observed.T) / 2, (score_products + score_products.T) / 2)


def _log_weight_curvature(weights: Array) -> Array:
    """Second derivatives of every ln pi_k with respect to the log ratios, pi pi' - diag(pi) without the last component."""
    free = weights[:-1]
    return np.outer(free, free) - np.diag(free)


def _responses(coordinates: Coordinates, k: int) -> _Responses:
    weights = coordinates.params.weights
    n_features = coordinates.params.n_features
    directions = coordinates.directions[k]
    n_free, n_covariance = len(weights) - 1, len(directions.places)
    sizes = (n_free, n_features, n_covariance)
    log_weights, means, covariances = (
        np.zeros(sum(sizes)),
        np.zeros((sum(sizes), n_features)),
        np.zeros((sum(sizes), n_features**2)),
    )
    log_weights[:n_free] = (np.arange(n_free) == k) - weights[:-1]
    means[n_free : n_free + n_features] = np.eye(n_features)
    covariances[n_free + n_features :] = directions.first.reshape(n_covariance, -1)
    places = np.concatenate([np.arange(n_free), coordinates.mean_places(k), directions.places])
    return _Responses(places, log_weights, means, covariances.reshape(-1, n_features, n_features))


def _slopes(responses: _Responses) -> Array:
    """Coefficients of a_nk = d ln pi + z' d mu + (z' d Sigma z - tr d Sigma) / 2 over the features (1, z, z_i z_j), (p, F)."""
    covariances = responses.covariances
    rows, columns = np.tril_indices(covariances.shape[1])
    constant = responses.log_weights - np.trace(covariances, axis1=1, axis2=2) / 2
    quadratic = covariances[:, rows, columns] * np.where(rows == columns, 0.5, 1.0)
    return np.column_stack([constant, responses.means, quadratic])


def _unpacked(within: Array, n_features: int) -> tuple[float, Array, Array]:
    """Count, sum of z (D,) and sum of z z' (D, D) of one component, from its within[k]."""
    products = np.empty((n_features, n_features))
    rows, columns = np.tril_indices(n_features)
    products[rows, columns] = products[columns, rows] = within[0, 1 + n_features :]
    return within[0, 0], within[0, 1 : 1 + n_features], products


def _second(responses: _Responses, within: Array) -> Array:
    """sum_n w_n gamma_nk A_nk, but for the curvature of the coordinates, (p, p).

    Along d mu, d Sigma: tr(d Sigma d Sigma) / 2 - d mu' d mu - 2 z' d Sigma d mu - z' d Sigma d Sigma z.
    """
    count, sums, products = _unpacked(within, responses.means.shape[1])
    means, covariances = responses.means, responses.covariances
    flat = covariances.reshape(len(covariances), -1)
    cross = (covariances @ sums) @ means.T
    through = (products @ covariances).reshape(len(covariances), -1) @ flat.T
    return count * (flat @ flat.T / 2 - means @ means.T) - cross - cross.T - (through + through.T) / 2


def _covariance_gradient(within: Array, n_features: int) -> Array:
    """The gradient (D, D) of the log-likelihood with respect to the covariance, in its own coordinates."""
    count, _, products = _unpacked(within, n_features)
    return (products - count * np.eye(n_features)) / 2


class Errors(NamedTuple):
    """Standard errors of weights (K,), means and scales (K, D), covariances and correlations (K, D, D).

    Those of means and scales are divided by the scale, those of covariances by the product of two: without units.
    """

    weights: Array
    means: Array
    scales: Array
    covariances: Array
    correlations: Array


def square_root(covariance: Array) -> Array:
    """V^{1/2} (P, P) of a positive semidefinite V (P, P)."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def delta_errors(coordinates: Coordinates, root: Array) -> Errors:
    """Standard errors by the delta method, for coordinates with the covariance matrix root root' (root is (P, P))."""
    every = [_component_errors(coordinates, k, root) for k in range(coordinates.params.n_components)]
    return Errors(*(np.array(errors) for errors in zip(*every, strict=True)))


def _component_errors(coordinates: Coordinates, k: int, root: Array) -> Errors:
    params = coordinates.params
    responses = _responses(coordinates, k)
    moving = root[responses.places]
    relative_root = coordinates.roots[k] / params.scales[k][:, None]
    covariances = np.tensordot(relative_root @ responses.covariances @ relative_root.T, moving, (0, 0))
    log_scales = np.diagonal(covariances).T / 2
    correlations = covariances - params.correlations[k][:, :, None] * (log_scales[:, None] + log_scales[None, :])
    correlations[np.diag_indices(params.n_features)] = 0.0
    return Errors(
        params.weights[k] * np.linalg.norm(responses.log_weights @ moving),
        np.linalg.norm(relative_root @ responses.means.T @ moving, axis=-1),
        np.linalg.norm(log_scales, axis=-1),
        np.linalg.norm(covariances, axis=-1),
        np.linalg.norm(correlations, axis=-1),
    )


def responsibility_errors(X: Array, coordinates: Coordinates, root: Array, resolution: Array | None = None) -> Array:
    """Standard errors of gamma_nk by the delta method, (N, K): d gamma_nk = gamma_nk (a_nk - s_n)."""
    seen = _seen(coordinates, resolution)
    params = seen.params
    out = np.empty((len(X), params.n_components))
    step = max(BLOCK_ENTRIES // (params.n_components * coordinates.size), 16)
    responses = [seen.turned(_responses(coordinates, k), k) for k in range(params.n_components)]
    moving = [_slopes(response).T @ root[response.places] for response in responses]
    for first in range(0, len(X), step):
        block = X[first : first + step]
        gamma = compute_responsibilities(block, params.weights, params.means, params.scale_trils)
        features = quadratic_features(block, params.means, seen.inverse_roots)
        moves = np.array([feature.T @ slope for feature, slope in zip(features, moving, strict=True)])
        moves -= np.einsum("nk,knp->np", gamma, moves)
        out[first : first + step] = gamma * np.linalg.norm(moves, axis=-1).T
    return out
