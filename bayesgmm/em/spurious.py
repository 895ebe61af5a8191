"""Signs that an optimum of the likelihood describes a few rows rather than a group."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, solve_triangular

from bayesgmm.data.dataset import count_of
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]

NARROW = 1e-4
"""A component with a smaller variance in some direction, relative to the pooled one there, is suspiciously narrow."""

UNRESOLVED = 1e-3
"""A variance below this part of that of the rounding error is as good as 0, which is where the likelihood has its maximum."""


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


def unresolved_components(params: MixtureParams, resolution: Array) -> tuple[str, ...]:
    """One sentence for each component that is, in some direction, as narrow as rounding to steps of `resolution` (D,) allows.

    The maximum of the likelihood of recorded values is then at the edge: the true values may have no spread in that direction.
    """
    recorded = params.recorded(resolution)
    sentences = []
    for k in range(params.n_components if np.any(resolution) else 0):
        shares = np.linalg.svd(solve_triangular(recorded.scale_trils[k], params.scale_trils[k], lower=True), compute_uv=False)
        if shares[-1] ** 2 < UNRESOLVED:
            sentences.append(f"component {k} is in some direction no wider than the rounding of the values alone makes it")
    return tuple(sentences)
