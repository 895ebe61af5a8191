"""Data of separate clusters, for benchmarks of the posterior."""

import numpy as np
from numpy.typing import NDArray

from bayesgmm import MixtureParams

APART = 4.0
"""Least distance of two centres, in standard deviations of a cluster."""


def clusters(n_samples: int, n_features: int, n_components: int) -> tuple[NDArray[np.float64], MixtureParams]:
    """Rows (N, D) of spherical clusters of unit variance and nearly equal sizes, and the mixture they came from."""
    rng = np.random.default_rng(0)
    distance = 0.0
    while distance < APART:
        centres = rng.normal(scale=3.0, size=(n_components, n_features))
        between = np.linalg.norm(centres[:, None] - centres, axis=2)
        distance = between[np.triu_indices(n_components, 1)].min(initial=np.inf)
    X = centres[rng.integers(n_components, size=n_samples)] + rng.normal(size=(n_samples, n_features))
    identity = np.broadcast_to(np.eye(n_features), (n_components, n_features, n_features))
    return X, MixtureParams(np.full(n_components, 1 / n_components), centres, identity)
