"""How many components hold rows, given the draws of a posterior."""

from math import comb, lgamma

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.kernels.occupied import subsets_of_draws
from bayesgmm.posterior.regions import error_of_mean
from bayesgmm.posterior.schema import Draws, observed_matrix, raw_posterior, recorded_draws

Array = NDArray[np.float64]

FEW_MAKE_IT = 0.02
"""Share of a sum that one draw may have."""

MOST_COMPONENTS = 16
MOST_WORK = 2e10
"""Sums over subsets, rows and draws: beyond it draws are thinned evenly."""


def occupied_components(tree: xr.DataTree) -> pd.DataFrame:
    r"""Posterior of the number of components that hold at least one row.

    Parameters
    ----------
    tree : DataTree
        As `sample` returns it, or any with posterior and observed_data groups.

    Returns
    -------
    DataFrame
        A row for each number ``occupied`` from 1 to K: its ``probability``, and the Monte Carlo ``standard_error`` of that,
        the error of the shares of regions (see `sample`) included.

    Raises
    ------
    InputError
        For more than 16 components.

    Notes
    -----
    Given a draw the allocations are independent, so that the probability that a set T of components holds all rows is
    g(T) = \prod_n \sum_{k in T} \gamma_nk. By inclusion and exclusion over the 2^K sets the number of occupied components is m
    with probability \sum_{j <= m} (-1)^{m - j} C(K - j, m - j) \sum_{|T| = j} g(T), which is averaged over the draws: no
    allocation is sampled.
    """
    sums, draws = subset_sums(tree)
    n_components = sums.shape[2] - 1
    probabilities = np.clip(occupied_by_draw(sums), 0.0, 1.0)
    return pd.DataFrame(
        {
            "probability": probabilities.mean(axis=(0, 1)),
            "standard_error": [error_of_mean(probabilities[:, :, m], tree, draws) for m in range(n_components)],
        },
        index=pd.RangeIndex(1, n_components + 1, name="occupied"),
    )


def log_ratio_by_empty(tree: xr.DataTree, concentration: float) -> tuple[float, float]:
    r"""ln p(X | K) - ln p(X | K - 1), and its standard error, from how often a component of the K is empty.

    p(X | K - 1) c = p(X | K) P(a given component holds no row | X, K) where components are independent a priori, with
    c = Gamma(K a) Gamma(N + (K - 1) a) / (Gamma((K - 1) a) Gamma(N + K a)) for weights Dirichlet(a) (Nobile 2004, section 3, in
    another form). The error is infinite where few draws make the mean: where components are hardly ever empty it means nothing.
    """
    sums, draws = subset_sums(tree)
    n_components, n_samples = sums.shape[2] - 1, observed_matrix(tree).shape[0]
    empty = sums[:, :, n_components - 1] / n_components
    mean = float(empty.mean())
    if mean == 0:
        return np.inf, np.inf
    error = np.inf if empty.max() > FEW_MAKE_IT * empty.sum() else error_of_mean(empty, tree, draws) / mean
    return log_empty(n_components, n_components - 1, n_samples, concentration) - float(np.log(mean)), error


def log_empty(n_components: int, n_occupied: int, n_samples: int, concentration: float) -> float:
    r"""ln of the prior probability that K - k given components of K hold none of N rows.

    With weights Dirichlet(a), the mean of (1 - sum of their weights)^N, Gamma(K a) Gamma(N + k a) / (Gamma(k a) Gamma(N + K a)).
    """
    whole, part = n_components * concentration, n_occupied * concentration
    return lgamma(whole) + lgamma(n_samples + part) - lgamma(part) - lgamma(n_samples + whole)


def subset_sums(tree: xr.DataTree) -> tuple[Array, NDArray[np.intp]]:
    """The sums over subsets of `subsets_of_draws`, (chain, draw, K + 1), and of which draws: fewer where the work is large."""
    raw, X = raw_posterior(tree), observed_matrix(tree)
    n_chains, n_draws, n_components = (raw.sizes[dim] for dim in ("chain", "draw", "cluster"))
    if n_components > MOST_COMPONENTS:
        raise InputError(
            f"occupied_components: {n_components} components have {2**n_components} subsets, too many to sum over; "
            f"{MOST_COMPONENTS} is the most"
        )
    kept = int(np.clip(MOST_WORK / (2**n_components * len(X) * n_chains), min(n_draws, 50), n_draws))
    some = np.linspace(0, n_draws - 1, kept).round().astype(int)
    draws: Draws = recorded_draws(tree, raw.isel(draw=some))
    return subsets_of_draws(X, *draws).reshape(n_chains, kept, -1), some


def occupied_by_draw(sums: Array) -> Array:
    """P(m components are occupied | draw), m = 1, ..., K on the last axis."""
    n_components = sums.shape[-1] - 1
    signs = np.zeros((n_components + 1, n_components))
    for m in range(1, n_components + 1):
        for j in range(1, m + 1):
            signs[j, m - 1] = (-1) ** (m - j) * comb(n_components - j, m - j)
    return np.asarray(sums @ signs)
