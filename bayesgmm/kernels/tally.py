"""What permutations of the components of many draws add up to over the draws, in one pass that chooses and counts.

The responsibilities of one draw exist at a time in each thread; the sums of a chunk of draws are kept until they are added.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.kernels.cache import ENTRY
from bayesgmm.kernels.density import fill_responsibilities
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.threads import available_threads

Array = NDArray[np.float64]
Order = NDArray[np.intp]

BYTES_OF_SUMS = 256 * 2**20
"""Memory for the sums of all chunks of draws, of which there are 16 at most."""


class Tally(NamedTuple):
    """Sums over S draws, cluster k of draw s being the raw draw's component permutations[s, k].

    permutations (S, K); memberships (N, K): sum_s gamma_nk; votes (N, K): draws in which k is the most probable component of row
    n; entropy: -sum_s,n,k gamma_nk ln gamma_nk, in nats. A row of density 0 counts for nothing.
    """

    permutations: Order
    memberships: Array
    votes: NDArray[np.int64]
    entropy: float


@njit(**ENTRY)
def add_matches(gamma, labels, gains):
    """Rows with label j whose most probable component is k, added to gains[j, k]; their memberships break ties.

    Those count 1 / (2 N), so that all of them together are worth less than one row. Without them the order of the components
    would decide between permutations with equally many matches.
    """
    tie = 0.5 / gamma.shape[0]
    for n in range(gamma.shape[0]):
        chosen, largest = 0, 0.0
        for k in range(gamma.shape[1]):
            gains[labels[n], k] += tie * gamma[n, k]
            if gamma[n, k] > largest:
                chosen, largest = k, gamma[n, k]
        if largest > 0.0:
            gains[labels[n], chosen] += 1.0


@njit(**ENTRY)
def add_products(gamma, target, gains):
    """sum_n target_nj gamma_nk added to gains[j, k]; target (N, K)."""
    for n in range(gamma.shape[0]):
        for j in range(target.shape[1]):
            for k in range(gamma.shape[1]):
                gains[j, k] += target[n, j] * gamma[n, k]


@njit(**ENTRY)
def add_draw(gamma, places, memberships, votes):
    """One draw, its component k in place places[k], added to memberships and votes; its entropy is returned."""
    entropy = 0.0
    for n in range(gamma.shape[0]):
        chosen, largest = 0, 0.0
        for k in range(gamma.shape[1]):
            g = gamma[n, k]
            memberships[n, places[k]] += g
            if g > largest:
                chosen, largest = k, g
            if 0.0 < g < 1.0:
                entropy -= g * np.log(g)
        if largest > 0.0:
            votes[n, places[chosen]] += 1
    return entropy


def tally_of_draws(X: Array, weights: Array, means: Array, scale_trils: Array, choose: Callable[[int, Array], Order]) -> Tally:
    """The tally of the permutations choose(s, gamma), from the responsibilities gamma (N, K) of draw s, in threads over draws.

    Chunks are fixed by S, N and K, and added in order, so that the sums are the same whatever the number of threads.
    """
    rows = rows_of(X)
    n_draws, shape = len(weights), (X.shape[0], weights.shape[1])
    permutations = np.empty(weights.shape, dtype=np.intp)

    def part(start: int, stop: int) -> tuple[Array, NDArray[np.int64], float]:
        gamma, memberships, votes, entropy = np.empty(shape), np.zeros(shape), np.zeros(shape, dtype=np.int64), 0.0
        for s in range(start, stop):
            fill_responsibilities(rows, (weights[s], means[s], scale_trils[s]), gamma)
            permutations[s] = choose(s, gamma)
            entropy += add_draw(gamma, permutations[s].argsort(), memberships, votes)
        return memberships, votes, entropy

    n_chunks = min(16, -(-n_draws // 16), max(BYTES_OF_SUMS // (16 * shape[0] * shape[1]), 1))
    bounds = [n_draws * i // n_chunks for i in range(n_chunks + 1)]
    with ThreadPoolExecutor(min(available_threads(), n_chunks)) as pool:
        first, *others = pool.map(part, bounds[:-1], bounds[1:])
    memberships, votes, entropy = first
    for more_memberships, more_votes, more_entropy in others:
        memberships += more_memberships
        votes += more_votes
        entropy += more_entropy
    return Tally(permutations, memberships, votes, entropy)
