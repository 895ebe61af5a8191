"""Per-row results for given parameters: log-density and responsibilities."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.kernels.block import BLOCK_ROWS, expect_block, log_normalisers, new_workspace
from bayesgmm.kernels.moments import prepare_parameters
from bayesgmm.kernels.threads import map_row_chunks

Array = NDArray[np.float64]


@njit(nogil=True, cache=True, error_model="numpy")
def fill_log_density(X, start, stop, log_weights, means, scale_trils, out):
    """ln p(x_n) of rows start, ..., stop - 1 into out (N,)."""
    normalisers = log_normalisers(log_weights, scale_trils)
    workspace = new_workspace(means.shape[0], means.shape[1])
    for first in range(start, stop, BLOCK_ROWS):
        n_rows = expect_block(X, first, stop, normalisers, means, scale_trils, workspace)
        for b in range(n_rows):
            out[first + b] = workspace.log_density[b]


@njit(nogil=True, cache=True, error_model="numpy")
def fill_responsibilities(X, start, stop, log_weights, means, scale_trils, out):
    """gamma_nk of rows start, ..., stop - 1 into out (N, K)."""
    normalisers = log_normalisers(log_weights, scale_trils)
    workspace = new_workspace(means.shape[0], means.shape[1])
    for first in range(start, stop, BLOCK_ROWS):
        n_rows = expect_block(X, first, stop, normalisers, means, scale_trils, workspace)
        for b in range(n_rows):
            for k in range(out.shape[1]):
                out[first + b, k] = workspace.responsibilities[k, b]


def compute_log_density(X: Array, weights: Array, means: Array, scale_trils: Array, *, n_threads: int = 1) -> Array:
    """ln p(x_n) in nats, shape (N,); -inf where the squared distance from every component overflows (about 1e154 scales)."""
    log_weights, means, scale_trils = prepare_parameters(weights, means, scale_trils)
    out = np.empty(X.shape[0])
    map_row_chunks(
        lambda start, stop: fill_log_density(X, start, stop, log_weights, means, scale_trils, out),
        X.shape[0],
        n_threads,
    )
    return out


def compute_responsibilities(X: Array, weights: Array, means: Array, scale_trils: Array, *, n_threads: int = 1) -> Array:
    """gamma_nk, shape (N, K); rows sum to 1, but are all 0 where the log-density is -inf."""
    log_weights, means, scale_trils = prepare_parameters(weights, means, scale_trils)
    out = np.empty((X.shape[0], len(means)))
    map_row_chunks(
        lambda start, stop: fill_responsibilities(X, start, stop, log_weights, means, scale_trils, out),
        X.shape[0],
        n_threads,
    )
    return out
