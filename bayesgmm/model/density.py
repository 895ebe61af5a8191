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


@njit(cache=True, error_model="numpy")
def _softmax(y, weights):
    """Weights of the K - 1 coordinates y; the last logit is minus their sum."""
    n_components = len(weights)
    weights[n_components - 1] = -y.sum()
    weights[: n_components - 1] = y
    weights -= weights.max()
    for k in range(n_components):
        weights[k] = np.exp(weights[k])
    weights /= weights.sum()


@njit(cache=True, error_model="numpy")
def _unpack(u, n_components, n_features):
    """Weights, means, scales, correlation_trils, and the lengths (K, D) of the rows before normalisation."""
    block = n_components * n_features
    weights = np.empty(n_components)
    _softmax(u[: n_components - 1], weights)
    rest = u[n_components - 1 :]
    means = rest[:block].copy().reshape(n_components, n_features)
    scales = np.exp(rest[block : 2 * block]).reshape(n_components, n_features)
    correlation_trils = np.zeros((n_components, n_features, n_features))
    lengths = np.ones((n_components, n_features))
    at = 2 * block
    for k in range(n_components):
        for i in range(n_features):
            x = rest[at : at + i]
            lengths[k, i] = np.sqrt(1.0 + (x * x).sum())
            correlation_trils[k, i, :i] = x / lengths[k, i]
            correlation_trils[k, i, i] = 1.0 / lengths[k, i]
            at += i
    return weights, means, scales, correlation_trils, lengths


@njit(cache=True, error_model="numpy")
def _add_weight_terms(weights, d_weights, concentration, gradient):
    """Dirichlet and Jacobian of the simplex: exponents a - 1 and 1; gradient by the K - 1 logits, the last minus their sum."""
    d_logits = weights * d_weights + concentration
    d_logits -= weights * d_logits.sum()
    gradient[:] = d_logits[:-1] - d_logits[-1]
    return (concentration * np.log(weights)).sum()


@njit(cache=True, error_model="numpy")
def _add_correlation_terms(correlation_trils, lengths, d_correlation_trils, lkj_eta, gradient):
    """LKJ and Jacobian of one component: exponents of ln C_ii 2 eta - 2 + D - (i + 1) and i + 2, for rows i from 0."""
    n_features = len(lengths)
    value, at = 0.0, 0
    for i in range(n_features):
        row, d_row = correlation_trils[i, : i + 1], d_correlation_trils[i, : i + 1]
        exponent = 2.0 * lkj_eta - 2.0 + n_features - (i + 1.0) + (i + 2.0)
        value += exponent * np.log(row[i])
        along = exponent + (row * d_row).sum()
        gradient[at : at + i] = (d_row[:i] - row[:i] * along) / lengths[i]
        at += i
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def log_posterior(
    u, X, row_weights, concentration, mean_loc, mean_scale, scale_kind, scale_params, lkj_eta, log_constant, gradient
):
    """ln p(u | X) up to the evidence; its gradient (n_coordinates,) into `gradient`. Coordinates as in `coordinates`."""
    n_components, n_features = len(concentration), len(mean_loc)
    weights, means, scales, correlation_trils, lengths = _unpack(u, n_components, n_features)
    scale_trils = correlation_trils * scales.reshape(n_components, n_features, 1)
    value, d_weights, d_means, d_scale_trils = score(X, weights, means, scale_trils, row_weights)
    value += log_constant
    value += _add_weight_terms(weights, d_weights, concentration, gradient[: n_components - 1])
    block, n_pairs = n_components * n_features, n_features * (n_features - 1) // 2
    d_means_out = gradient[n_components - 1 : n_components - 1 + block]
    d_scales_out = gradient[n_components - 1 + block : n_components - 1 + 2 * block]
    d_pairs_out = gradient[n_components - 1 + 2 * block :]
    for k in range(n_components):
        for i in range(n_features):
            deviation = (means[k, i] - mean_loc[i]) / mean_scale[i]
            value -= 0.5 * deviation**2
            d_means_out[k * n_features + i] = d_means[k, i] - deviation / mean_scale[i]
            prior, d_prior = _scale_log_prior(scale_kind, scale_params[0, i], scale_params[1, i], scales[k, i])
            value += prior + np.log(scales[k, i])
            d_scale = d_prior + (d_scale_trils[k, i] * correlation_trils[k, i]).sum()
            d_scales_out[k * n_features + i] = d_scale * scales[k, i] + 1.0
        d_correlation_trils = d_scale_trils[k] * scales[k].reshape(n_features, 1)
        value += _add_correlation_terms(
            correlation_trils[k], lengths[k], d_correlation_trils, lkj_eta, d_pairs_out[k * n_pairs : (k + 1) * n_pairs]
        )
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
