"""Structures: which rows are together in each draw, as a grouping that small moves of the parameters do not change.

Two draws have one structure when their most probable components are in a one-to-one relation: each component and its partner
share more than half of the rows of either; components that all but coincide count as one. Copies of one mode by permutation of
the components have one structure, so that switched labels and modes proper are told apart; a draw that holds a component without
rows, or groups the rows otherwise, has another structure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bayesgmm.kernels.density import compute_responsibilities
from bayesgmm.kernels.draws import counts_of_draws, matches_of_draws
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.problems import NEGLIGIBLE
from bayesgmm.posterior.schema import Draws, em_of, observed_matrix, raw_posterior, recorded_draws, resolution_of

Array = NDArray[np.float64]
Labels = NDArray[np.intp]

MAX_ROWS = 2000
"""Of more rows, so many are looked at, the same for every draw."""

MAX_STRUCTURES = 8
FEWEST_DRAWS = 0.01
"""When a smaller share of the draws has none of the structures found yet, no more are looked for."""

COINCIDING = 0.8
"""From this Bhattacharyya coefficient on, 1 for equal normal distributions, two components all but coincide.

Those of equal spread do whose means are less than 1.34 standard deviations apart.
"""

ELSEWHERE = -1
"""The structure of draws that have none of those in the table."""


@dataclass(frozen=True, eq=False)
class Structures:
    """The structures among the raw draws of a tree.

    Attributes
    ----------
    table : DataFrame
        A row per structure, the reference's first: ``share`` of all draws, ``log_likelihood`` (mean over its draws, nats),
        ``weights`` (of its reference, largest first), ``description`` (against the first), ``evidence`` (share of the posterior
        of the modes with this structure, by Laplace's estimate; NaN where the tree has no `modes`), ``modes`` (their places).
    place : (chain, draw) int array
        Structure of each draw; ELSEWHERE (-1) where it has none of them.
    permutation : (chain, draw, cluster) int array
        The order in which the draw's components match those of its structure's reference.
    empty, coinciding : (chain, draw) bool arrays
        Whether some component holds fewer expected rows than D + 1, and whether two components with more all but coincide.
    """

    table: pd.DataFrame
    place: NDArray[np.intp]
    permutation: NDArray[np.intp]
    empty: NDArray[np.bool_]
    coinciding: NDArray[np.bool_]

    @property
    def passages(self) -> NDArray[np.intp]:
        """How often each chain (chain,) went from one structure to another."""
        return np.array([np.count_nonzero(np.diff(row[row != ELSEWHERE])) for row in self.place])

    @property
    def switches(self) -> NDArray[np.bool_]:
        """(chain, draw - 1): whether labels changed between two successive draws of one structure."""
        same = (self.place[:, 1:] == self.place[:, :-1]) & (self.place[:, 1:] != ELSEWHERE)
        return np.asarray(same & (self.permutation[:, 1:] != self.permutation[:, :-1]).any(axis=2))

    @property
    def labels_vary(self) -> bool:
        """Whether draws of one structure name its components in different orders, within a chain or between chains."""
        orders = (self.permutation[self.place == place] for place in self.table.index)
        return any(bool((order != order[:1]).any()) for order in orders)

    def shares(self) -> Array:
        """Share of each chain's draws in each structure, shape (chain, structure)."""
        return np.array([(self.place == place).mean(axis=1) for place in self.table.index]).T


def find_structures(tree: xr.DataTree, log_likelihood: Array) -> Structures:
    """The structures of the raw draws, those of the EM fit and of the tree's modes looked for first.

    Then, while more than 1% of the draws have none, that of the draw with the highest log-likelihood (chain, draw) among them.
    """
    raw, X = raw_posterior(tree), observed_matrix(tree)
    draws = recorded_draws(tree, raw)
    shape = (raw.sizes["chain"], raw.sizes["draw"])
    n_components, n_features = draws.means.shape[1:]
    flat = log_likelihood.ravel()
    rows = X if len(X) <= MAX_ROWS else X[np.random.default_rng(0).choice(len(X), MAX_ROWS, replace=False)]
    place = np.full(len(flat), ELSEWHERE)
    permutation = np.tile(np.arange(n_components), (len(flat), 1))
    twins = coinciding(draws)
    modes, evidence = _modes(tree)
    references: list[MixtureParams] = []
    queue = [*_pivot(tree), *(mode for mode, share in zip(modes, evidence, strict=True) if share >= NEGLIGIBLE)]
    while queue or ((place == ELSEWHERE).mean() > FEWEST_DRAWS and len(references) < MAX_STRUCTURES):
        rest = np.flatnonzero(place == ELSEWHERE)
        if queue:
            reference = queue.pop(0)
            if any(_same_structure(rows, reference, known) for known in references):
                continue
        else:
            reference = MixtureParams(*(array[rest[flat[rest].argmax()]] for array in draws))
        orders, same = match(rows, reference, Draws(*(array[rest] for array in draws)), twins[rest])
        place[rest[same]], permutation[rest[same]] = len(references), orders[same]
        references.append(reference)
    homes = [next((i for i, known in enumerate(references) if _same_structure(rows, mode, known)), ELSEWHERE) for mode in modes]
    table = _table(rows, references, np.array(homes, dtype=int), evidence, place, flat)
    occupied = counts_of_draws(rows, *draws) * (len(X) / len(rows)) >= n_features + 1
    doubled = twins & occupied[:, :, None] & occupied[:, None, :] & ~np.eye(n_components, dtype=bool)
    return Structures(
        table,
        place.reshape(shape),
        permutation.reshape(*shape, n_components),
        _empty(draws, occupied, len(X)).reshape(shape),
        doubled.any(axis=(1, 2)).reshape(shape),
    )


def match(
    X: Array, reference: MixtureParams, draws: Draws, twins: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Permutations (S, K) that bring draws closest to the reference's grouping of X, and whether the structure is one (S,).

    `twins` (S, K, K) are the components of the draws that coincide.
    """
    matches = matches_of_draws(X, _labels(X, reference), *draws)
    orders = _best_orders(matches)
    merged = _merge(matches, twins)
    merged = _merge(merged.swapaxes(1, 2), coinciding(_as_draws(reference))).swapaxes(1, 2)
    partners = _best_orders(merged)
    shared = np.take_along_axis(merged, partners[:, :, None], axis=2)[:, :, 0]
    larger = np.maximum(merged.sum(axis=2), np.take_along_axis(merged.sum(axis=1), partners, axis=1))
    few = larger <= X.shape[1]
    return orders, ((2 * shared > larger) | few).all(axis=1)


def _best_orders(matches: NDArray[np.int64]) -> NDArray[np.intp]:
    return np.array([linear_sum_assignment(counts, maximize=True)[1] for counts in matches]).reshape(matches.shape[:2])


def _merge(matches: NDArray[np.int64], twins: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Counts (S, K, K) with the columns of components that coincide, (S, K, K) or (1, K, K), added up in the first of them."""
    first = twins.argmax(axis=2)
    for _ in range(first.shape[1]):  # twins of twins
        first = np.take_along_axis(first, first, axis=1)
    onto = first[:, :, None] == np.arange(first.shape[1])
    return np.asarray(matches @ onto.astype(np.int64))


def _labels(X: Array, params: MixtureParams) -> Labels:
    return np.asarray(compute_responsibilities(X, params.weights, params.means, params.scale_trils).argmax(axis=1))


def _as_draws(params: MixtureParams) -> Draws:
    return Draws(params.weights[None], params.means[None], params.scale_trils[None])


def _same_structure(X: Array, params: MixtureParams, reference: MixtureParams) -> bool:
    return bool(match(X, reference, _as_draws(params), coinciding(_as_draws(params)))[1][0])


def _pivot(tree: xr.DataTree) -> list[MixtureParams]:
    em = em_of(tree)
    return [] if em is None else [em.recorded_params]


def _modes(tree: xr.DataTree) -> tuple[list[MixtureParams], Array]:
    """The modes of the posterior that the tree knows of, as mixtures of recorded values, and their shares by evidence."""
    modes = tree["modes"].to_dataset() if "modes" in tree.children else xr.Dataset()
    if not {"weights", "means", "covariances", "share"} <= set(modes):
        return [], np.zeros(0)
    arrays = zip(*(modes[name].values for name in ("weights", "means", "covariances")), strict=True)
    return [MixtureParams.from_covariances(*mode).recorded(resolution_of(tree)) for mode in arrays], modes["share"].values


def _table(
    X: Array, references: Sequence[MixtureParams], homes: Labels, evidence: Array, place: Labels, flat: Array
) -> pd.DataFrame:
    rows = [
        {
            "share": float((place == i).mean()),
            "log_likelihood": float(flat[place == i].mean()) if (place == i).any() else np.nan,
            "weights": tuple(np.sort(reference.weights)[::-1].round(3).tolist()),
            "description": "the reference" if i == 0 else describe(X, reference, references[0]),
            "evidence": float(evidence[homes == i].sum()) if evidence.size else np.nan,
            "modes": tuple(np.flatnonzero(homes == i).tolist()),
        }
        for i, reference in enumerate(references)
    ]
    return pd.DataFrame(rows).rename_axis("structure")


def describe(X: Array, params: MixtureParams, reference: MixtureParams) -> str:
    """How the grouping of rows by `params` differs from that of the reference, in words."""
    n_components = params.n_components
    counts = np.zeros((n_components, n_components), dtype=int)
    np.add.at(counts, (_labels(X, reference), _labels(X, params)), 1)
    held = np.flatnonzero(counts.sum(axis=1) > X.shape[1])
    home = {int(j): int(counts[j].argmax()) for j in held if 2 * counts[j].max() > counts[j].sum()}
    groups = [[j for j, k in home.items() if k == place] for place in sorted(set(home.values()))]
    parts = [f"{_listed(group)} of the reference are together" for group in groups if len(group) > 1]
    parts += [f"part of {int(j)} is apart" for j in held if _is_split(counts[j], counts.sum(axis=0))]
    n_empty = int((counts.sum(axis=0) <= X.shape[1]).sum())
    parts += [f"{n_empty} {'component holds' if n_empty == 1 else 'components hold'} next to no row"] if n_empty else []
    return ", ".join(parts) if parts else "rows are grouped otherwise"


def _is_split(row: NDArray[np.intp], sizes: NDArray[np.intp]) -> bool:
    """Whether two or more components consist of rows of one component of the reference, by more than half."""
    return bool((2 * row > sizes).sum() > 1)


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join([", ".join(map(str, numbers[:-1])), str(numbers[-1])])


def _empty(draws: Draws, occupied: NDArray[np.bool_], n_samples: int) -> NDArray[np.bool_]:
    """Whether a component is empty (S,); a weight worth more than ten times as many rows overrules what a sample of rows says."""
    least = 10 * (draws.means.shape[2] + 1) / n_samples
    return np.asarray((~occupied & (draws.weights < least)).any(axis=1))


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
