"""EEI, VEI, EVI, VVI: ellipsoids along the coordinate axes, Sigma_k = lambda_k A_k."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.families.volume_shape import VolumeShape
from bayesgmm.kernels.cache import ENTRY

Array = NDArray[np.float64]


@njit(**ENTRY)
def diagonals_of(matrices):
    """The diagonals (K, D) of matrices (K, D, D)."""
    n_components, n_features, _ = matrices.shape
    diagonals = np.empty((n_components, n_features))
    for k in range(n_components):
        for j in range(n_features):
            diagonals[k, j] = matrices[k, j, j]
    return diagonals


@njit(**ENTRY)
def diagonal_matrices(diagonals):
    """Diagonal matrices (K, D, D) of diagonals (K, D)."""
    n_components, n_features = diagonals.shape
    matrices = np.zeros((n_components, n_features, n_features))
    for k in range(n_components):
        for j in range(n_features):
            matrices[k, j, j] = diagonals[k, j]
    return matrices


@dataclass(frozen=True)
class AxisAligned:
    """Diagonal covariances: the axes are the columns, only volumes and shapes are fitted."""

    name: str
    volume_shape: VolumeShape
    only_variances: ClassVar[bool] = True
    column_equivariant: ClassVar[bool] = True
    uses_guess: ClassVar[bool] = False

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        return self.volume_shape.n_parameters(n_components, n_features)

    def maximise(self, counts: Array, scatters: Array, guess: Array | None = None) -> Array:  # noqa: ARG002 - the optimum is unique
        return diagonal_matrices(self.volume_shape.fit(counts, diagonals_of(scatters)))
