"""The log-posterior of the library's own model and its gradient, in unconstrained coordinates, as one numba function.

It is the same density as that of the PyMC model from `build_model` (a test holds the two together), compiled once per
machine rather than once per process.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import gammaln

from bayesgmm.kernels.score import score
from bayesgmm.model.priors import ResolvedPriors, lkj_log_constant

Array = NDArray[np.float64]

_INVERSE_GAMMA, _HALF_NORMAL, _HALF_STUDENT_T, _LOG_NORMAL = range(4)
_KINDS = {
    "inverse_gamma": _INVERSE_GAMMA,
    "half_normal": _HALF_NORMAL,
    "half_student_t": _HALF_STUDENT_T,
    "log_normal": _LOG_NORMAL,
}


@njit(cache=True, error_model="numpy")
def _scale_log_prior(kind, first, second, sigma):
    """Unnormalised ln p(sigma) and its derivative; `first` and `second` are the prior's parameters in their usual order."""
    if kind == _INVERSE_GAMMA:
        return -(first + 1.0) * np.log(sigma) - second / sigma, -(first + 1.0) / sigma + second / sigma**2
    if kind == _HALF_NORMAL:
        return -0.5 * (sigma / first) ** 2, -sigma / first**2
    if kind == _HALF_STUDENT_T:
        ratio = (sigma / second) ** 2 / first
        return -0.5 * (first + 1.0) * np.log1p(ratio), -(first + 1.0) * ratio / (sigma * (1.0 + ratio))
    deviation = (np.log(sigma) - first) / second
    return -np.log(sigma) - 0.5 * deviation**2, -(1.0 + deviation / second) / sigma


# Loops rather than array expressions below: numba compiles each array expression as a function of its own, for a second or so.


@njit(cache=True, error_model="numpy")
def _softmax(u, weights):
    """Weights of the first K - 1 coordinates; the last logit is minus their sum."""
    last = len(weights) - 1
    weights[last] = 0.0
    for k in range(last):
        weights[k] = u[k]
        weights[last] -= u[k]
    largest = weights[0]
    for k in range(1, last + 1):
        largest = max(largest, weights[k])
    total = 0.0
    for k in range(last + 1):
        weights[k] = np.exp(weights[k] - largest)
        total += weights[k]
    for k in range(last + 1):
        weights[k] /= total


@njit(cache=True, error_model="numpy")
def _unpack(u, means, scales, correlation_trils, scale_trils, lengths):
    """Means, scales, Cholesky factors, and the lengths (K, D) of the correlation factors' rows before normalisation."""
    n_components, n_features = means.shape
    means_at = n_components - 1
    scales_at = means_at + n_components * n_features
    at = scales_at + n_components * n_features
    for k in range(n_components):
        for i in range(n_features):
            means[k, i] = u[means_at + k * n_features + i]
            scales[k, i] = np.exp(u[scales_at + k * n_features + i])
            squares = 1.0
            for j in range(i):
                squares += u[at + j] * u[at + j]
            lengths[k, i] = np.sqrt(squares)
            for j in range(i + 1):
                x = u[at + j] if j < i else 1.0
                correlation_trils[k, i, j] = x / lengths[k, i]
                scale_trils[k, i, j] = scales[k, i] * correlation_trils[k, i, j]
            at += i


@njit(cache=True, error_model="numpy")
def _add_weight_terms(weights, d_weights, concentration, gradient):
    """Dirichlet and Jacobian of the simplex: exponents a - 1 and 1; gradient by the K - 1 logits, the last minus their sum."""
    last = len(weights) - 1
    value, total = 0.0, 0.0
    for k in range(last + 1):
        value += concentration[k] * np.log(weights[k])
        total += weights[k] * d_weights[k] + concentration[k]
    d_last = weights[last] * d_weights[last] + concentration[last] - weights[last] * total
    for k in range(last):
        gradient[k] = weights[k] * d_weights[k] + concentration[k] - weights[k] * total - d_last
    return value


@njit(cache=True, error_model="numpy")
def _add_correlation_terms(correlation_tril, lengths, scales, d_scale_tril, lkj_eta, at, gradient):
    """LKJ and Jacobian of one component: exponents of ln C_ii 2 eta - 2 + D - (i + 1) and i + 2, for rows i from 0.

    Its gradient goes to gradient[at], gradient[at + 1], ...
    """
    n_features = len(lengths)
    value = 0.0
    for i in range(n_features):
        exponent = 2.0 * lkj_eta - 2.0 + n_features - (i + 1.0) + (i + 2.0)
        value += exponent * np.log(correlation_tril[i, i])
        along = exponent
        for j in range(i + 1):
            along += correlation_tril[i, j] * scales[i] * d_scale_tril[i, j]
        for j in range(i):
            gradient[at + j] = (scales[i] * d_scale_tril[i, j] - correlation_tril[i, j] * along) / lengths[i]
        at += i
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def log_posterior(
    u, X, row_weights, concentration, mean_loc, mean_scale, scale_kind, scale_params, lkj_eta, log_constant, gradient
):
    """ln p(u | X) up to the evidence; its gradient (n_coordinates,) into `gradient`. Coordinates as in `coordinates`."""
    n_components, n_features = len(concentration), len(mean_loc)
    weights = np.empty(n_components)
    means = np.empty((n_components, n_features))
    scales = np.empty((n_components, n_features))
    lengths = np.empty((n_components, n_features))
    correlation_trils = np.zeros((n_components, n_features, n_features))
    scale_trils = np.zeros((n_components, n_features, n_features))
    _softmax(u, weights)
    _unpack(u, means, scales, correlation_trils, scale_trils, lengths)
    value, d_weights, d_means, d_scale_trils = score(X, weights, means, scale_trils, row_weights)
    value += log_constant + _add_weight_terms(weights, d_weights, concentration, gradient)
    means_at = n_components - 1
    scales_at = means_at + n_components * n_features
    pairs_at = scales_at + n_components * n_features
    for k in range(n_components):
        for i in range(n_features):
            deviation = (means[k, i] - mean_loc[i]) / mean_scale[i]
            value -= 0.5 * deviation**2
            gradient[means_at + k * n_features + i] = d_means[k, i] - deviation / mean_scale[i]
            prior, d_scale = _scale_log_prior(scale_kind, scale_params[0, i], scale_params[1, i], scales[k, i])
            value += prior + np.log(scales[k, i])
            for j in range(i + 1):
                d_scale += d_scale_trils[k, i, j] * correlation_trils[k, i, j]
            gradient[scales_at + k * n_features + i] = d_scale * scales[k, i] + 1.0
        at = pairs_at + k * (n_features * (n_features - 1) // 2)
        value += _add_correlation_terms(correlation_trils[k], lengths[k], scales[k], d_scale_trils[k], lkj_eta, at, gradient)
    return value


def density_arguments(priors: ResolvedPriors) -> tuple[Any, ...]:
    """The arguments of `log_posterior` between `row_weights` and `gradient`."""
    kind = _KINDS[priors.scale_prior]
    scale_params = np.array(list(priors.scale_params.values())[:2])
    scale_params = np.broadcast_to(scale_params, (2, len(priors.mean_loc))).copy()  # half_normal has one parameter only
    fixed = (priors.concentration, priors.mean_loc, priors.mean_scale, kind, scale_params, priors.lkj_eta)
    return (*fixed, _log_constant(priors, kind, scale_params))


def _log_constant(priors: ResolvedPriors, kind: int, scale_params: Array) -> float:
    """What `log_posterior` leaves out of the normalised priors and the Jacobian."""
    n_components, n_features = len(priors.concentration), len(priors.mean_loc)
    unnormalised = [_scale_log_prior(kind, first, second, 1.0)[0] for first, second in scale_params.T]
    scale_constant = (priors.scale_distribution.logpdf(np.ones(n_features)) - unnormalised).sum()
    mean_constant = -(0.5 * np.log(2 * np.pi) + np.log(priors.mean_scale)).sum()
    weight_constant = gammaln(priors.concentration.sum()) - gammaln(priors.concentration).sum() + np.log(n_components)
    correlation_constant = lkj_log_constant(priors.lkj_eta, n_features)
    return float(weight_constant + n_components * (mean_constant + scale_constant + correlation_constant))
