"""What the EM engine asks of a covariance family."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class CovarianceFamily(Protocol):
    """A constraint on the K covariances Sigma_k = lambda_k D_k A_k D_k', with its own maximum-likelihood step.

    The volume lambda_k = |Sigma_k|^(1/D), the shape A_k (diagonal, |A_k| = 1) and the orientation D_k (orthogonal) are each equal
    in all components, their own in each or, but for the volume, the identity (Celeux and Govaert 1995, section 2).

    Laws (tested for every family): permuting the components of the input permutes the result; multiplying counts and scatters
    by one positive number leaves the result unchanged; no other member of the family has a higher expected complete-data
    log-likelihood (for EVE and VVE: none nearby, and `guess` has none higher).
    """

    @property
    def name(self) -> str:
        """mclust's name of the family."""
        ...

    @property
    def only_variances(self) -> bool:
        """Whether the covariances are diagonal, so that only the diagonals of the scatters are used."""
        ...

    @property
    def column_equivariant(self) -> bool:
        """Whether rescaling single columns maps the family onto itself; every family does under one common factor."""
        ...

    @property
    def uses_guess(self) -> bool:
        """Whether `maximise` is a search among several optima, which begins at its guess."""
        ...

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the K covariances together."""
        ...

    def maximise(self, counts: Array, scatters: Array, guess: Array | None = None) -> Array:
        """Covariances (K, D, D) that maximise -1/2 sum_k (n_k ln|Sigma_k| + tr(Sigma_k^-1 W_k)).

        That is the expected complete-data log-likelihood: counts (K,) are the expected numbers n_k of rows, scatters (K, D, D)
        the expected scatter matrices W_k about the new means; both are left as they are. guess (K, D, D) is a member of the
        family, where a search may begin; without it the search begins from the data. Never raises on singular scatters: the
        covariances may then be singular, or NaN where there is no maximum.
        """
        ...
