"""The fused E-step: log-likelihood and expected sufficient statistics in one pass over the rows.

Nothing of size N x K is kept. Moments are taken about the current means, so that neither an offset of the data nor a
narrow component costs digits, and so that the same numbers give the M-step and, by Fisher's identity, the gradient.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.kernels.block import block_rows, expect_block, matrix, new_mixture, new_workspace
from bayesgmm.kernels.cache import ENTRY, INTERNAL
from bayesgmm.kernels.rows import Rows, plain
from bayesgmm.kernels.threads import CHUNK_ROWS, map_row_chunks
from bayesgmm.kernels.tiles import TILE, add_products, gather

Array = NDArray[np.float64]


class Moments(NamedTuple):
    """Weighted log-likelihood and expected sufficient statistics about the means they were computed with.

    With w_n the weight of row n and gamma_nk its responsibilities::

        log_likelihood = sum_n w_n ln p(x_n)
        counts[k]      = sum_n w_n gamma_nk                                   (K,)
        sums[k]        = sum_n w_n gamma_nk (x_n - mu_k)                      (K, D)
        scatters[k]    = sum_n w_n gamma_nk (x_n - mu_k) (x_n - mu_k)'        (K, D, D), symmetric
    """

    log_likelihood: float
    counts: Array
    sums: Array
    scatters: Array

    def __add__(self, other: "Moments") -> "Moments":  # type: ignore[override]  # moments of two sets of rows add up
        return Moments(
            self.log_likelihood + other.log_likelihood,
            self.counts + other.counts,
            self.sums + other.sums,
            self.scatters + other.scatters,
        )


@njit(**INTERNAL, fastmath={"reassoc", "contract"})
def _weigh(gamma, k, n_rows, row_weights, weights):
    """Responsibilities times row weights, w_b gamma_kb, into weights; return their sum."""
    count = 0.0
    for b in range(n_rows):
        weights[b] = gamma[k, b] * row_weights[b]
        count += weights[b]
    return count


@njit(**INTERNAL, fastmath={"reassoc", "contract"})
def _add_narrow(x, n_rows, weights, k, means, z, weighted, sums, scatters):
    """Add one block's share to sums[k] and the lower triangle of scatter k, for fewer features than a tile has."""
    n_features = x.shape[0]
    for i in range(n_features):
        mean, total = means[k, i], 0.0
        for b in range(n_rows):
            z[i, b] = x[i, b] - mean
            weighted[b] = weights[b] * z[i, b]
            total += weighted[b]
        sums[k, i] += total
        for j in range(i + 1):
            product = 0.0
            for b in range(n_rows):
                product += weighted[b] * z[j, b]
            scatters[k * n_features + i, j] += product


@njit(**INTERNAL)
def _choose(gamma, weights, k, n_rows, negligible, chosen):
    """Indices of the rows that count for component k into chosen, their weights to the front; return their number, made even.

    Where it is odd, the last one comes again with weight 0.
    """
    n_chosen = 0
    for b in range(n_rows):
        chosen[n_chosen] = b
        weights[n_chosen] = weights[b]
        n_chosen += gamma[k, b] > negligible
    if n_chosen % 2 == 1:
        chosen[n_chosen] = chosen[n_chosen - 1]
        weights[n_chosen] = 0.0
        n_chosen += 1
    return n_chosen


@njit(**INTERNAL, fastmath={"reassoc", "contract"})
def _weighted_log_likelihood(log_density, row_weights, n_rows):
    """sum_b w_b ln p(x_b); a row of weight 0 counts for nothing, even where its density is 0."""
    value = 0.0
    for b in range(n_rows):
        value += row_weights[b] * log_density[b] if row_weights[b] != 0.0 else 0.0
    return value


@njit(**ENTRY)
def add_moments(
    X, location, scale, row_weights, start, stop, weights, means, scale_trils, only_variances, counts, sums, scatters
):
    """Put the moments of rows start, ..., stop - 1 into counts, sums and scatters, which come as zeros.

    Returns their weighted log-likelihood.
    """
    n_components, n_features = means.shape
    mixture, ws = new_mixture(weights, means, scale_trils), new_workspace(n_components, n_features)
    gamma, width = ws.responsibilities, mixture.means.shape[1]
    all_sums, squares = matrix(n_components, width), matrix(n_components, width)
    products = matrix(n_components * width, width + TILE)
    log_likelihood = 0.0
    for first in range(start, stop, block_rows(n_features)):
        n_rows = expect_block(X, location, scale, first, stop, mixture, ws)
        if len(row_weights) > 0:
            for b in range(n_rows):
                ws.row_weights[b] = row_weights[first + b]
        log_likelihood += _weighted_log_likelihood(ws.log_density, ws.row_weights, n_rows)
        for k in range(n_components):
            counts[k] += _weigh(gamma, k, n_rows, ws.row_weights, ws.weights)
            if n_features < TILE:
                _add_narrow(ws.x, n_rows, ws.weights, k, mixture.means, ws.z, ws.log_density, all_sums, products)
                continue
            n_chosen = _choose(gamma, ws.weights, k, n_rows, mixture.negligible[k], ws.chosen)
            gather(ws.rows, ws.chosen, ws.weights, n_chosen, mixture.means, k, width, ws.y, ws.weighted, all_sums, squares)
            if not only_variances:
                add_products(ws.y, ws.weighted, n_chosen, k, width, products)
    for k in range(n_components):
        for i in range(n_features):
            sums[k, i] = all_sums[k, i]
            for j in range(i if only_variances else 0, i + 1):
                value = squares[k, i] if i == j and n_features >= TILE else products[k * width + i, j]
                scatters[k, i, j] = value
                scatters[k, j, i] = value
    return log_likelihood


def compute_moments(
    rows: Rows, weights: Array, means: Array, scale_trils: Array, *, n_threads: int = 1, only_variances: bool = False
) -> Moments:
    """The E-step of a Gaussian mixture with full covariances.

    Parameters
    ----------
    rows : Rows
        N standardised, weighted rows of D features.
    weights, means, scale_trils : (K,), (K, D), (K, D, D) float64
        Of the standardised rows. A weight may be 0: its component then has count 0.
    n_threads : int
        Threads over row chunks. The result does not depend on it.
    only_variances : bool
        Only the diagonals of the scatters, zeros beside them: all that families of diagonal covariances need.

    Returns
    -------
    Moments
        log_likelihood is that of the standardised rows: no Jacobian. It is -inf where a row of positive weight has density 0.
    """
    arguments = (rows, only_variances, plain(weights), plain(means), plain(scale_trils))
    n_rows = rows.X.shape[0]
    if n_rows <= CHUNK_ROWS:
        return _chunk_moments(arguments, 0, n_rows)
    return reduce(Moments.__add__, map_row_chunks(lambda start, stop: _chunk_moments(arguments, start, stop), n_rows, n_threads))


def _chunk_moments(arguments: tuple[Rows, bool, Array, Array, Array], start: int, stop: int) -> Moments:
    rows, only_variances, weights, means, scale_trils = arguments
    counts, sums, scatters = np.zeros(means.shape[0]), np.zeros(means.shape), np.zeros(scale_trils.shape)
    value = add_moments(*rows, start, stop, weights, means, scale_trils, only_variances, counts, sums, scatters)
    return Moments(value, counts, sums, scatters)
