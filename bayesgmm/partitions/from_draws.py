"""From draws of the parameters to the partition: probabilities of pairs, and allocations drawn from the memberships."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.draws import responsibilities_of_draws
from bayesgmm.kernels.partitions import draw_labels
from bayesgmm.partitions.losses import DrawnLabels

Array = NDArray[np.float64]

BYTES_AT_ONCE = 128 * 2**20
"""Memory for the responsibilities of all rows under some draws."""


def similarity_of_draws(X: Array, weights: Array, means: Array, scale_trils: Array) -> Array:
    """P(z_i = z_j | X), (N, N): the mean over draws of sum_k gamma_ik gamma_jk for i != j, and 1 on the diagonal.

    Exact given the draws of the parameters, from which allocations are independent; no allocation is drawn. Symmetric to the bit.
    Takes 16 N^2 bytes on the way.
    """
    total = np.zeros((len(X), len(X)))
    for gamma in _responsibilities(X, weights, means, scale_trils):
        stacked = np.ascontiguousarray(gamma.transpose(1, 0, 2)).reshape(len(X), -1)
        total += stacked @ stacked.T
    total /= len(weights)
    np.minimum(total, 1.0, out=total)
    np.fill_diagonal(total, 1.0)
    return total


def labels_of_draws(X: Array, weights: Array, means: Array, scale_trils: Array, rng: np.random.Generator) -> DrawnLabels:
    """One allocation for each draw, z_si ~ Categorical(gamma_i given draw s), by rows: (N, S), of the smallest unsigned type."""
    n_draws, n_components = weights.shape
    out = np.empty((len(X), n_draws), dtype=np.min_scalar_type(n_components - 1))
    first = 0
    for gamma in _responsibilities(X, weights, means, scale_trils):
        draw_labels(gamma, rng.random(gamma.shape[:2]), out, first)
        first += len(gamma)
    return out


def _responsibilities(X: Array, weights: Array, means: Array, scale_trils: Array) -> Iterator[Array]:
    """Responsibilities (some, N, K) of successive draws."""
    n_at_once = max(BYTES_AT_ONCE // (8 * len(X) * weights.shape[1]), 1)
    for first in range(0, len(weights), n_at_once):
        some = slice(first, first + n_at_once)
        yield responsibilities_of_draws(X, weights[some], means[some], scale_trils[some])
