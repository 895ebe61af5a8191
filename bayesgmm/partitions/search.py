"""The partition of least expected loss: greedy descents from many starts, then clusters of the best taken apart and rebuilt.

As in D. B. Dahl, D. J. Johnson and P. Mueller (2022), Search algorithms and loss functions for Bayesian clustering, J. Comput.
Graph. Stat. 31, 1189-1201, whose sequential allocation in random order is here one of several kinds of starts.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from bayesgmm.kernels.threads import available_threads
from bayesgmm.partitions.losses import Array, DrawnLabels, Labels, Loss, ordered

N_POLISHED = 4
"""So many of the distinct local optima are polished."""
N_VAIN, N_APART = 20, 4
"""One to four clusters of each are taken apart, again and again; after so many times in vain in a row it is left."""
N_CANDIDATES, N_DRAWN = 100, 3
"""Drawn partitions whose expected loss is computed, and how many of them, the best, are starts."""


def find_partition(
    loss: Loss,
    starts: Sequence[Labels],
    max_clusters: int,
    rng: np.random.Generator,
    advance: Callable[[], None] = lambda: None,
) -> Labels:
    """The best partition found, labels (N,) ordered by size.

    Parameters
    ----------
    loss : Loss
    starts : sequence of (N,)
        Partitions to descend from, of at most max_clusters clusters; rows of label -1 are allocated first, one after another in
        random order.
    max_clusters : int
    rng : Generator
    advance : callable
        Called as each start, and each of N_POLISHED polishes, is done; where there are fewer to polish, for the others at once.
    """

    def descend(start: Labels, own_rng: np.random.Generator) -> tuple[float, Labels]:
        labels = ordered(loss.descend(start, own_rng.permutation(len(start)), max_clusters))
        return loss.expected(labels), labels

    def search(start: Labels, own_rng: np.random.Generator) -> tuple[float, Labels]:
        found = descend(start, own_rng)
        advance()
        return found

    def polish(found: tuple[float, Labels], own_rng: np.random.Generator) -> tuple[float, Labels]:
        n_vain = 0
        while n_vain < N_VAIN:
            least, labels = found
            n_clusters = int(labels.max()) + 1
            apart = own_rng.choice(n_clusters, size=min(1 + n_vain % N_APART, n_clusters), replace=False)
            found = min(found, descend(np.where(np.isin(labels, apart), -1, labels), own_rng), key=_score)
            n_vain = 0 if found[0] < least else n_vain + 1
        advance()
        return found

    with ThreadPoolExecutor(available_threads()) as pool:
        optima = sorted(pool.map(search, starts, rng.spawn(len(starts))), key=_score)
        best = list({labels.tobytes(): (score, labels) for score, labels in optima}.values())[:N_POLISHED]
        for _ in range(N_POLISHED - len(best)):
            advance()
        return min(pool.map(polish, best, rng.spawn(len(best))), key=_score)[1]


def best_drawn(loss: Loss, by_row: DrawnLabels, max_clusters: int) -> list[Labels]:
    """The best three different ones of up to 100 drawn partitions, evenly spaced, that have at most max_clusters clusters."""
    picked = np.unique(np.linspace(0, by_row.shape[1] - 1, N_CANDIDATES).round().astype(int))
    return _best(loss, list(np.unique([ordered(by_row[:, s]) for s in picked], axis=0)), max_clusters, N_DRAWN)


def best_cut(loss: Loss, similarity: Array, max_clusters: int) -> list[Labels]:
    """The best cut into at most max_clusters clusters of the average linkage of 1 - similarity."""
    if len(similarity) == 1:
        return []
    tree = linkage(squareform(1.0 - similarity, checks=False), "average")
    cuts = (ordered(fcluster(tree, k, "maxclust")) for k in range(1, min(max_clusters, len(similarity)) + 1))
    return _best(loss, list(cuts), max_clusters, 1)


def _best(loss: Loss, candidates: list[Labels], max_clusters: int, n_best: int) -> list[Labels]:
    """The n_best of least expected loss that have at most max_clusters clusters, as far as there are so many."""
    return sorted((labels for labels in candidates if labels.max() < max_clusters), key=loss.expected)[:n_best]


def _score(found: tuple[float, Labels]) -> float:
    return found[0]
