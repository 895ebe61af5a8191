"""Plain NumPy twins of the numba kernels, written to be read; tests hold the fast ones against these."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from bayesgmm.kernels.moments import Moments

Array = NDArray[np.float64]


def log_joint(X: Array, weights: Array, means: Array, scale_trils: Array) -> Array:
    """ln pi_k + ln N(x_n; mu_k, L_k L_k'), shape (N, K)."""
    n_samples, n_features = X.shape
    out = np.empty((n_samples, len(weights)))
    for k, (mean, tril) in enumerate(zip(means, scale_trils, strict=True)):
        whitened = solve_triangular(tril, (X - mean).T, lower=True)
        out[:, k] = -0.5 * (whitened**2).sum(axis=0) - np.log(np.diag(tril)).sum()
    with np.errstate(divide="ignore"):
        return out - 0.5 * n_features * np.log(2 * np.pi) + np.log(weights)


def log_density(X: Array, weights: Array, means: Array, scale_trils: Array) -> Array:
    """ln p(x_n), shape (N,)."""
    return logsumexp(log_joint(X, weights, means, scale_trils), axis=1)


def responsibilities(X: Array, weights: Array, means: Array, scale_trils: Array) -> Array:
    """gamma_nk, shape (N, K)."""
    joint = log_joint(X, weights, means, scale_trils)
    return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))


def moments(X: Array, weights: Array, means: Array, scale_trils: Array, row_weights: Array) -> Moments:
    """Weighted log-likelihood and expected sufficient statistics about the means."""
    weighted = responsibilities(X, weights, means, scale_trils) * row_weights[:, None]
    deviations = X[:, None, :] - means
    return Moments(
        float(row_weights @ log_density(X, weights, means, scale_trils)),
        weighted.sum(axis=0),
        np.einsum("nk,nkd->kd", weighted, deviations),
        np.einsum("nk,nki,nkj->kij", weighted, deviations, deviations),
    )
