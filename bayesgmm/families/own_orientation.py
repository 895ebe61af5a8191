"""EEV, VEV, EVV, VVV: ellipsoids with axes of their own, Sigma_k = lambda_k D_k A_k D_k'."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.families.rotations import covariances_along, diagonalise, set_identity
from bayesgmm.families.volume_shape import FLAT, VolumeShape
from bayesgmm.kernels.cache import ENTRY, INTERNAL

Array = NDArray[np.float64]


def scaled_scatters(counts: Array, scatters: Array) -> Array:
    """VVV: W_k / n_k."""
    return scatters / counts[:, None, None]


@njit(**INTERNAL)
def _log_determinant(scatter, factor):
    """ln |W| by Cholesky's factor, which is put into factor (D, D); NaN where W is FLAT in some direction."""
    value = 0.0
    for i in range(scatter.shape[0]):
        for j in range(i + 1):
            entry = scatter[i, j]
            for d in range(j):
                entry -= factor[i, d] * factor[j, d]
            if i != j:
                factor[i, j] = entry / factor[j, j]
            else:
                factor[i, i] = np.sqrt(entry) if entry > FLAT * scatter[i, i] else np.nan
        value += 2.0 * np.log(factor[i, i])
    return value


@njit(**ENTRY)
def equal_volume_covariances(counts, scatters):
    """EVV: (sum_l v_l / n) W_k / v_k with v_k = |W_k|^(1/D); NaN for a component that is FLAT in some direction."""
    n_components, n_features, _ = scatters.shape
    factor = np.empty((n_features, n_features))
    covariances = np.empty(scatters.shape)
    total = 0.0
    volume = 0.0
    for k in range(n_components):
        log_volume = _log_determinant(scatters[k], factor) / n_features
        total += counts[k]
        volume += np.exp(log_volume) if log_volume == log_volume else 0.0
        for i in range(n_features):
            for j in range(n_features):
                covariances[k, i, j] = scatters[k, i, j] / np.exp(log_volume)
    for k in range(n_components):
        for i in range(n_features):
            for j in range(n_features):
                covariances[k, i, j] *= volume / total
    return covariances


@njit(**ENTRY)
def spectra_and_axes(scatters):
    """Eigenvalues (K, D) in decreasing order, and eigenvectors (K, D, D) as rows."""
    n_components, n_features, _ = scatters.shape
    matrix = np.empty((1, n_features, n_features))
    spectra = np.empty((n_components, n_features))
    axes = np.empty(scatters.shape)
    for k in range(n_components):
        for i in range(n_features):
            for j in range(n_features):
                matrix[0, i, j] = scatters[k, i, j]
        set_identity(axes[k])
        diagonalise(matrix, axes[k])
        for i in range(n_features):
            largest = i
            for j in range(i, n_features):
                spectra[k, j] = matrix[0, j, j]
                if spectra[k, j] > spectra[k, largest]:
                    largest = j
            matrix[0, largest, largest] = spectra[k, i]
            spectra[k, i] = spectra[k, largest]
            for d in range(n_features):
                axes[k, i, d], axes[k, largest, d] = axes[k, largest, d], axes[k, i, d]
    return spectra, axes


@dataclass(frozen=True)
class OwnAxes:
    """EEV and VEV: covariances with the same shape along eigenvectors of their own, largest eigenvalue to largest."""

    name: str
    volume_shape: VolumeShape
    only_variances: ClassVar[bool] = False
    column_equivariant: ClassVar[bool] = False
    uses_guess: ClassVar[bool] = False

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        return _n_parameters(self.volume_shape, n_components, n_features)

    def maximise(self, counts: Array, scatters: Array, guess: Array | None = None) -> Array:  # noqa: ARG002 - the optimum is unique
        spectra, axes = spectra_and_axes(scatters)
        return covariances_along(self.volume_shape.fit(counts, spectra), axes)


@dataclass(frozen=True)
class OwnShape:
    """EVV and VVV: covariances proportional to the components' own scatters."""

    name: str
    volume_shape: VolumeShape
    fit: Callable[[Array, Array], Array]
    only_variances: ClassVar[bool] = False
    column_equivariant: ClassVar[bool] = True
    uses_guess: ClassVar[bool] = False

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        return _n_parameters(self.volume_shape, n_components, n_features)

    def maximise(self, counts: Array, scatters: Array, guess: Array | None = None) -> Array:  # noqa: ARG002 - closed form
        return self.fit(counts, scatters)


def _n_parameters(volume_shape: VolumeShape, n_components: int, n_features: int) -> int:
    """Volumes and shapes, and the angles of K orientations."""
    return volume_shape.n_parameters(n_components, n_features) + n_components * n_features * (n_features - 1) // 2
