"""Volumes and shapes: maximum-likelihood spectra of K covariances whose axes are known.

A spectrum holds the D eigenvalues lambda_k A_k of one covariance, all in the order of the axes. Each function takes the counts n
(K,) and the spectra s (K, D) of the scatters along those axes, and returns the spectra of the covariances (Celeux and Govaert
1995, sections 4 and 5).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.families.log_volumes import LAST_STEP, MAX_STEPS, newton_step, start_log_volumes
from bayesgmm.kernels.cache import ENTRY, INTERNAL

Array = NDArray[np.float64]

FLAT = 1e-12
"""A scatter with a smaller share in some direction, of what is to be expected there, has none that rounding did not make."""


@njit(**ENTRY)
def fit_equal_equal(counts, spectra):
    """Equal volumes, equal shapes: sum_k s_kj / n."""
    n_components, n_features = spectra.shape
    total = 0.0
    for k in range(n_components):
        total += counts[k]
    fitted = np.empty((n_components, n_features))
    for j in range(n_features):
        pooled = 0.0
        for k in range(n_components):
            pooled += spectra[k, j]
        for k in range(n_components):
            fitted[k, j] = pooled / total
    return fitted


@njit(**ENTRY)
def fit_equal_varying(counts, spectra):
    """Equal volumes, own shapes: (sum_l v_l / n) s_kj / v_k with v_k the geometric mean of s_k.

    NaN for a component that is FLAT along some axis: its shape, and so its volume, would be made of rounding.
    """
    n_components, n_features = spectra.shape
    total = 0.0
    volume = 0.0
    pooled = np.zeros(n_features)
    for k in range(n_components):
        for j in range(n_features):
            pooled[j] += spectra[k, j]
    fitted = np.empty((n_components, n_features))
    for k in range(n_components):
        log_volume = 0.0
        for j in range(n_features):
            log_volume += np.log(spectra[k, j]) if spectra[k, j] > FLAT * pooled[j] else np.nan
        own = np.exp(log_volume / n_features)
        for j in range(n_features):
            fitted[k, j] = spectra[k, j] / own
        total += counts[k]
        volume += own if own == own else 0.0
    for k in range(n_components):
        for j in range(n_features):
            fitted[k, j] *= volume / total
    return fitted


@njit(**ENTRY)
def fit_varying_varying(counts, spectra):
    """Own volumes, own shapes: s_kj / n_k."""
    n_components, n_features = spectra.shape
    fitted = np.empty((n_components, n_features))
    for k in range(n_components):
        for j in range(n_features):
            fitted[k, j] = spectra[k, j] / counts[k]
    return fitted


@njit(**INTERNAL)
def _fill_overlaps(spectra, log_volumes, common, overlaps):
    """Put sum_k s_kj / lambda_k into common (D,) and sum_j s_kj s_lj / (lambda_k lambda_l common_j^2) into overlaps (K, K)."""
    n_components, n_features = spectra.shape
    for j in range(n_features):
        common[j] = 0.0
        for k in range(n_components):
            common[j] += spectra[k, j] * np.exp(-log_volumes[k])
    for k in range(n_components):
        for m in range(k + 1):
            total = 0.0
            for j in range(n_features):
                total += (spectra[k, j] / common[j]) * (spectra[m, j] / common[j])
            overlaps[k, m] = total * np.exp(-log_volumes[k] - log_volumes[m])
            overlaps[m, k] = overlaps[k, m]


@njit(**ENTRY)
def fit_varying_equal(counts, spectra):
    """Own volumes, equal shapes: the convex problem of `log_volumes`, with diagonal scatters."""
    n_components, n_features = spectra.shape
    total = 0.0
    for k in range(n_components):
        total += counts[k]
    common = np.empty(n_features)
    overlaps = np.empty((n_components, n_components))
    log_volumes = np.zeros(n_components)
    _fill_overlaps(spectra, log_volumes, common, overlaps)
    start_log_volumes(counts, overlaps, n_features, log_volumes)
    for _ in range(MAX_STEPS):
        _fill_overlaps(spectra, log_volumes, common, overlaps)
        if not newton_step(counts, overlaps, n_features, log_volumes) > LAST_STEP:
            break
    fitted = np.empty((n_components, n_features))
    _fill_overlaps(spectra, log_volumes, common, overlaps)
    for k in range(n_components):
        for j in range(n_features):
            fitted[k, j] = np.exp(log_volumes[k]) * common[j] / total
    return fitted


@dataclass(frozen=True)
class VolumeShape:
    """Which of volume and shape are each component's own, and the compiled function that fits the spectra."""

    own_volumes: bool
    own_shapes: bool
    fit: Callable[[Array, Array], Array]

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free volumes and, D - 1 in a shape of determinant 1, free shape parameters."""
        n_volumes = n_components if self.own_volumes else 1
        n_shapes = n_components if self.own_shapes else 1
        return n_volumes + n_shapes * (n_features - 1)


EE = VolumeShape(own_volumes=False, own_shapes=False, fit=fit_equal_equal)
VE = VolumeShape(own_volumes=True, own_shapes=False, fit=fit_varying_equal)
EV = VolumeShape(own_volumes=False, own_shapes=True, fit=fit_equal_varying)
VV = VolumeShape(own_volumes=True, own_shapes=True, fit=fit_varying_varying)
