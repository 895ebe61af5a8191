"""Groupings: how mixtures group the rows, and whether two do it alike."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bayesgmm.posterior.schema import Draws

Counts = NDArray[np.int64]

FEW_ROWS = 2
"""A component that holds fewer expected rows is empty; one with no more rows, on both sides, is not asked for its partner."""

BLOCK = 1024
"""Draws compared at a time."""

COINCIDING = 0.8
"""From this Bhattacharyya coefficient on, 1 for equal normal distributions, two components all but coincide.

With equal spreads that is when the means are less than 1.34 standard deviations apart; with equal means in one dimension, when
the standard deviations differ by a factor below 2.76.
"""


class Grouping(NamedTuple):
    """How mixtures group the rows: most probable components (S, N), which components coincide (S, K, K)."""

    labels: NDArray[np.uint8]
    twins: NDArray[np.bool_]

    def of(self, draws: NDArray[np.intp]) -> "Grouping":
        return Grouping(self.labels[draws], self.twins[draws])


def have_structure(grouping: Grouping, reference: Grouping) -> NDArray[np.bool_]:
    """Which groupings (S,) have the structure of the reference (S = 1)."""
    matches = _matches(grouping, reference)
    merged = _merge(_merge(matches, grouping.twins).swapaxes(1, 2), reference.twins).swapaxes(1, 2)
    return _one_to_one(matches) | _one_to_one(merged)


def orders_like(grouping: Grouping, reference: Grouping) -> NDArray[np.intp]:
    """Permutations (S, K) that bring groupings closest to the reference's (S = 1): most rows in one component with it."""
    matches = _matches(grouping, reference)
    return np.array([linear_sum_assignment(counts, maximize=True)[1] for counts in matches]).reshape(matches.shape[:2])


def _matches(grouping: Grouping, reference: Grouping) -> Counts:
    return _shared_rows(grouping.labels, reference.labels[0], grouping.twins.shape[1])


def _shared_rows(labels: NDArray[np.uint8], reference: NDArray[np.uint8], n_components: int) -> Counts:
    """How many rows with label j of the reference (N,) have label k in each draw (S, N): shape (S, K, K), entry [s, j, k]."""
    member = np.equal.outer(reference, np.arange(n_components)).astype(np.float32)
    out = np.empty((len(labels), n_components, n_components), dtype=np.int64)
    for first in range(0, len(labels), BLOCK):
        block = slice(first, first + BLOCK)
        for k in range(n_components):
            out[block, :, k] = (labels[block] == k).astype(np.float32) @ member
    return out


def _one_to_one(matches: Counts) -> NDArray[np.bool_]:
    """Whether each component shares more than half of its rows, and of its partner's, with one partner, or holds few (S,)."""
    sizes, of_draw = matches.sum(axis=2), matches.sum(axis=1)
    partner = matches.argmax(axis=2)
    paired = 2 * matches.max(axis=2) > np.maximum(sizes, np.take_along_axis(of_draw, partner, axis=1))
    taken = (paired[:, :, None] & (partner[:, :, None] == np.arange(matches.shape[2]))).any(axis=1)
    return np.asarray((paired | (sizes <= FEW_ROWS)).all(axis=1) & (taken | (of_draw <= FEW_ROWS)).all(axis=1))


def _merge(matches: Counts, twins: NDArray[np.bool_]) -> Counts:
    """Counts (S, K, K) with the columns of components that coincide, (S, K, K) or (1, K, K), added up in the first of them."""
    first = twins.argmax(axis=2)
    for _ in range(first.shape[1]):  # twins of twins
        first = np.take_along_axis(first, first, axis=1)
    onto = first[:, :, None] == np.arange(first.shape[1])
    return np.asarray(matches @ onto.astype(np.int64))


def describe(grouping: Grouping, reference: Grouping) -> str:
    """How a grouping of the rows differs from that of the reference (S = 1 both), in words."""
    (counts,) = _matches(grouping, reference)
    sizes = counts.sum(axis=0)
    held = np.flatnonzero(counts.sum(axis=1) > FEW_ROWS)
    home = {int(j): int(counts[j].argmax()) for j in held if 2 * counts[j].max() > counts[j].sum()}
    groups = [[j for j, k in home.items() if k == place] for place in sorted(set(home.values()))]
    parts = [f"{_listed(group)} of the reference are together" for group in groups if len(group) > 1]
    parts += [f"part of {int(j)} is apart" for j in held if (2 * counts[j] > np.maximum(sizes, FEW_ROWS)).sum() > 1]
    n_empty = int((sizes < FEW_ROWS).sum())
    parts += [f"{n_empty} {'component holds' if n_empty == 1 else 'components hold'} next to no row"] if n_empty else []
    return ", ".join(parts) if parts else "rows are grouped otherwise"


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join([", ".join(map(str, numbers[:-1])), str(numbers[-1])])


def coinciding(draws: Draws) -> NDArray[np.bool_]:
    """Which components of each draw all but coincide, shape (S, K, K): Bhattacharyya coefficients above COINCIDING."""
    n_draws, n_components = draws.weights.shape
    covariances = draws.scale_trils @ draws.scale_trils.swapaxes(-1, -2)
    half_log_dets = np.log(np.diagonal(draws.scale_trils, axis1=-2, axis2=-1)).sum(axis=-1)
    out = np.tile(np.eye(n_components, dtype=bool), (n_draws, 1, 1))
    for j in range(n_components):
        for k in range(j):
            middle = np.linalg.cholesky((covariances[:, j] + covariances[:, k]) / 2)
            shift = np.linalg.solve(middle, (draws.means[:, j] - draws.means[:, k])[..., None])[..., 0]
            log_det = np.log(np.diagonal(middle, axis1=-2, axis2=-1)).sum(axis=-1)
            distance = (shift**2).sum(axis=1) / 8 + log_det - (half_log_dets[:, j] + half_log_dets[:, k]) / 2
            out[:, j, k] = out[:, k, j] = distance < -np.log(COINCIDING)
    return out
