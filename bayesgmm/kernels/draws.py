"""The mixture kernels over many posterior draws at once, in threads over draws.

Draws are flat: weights (S, K), means (S, K, D), scale_trils (S, K, D, D). Only what is asked for is kept: no (S, N, K) array
exists unless `responsibilities_of_draws` is asked for one, which callers do for a few rows at a time.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.kernels.block import BLOCK_ROWS, expect_block, log_normalisers, new_workspace
from bayesgmm.kernels.density import fill_log_density, fill_responsibilities
from bayesgmm.kernels.moments import prepare_parameters
from bayesgmm.kernels.threads import available_threads

Array = NDArray[np.float64]


@njit(nogil=True, cache=True, error_model="numpy")
def _log_density(X, first, last, log_weights, means, scale_trils, out):
    for s in range(first, last):
        fill_log_density(X, 0, X.shape[0], log_weights[s], means[s], scale_trils[s], out[s])


@njit(nogil=True, cache=True, error_model="numpy")
def _responsibilities(X, first, last, log_weights, means, scale_trils, out):
    for s in range(first, last):
        fill_responsibilities(X, 0, X.shape[0], log_weights[s], means[s], scale_trils[s], out[s])


@njit(nogil=True, cache=True, error_model="numpy")
def _matches(X, labels, first, last, log_weights, means, scale_trils, out):
    n_components = log_weights.shape[1]
    workspace = new_workspace(n_components, X.shape[1])
    for s in range(first, last):
        normalisers = log_normalisers(log_weights[s], scale_trils[s])
        for row in range(0, X.shape[0], BLOCK_ROWS):
            n_rows = expect_block(X, row, X.shape[0], normalisers, means[s], scale_trils[s], workspace)
            for b in range(n_rows):
                out[s, labels[row + b], workspace.responsibilities[:, b].argmax()] += 1


def log_density_of_draws(X: Array, weights: Array, means: Array, scale_trils: Array) -> Array:
    """ln p(x_n | draw s), shape (S, N)."""
    log_weights, means, scale_trils = prepare_parameters(weights, means, scale_trils)
    out = np.empty((len(weights), X.shape[0]))
    _over_draws(lambda a, b: _log_density(X, a, b, log_weights, means, scale_trils, out), len(weights))
    return out


def responsibilities_of_draws(X: Array, weights: Array, means: Array, scale_trils: Array) -> Array:
    """gamma_nk given draw s, shape (S, N, K): pass a block of rows, not the whole of a large X."""
    log_weights, means, scale_trils = prepare_parameters(weights, means, scale_trils)
    out = np.empty((len(weights), X.shape[0], weights.shape[1]))
    _over_draws(lambda a, b: _responsibilities(X, a, b, log_weights, means, scale_trils, out), len(weights))
    return out


def matches_of_draws(X: Array, labels: NDArray[np.intp], weights: Array, means: Array, scale_trils: Array) -> NDArray[np.int64]:
    """How many rows with label j have component k as their most probable one under draw s, shape (S, K, K): entry [s, j, k]."""
    log_weights, means, scale_trils = prepare_parameters(weights, means, scale_trils)
    n_components = weights.shape[1]
    out = np.zeros((len(weights), n_components, n_components), dtype=np.int64)
    _over_draws(lambda a, b: _matches(X, labels, a, b, log_weights, means, scale_trils, out), len(weights))
    return out


def _over_draws(function: Callable[[int, int], None], n_draws: int) -> None:
    """function(first, last) over the draws, cut into one piece per thread."""
    n_threads = min(available_threads(), max(n_draws // 64, 1))
    edges = np.linspace(0, n_draws, n_threads + 1).astype(int)
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(function, edges[:-1], edges[1:]))
