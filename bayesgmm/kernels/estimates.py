"""From expected moments to means, scatters about them, and Cholesky factors: the parts of an M-step that no family changes."""

import numpy as np
from numba import njit

from bayesgmm.kernels.cache import ENTRY


@njit(**ENTRY)
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


@njit(**ENTRY)
def weights_of(counts, smallest_share):
    """counts / sum of counts (K,), and the first component that has no more than `smallest_share` or NaN, else -1."""
    total = 0.0
    for k in range(len(counts)):
        total += counts[k]
    weights = np.empty(len(counts))
    first = -1
    for k in range(len(counts)):
        weights[k] = counts[k] / total
        if first < 0 and not weights[k] > smallest_share:
            first = k
    return weights, first


@njit(**ENTRY)
def factorise(covariances, smallest_scale):
    """Lower Cholesky factors (K, D, D), and the first component with too small a pivot or NaN, else -1.

    The root of a pivot is too small below `smallest_scale`, or below that part of the component's largest scale, if above 1.
    """
    n_components, n_features, _ = covariances.shape
    scale_trils = np.zeros((n_components, n_features, n_features))
    for k in range(n_components):
        widest = 1.0
        for j in range(n_features):
            widest = max(widest, covariances[k, j, j])
        for j in range(n_features):
            pivot = covariances[k, j, j]
            for m in range(j):
                pivot -= scale_trils[k, j, m] * scale_trils[k, j, m]
            if not pivot >= smallest_scale * smallest_scale * widest:
                return scale_trils, k
            scale_trils[k, j, j] = np.sqrt(pivot)
            inverse = 1.0 / scale_trils[k, j, j]
            for i in range(j + 1, n_features):
                value = covariances[k, i, j]
                for m in range(j):
                    value -= scale_trils[k, i, m] * scale_trils[k, j, m]
                scale_trils[k, i, j] = value * inverse
    return scale_trils, -1
