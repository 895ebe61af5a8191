"""Ties in the data that make a prior improper: which rows, in which columns, and what to do.

Rows tie along a direction v when v'x is the same for them. A component that holds n of them and nothing else has a likelihood
that grows as (v'Sigma v)^(-n/2) when it is squeezed along v; the posterior is proper only if the prior vanishes fast enough
there. A rounding step, the resolution h, keeps v'(Sigma + diag(h^2)/12)v away from 0: only columns with resolution 0 matter.
docs/theory/proper-posterior.md derives the exponents.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import gcd
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.model.priors import ResolvedPriors
from bayesgmm.model.structure import Structure

Array = NDArray[np.float64]

POSITIVE_AT_ZERO = ("half_normal", "half_student_t")
POWERS_AT_ZERO = (*POSITIVE_AT_ZERO, "hierarchical_gamma")
"""Scale priors that vanish at 0 as a power at most; the others faster than any."""
DIRECTIONS = [(a, b) for a in range(1, 4) for b in range(-3, 4) if b != 0 and gcd(a, b) == 1]
"""Slopes (a, b), in steps of the two columns, along which ties of rounded data pile up."""


@dataclass(frozen=True)
class Improper:
    """Why the posterior has no finite integral: the prior at fault, the columns (indices), how many rows tie, and a sentence.

    `cause` is "scales" where another scale_prior is a cure, "correlations" where the scales' prior does not matter.
    """

    cause: Literal["scales", "correlations"]
    columns: tuple[int, ...]
    n_rows: int
    sentence: str


class Tie(NamedTuple):
    """Rows that agree in every direction of a space of dimension `rank` within these columns: `keys` (N,) says which agree."""

    columns: tuple[int, ...]
    words: str
    rank: int
    oblique: bool
    keys: NDArray[np.int64]


class Squeeze(NamedTuple):
    """Spreads going to 0 together, as eps: rows that are held, the values they share, and powers of eps.

    The likelihood grows as eps^-excess for each direction of the tie, and the prior of the spreads is of order eps^cost.
    """

    n_rows: int
    n_values: int
    excess: float
    cost: float


def improper_reasons(
    X: Array, priors: ResolvedPriors, resolution: Array, columns: tuple[str, ...] | None = None
) -> tuple[Improper, ...]:
    """What makes the posterior of the mixture improper; empty where nothing was found.

    Parameters
    ----------
    X : (N, D) array
    priors : ResolvedPriors
        Its structure says which family it belongs to.
    resolution : (D,) array
        Rounding step per column; columns with a positive one cannot be at fault.
    columns : tuple of str, optional
        Their names, for the sentences.

    Returns
    -------
    tuple of Improper
        For the scales each column at fault (or the tie that is), for the correlations the worst tie.

    Notes
    -----
    Directions searched: single columns, pairs of columns with small integer slopes on their grids, rows equal in two, three or
    all of the columns at once, and exact linear dependence. Ties along other directions go unseen.
    """
    names = columns or tuple(f"column {d}" for d in range(X.shape[1]))
    exact = np.flatnonzero(np.asarray(resolution) == 0)
    if not len(exact):
        return ()
    ties = list(_ties(X, exact, names))
    found = []
    if priors.scale_prior in POWERS_AT_ZERO:
        found += _of_scales(ties, priors, len(exact))
    if priors.structure.axes == "correlations" and not priors.structure.equal_determinants:
        found += _of_correlations(ties, priors)
    return tuple(found)


def _of_scales(ties: list[Tie], priors: ResolvedPriors, n_exact: int) -> list[Improper]:
    """Scales whose prior does not vanish at 0, or vanishes as a power of the scale."""
    structure = priors.structure
    positive = priors.scale_prior in POSITIVE_AT_ZERO
    at_zero = "is positive at 0, where a component's spread" if positive else "vanishes slowly at 0, where components' spreads"
    found = []
    for tie in ties:
        for squeeze in _squeezes(tie, priors):
            if squeeze.excess >= _needed(tie, squeeze, structure, n_exact):
                found.append(
                    Improper(
                        "scales",
                        tie.columns,
                        squeeze.n_rows,
                        f"{_rows(tie, squeeze.n_rows, squeeze.n_values)}, and the scale prior {priors.scale_prior} {at_zero} can "
                        "vanish: the posterior is improper. Leave resolution=None, so that the rounding of the data is taken "
                        "into account, or choose scale_prior='inverse_gamma'",
                    )
                )
                break
    return found


def _needed(tie: Tie, squeeze: Squeeze, structure: Structure, n_exact: int) -> float:
    """The least excess that makes the posterior improper."""
    if structure.axes == "rotations":
        aligned = structure.n_features - tie.rank
        return squeeze.cost + aligned * (squeeze.n_values if structure.own_axes and not structure.cluster_scales else 1)
    if not structure.feature_scales:  # one scale for all columns
        return squeeze.cost / tie.rank if tie.rank == n_exact else np.inf
    return squeeze.cost if len(tie.columns) == 1 else np.inf


def _squeezes(tie: Tie, priors: ResolvedPriors) -> list[Squeeze]:
    """The ways in which spreads along a tie can go to 0, those that take more rows first.

    Independent scales, positive at 0, cost one power each, and one is enough. With a common beta, the density of K scales of
    which m go to 0 together is of order eps^(2g + 2 alpha (K - m)) per unit of ln eps: the more, the better, empty components
    among them, but one must stay behind for the rows that do not tie.
    """
    if priors.scale_prior in POSITIVE_AT_ZERO:
        return [Squeeze(*_excess(tie, priors.structure), 1.0)]
    structure = priors.structure
    column = tie.columns[0] if len(priors.scale_params["g"]) > 1 and structure.axes != "rotations" else 0
    alpha, g = (float(priors.scale_params[name][column]) for name in ("alpha", "g"))
    counts = np.sort(np.unique(tie.keys, return_counts=True)[1])[::-1]
    out = []
    if len(counts) <= structure.n_components:
        out.append(Squeeze(len(tie.keys), len(counts), float(len(tie.keys) - len(counts)), 2 * g))
    if structure.cluster_scales and structure.n_components > 1:
        tied = counts[: structure.n_components - 1]
        tied = tied[tied > 1]
        out.append(Squeeze(int(tied.sum()), len(tied), float((tied - 1).sum()), 2 * g + 2 * alpha))
    return out


def _of_correlations(ties: list[Tie], priors: ResolvedPriors) -> list[Improper]:
    """LKJ correlations: a direction that is no column's can collapse while every column keeps its scale."""
    worst, most = [], 0.0
    for tie in ties:
        if not tie.oblique:
            continue
        n_rows, n_values, excess = _excess(tie, priors.structure)
        needed = priors.structure.n_features - tie.rank + 2 * priors.lkj_eta
        if excess >= needed and excess - needed + 1 > most:
            most = excess - needed + 1
            enough = (excess - priors.structure.n_features + tie.rank) / 2
            worst = [
                Improper(
                    "correlations",
                    tie.columns,
                    n_rows,
                    f"{_rows(tie, n_rows, n_values)}: with lkj_eta={priors.lkj_eta:g} the posterior is improper whatever "
                    f"the scale prior, as {np.ceil(needed) + n_values:.0f} such rows are enough. Leave resolution=None, so that "
                    f"the rounding of the data is taken into account, or choose lkj_eta above {enough:g}",
                )
            ]
    return worst


def _excess(tie: Tie, structure: Structure) -> tuple[int, int, float]:
    """Rows at fault, the values they share, and their difference, the power of 1/spread in the likelihood; -inf where harmless.

    Where each component has its own scales, the largest group of tied rows is at fault; where they share them, only all rows at
    once are, and only if no more values than components occur.
    """
    counts = np.unique(tie.keys, return_counts=True)[1]
    if structure.cluster_scales:
        return int(counts.max()), 1, float(counts.max() - 1)
    n_rows, n_values = len(tie.keys), len(counts)
    return n_rows, n_values, float(n_rows - n_values) if n_values <= structure.n_components else -np.inf


def _ties(X: Array, exact: NDArray[np.intp], names: tuple[str, ...]) -> Iterator[Tie]:
    codes = {d: np.unique(X[:, d], return_inverse=True)[1] for d in exact.tolist()}
    grids = {d: _on_grid(X[:, d]) for d in codes}
    for d, keys in codes.items():
        yield Tie((d,), f"are equal in {names[d]}", 1, False, keys)
    for i, j in combinations(codes, 2):
        first, second = grids[i], grids[j]
        for a, b in DIRECTIONS if first is not None and second is not None else [(1, 1), (1, -1)]:
            words = f"agree in {a} {names[i]} {b:+d} {names[j]}"
            if first is not None and second is not None:
                yield Tie((i, j), f"{words} (columns in steps of their grids)", 1, True, a * first + b * second)
            else:
                yield Tie((i, j), words, 1, True, _rounded(a * X[:, i] + b * X[:, j]))
    tied = [d for d, keys in codes.items() if keys.max() + 1 < len(keys)]
    for size in sorted({2, 3, len(tied)} & set(range(2, len(tied) + 1))):
        for chosen in combinations(tied, size):
            keys = np.unique(np.column_stack([codes[d] for d in chosen]), axis=0, return_inverse=True)[1]
            yield Tie(chosen, f"are equal in {', '.join(names[d] for d in chosen)} at once", size, True, keys.ravel())
    spread = X[:, exact].std(axis=0)
    if len(exact) > 2 and np.all(spread > 0):
        rank = int(np.linalg.matrix_rank((X[:, exact] - X[:, exact].mean(axis=0)) / spread, tol=1e-9 * np.sqrt(X.size)))
        if rank < len(exact):
            words = f"make {', '.join(names[d] for d in codes)} linearly dependent"
            yield Tie(tuple(codes), words, len(exact) - rank, True, np.zeros(len(X), dtype=np.int64))


def _on_grid(column: Array) -> NDArray[np.int64] | None:
    """The column in steps of its smallest gap, if all its values are whole steps apart."""
    distinct = np.unique(column)
    gaps = np.diff(distinct)
    gaps = gaps[gaps > 1e-9 * np.ptp(column)] if len(gaps) else gaps
    if not len(gaps):
        return None
    steps = (column - distinct[0]) / gaps.min()
    whole = np.round(steps)
    return whole.astype(np.int64) if steps.max() < 1e6 and np.all(abs(steps - whole) < 1e-3) else None


def _rounded(values: Array) -> NDArray[np.int64]:
    """Values as integers, equal where they differ by rounding noise only."""
    size = max(abs(values).max(), np.finfo(np.float64).tiny)
    return np.round(values / size * 1e12).astype(np.int64)


def _rows(tie: Tie, n_rows: int, n_values: int) -> str:
    everything = "all " if n_rows == len(tie.keys) else ""
    return f"{n_rows} rows {tie.words}" if n_values == 1 else f"{everything}{n_rows} rows, in {n_values} groups, {tie.words}"
