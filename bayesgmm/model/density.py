"""The log-posterior of the library's own model and its gradient, in unconstrained coordinates, as one numba function.

It is the same density as that of the PyMC model from `build_model` (a test holds the two together), compiled once per
machine rather than once per process.
"""

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


@njit(nogil=True, cache=True, error_model="numpy")
def log_posterior(
    u, X, row_weights, concentration, mean_loc, mean_scale, scale_kind, scale_params, lkj_eta, log_constant, gradient
):
    """ln p(u | X) up to the evidence; its gradient (n_coordinates,) into `gradient`. Coordinates as in `coordinates`."""
    n_components, n_features = len(concentration), len(mean_loc)
    n_pairs = n_features * (n_features - 1) // 2
    means_at = n_components - 1
    scales_at = means_at + n_components * n_features
    pairs_at = scales_at + n_components * n_features

    weights = np.empty(n_components)
    _softmax(u[:means_at], weights)
    means = u[means_at:scales_at].copy().reshape(n_components, n_features)
    scales = np.exp(u[scales_at:pairs_at]).reshape(n_components, n_features)
    correlation_trils = np.zeros((n_components, n_features, n_features))
    lengths = np.ones((n_components, n_features))
    scale_trils = np.zeros((n_components, n_features, n_features))
    for k in range(n_components):
        at = pairs_at + k * n_pairs
        for i in range(n_features):
            for j in range(i):
                lengths[k, i] += u[at + j] ** 2
            lengths[k, i] = np.sqrt(lengths[k, i])
            for j in range(i):
                correlation_trils[k, i, j] = u[at + j] / lengths[k, i]
            correlation_trils[k, i, i] = 1.0 / lengths[k, i]
            at += i
            for j in range(i + 1):
                scale_trils[k, i, j] = scales[k, i] * correlation_trils[k, i, j]

    value, d_weights, d_means, d_trils = score(X, weights, means, scale_trils, row_weights)
    value += log_constant

    # weights: Dirichlet exponents a - 1, and 1 more each from the Jacobian
    d_logits = weights * d_weights + concentration
    total = d_logits.sum()
    for k in range(n_components):
        value += concentration[k] * np.log(weights[k])
        d_logits[k] -= weights[k] * total
    for k in range(means_at):
        gradient[k] = d_logits[k] - d_logits[n_components - 1]

    for k in range(n_components):
        at = pairs_at + k * n_pairs
        for i in range(n_features):
            deviation = (means[k, i] - mean_loc[i]) / mean_scale[i]
            value -= 0.5 * deviation**2
            gradient[means_at + k * n_features + i] = d_means[k, i] - deviation / mean_scale[i]

            prior, d_scale = _scale_log_prior(scale_kind, scale_params[0, i], scale_params[1, i], scales[k, i])
            for j in range(i + 1):
                d_scale += d_trils[k, i, j] * correlation_trils[k, i, j]
            value += prior + np.log(scales[k, i])
            gradient[scales_at + k * n_features + i] = d_scale * scales[k, i] + 1.0

            # LKJ exponent of ln C_ii, and i + 2 more from the Jacobian of x -> C
            exponent = 2.0 * lkj_eta - 2.0 + n_features - (i + 1.0) + i + 2.0
            value += exponent * np.log(correlation_trils[k, i, i])
            along = exponent
            for j in range(i + 1):
                along += scales[k, i] * d_trils[k, i, j] * correlation_trils[k, i, j]
            for j in range(i):
                gradient[at + j] = (scales[k, i] * d_trils[k, i, j] - correlation_trils[k, i, j] * along) / lengths[k, i]
            at += i
    return value


def density_arguments(priors: ResolvedPriors) -> tuple[object, ...]:
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
