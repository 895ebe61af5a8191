"""The moments that first and second derivatives of the log-likelihood are made of, in one pass over the rows.

NumPy over blocks of rows, not compiled: nearly all of the work is the matrix products, which are BLAS's.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.density import compute_log_density, compute_responsibilities

Array = NDArray[np.float64]

BLOCK_ENTRIES = 2**20
"""Numbers in the widest temporary: rows of a block times features of all components."""


class InformationMoments(NamedTuple):
    """Sums of products of the F = 1 + D + D (D + 1) / 2 features u_nk = (1, z, z_i z_j for i >= j), z = R_k^{-1} (x_n - mu_k).

    With w_n the weight of row n and gamma_nk its responsibilities::

        log_likelihood          = sum_n w_n ln p(x_n)
        within[k]               = sum_n w_n gamma_nk u_nk u_nk'                   (K, F, F)
        between[k, :, l, :]     = sum_n w_n gamma_nk gamma_nl u_nk u_nl'          (K, F, K, F)
    """

    log_likelihood: float
    within: Array
    between: Array


def n_quadratic_features(n_features: int) -> int:
    """F = 1 + D + D (D + 1) / 2."""
    return 1 + n_features + n_features * (n_features + 1) // 2


def quadratic_features(X: Array, means: Array, inverse_roots: Array) -> Array:
    """u_nk of the rows of X (N, D), shape (K, F, N); inverse_roots (K, D, D) are the R_k^{-1}."""
    n_components, n_features = means.shape
    rows, columns = np.tril_indices(n_features)
    out = np.empty((n_components, n_quadratic_features(n_features), len(X)))
    for k, (mean, inverse_root) in enumerate(zip(means, inverse_roots, strict=True)):
        z = inverse_root @ (X - mean).T
        out[k, 0] = 1.0
        out[k, 1 : 1 + n_features] = z
        np.multiply(z[rows], z[columns], out=out[k, 1 + n_features :])
    return out


def compute_information_moments(
    X: Array, weights: Array, means: Array, scale_trils: Array, inverse_roots: Array, row_weights: Array
) -> InformationMoments:
    """The moments of all rows.

    Parameters
    ----------
    X : (N, D) float64
    weights, means, scale_trils : (K,), (K, D), (K, D, D) float64
    inverse_roots : (K, D, D)
        Inverses of square roots R_k of the covariances, Sigma_k = R_k R_k'.
    row_weights : (N,) float64
        Weight of each row; every row with a positive weight must have a positive density.
    """
    n_components, n_features = means.shape
    size = n_quadratic_features(n_features)
    within = np.zeros((n_components, size, size))
    between = np.zeros((n_components * size, n_components * size))
    log_likelihood = 0.0
    step = max(BLOCK_ENTRIES // (n_components * size), 64)
    for first in range(0, len(X), step):
        block, block_weights = X[first : first + step], row_weights[first : first + step]
        log_likelihood += float(block_weights @ compute_log_density(block, weights, means, scale_trils))
        responsibilities = compute_responsibilities(block, weights, means, scale_trils).T
        features = quadratic_features(block, means, inverse_roots)
        for k in range(n_components):
            within[k] += (features[k] * (responsibilities[k] * block_weights)) @ features[k].T
        features *= (responsibilities * np.sqrt(block_weights))[:, None, :]
        flat = features.reshape(n_components * size, -1)
        between += flat @ flat.T
    return InformationMoments(log_likelihood, within, between.reshape(n_components, size, n_components, size))
