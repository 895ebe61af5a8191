"""Anderson acceleration of EM, in coordinates of the estimates that every covariance family begins from.

The coordinates are ln counts (K,), means (K, D), and the lower Cholesky factors of scatters / counts (K, D (D + 1) / 2) with ln
diagonals: any vector of them stands for proper estimates.
"""

import numpy as np
from numba import njit

from bayesgmm.kernels.cache import ENTRY, INTERNAL
from bayesgmm.kernels.estimates import factorise


@njit(**ENTRY)
def to_coordinates(counts, means, scatters):
    """The coordinates of estimates, (K (1 + D + D (D + 1) / 2),); of length 0 if a scatter is singular."""
    n_components, n_features = means.shape
    coordinates = np.empty(n_components * (1 + n_features + n_features * (n_features + 1) // 2))
    covariance = np.empty((1, n_features, n_features))
    at = n_components * (1 + n_features)
    for k in range(n_components):
        coordinates[k] = np.log(counts[k])
        for i in range(n_features):
            coordinates[n_components + k * n_features + i] = means[k, i]
            for j in range(n_features):
                covariance[0, i, j] = scatters[k, i, j] / counts[k]
        factor, singular = factorise(covariance, 1e-150)
        if singular >= 0:
            return np.empty(0)
        at = _pack(factor[0], coordinates, at)
    return coordinates


@njit(**INTERNAL)
def _pack(factor, coordinates, at):
    """The lower triangle of factor (D, D), ln diagonal, into coordinates from index `at` on; return the index after it."""
    for i in range(factor.shape[0]):
        for j in range(i):
            coordinates[at + j] = factor[i, j]
        coordinates[at + i] = np.log(factor[i, i])
        at += i + 1
    return at


@njit(**ENTRY)
def from_coordinates(coordinates, total, n_components, n_features):
    """Counts (K,) that add up to `total`, means (K, D) and scatters (K, D, D) at the coordinates."""
    counts = np.empty(n_components)
    highest = coordinates[0]
    for k in range(n_components):
        highest = max(highest, coordinates[k])
    mass = 0.0
    for k in range(n_components):
        counts[k] = np.exp(coordinates[k] - highest)
        mass += counts[k]
    means = np.empty((n_components, n_features))
    scatters = np.empty((n_components, n_features, n_features))
    at = n_components * (1 + n_features)
    for k in range(n_components):
        counts[k] *= total / mass
        for i in range(n_features):
            means[k, i] = coordinates[n_components + k * n_features + i]
        at = _unpack(coordinates, at, counts[k], scatters[k])
    return counts, means, scatters


@njit(**INTERNAL)
def _unpack(coordinates, at, count, scatter):
    """count L L' into scatter (D, D), with L from coordinates from index `at` on; return the index after it."""
    n_features = scatter.shape[0]
    factor = np.zeros((n_features, n_features))
    for i in range(n_features):
        for j in range(i):
            factor[i, j] = coordinates[at + j]
        factor[i, i] = np.exp(coordinates[at + i])
        at += i + 1
        for j in range(i + 1):
            product = 0.0
            for m in range(j + 1):
                product += factor[i, m] * factor[j, m]
            scatter[i, j] = count * product
            scatter[j, i] = scatter[i, j]
    return at


@njit(**INTERNAL)
def _solve(gram, right):
    """Solve gram x = right in place, gram (1, m, m) positive definite; False if it is singular."""
    factors, singular = factorise(gram, 1e-8)
    if singular >= 0:
        return False
    n = len(right)
    for i in range(n):
        for j in range(i):
            right[i] -= factors[0, i, j] * right[j]
        right[i] /= factors[0, i, i]
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            right[i] -= factors[0, j, i] * right[j]
        right[i] /= factors[0, i, i]
    return True


@njit(**ENTRY, fastmath={"reassoc", "contract"})
def extrapolate(points, images):
    """The next point of Anderson acceleration, type II, from m >= 2 points and their EM images, (m, P) each, the latest last.

    With residuals f_i = image_i - point_i the combination of differences f_{i+1} - f_i that comes nearest to the last residual is
    taken off the last image (Walker and Ni 2011, SIAM J. Numer. Anal. 49, section 2).
    """
    n_differences, n_coordinates = points.shape[0] - 1, points.shape[1]
    differences = np.empty((n_differences, n_coordinates))
    right = np.empty(n_differences)
    gram = np.empty((1, n_differences, n_differences))
    scale = np.empty(n_differences)
    for i in range(n_differences):
        product = 0.0
        for p in range(n_coordinates):
            differences[i, p] = (images[i + 1, p] - points[i + 1, p]) - (images[i, p] - points[i, p])
            product += differences[i, p] * (images[-1, p] - points[-1, p])
        right[i] = product
        for j in range(i + 1):
            product = 0.0
            for p in range(n_coordinates):
                product += differences[i, p] * differences[j, p]
            gram[0, i, j] = product
        scale[i] = 1.0 / np.sqrt(max(gram[0, i, i], 1e-300))
    for i in range(n_differences):
        right[i] *= scale[i]
        for j in range(i):
            gram[0, i, j] *= scale[i] * scale[j]
            gram[0, j, i] = gram[0, i, j]
        gram[0, i, i] = 1.0 + 1e-12
    following = images[-1].copy()
    if _solve(gram, right):
        for i in range(n_differences):
            for p in range(n_coordinates):
                following[p] -= right[i] * scale[i] * (images[i + 1, p] - images[i, p])
    return following
