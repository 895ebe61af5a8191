"""Distances between partitions, and their expectations over drawn ones.

A partition is an array of labels (N,), integers from 0; which label stands for which cluster says nothing. With n_c and m_l the
sizes of the clusters of two partitions and n_cl those of their intersections, both distances are::

    sum_c f(n_c) + sum_l f(m_l) - 2 sum_cl f(n_cl)

with f(n) = n log2(n) / N for the variation of information (Meila 2007, J. Multivar. Anal. 98, 873-895), in bits, and
f(n) = (n / N)^2 for Binder's loss with equal costs (Binder 1978, Biometrika 65, 31-38): the number of pairs that are together in
one partition only, times 2 / N^2. Both are metrics.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.partitions import count_pairs, descend_information, descend_pairs

Array = NDArray[np.float64]
Labels = NDArray[np.intp]
DrawnLabels = NDArray[np.unsignedinteger]
LossName = Literal["vi", "binder"]

BYTES_AT_ONCE = 128 * 2**20
"""Memory for the sizes of the intersections of one partition with some of the drawn ones."""
N_FIRST = 250
"""Draws of the first stage of a descent, about."""
DECIMALS = 12
"""Distances are rounded to so many, so that one partition under two labellings is at one distance."""


class Loss(Protocol):
    """An expected distance to partitions drawn from the posterior."""

    def expected(self, labels: Labels) -> float:
        """The expected distance of a partition (N,)."""

    def descend(self, labels: Labels, order: Labels, max_clusters: int) -> Labels:
        """A partition that no move of one row and no merge of two clusters improves.

        Rows are taken in the given order; those with label -1 have no place yet. Labels are below max_clusters, before and after.
        Where all rows have a place, the result is no worse.
        """


@dataclass(frozen=True)
class ExpectedInformation:
    """The mean variation of information from drawn partitions, by rows (N, S), in bits."""

    by_row: DrawnLabels

    @cached_property
    def n_labels(self) -> int:
        return int(self.by_row.max()) + 1

    @cached_property
    def stages(self) -> tuple[DrawnLabels, ...]:
        """What rows without a place are placed by: where there are many draws, first some of them, which settles most rows."""
        step = self.by_row.shape[1] // N_FIRST
        return (self.by_row,) if step < 2 else (np.ascontiguousarray(self.by_row[:, ::step]), self.by_row)

    def expected(self, labels: Labels) -> float:
        return float(distances(labels, self.by_row, "vi").mean())

    def descend(self, labels: Labels, order: Labels, max_clusters: int) -> Labels:
        labels, terms = labels.copy(), terms_of_information(len(labels) + 1)
        for by_row in self.stages if labels.min() < 0 else (self.by_row,):
            descend_information(labels, order, by_row, self.n_labels, max_clusters, terms)
        return labels


@dataclass(frozen=True)
class ExpectedBinder:
    """Binder's loss expected under the probabilities (N, N) of pairs to be together."""

    similarity: Array

    def expected(self, labels: Labels) -> float:
        total = 0.0
        for cluster in np.unique(labels):
            rows = np.flatnonzero(labels == cluster)
            total += len(rows) ** 2 - 2 * self.similarity[np.ix_(rows, rows)].sum()
        return float((total + self.similarity.sum()) / len(labels) ** 2)

    def descend(self, labels: Labels, order: Labels, max_clusters: int) -> Labels:
        labels = labels.copy()
        descend_pairs(labels, order, self.similarity, max_clusters)
        return labels


def terms_of_information(n_samples: int) -> Array:
    """n log2 n for n = 0, ..., N."""
    n = np.arange(n_samples + 1.0)
    return n * np.log2(np.maximum(n, 1.0))


def terms_of_pairs(n_samples: int) -> Array:
    """n^2 / N for n = 0, ..., N."""
    return np.arange(n_samples + 1.0) ** 2 / n_samples


TERMS = {"vi": terms_of_information, "binder": terms_of_pairs}
"""N f(n) of each loss."""


def distances(labels: Labels, by_row: DrawnLabels, loss: LossName) -> Array:
    """Distance (S,) of one partition (N,) from each of the drawn ones, which come by rows (N, S)."""
    n_labels, n_clusters = int(by_row.max()) + 1, int(labels.max()) + 1
    n_at_once = max(BYTES_AT_ONCE // (12 * n_labels * n_clusters), 1)
    terms = TERMS[loss](len(labels))
    out = np.full(by_row.shape[1], terms[np.bincount(labels)].sum())
    for first in range(0, len(out), n_at_once):
        some = np.ascontiguousarray(by_row[:, first : first + n_at_once])
        counts = np.zeros((some.shape[1], n_labels, n_clusters), dtype=np.int32)
        count_pairs(labels, some, counts)
        drawn, both = terms[counts.sum(axis=2)].sum(axis=1), terms[counts].sum(axis=(1, 2))
        out[first : first + n_at_once] += drawn - 2 * both
    return np.round(out / len(labels), DECIMALS) + 0.0  # no negative zeros


def drawn_sizes(by_row: DrawnLabels) -> NDArray[np.int32]:
    """Rows (S, L) of each label in each drawn partition."""
    counts = np.zeros((by_row.shape[1], int(by_row.max()) + 1, 1), dtype=np.int32)
    count_pairs(np.zeros(len(by_row), dtype=np.intp), by_row, counts)
    return counts[:, :, 0]


def ordered(labels: NDArray[np.integer]) -> Labels:
    """The same partition with labels 0, 1, ... from the largest cluster to the smallest, ties by their first rows."""
    _, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(first), dtype=np.intp)
    rank[np.lexsort((first, -sizes))] = np.arange(len(first))
    return rank[inverse]
