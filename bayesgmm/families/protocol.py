"""What the EM engine asks of a covariance family."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class CovarianceFamily(Protocol):
    """A constraint on the K covariance matrices, with its own maximum-likelihood step.

    Laws (tested for every family): permuting the components of the input permutes the result; multiplying counts and scatters
    by one positive number leaves the result unchanged; no other member of the family has a higher expected complete-data
    log-likelihood.
    """

    @property
    def name(self) -> str:
        """mclust's name of the family."""
        ...

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the K covariances together."""
        ...

    def maximise(self, counts: Array, scatters: Array) -> Array:
        """Covariances (K, D, D) that maximise the expected complete-data log-likelihood.

        counts (K,) are the expected numbers of rows, scatters (K, D, D) the expected scatter matrices about the new means.
        """
        ...
