"""Jacobi rotations: the axes that make one symmetric matrix diagonal, and what they do to several at once.

Axes are the rows of an orthogonal matrix, so that a matrix W seen along them is axes @ W @ axes'.
"""

import numpy as np
from numba import njit

from bayesgmm.kernels.cache import ENTRY, INTERNAL

MAX_SWEEPS = 60
EPS = 2.0**-52


@njit(**INTERNAL)
def rotate(matrices, axes, i, j, cosine, sine):
    """Turn axes i and j (rows of axes), and the matrices (K, D, D) seen along them, by an angle."""
    n_features = axes.shape[0]
    for d in range(n_features):
        x, y = axes[i, d], axes[j, d]
        axes[i, d] = cosine * x + sine * y
        axes[j, d] = cosine * y - sine * x
    for k in range(matrices.shape[0]):
        a, b, c = matrices[k, i, i], matrices[k, i, j], matrices[k, j, j]
        for d in range(n_features):
            x, y = matrices[k, i, d], matrices[k, j, d]
            matrices[k, i, d] = cosine * x + sine * y
            matrices[k, j, d] = cosine * y - sine * x
        for d in range(n_features):
            matrices[k, d, i] = matrices[k, i, d]
            matrices[k, d, j] = matrices[k, j, d]
        shift = sine * (2.0 * cosine * b - sine * (a - c))
        matrices[k, i, i] = a + shift
        matrices[k, j, j] = c - shift
        matrices[k, i, j] = (cosine * cosine - sine * sine) * b - cosine * sine * (a - c)
        matrices[k, j, i] = matrices[k, i, j]


@njit(**INTERNAL)
def set_identity(axes):
    """Make axes (D, D) the coordinate axes."""
    for i in range(axes.shape[0]):
        for j in range(axes.shape[0]):
            axes[i, j] = 1.0 if i == j else 0.0


@njit(**INTERNAL)
def diagonalise(matrices, axes):
    """Make matrices[0] of (1, D, D) diagonal by turning axes with it; both are overwritten.

    Cyclic Jacobi with each off-diagonal entry held against the two diagonal ones that belong to it: small eigenvalues of badly
    scaled columns keep their digits, which a tridiagonal reduction would lose (Demmel and Veselic 1992). NaN passes through.
    """
    n_features = axes.shape[0]
    for _ in range(MAX_SWEEPS):
        turned = False
        for i in range(n_features):
            for j in range(i + 1, n_features):
                a, b, c = matrices[0, i, i], matrices[0, i, j], matrices[0, j, j]
                if not b * b > EPS * EPS * abs(a * c):
                    continue
                turned = True
                cotangent = (a - c) / (2.0 * b)
                tangent = 1.0 / (abs(cotangent) + np.hypot(1.0, cotangent))
                if cotangent < 0.0:
                    tangent = -tangent
                cosine = 1.0 / np.sqrt(1.0 + tangent * tangent)
                rotate(matrices, axes, i, j, cosine, tangent * cosine)
                matrices[0, i, i] = a + tangent * b
                matrices[0, j, j] = c - tangent * b
                matrices[0, i, j] = 0.0
                matrices[0, j, i] = 0.0
        if not turned:
            return


@njit(**ENTRY)
def seen_along(matrices, axes):
    """axes @ matrices[k] @ axes' for symmetric matrices (K, D, D) and axes (D, D)."""
    n_components, n_features, _ = matrices.shape
    seen = np.empty((n_components, n_features, n_features))
    row = np.empty(n_features)
    for k in range(n_components):
        for i in range(n_features):
            for d in range(n_features):
                row[d] = 0.0
            for e in range(n_features):
                for d in range(n_features):
                    row[d] += axes[i, e] * matrices[k, e, d]
            for j in range(i + 1):
                value = 0.0
                for d in range(n_features):
                    value += row[d] * axes[j, d]
                seen[k, i, j] = value
                seen[k, j, i] = value
    return seen


@njit(**ENTRY)
def covariances_along(spectra, axes):
    """Covariances (K, D, D) with spectra (K, D) along axes (K, D, D), or (1, D, D) where they are common to all."""
    n_components, n_features = spectra.shape
    covariances = np.zeros((n_components, n_features, n_features))
    for k in range(n_components):
        own = min(k, axes.shape[0] - 1)
        for d in range(n_features):
            for j in range(n_features):
                factor = spectra[k, j] * axes[own, j, d]
                for e in range(d + 1):
                    covariances[k, d, e] += factor * axes[own, j, e]
            for e in range(d):
                covariances[k, e, d] = covariances[k, d, e]
    return covariances
