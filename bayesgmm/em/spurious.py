"""Signs that an optimum of the likelihood describes a few rows rather than a group."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from bayesgmm.data.dataset import count_of
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]

NARROW = 1e-4
"""A component with a smaller variance in some direction, relative to the pooled one there, is suspiciously narrow."""


def spurious_signs(params: MixtureParams, total_weight: float) -> tuple[str, ...]:
    """One sentence for each component that holds very few rows or is very narrow; none for a sound optimum.

    Likelihoods of mixtures have maxima of this kind wherever a few rows lie close together (McLachlan and Peel 2000, section
    3.10). A component is suspicious with fewer rows than D + 1.5, or where its variance in some direction is less than NARROW
    times that of the average component.
    """
    counts = params.weights * total_weight
    covariances = params.covariances
    pooled = np.einsum("k,kij->ij", params.weights, covariances)
    signs = []
    for k, (count, covariance) in enumerate(zip(counts, covariances, strict=True)):
        if count < params.n_features + 1.5:
            signs.append(f"component {k} holds only {count:.3g} rows in {count_of(params.n_features, 'column')}")
        narrowest = eigh(covariance, pooled, eigvals_only=True, subset_by_index=(0, 0))[0]
        if narrowest < NARROW:
            signs.append(
                f"component {k} is {np.sqrt(1 / max(narrowest, 1e-300)):.3g} times narrower than the average in one direction"
            )
    return tuple(signs)
