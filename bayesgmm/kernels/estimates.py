"""From expected moments to means, scatters about them, and Cholesky factors: the parts of an M-step that no family changes."""

import numpy as np
from numba import njit

import bayesgmm.kernels.cache  # noqa: F401  # stamps the cache of what is compiled here


@njit(cache=True, error_model="numpy")
def centre(counts, sums, scatters, means):
    """Weighted means (K, D), and scatters (K, D, D) about them, from moments about `means`."""
    n_components, n_features = means.shape
    centred_means = np.empty((n_components, n_features))
    centred = np.empty((n_components, n_features, n_features))
    for k in range(n_components):
        for i in range(n_features):
            centred_means[k, i] = means[k, i] + sums[k, i] / counts[k]
            for j in range(i + 1):
                centred[k, i, j] = scatters[k, i, j] - sums[k, i] * sums[k, j] / counts[k]
                centred[k, j, i] = centred[k, i, j]
    return centred_means, centred


@njit(cache=True, error_model="numpy")
def factorise(covariances, smallest_scale):
    """Lower Cholesky factors (K, D, D), and the first component with a pivot below `smallest_scale` or NaN, else -1."""
    n_components, n_features, _ = covariances.shape
    scale_trils = np.zeros((n_components, n_features, n_features))
    for k in range(n_components):
        for j in range(n_features):
            pivot = covariances[k, j, j]
            for m in range(j):
                pivot -= scale_trils[k, j, m] * scale_trils[k, j, m]
            if not pivot >= smallest_scale * smallest_scale:
                return scale_trils, k
            scale_trils[k, j, j] = np.sqrt(pivot)
            inverse = 1.0 / scale_trils[k, j, j]
            for i in range(j + 1, n_features):
                value = covariances[k, i, j]
                for m in range(j):
                    value -= scale_trils[k, i, m] * scale_trils[k, j, m]
                scale_trils[k, i, j] = value * inverse
    return scale_trils, -1
