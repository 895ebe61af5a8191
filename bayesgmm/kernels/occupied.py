"""How many components hold rows: probabilities over all allocations of the rows, given each posterior draw."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.kernels.cache import ENTRY
from bayesgmm.kernels.density import fill_responsibilities
from bayesgmm.kernels.draws import over_draws
from bayesgmm.kernels.rows import rows_of

Array = NDArray[np.float64]


@njit(**ENTRY)
def _sum_over_subsets(gamma, out):
    """out[j] = sum over the sets T of j components of the probability that T holds all rows, prod_n sum_(k in T) gamma_nk."""
    n_samples, n_components = gamma.shape
    n_sets = 1 << n_components
    held, products = np.zeros(n_sets), np.ones(n_sets)
    products[0] = 0.0
    for n in range(n_samples):
        for k in range(n_components):
            bit = 1 << k
            for rest in range(bit):
                held[bit + rest] = held[rest] + gamma[n, k]
        for chosen in range(1, n_sets):
            products[chosen] *= held[chosen]
    for j in range(n_components + 1):
        out[j] = 0.0
    for chosen in range(1, n_sets):
        size, rest = 0, chosen
        while rest:
            size += rest & 1
            rest >>= 1
        out[size] += products[chosen]


def subsets_of_draws(X: Array, weights: Array, means: Array, scale_trils: Array) -> Array:
    """S_j (S, K + 1), j = 0, ..., K: the sum over all sets of j components of the probability that they hold all rows.

    Allocations are independent given the draw, z_n ~ gamma_n. The work is N 2^K for each draw.
    """
    rows = rows_of(X)
    n_components = weights.shape[1]
    out = np.empty((len(weights), n_components + 1))

    def fill(s: int) -> None:
        gamma = np.empty((X.shape[0], n_components))
        fill_responsibilities(rows, (weights[s], means[s], scale_trils[s]), gamma)
        _sum_over_subsets(gamma, out[s])

    over_draws(fill, len(weights))
    return out
