"""Model-based agglomerative clustering: from single rows to one group, merging each time the pair that costs least likelihood.

The criterion is the classification likelihood of Gaussian groups, as in C. Fraley (1998), Algorithms for model-based Gaussian
hierarchical clustering, SIAM J. Sci. Comput. 20, 270-281.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.kernels.block import matrix, vector
from bayesgmm.kernels.cache import ENTRY, INTERNAL

Array = NDArray[np.float64]
Ids = NDArray[np.intp]

OWN_ROWS = 0.1
"""Rows' worth of a sphere with the group's own mean variance that `agglomerate` adds to its scatter."""
OVERALL_ROWS = 0.01
"""Rows' worth of a sphere with the mean variance of all rows that `agglomerate` adds to a group's scatter."""
LANES = 16
"""Pairs whose determinants are taken side by side, in the vector units."""


def agglomerate(Z: Array, row_weights: Array) -> Ids:
    r"""Merge rows into groups, two groups at a time, until one is left: groups with covariance matrices of their own.

    Each merge is the one that raises least::

        sum_k n_k ln |(W_k + r_k I) / n_k|,    r_k = OWN_ROWS tr(W_k) / (n_k D) + OVERALL_ROWS tr(W) / (n D)

    with n_k the weight of group k, W_k its scatter about its mean and W that of all rows. The determinant of W_k alone is zero
    for groups of D rows or fewer. Fraley (1998) adds multiples of tr(W_k) and tr(W) to the determinant; here they are added to
    the matrix, as the scatter of prior rows is in the maximum a posteriori covariance under a conjugate prior (Fraley and
    Raftery 2007, J. Classif. 24, 155-181), so that the criterion keeps its meaning at any scale.

    Parameters
    ----------
    Z : (n, D)
        Finite; n at least 1.
    row_weights : (n,)
        Positive; a row of weight w is w copies.

    Returns
    -------
    (n - 1, 2) integers
        Ids of the two groups that each merge joins, the smaller first. Row i is group i; merge t makes group n + t. Rows that are
        equal are merged before all others.

    Notes
    -----
    Translation, rotation and a common factor change no merge. Ties go to the groups that come first. Time O(n^2 D^3) in practice,
    memory 8 n^2 + O(n D^2) bytes.
    """
    return _agglomerate(Z, row_weights, Z.shape[1] * (Z.shape[1] + 1) // 2, OWN_ROWS, OVERALL_ROWS)


def agglomerate_spheres(Z: Array, row_weights: Array) -> Ids:
    r"""Merge rows into groups, two groups at a time, until one is left: spherical groups with variances of their own.

    As `agglomerate`, in time O(n^2 D), with the criterion of Banfield and Raftery (1993, Biometrics 49, 803-821) and the term
    that Fraley (1998) adds for single rows::

        sum_k n_k ln((tr(W_k) + tr(W) / (n D)) / n_k)

    """
    return _agglomerate(Z, row_weights, 1, 0.0, 1.0)


def labels_of_merges(merges: Ids, n_clusters: int) -> Ids:
    """Groups of the rows when `n_clusters` are left, (n,) integers from 0 to n_clusters - 1, numbered by their first rows.

    merges : (n - 1, 2) as `agglomerate` returns them; n_clusters between 1 and n.
    """
    n = len(merges) + 1
    made = merges[: n - n_clusters]
    root = np.arange(n + len(made))
    root[made] = np.arange(n, n + len(made))[:, None]
    while not np.array_equal(higher := root[root], root):  # each turn doubles the steps taken upwards
        root = higher
    _, first, inverse = np.unique(root[:n], return_index=True, return_inverse=True)
    return first.argsort().argsort()[inverse]


def _agglomerate(Z: Array, row_weights: Array, n_packed: int, own_rows: float, overall_rows: float) -> Ids:
    """The merges of equal rows, then those of the distinct ones, whose scatters are kept as `n_packed` numbers."""
    n = len(Z)
    distinct, inverse, weights = _distinct_rows(Z, row_weights)
    duplicates, group_of = _merge_duplicates(inverse, n)
    if len(distinct) == 1:
        return duplicates
    centred = distinct - weights @ distinct / weights.sum()
    centred /= np.abs(centred).max()  # squares neither overflow nor vanish
    centred /= math.sqrt(weights @ (centred**2).mean(axis=1) / weights.sum())
    n_left = len(centred)
    merges = np.empty((n_left - 1, 2), dtype=np.intp)
    counts, scatters, costs = weights.copy(), np.zeros((n_left, n_packed)), np.empty((n_left, n_left))
    living, ids, nearest, least = np.arange(n_left), np.arange(n_left), np.zeros(n_left, dtype=np.intp), np.full(n_left, np.inf)
    _merge_all(counts, centred, scatters, own_rows, overall_rows, living, ids, costs, nearest, least, merges)
    ids = np.concatenate([group_of, n + len(duplicates) + np.arange(len(distinct) - 1)])
    return np.concatenate([duplicates, np.sort(ids[merges], axis=1)])


def _distinct_rows(Z: Array, row_weights: Array) -> tuple[Array, Ids, Array]:
    """The distinct rows in the order of their first appearance, the number of each row among them, and their total weights."""
    _, first, inverse = np.unique(Z, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    inverse = rank[inverse.ravel()]
    return Z[first[order]], inverse, np.bincount(inverse, row_weights)


def _merge_duplicates(inverse: Ids, n: int) -> tuple[Ids, Ids]:
    """Merges that join equal rows, (n - n_distinct, 2), and the group that each distinct row has become."""
    group_of = np.full(inverse.max() + 1, -1)
    merges = []
    for i, distinct in enumerate(inverse):
        if group_of[distinct] < 0:
            group_of[distinct] = i
        else:
            merges.append(sorted((group_of[distinct], i)))
            group_of[distinct] = n + len(merges) - 1
    return np.array(merges, dtype=np.intp).reshape(-1, 2), group_of


@njit(**ENTRY)
def _merge_all(counts, means, scatters, own_rows, overall_rows, living, ids, costs, nearest, least, merges):
    """The merges of distinct rows, centred and with mean variance 1, as pairs of ids into merges (n - 1, 2).

    Groups live in the slots of the rows, whose counts, means and scatters they begin with; a merged group takes the smaller slot
    of the two. Scatters are packed lower triangles, or traces where they are one number: the criterion for spheres is that for
    1 x 1 matrices of traces. costs[i, j], j < i, is what merging slots i and j adds to the criterion, terms[i] is what slot i has
    in it, and nearest[i] is the best j < i, at the cost least[i]. All arrays are used up.
    """
    n = len(means)
    order = 1 if scatters.shape[1] == 1 else means.shape[1]
    terms, joined_costs, lanes = vector(n), vector(n), matrix(scatters.shape[1] + means.shape[1] + 5, LANES)
    for i in range(n):
        terms[i] = counts[i] * order * math.log(overall_rows / counts[i])
    _fill_costs_of_pairs(means, counts, order, terms, own_rows, overall_rows, costs)
    n_living = n
    for p in range(1, n):
        _find_nearest(p, living, costs, nearest, least)
    for t in range(n - 1):
        high = living[1]
        for p in range(2, n_living):
            if least[living[p]] < least[high]:
                high = living[p]
        low = nearest[high]
        merges[t, 0], merges[t, 1] = ids[low], ids[high]
        ids[low] = n + t
        before = terms[low] + terms[high] + least[high]
        _join(low, high, counts, means, scatters)
        terms[low] = before
        n_living = _remove(high, living, n_living)
        _costs_with(low, living, n_living, counts, means, scatters, order, terms, own_rows, overall_rows, lanes, joined_costs)
        _keep_costs(low, high, living, n_living, joined_costs, costs, nearest, least)


@njit(**INTERNAL)
def _keep_costs(low, high, living, n_living, joined_costs, costs, nearest, least):
    """Enter the costs of merging slot `low`, which `high` has joined, and bring the best partners up to date."""
    place = n_living
    for p in range(n_living):
        slot = living[p]
        if slot == low:
            place = p
        costs[max(slot, low), min(slot, low)] = joined_costs[p]
    _find_nearest(place, living, costs, nearest, least)
    for p in range(place + 1, n_living):
        slot = living[p]
        if nearest[slot] == low or nearest[slot] == high:
            _find_nearest(p, living, costs, nearest, least)
        elif costs[slot, low] < least[slot]:
            nearest[slot], least[slot] = low, costs[slot, low]


@njit(**INTERNAL)
def _find_nearest(p, living, costs, nearest, least):
    """Best partner among the living slots before the p-th."""
    slot = living[p]
    best = -1
    cost = np.inf
    for q in range(p):
        if best < 0 or costs[slot, living[q]] < cost:
            best = living[q]
            cost = costs[slot, best]
    nearest[slot], least[slot] = best, cost


@njit(**INTERNAL)
def _join(low, high, counts, means, scatters):
    """Add the group of slot `high` to that of slot `low`."""
    count = counts[low] + counts[high]
    factor = counts[low] * counts[high] / count
    for p in range(scatters.shape[1]):
        scatters[low, p] += scatters[high, p]
    p = 0
    for i in range(means.shape[1]):
        difference = means[high, i] - means[low, i]
        if scatters.shape[1] == 1:
            scatters[low, 0] += factor * difference**2
        else:
            for j in range(i + 1):
                scatters[low, p] += factor * difference * (means[high, j] - means[low, j])
                p += 1
    for i in range(means.shape[1]):
        means[low, i] += counts[high] / count * (means[high, i] - means[low, i])
    counts[low] = count


@njit(**INTERNAL)
def _remove(slot, living, n_living):
    """Take a slot off the list; the others keep their order."""
    kept = 0
    for p in range(n_living):
        if living[p] != slot:
            living[kept] = living[p]
            kept += 1
    return kept


@njit(**INTERNAL, fastmath={"reassoc", "contract"})
def _fill_costs_of_pairs(Z, weights, order, terms, own_rows, overall_rows, costs):
    """What merging each pair of single rows adds to the criterion, (n, n) below the diagonal: their scatter has rank one."""
    n, n_features = Z.shape
    for i in range(n):
        for j in range(i):
            count = weights[i] + weights[j]
            scatter = 0.0
            for d in range(n_features):
                scatter += (Z[i, d] - Z[j, d]) ** 2
            scatter *= weights[i] * weights[j] / count
            ridge = own_rows * scatter / (count * order) + overall_rows
            log_determinant = math.log((scatter + ridge) / count)
            if order > 1:
                log_determinant += (order - 1) * math.log(ridge / count)
            costs[i, j] = count * log_determinant - terms[i] - terms[j]


@njit(**INTERNAL, fastmath={"reassoc", "contract"})
def _costs_with(low, living, n_living, counts, means, scatters, order, terms, own_rows, overall_rows, lanes, costs):
    """What merging the group of slot `low` with that of each living slot adds to the criterion, into costs[:n_living].

    lanes (P + D + 5, LANES) is scratch.
    """
    n_features, n_packed = means.shape[1], scatters.shape[1]
    matrices, differences = lanes[:n_packed], lanes[n_packed : n_packed + n_features]
    rest = lanes[n_packed + n_features :]
    multipliers, totals, ridges, products, log_determinants = rest[0], rest[1], rest[2], rest[3], rest[4]
    for start in range(0, n_living, LANES):
        for lane in range(LANES):
            slot = living[min(start + lane, n_living - 1)]
            totals[lane] = counts[low] + counts[slot]
            factor = math.sqrt(counts[low] * counts[slot] / totals[lane])
            for i in range(n_features):
                differences[i, lane] = factor * (means[slot, i] - means[low, i])
            for p in range(scatters.shape[1]):
                matrices[p, lane] = scatters[low, p] + scatters[slot, p]
            ridges[lane] = 0.0
        _add_outer_products(differences, matrices)
        for i in range(order):
            diagonal = i * (i + 3) // 2
            for lane in range(LANES):
                ridges[lane] += matrices[diagonal, lane]
        for lane in range(LANES):
            ridges[lane] = own_rows * ridges[lane] / (totals[lane] * order) + overall_rows
        _take_log_determinants(order, matrices, ridges, multipliers, products, log_determinants)
        for lane in range(min(LANES, n_living - start)):
            log_determinant = log_determinants[lane] - order * math.log(totals[lane])
            costs[start + lane] = totals[lane] * log_determinant - terms[low] - terms[living[start + lane]]


@njit(**INTERNAL, fastmath={"reassoc", "contract"})
def _add_outer_products(differences, matrices):
    """matrices (P, LANES) += the packed d dᵀ of the differences (D, LANES), or dᵀ d where P is 1."""
    p = 0
    for i in range(len(differences)):
        if len(matrices) == 1:
            for lane in range(LANES):
                matrices[0, lane] += differences[i, lane] * differences[i, lane]
        else:
            for j in range(i + 1):
                for lane in range(LANES):
                    matrices[p, lane] += differences[i, lane] * differences[j, lane]
                p += 1


@njit(**INTERNAL, fastmath={"reassoc", "contract"})
def _take_log_determinants(order, matrices, ridges, multipliers, products, log_determinants):
    """ln |A + r I| of LANES matrices side by side, by A + r I = L D Lᵀ; the packed lower triangles (P, LANES) are used up.

    Pivots lie between overall_rows and a little over D times the total weight, so that the product of a few of them is a double.
    """
    for lane in range(LANES):
        products[lane] = 1.0
        log_determinants[lane] = 0.0
    for i in range(order):
        diagonal = i * (i + 3) // 2
        for lane in range(LANES):
            matrices[diagonal, lane] += ridges[lane]
    for column in range(order):
        pivot = column * (column + 3) // 2
        for lane in range(LANES):
            products[lane] *= matrices[pivot, lane]
        if column % 8 == 7 or column == order - 1:
            for lane in range(LANES):
                log_determinants[lane] += math.log(products[lane])
                products[lane] = 1.0
        _eliminate(column, pivot, order, matrices, multipliers)


@njit(**INTERNAL, fastmath={"reassoc", "contract"})
def _eliminate(column, pivot, order, matrices, multipliers):
    """Take a column, whose diagonal entry is the packed entry `pivot`, out of the columns after it."""
    entry = pivot + column + 1
    for i in range(column + 1, order):
        for lane in range(LANES):
            multipliers[lane] = matrices[entry, lane] / matrices[pivot, lane]
        other = pivot
        for j in range(column + 1, i + 1):
            other += j
            for lane in range(LANES):
                matrices[entry + j - column, lane] -= multipliers[lane] * matrices[other, lane]
        entry += i + 1
