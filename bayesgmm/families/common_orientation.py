"""EEE, VEE, EVE, VVE: ellipsoids with the same axes, Sigma_k = lambda_k D A_k D'."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.families.axis_aligned import diagonals_of
from bayesgmm.families.common_axes import axes_from_data, axes_from_guess
from bayesgmm.families.log_volumes import LAST_STEP, MAX_STEPS, newton_step, start_log_volumes
from bayesgmm.families.rotations import covariances_along, seen_along
from bayesgmm.families.volume_shape import VolumeShape
from bayesgmm.kernels.cache import ENTRY, INTERNAL

Array = NDArray[np.float64]


@njit(**ENTRY)
def pooled_covariances(counts, scatters):
    """EEE: sum_k W_k / n, for every component."""
    n_components, n_features, _ = scatters.shape
    total = 0.0
    for k in range(n_components):
        total += counts[k]
    covariances = np.empty(scatters.shape)
    for i in range(n_features):
        for j in range(n_features):
            pooled = 0.0
            for k in range(n_components):
                pooled += scatters[k, i, j]
            for k in range(n_components):
                covariances[k, i, j] = pooled / total
    return covariances


@njit(**INTERNAL)
def _fill_overlaps(scatters, log_volumes, common, whitened, overlaps):
    """Put M = sum_k W_k / lambda_k into common (D, D) and tr(M^-1 W_k M^-1 W_l) / (lambda_k lambda_l) into overlaps (K, K)."""
    n_components, n_features, _ = scatters.shape
    factor = np.empty((n_features, n_features))
    for i in range(n_features):
        for j in range(i + 1):
            common[i, j] = 0.0
            for k in range(n_components):
                common[i, j] += scatters[k, i, j] * np.exp(-log_volumes[k])
            common[j, i] = common[i, j]
            value = common[i, j]
            for d in range(j):
                value -= factor[i, d] * factor[j, d]
            factor[i, j] = np.sqrt(value) if i == j else value / factor[j, j]
    for k in range(n_components):
        _whiten(scatters[k], factor, np.exp(-log_volumes[k]), whitened[k])
        for m in range(k + 1):
            total = 0.0
            for i in range(n_features):
                for j in range(n_features):
                    total += whitened[k, i, j] * whitened[m, i, j]
            overlaps[k, m] = total
            overlaps[m, k] = total


@njit(**INTERNAL)
def _whiten(matrix, factor, scale, out):
    """Put scale * L^-1 matrix L^-T into out, with L the lower triangle of factor."""
    n_features = factor.shape[0]
    for i in range(n_features):  # out = L^-1 matrix
        for j in range(n_features):
            out[i, j] = scale * matrix[i, j]
        for d in range(i):
            for j in range(n_features):
                out[i, j] -= factor[i, d] * out[d, j]
        for j in range(n_features):
            out[i, j] /= factor[i, i]
    for i in range(n_features):  # out = out L^-T, row by row
        for j in range(n_features):
            for d in range(j):
                out[i, j] -= factor[j, d] * out[i, d]
            out[i, j] /= factor[j, j]


@njit(**ENTRY)
def proportional_covariances(counts, scatters):
    """VEE: lambda_k C, the convex problem of `log_volumes`."""
    n_components, n_features, _ = scatters.shape
    total = 0.0
    for k in range(n_components):
        total += counts[k]
    common = np.empty((n_features, n_features))
    whitened = np.empty(scatters.shape)
    overlaps = np.empty((n_components, n_components))
    log_volumes = np.zeros(n_components)
    _fill_overlaps(scatters, log_volumes, common, whitened, overlaps)
    start_log_volumes(counts, overlaps, n_features, log_volumes)
    for _ in range(MAX_STEPS):
        _fill_overlaps(scatters, log_volumes, common, whitened, overlaps)
        if not newton_step(counts, overlaps, n_features, log_volumes) > LAST_STEP:
            break
    _fill_overlaps(scatters, log_volumes, common, whitened, overlaps)
    covariances = np.empty(scatters.shape)
    for k in range(n_components):
        for i in range(n_features):
            for j in range(n_features):
                covariances[k, i, j] = np.exp(log_volumes[k]) * common[i, j] / total
    return covariances


@dataclass(frozen=True)
class CommonShape:
    """EEE and VEE: covariances proportional to one matrix."""

    name: str
    volume_shape: VolumeShape
    fit: Callable[[Array, Array], Array]
    only_variances: ClassVar[bool] = False
    column_equivariant: ClassVar[bool] = True
    uses_guess: ClassVar[bool] = False

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        return self.volume_shape.n_parameters(n_components, n_features) + n_features * (n_features - 1) // 2

    def maximise(self, counts: Array, scatters: Array, guess: Array | None = None) -> Array:  # noqa: ARG002 - the optimum is unique
        return self.fit(counts, scatters)


@dataclass(frozen=True)
class CommonAxes:
    """EVE and VVE: covariances with the same eigenvectors and shapes of their own."""

    name: str
    volume_shape: VolumeShape
    only_variances: ClassVar[bool] = False
    column_equivariant: ClassVar[bool] = False
    uses_guess: ClassVar[bool] = True

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        return self.volume_shape.n_parameters(n_components, n_features) + n_features * (n_features - 1) // 2

    def maximise(self, counts: Array, scatters: Array, guess: Array | None = None) -> Array:
        power = 0.0 if self.volume_shape.own_volumes else 1.0 / scatters.shape[1]
        axes = axes_from_data(scatters, counts, power) if guess is None else axes_from_guess(scatters, counts, power, guess)
        spectra = diagonals_of(seen_along(scatters, axes))
        return covariances_along(self.volume_shape.fit(counts, spectra), axes[None])


def orientation_gradient_norm(counts: Array, scatters: Array, covariances: Array) -> float:
    """Norm of the gradient over common rotations of the expected complete-data log-likelihood per row; 0 at the optimum.

    Turning all covariances by exp(G), G antisymmetric, changes the log-likelihood to first order by
    tr(G' sum_k (W_k Sigma_k^-1 - Sigma_k^-1 W_k)) / 2.
    """
    products = np.linalg.solve(covariances, scatters).sum(axis=0)
    return float(np.linalg.norm(products - products.T)) / (2.0 * float(counts.sum()))
