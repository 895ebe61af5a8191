"""EII, VII: spheres, Sigma_k = lambda_k I; in one column also called E and V."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.families.axis_aligned import diagonal_matrices
from bayesgmm.families.volume_shape import VolumeShape
from bayesgmm.kernels.cache import ENTRY

Array = NDArray[np.float64]


@njit(**ENTRY)
def mean_diagonals_of(matrices):
    """The mean of each diagonal, D times: (K, D) of matrices (K, D, D)."""
    n_components, n_features, _ = matrices.shape
    means = np.empty((n_components, n_features))
    for k in range(n_components):
        trace = 0.0
        for j in range(n_features):
            trace += matrices[k, j, j]
        for j in range(n_features):
            means[k, j] = trace / n_features
    return means


@dataclass(frozen=True)
class Spherical:
    """Multiples of the identity: only volumes are fitted, to the mean variance over the columns."""

    name: str
    volume_shape: VolumeShape
    only_variances: ClassVar[bool] = True
    column_equivariant: ClassVar[bool] = False
    uses_guess: ClassVar[bool] = False

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:  # noqa: ARG002 - one number, or one each
        return self.volume_shape.n_parameters(n_components, 1)

    def maximise(self, counts: Array, scatters: Array, guess: Array | None = None) -> Array:  # noqa: ARG002 - closed form
        return diagonal_matrices(self.volume_shape.fit(counts, mean_diagonals_of(scatters)))
