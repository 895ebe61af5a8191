"""A hierarchical start of EM: one tree of merges, cut at every number of components."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.kernels.agglomerate import labels_of_merges

Array = NDArray[np.float64]
Labels = NDArray[np.intp]
Merge = Callable[[Array, Array], Labels]

MAX_WORK = 2000**2 * 12**3
"""Bound on n^2 D^3 of a tree, about a second: of wide data, fewer rows are taken."""
MIN_ROWS = 250
"""Rows that a tree of very wide data is made of, whatever the work."""


@dataclass(frozen=True)
class MergeTree:
    """Rows of the data, and how they become one group."""

    rows: Labels
    """(n,) indices of the rows of the data that were used."""
    distinct: Labels
    """(n,) the distinct row, 0 to M - 1, that each of them is a copy of."""
    weights: Array
    """(M,) total weights of the distinct rows."""
    merges: Labels | None
    """(M - 1, 2) merges of the distinct rows, as the kernel returns them; None for groups cut at quantiles."""
    ranks: Labels
    """(M,) the distinct rows in the order of their first principal component."""


def merge_tree(
    X_standardised: Array, row_weights: Array, rng: np.random.Generator, merge: Merge | None, *, max_rows: int = 2000
) -> MergeTree:
    """Merge rows by the likelihood of Gaussian groups, as a start for every number of components.

    The rows are taken in the coordinates U S^(1/2) of the singular value decomposition U S Vᵀ of the centred and scaled columns:
    their principal components, each divided by the square root of its standard deviation (Scrucca and Raftery 2015, Improved
    initialisation of model-based clustering using Gaussian hierarchical partitions, Adv. Data Anal. Classif. 9, 447-460).
    Collinear columns add nothing.

    Parameters
    ----------
    X_standardised : (N, D)
        Finite.
    row_weights : (N,)
        Non-negative, some positive; rows of weight 0 are not used. A whole number counts as that many copies of the row: exactly
        where all rows are used, else in expectation.
    rng : Generator
        Draws the rows that are used where there are more than `max_rows` (fewer for more than 12 columns).
    merge : agglomerate, agglomerate_spheres or None
        Groups with covariance matrices of their own, or spherical ones; neither is the better start of every family and data set.
        None merges nothing: the groups are then cut at quantiles of the first principal component.
    """
    counting = np.flatnonzero(row_weights > 0)
    n_features = X_standardised.shape[1]
    max_rows = min(max_rows, max(MIN_ROWS, int((MAX_WORK / n_features**3) ** 0.5)))
    if merge is None or len(counting) <= max_rows:
        rows, weights = counting, row_weights[counting]
    else:
        rows, weights = _sample(counting, row_weights[counting], max_rows, rng)
    distinct_rows, distinct = np.unique(X_standardised[rows], axis=0, return_inverse=True)
    distinct = distinct.reshape(-1)
    weights = np.bincount(distinct, weights)
    Z = scaled_principal_components(distinct_rows, weights)
    ranks = np.argsort(Z[:, 0], kind="stable") if Z.shape[1] else np.arange(len(Z))
    return MergeTree(rows, distinct, weights, None if merge is None or Z.shape[1] == 0 else merge(Z, weights), ranks)


def hierarchical_labels(tree: MergeTree, n_components: int) -> tuple[Labels, Labels]:
    """Indices of the rows used, (n,), and their groups, (n,) from 0 to K - 1, none empty.

    Raises
    ------
    InputError
        The rows used have fewer than `n_components` distinct values.
    """
    n_distinct = len(tree.weights)
    if n_components > n_distinct:
        raise InputError(
            f"n_components is {n_components}, but the rows that a hierarchical start uses have {n_distinct} distinct values; "
            "use fewer components or another start"
        )
    if tree.merges is not None:
        return tree.rows, labels_of_merges(tree.merges, n_components)[tree.distinct]
    labels = np.empty(n_distinct, dtype=np.intp)
    labels[tree.ranks] = quantile_groups(tree.weights[tree.ranks], n_components)
    return tree.rows, labels[tree.distinct]


def scaled_principal_components(X: Array, row_weights: Array) -> Array:
    """Rows of U S^(1/2), (N, R), for the decomposition U S Vᵀ of the columns of X, centred and scaled to variance 1.

    R is the rank, as far as double precision tells; columns that are constant are left out. Weights count as copies of rows.
    """
    centred = X - np.average(X, axis=0, weights=row_weights)
    scale = np.sqrt(np.average(centred**2, axis=0, weights=row_weights))
    varying = scale > 1e-12 * np.abs(X).max(axis=0)
    if not varying.any():
        return np.empty((len(X), 0))
    standardised = centred[:, varying] / scale[varying]
    _, singular, rotation = np.linalg.svd(standardised * np.sqrt(row_weights / row_weights.sum())[:, None], full_matrices=False)
    rotation *= np.sign(rotation[np.arange(len(rotation)), np.abs(rotation).argmax(axis=1)])[:, None]  # fixes the free signs
    used = singular > singular[0] * max(standardised.shape) * np.finfo(float).eps
    return np.asarray(standardised @ rotation[used].T / np.sqrt(singular[used]))


def quantile_groups(weights: Array, n_groups: int) -> Labels:
    """Groups of equal weight along a line, as nearly as its points (M,), M >= n_groups, allow; every group has a point."""
    middle = np.cumsum(weights) - weights / 2
    groups = np.minimum((n_groups * middle / weights.sum()).astype(np.intp), n_groups - 1)
    steps = np.arange(len(groups))
    groups = np.minimum.accumulate(groups - steps) + steps  # no group is skipped on the way up,
    groups = np.minimum(groups, steps)
    last = np.append(groups[:-1], n_groups - 1)
    return np.asarray(np.maximum.accumulate((last - steps)[::-1])[::-1] + steps)  # and the last one is reached


def _sample(rows: Labels, weights: Array, size: int, rng: np.random.Generator) -> tuple[Labels, Array]:
    """Systematic sample: of weights that add up to W, row i is drawn size * w_i / W times, rounded up or down at random.

    Returns the rows drawn, in ascending order, and how often each was.
    """
    order = rng.permutation(len(rows))
    edges = np.cumsum(weights[order])
    points = (rng.random() + np.arange(size)) * (edges[-1] / size)
    drawn = np.minimum(np.searchsorted(edges, points, side="right"), len(rows) - 1)
    chosen, counts = np.unique(order[drawn], return_counts=True)
    return rows[chosen], counts.astype(np.float64)
