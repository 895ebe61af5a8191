"""Structures: which rows are together in each draw, as a grouping that small moves of the parameters do not change.

Two draws have one structure when their most probable components are in a one-to-one relation: each component and its partner
share more than half of the rows of either. It is enough that this holds when components that all but coincide are taken for one.
Copies of one mode by permutation of the components have one structure, so that switched labels and modes proper are told apart; a
draw that holds a component without rows, or groups the rows otherwise, has another structure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.kernels.draws import classes_of_draws
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.groupings import FEW_ROWS, Grouping, coinciding, describe, have_structure, orders_like
from bayesgmm.posterior.problems import NEGLIGIBLE
from bayesgmm.posterior.schema import Draws, em_of, observed_matrix, raw_posterior, recorded_draws, region_of_draws, resolution_of

Array = NDArray[np.float64]

MAX_ROWS = 2000
"""Of more rows, so many are looked at, the same for every draw."""

MAX_STRUCTURES = 7
MAX_MODES = 4
"""At most so many structures, and so many of them from the tree's EM fit and modes before the draws are asked."""

CANDIDATES, WITNESSES = 15, 200
"""The next structure is that of the draw, of so many, which most of so many other draws share."""

FEWEST_DRAWS = 0.01
"""When a smaller share of the draws has none of the structures found yet, no more are looked for."""

ELSEWHERE = -1
"""The structure of draws that have none of those in the table."""


@dataclass(frozen=True, eq=False)
class Structures:
    """The structures among the raw draws of a tree.

    Attributes
    ----------
    table : DataFrame
        A row per structure, the reference's first: ``share`` of all draws, ``log_likelihood`` (mean over its draws, nats),
        ``weights`` (of the draw, fit or mode it was found at, largest first), ``description`` (against the first), ``evidence``
        (share of the posterior of the modes with this structure, by Laplace's estimate; NaN where none of the tree's `modes` has
        it), ``modes`` (their places).
    place : (chain, draw) int array
        Structure of each draw; ELSEWHERE (-1) where it has none of them.
    permutation : (chain, draw, cluster) int array
        The order in which the draw's components match those of its structure's reference.
    empty, coinciding : (chain, draw) bool arrays
        Whether some component holds fewer than two expected rows (and has a weight worth no more than twenty), and whether two
        components with more all but coincide.
    region : (chain, draw) int array
        Of which region each draw is, where chains were put together from draws of several (`sample`): how a chain moves is told
        by successive draws of one region.
    """

    table: pd.DataFrame
    place: NDArray[np.intp]
    permutation: NDArray[np.intp]
    empty: NDArray[np.bool_]
    coinciding: NDArray[np.bool_]
    region: NDArray[np.intp]

    @property
    def passages(self) -> NDArray[np.intp]:
        """How often each chain (chain,) went from one structure to another."""
        out = np.zeros(len(self.place), dtype=np.intp)
        for region in np.unique(self.region):
            known = (self.region == region) & (self.place != ELSEWHERE)
            out += [np.count_nonzero(np.diff(row[of_region])) for row, of_region in zip(self.place, known, strict=True)]
        return out

    @property
    def switches(self) -> NDArray[np.float64]:
        """(chain, draw): 1 where labels changed since the chain's last draw of the same structure, 0 where not, else NaN."""
        out = np.full(self.place.shape, np.nan)
        for chain, (places, regions) in enumerate(zip(self.place, self.region, strict=True)):
            for place, region in product(self.table.index, np.unique(regions)):
                draws = np.flatnonzero((places == place) & (regions == region))
                orders = self.permutation[chain, draws]
                out[chain, draws[1:]] = (orders[1:] != orders[:-1]).any(axis=1)
        return out

    @property
    def labels_vary(self) -> bool:
        """Whether draws of one structure name its components in different orders, within a chain or between chains."""
        orders = (self.permutation[self.place == place] for place in self.table.index)
        return any(bool((order != order[:1]).any()) for order in orders)

    def shares(self) -> Array:
        """Share of each chain's draws in each structure, shape (chain, structure)."""
        return np.array([(self.place == place).mean(axis=1) for place in self.table.index]).T


class Reference(NamedTuple):
    """A structure, as the grouping (S = 1) of one mixture that has it, and its weights (K,)."""

    grouping: Grouping
    weights: Array


def find_structures(tree: xr.DataTree, log_likelihood: Array) -> Structures:
    """The structures of the raw draws, those of the EM fit and of the tree's modes looked for first.

    Then, while more than 1% of the draws have none, that of the draw, among some, which most others share. `log_likelihood` is
    (chain, draw).
    """
    raw, X = raw_posterior(tree), observed_matrix(tree)
    draws, shape = recorded_draws(tree, raw), (raw.sizes["chain"], raw.sizes["draw"])
    rows = X if len(X) <= MAX_ROWS else X[np.random.default_rng(0).choice(len(X), MAX_ROWS, replace=False)]
    labels, sizes = classes_of_draws(rows, *draws)
    grouping = Grouping(labels, coinciding(draws))
    modes, evidence = _modes(tree)
    known = [
        *_pivot(tree, draws.weights.shape[1]),
        *(mode for mode, share in zip(modes, evidence, strict=True) if share >= NEGLIGIBLE),
    ]
    references = _distinct([_reference(rows, params) for params in known])[:MAX_MODES]
    place, permutation = np.full(len(labels), ELSEWHERE), np.zeros(draws.weights.shape, dtype=np.intp)
    for i in range(MAX_STRUCTURES):
        rest = np.flatnonzero(place == ELSEWHERE)
        if i == len(references):
            if len(rest) <= FEWEST_DRAWS * len(place):
                break
            chosen = _commonest(grouping.of(rest))
            references.append(Reference(grouping.of(rest[[chosen]]), draws.weights[rest[chosen]]))
        same = rest[have_structure(grouping.of(rest), references[i].grouping)]
        place[same], permutation[same] = i, orders_like(grouping.of(same), references[i].grouping)
    homes = [_home(_reference(rows, mode).grouping, references) for mode in modes]
    occupied = sizes * (len(X) / len(rows)) >= FEW_ROWS
    doubled = grouping.twins & occupied[:, :, None] & occupied[:, None, :] & ~np.eye(occupied.shape[1], dtype=bool)
    return Structures(
        _table(references, np.array(homes, dtype=int), evidence, place, log_likelihood.ravel()),
        place.reshape(shape),
        permutation.reshape(*shape, -1),
        _empty(draws.weights, occupied, len(X)).reshape(shape),
        doubled.any(axis=(1, 2)).reshape(shape),
        region_of_draws(tree),
    )


def _commonest(grouping: Grouping) -> int:
    """The draw, of some evenly spaced ones, whose structure most of some others have."""
    n_draws = len(grouping.labels)
    candidates, witnesses = (np.unique(np.linspace(0, n_draws - 1, size).astype(int)) for size in (CANDIDATES, WITNESSES))
    others = grouping.of(witnesses)
    found = [have_structure(others, grouping.of(np.array([draw]))).sum() for draw in candidates]
    return int(candidates[int(np.argmax(found))])


def grouping_of(X: Array, params: MixtureParams) -> Grouping:
    """How one mixture groups the rows (S = 1)."""
    draws = Draws(params.weights[None], params.means[None], params.scale_trils[None])
    return Grouping(classes_of_draws(X, *draws)[0], coinciding(draws))


def _reference(X: Array, params: MixtureParams) -> Reference:
    return Reference(grouping_of(X, params), params.weights)


def _distinct(references: Sequence[Reference]) -> list[Reference]:
    out: list[Reference] = []
    for reference in references:
        if _home(reference.grouping, out) == ELSEWHERE:
            out.append(reference)
    return out


def _home(grouping: Grouping, references: Sequence[Reference]) -> int:
    """The first of the references with the structure of this grouping (S = 1)."""
    return next((i for i, known in enumerate(references) if have_structure(grouping, known.grouping)[0]), ELSEWHERE)


def _pivot(tree: xr.DataTree, n_components: int) -> list[MixtureParams]:
    em = em_of(tree)
    return [] if em is None or em.params.n_components != n_components else [em.recorded_params]


def _modes(tree: xr.DataTree) -> tuple[list[MixtureParams], Array]:
    """The modes of the posterior that the tree knows of, as mixtures of recorded values, and their shares by evidence."""
    modes = tree["modes"].to_dataset() if "modes" in tree.children else xr.Dataset()
    if not {"weights", "means", "covariances", "share"} <= set(modes):
        return [], np.zeros(0)
    arrays = zip(*(modes[name].values for name in ("weights", "means", "covariances")), strict=True)
    return [MixtureParams.from_covariances(*mode).recorded(resolution_of(tree)) for mode in arrays], modes["share"].values


def _table(
    references: Sequence[Reference], homes: NDArray[np.intp], evidence: Array, place: NDArray[np.intp], log_likelihood: Array
) -> pd.DataFrame:
    rows = [
        {
            "share": float((place == i).mean()),
            "log_likelihood": float(log_likelihood[place == i].mean()) if (place == i).any() else np.nan,
            "weights": tuple(np.sort(reference.weights)[::-1].round(3).tolist()),
            "description": "the reference" if i == 0 else describe(reference.grouping, references[0].grouping),
            "evidence": float(evidence[homes == i].sum()) if (homes == i).any() else np.nan,
            "modes": tuple(np.flatnonzero(homes == i).tolist()),
        }
        for i, reference in enumerate(references)
    ]
    return pd.DataFrame(rows).rename_axis("structure")


def _empty(weights: Array, occupied: NDArray[np.bool_], n_samples: int) -> NDArray[np.bool_]:
    """Whether a component is empty (S,); a weight worth ten times as many rows overrules what a sample of rows says."""
    small = (weights < 10 * FEW_ROWS / n_samples) & (weights < weights.max(axis=1, keepdims=True))
    return np.asarray((~occupied & small).any(axis=1))
