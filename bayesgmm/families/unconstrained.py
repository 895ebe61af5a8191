"""VVV, "full": every component has a covariance matrix of its own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Unconstrained:
    """Sigma_k = W_k / n_k, with W_k the scatter and n_k the count of component k.

    The model lambda_k D_k A_k D_k' of Celeux and Govaert (1995).
    """

    name: str = "VVV"

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features * (n_features + 1) // 2

    def maximise(self, counts: Array, scatters: Array) -> Array:
        return scatters / counts[:, None, None]
