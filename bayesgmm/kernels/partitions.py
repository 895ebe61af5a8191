"""Partitions of rows against many drawn ones: contingency counts, and descent of an expected loss one row at a time.

Labels are integers from 0; -1 is a row without a place yet. The drawn labels come by rows, `by_row` (N, S), of an unsigned type.
Up to a constant both losses are sums over clusters; a row in a cluster of its own adds nothing to either.
"""

import numpy as np
from numba import njit

from bayesgmm.kernels.cache import ENTRY, INTERNAL

TOLERANCE = 1e-9
"""A move must lower the loss by more, in bits per row or pairs: rounding moves nothing."""
LANES = 8
"""Clusters whose costs are summed side by side, in the vector units."""


@njit(**ENTRY)
def count_pairs(labels, by_row, counts):
    """Adds to counts (S, L, C) how many rows with label l in draw s have label c; rows without a place count nowhere."""
    for i in range(len(labels)):
        if labels[i] >= 0:
            for s in range(by_row.shape[1]):
                counts[s, by_row[i, s], labels[i]] += 1


@njit(**ENTRY)
def draw_labels(memberships, u, by_row, first):
    """Labels drawn from memberships (B, N, K) with uniform u (B, N), into by_row (N, S) from draw `first` on."""
    for b in range(memberships.shape[0]):
        for i in range(memberships.shape[1]):
            label, cumulative = 0, memberships[b, i, 0]
            while cumulative <= u[b, i] and label < memberships.shape[2] - 1:
                label += 1
                cumulative += memberships[b, i, label]
            by_row[i, first + b] = label


@njit(**ENTRY)
def descend_information(labels, order, by_row, n_labels, max_clusters, terms):
    """A local minimum of the expected variation of information, from `labels` (N,) on and in place.

    Rows without a place get one first. Then rows move one at a time, in the given order, to the cluster that costs least; where
    no row moves, the two clusters are merged whose union lowers the loss most; until nothing does.

    order (N,) is a permutation, n_labels more than the largest drawn label, terms (N + 2,) holds f(n) = n log2 n.
    """
    gains = np.empty(len(labels) + 1)
    for n in range(len(gains)):
        gains[n] = terms[n + 1] - terms[n]
    state = _count(labels, by_row, n_labels, max_clusters, gains)
    costs = np.empty(state[0].shape[2])
    for i in order:
        if labels[i] < 0:
            _place_by_information(i, labels, by_row[i], gains, state, costs)
    while True:
        n_moved = 1
        while n_moved > 0:
            n_moved = 0
            for i in order:
                n_moved += _place_by_information(i, labels, by_row[i], gains, state, costs)
        a, b = _cheapest_merge_by_information(terms, state)
        if a < 0:
            return
        for i in order:
            if labels[i] == b:
                _count_row(by_row[i], b, -1, gains, state)
                _count_row(by_row[i], a, 1, gains, state)
                labels[i] = a


@njit(**ENTRY)
def descend_pairs(labels, order, similarity, max_clusters):
    """A local minimum of the expected number of pairs that differ, from `labels` (N,) on and in place.

    As `descend_information`, given the probability (N, N) of each pair to be together.
    """
    sizes = _sizes(labels, max_clusters)
    costs = np.empty(max_clusters)
    for i in order:
        if labels[i] < 0:
            _place_by_pairs(i, labels, similarity, sizes, costs)
    while True:
        n_moved = 1
        while n_moved > 0:
            n_moved = 0
            for i in order:
                n_moved += _place_by_pairs(i, labels, similarity, sizes, costs)
        a, b = _cheapest_merge_by_pairs(labels, similarity, sizes)
        if a < 0:
            return
        for i in order:
            if labels[i] == b:
                labels[i] = a
        sizes[a] += sizes[b]
        sizes[b] = 0


@njit(**INTERNAL)
def _sizes(labels, max_clusters):
    sizes = np.zeros(max_clusters, np.int64)
    for label in labels:
        if label >= 0:
            sizes[label] += 1
    return sizes


@njit(**INTERNAL)
def _count(labels, by_row, n_labels, max_clusters, gains):
    """Counts (S, L, C) of placed rows by drawn label and cluster, C padded to whole lanes; their gains (S, L, C); sizes."""
    n_lanes = (max_clusters + LANES - 1) // LANES * LANES
    counts = np.zeros((by_row.shape[1], n_labels, n_lanes), np.int32)
    count_pairs(labels, by_row, counts)
    joint = np.empty(counts.shape)
    for s in range(counts.shape[0]):
        for k in range(n_labels):
            for c in range(n_lanes):
                joint[s, k, c] = gains[counts[s, k, c]]
    return counts, joint, _sizes(labels, max_clusters)


@njit(**INTERNAL)
def _count_row(drawn, cluster, amount, gains, state):
    """Counts, their gains, and sizes with one row more or less in a cluster."""
    counts, joint, sizes = state
    for s in range(len(drawn)):
        counts[s, drawn[s], cluster] += amount
        joint[s, drawn[s], cluster] = gains[counts[s, drawn[s], cluster]]
    sizes[cluster] += amount


@njit(**INTERNAL)
def _place_by_information(i, labels, drawn, gains, state, costs):
    """Row i into the cluster where sum_c f(n_c) - 2 / S sum_scl f(n_scl) grows least; 1 if that is another one."""
    counts, _, sizes = state
    old = labels[i]
    width = _width(sizes)
    _sum_gains(drawn, width, state, costs)
    if old >= 0:
        sizes[old] -= 1
        costs[old] = 0.0
        for s in range(len(drawn)):
            costs[old] += gains[counts[s, drawn[s], old] - 1]
    for c in range(width):
        costs[c] = gains[sizes[c]] - 2.0 / len(drawn) * costs[c]
    best = _cheapest(old, sizes, costs, width)
    if old >= 0:
        sizes[old] += 1
    if best == old:
        return 0
    if old >= 0:
        _count_row(drawn, old, -1, gains, state)
    _count_row(drawn, best, 1, gains, state)
    labels[i] = best
    return 1


@njit(**INTERNAL)
def _sum_gains(drawn, width, state, out):
    """Over draws, by cluster: what a row with these labels would add to sum_l f(n_cl)."""
    _, joint, _ = state
    for c in range(0, width, LANES):
        a0, a1, a2, a3, a4, a5, a6, a7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for s in range(len(drawn)):
            k = drawn[s]
            a0 += joint[s, k, c]
            a1 += joint[s, k, c + 1]
            a2 += joint[s, k, c + 2]
            a3 += joint[s, k, c + 3]
            a4 += joint[s, k, c + 4]
            a5 += joint[s, k, c + 5]
            a6 += joint[s, k, c + 6]
            a7 += joint[s, k, c + 7]
        out[c], out[c + 1], out[c + 2], out[c + 3] = a0, a1, a2, a3
        out[c + 4], out[c + 5], out[c + 6], out[c + 7] = a4, a5, a6, a7


@njit(**INTERNAL)
def _place_by_pairs(i, labels, similarity, sizes, costs):
    """Row i into the cluster where the sum of 1 - 2 P_ij over its rows is least; 1 if that is another one."""
    width = _width(sizes)
    old = labels[i]
    if old >= 0:
        sizes[old] -= 1
        labels[i] = -1
    for c in range(width):
        costs[c] = 0.0
    for j in range(len(labels)):
        if labels[j] >= 0:
            costs[labels[j]] += 1.0 - 2.0 * similarity[i, j]
    best = _cheapest(old, sizes, costs, width)
    sizes[best] += 1
    labels[i] = best
    return best != old


@njit(**INTERNAL)
def _width(sizes):
    """One more than the last cluster with rows."""
    width = len(sizes)
    while width > 0 and sizes[width - 1] == 0:
        width -= 1
    return width


@njit(**INTERNAL)
def _cheapest(current, sizes, costs, width):
    """The cluster of least cost for a row taken out of `current` (-1: of none): that one again unless another is cheaper."""
    best, least = current, np.inf
    if current >= 0:
        least = costs[current] if sizes[current] > 0 else 0.0
    for c in range(width):
        if sizes[c] > 0 and costs[c] < least - TOLERANCE:
            best, least = c, costs[c]
    if least > TOLERANCE:
        for c in range(len(sizes)):
            if sizes[c] == 0:
                return c
    return best


@njit(**INTERNAL)
def _cheapest_merge_by_information(terms, state):
    """The pair of clusters whose union lowers the loss most; -1, -1 if none does.

    Of each draw and label only clusters that have such rows are paired: at most S C N / 2 pairs, fewer than in a pass over rows.
    """
    counts, _, sizes = state
    width = _width(sizes)
    joint = np.zeros((width, width))
    present = np.empty(width, np.int64)
    for s in range(counts.shape[0]):
        for k in range(counts.shape[1]):
            n_present = 0
            for b in range(width):
                m = counts[s, k, b]
                if m > 0:
                    for j in range(n_present):
                        n = counts[s, k, present[j]]
                        joint[present[j], b] += terms[n + m] - terms[n] - terms[m]
                    present[n_present] = b
                    n_present += 1
    best_a, best_b, least = -1, -1, -TOLERANCE
    for b in range(width):
        for a in range(b):
            cost = terms[sizes[a] + sizes[b]] - terms[sizes[a]] - terms[sizes[b]] - 2.0 / counts.shape[0] * joint[a, b]
            if sizes[a] > 0 and sizes[b] > 0 and cost < least:
                best_a, best_b, least = a, b, cost
    return best_a, best_b


@njit(**INTERNAL)
def _cheapest_merge_by_pairs(labels, similarity, sizes):
    width = _width(sizes)
    costs = np.zeros((width, width))
    for i in range(len(labels)):
        for j in range(i):
            costs[labels[i], labels[j]] += 1.0 - 2.0 * similarity[i, j]
    best_a, best_b, least = -1, -1, -TOLERANCE
    for b in range(width):
        for a in range(b):
            cost = costs[a, b] + costs[b, a]
            if sizes[a] > 0 and sizes[b] > 0 and cost < least:
                best_a, best_b, least = a, b, cost
    return best_a, best_b
