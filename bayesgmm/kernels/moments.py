"""The fused E-step: log-likelihood and expected sufficient statistics in one pass over the rows.

Nothing of size N x K is kept. Moments are taken about the current means, so that neither an offset of the data nor a
narrow component costs digits, and so that the same numbers give the M-step and, by Fisher's identity, the gradient.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.kernels.block import BLOCK_ROWS, expect_block, log_normalisers, new_workspace
from bayesgmm.kernels.threads import map_row_chunks

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


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _add_weighted_block(workspace, n_rows, row_weights, means, counts, sums, scatters):
    """Add one block's share to counts, sums and the lower triangles of scatters."""
    x, z, responsibilities, _ = workspace
    n_components, n_features = means.shape
    weighted = np.empty(BLOCK_ROWS)
    for k in range(n_components):
        count = 0.0
        for b in range(n_rows):
            responsibilities[k, b] *= row_weights[b]
            count += responsibilities[k, b]
        counts[k] += count
        for i in range(n_features):
            total = 0.0
            for b in range(n_rows):
                z[i, b] = x[i, b] - means[k, i]
                weighted[b] = responsibilities[k, b] * z[i, b]
                total += weighted[b]
            sums[k, i] += total
            for j in range(i + 1):
                product = 0.0
                for b in range(n_rows):
                    product += weighted[b] * z[j, b]
                scatters[k, i, j] += product


@njit(nogil=True, cache=True, error_model="numpy")
def add_moments(X, row_weights, start, stop, log_weights, means, scale_trils, counts, sums, scatters):
    """Add the moments of rows start, ..., stop - 1 to counts, sums and scatters; return their weighted log-likelihood."""
    n_components, n_features = means.shape
    normalisers = log_normalisers(log_weights, scale_trils)
    workspace = new_workspace(n_components, n_features)
    block_weights = np.empty(BLOCK_ROWS)
    log_likelihood = 0.0
    for first in range(start, stop, BLOCK_ROWS):
        n_rows = expect_block(X, first, stop, normalisers, means, scale_trils, workspace)
        for b in range(n_rows):
            block_weights[b] = row_weights[first + b]
            if block_weights[b] != 0.0:  # a row of weight 0 counts for nothing, even where its density is 0
                log_likelihood += block_weights[b] * workspace.log_density[b]
        _add_weighted_block(workspace, n_rows, block_weights, means, counts, sums, scatters)
    for k in range(n_components):
        for i in range(n_features):
            for j in range(i):
                scatters[k, j, i] = scatters[k, i, j]
    return log_likelihood


def compute_moments(
    X: Array, weights: Array, means: Array, scale_trils: Array, row_weights: Array | None = None, *, n_threads: int = 1
) -> Moments:
    """The E-step of a Gaussian mixture with full covariances.

    Parameters
    ----------
    X : (N, D) float64
    weights, means, scale_trils : (K,), (K, D), (K, D, D) float64
        A weight may be 0: its component then has count 0.
    row_weights : (N,) float64, optional
        Weight of each row; 1 if not given.
    n_threads : int
        Threads over row chunks. The result does not depend on it.
    """
    log_weights, means, scale_trils = prepare_parameters(weights, means, scale_trils)
    if row_weights is None:
        row_weights = np.ones(X.shape[0])

    def chunk_moments(start: int, stop: int) -> Moments:
        counts, sums, scatters = np.zeros(len(means)), np.zeros(means.shape), np.zeros(scale_trils.shape)
        value = add_moments(X, row_weights, start, stop, log_weights, means, scale_trils, counts, sums, scatters)
        return Moments(value, counts, sums, scatters)

    total, *rest = map_row_chunks(chunk_moments, X.shape[0], n_threads)
    for part in rest:
        total = total + part
    return total


def prepare_parameters(weights: Array, means: Array, scale_trils: Array) -> tuple[Array, Array, Array]:
    """ln(weights), means and scale_trils as writable C-contiguous arrays: one type for every call, one compilation."""
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
    return log_weights, np.array(means, order="C"), np.array(scale_trils, order="C")
