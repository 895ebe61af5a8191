"""The mixture kernels over many posterior draws at once, in threads over draws.

Draws are flat: weights (S, K), means (S, K, D), scale_trils (S, K, D, D). Only what is asked for is kept: no (S, N, K) array
exists unless `responsibilities_of_draws` is asked for one, which callers do for a few rows at a time.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.density import fill_log_density, fill_responsibilities
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.threads import available_threads

Array = NDArray[np.float64]


def log_density_of_draws(X: Array, weights: Array, means: Array, scale_trils: Array) -> Array:
    """ln p(x_n | draw s), shape (S, N)."""
    rows = rows_of(X)
    out = np.empty((len(weights), X.shape[0]))

    def fill(s: int) -> None:
        fill_log_density(rows, (weights[s], means[s], scale_trils[s]), out[s])

    over_draws(fill, len(weights))
    return out


def log_likelihood_of_draws(X: Array, weights: Array, means: Array, scale_trils: Array) -> Array:
    """sum_n ln p(x_n | draw s), shape (S,), in the memory of one draw for each thread."""
    rows = rows_of(X)
    out = np.empty(len(weights))

    def fill(s: int) -> None:
        density = np.empty(X.shape[0])
        fill_log_density(rows, (weights[s], means[s], scale_trils[s]), density)
        out[s] = density.sum()

    over_draws(fill, len(weights))
    return out


def responsibilities_of_draws(X: Array, weights: Array, means: Array, scale_trils: Array) -> Array:
    """gamma_nk given draw s, shape (S, N, K): pass a block of rows, not the whole of a large X."""
    rows = rows_of(X)
    out = np.empty((len(weights), X.shape[0], weights.shape[1]))

    def fill(s: int) -> None:
        fill_responsibilities(rows, (weights[s], means[s], scale_trils[s]), out[s])

    over_draws(fill, len(weights))
    return out


def classes_of_draws(X: Array, weights: Array, means: Array, scale_trils: Array) -> tuple[NDArray[np.uint8], Array]:
    """The most probable component of every row given draw s (S, N), and the expected rows of each, sum_n gamma_nk, (S, K).

    Components beyond 255 are not told apart.
    """
    rows = rows_of(X)
    classes, expected = np.empty((len(weights), X.shape[0]), dtype=np.uint8), np.empty(weights.shape)

    def fill(s: int) -> None:
        gamma = np.empty((X.shape[0], weights.shape[1]))
        fill_responsibilities(rows, (weights[s], means[s], scale_trils[s]), gamma)
        classes[s], expected[s] = gamma.argmax(axis=1), gamma.sum(axis=0)

    over_draws(fill, len(weights))
    return classes, expected


def over_draws(function: Callable[[int], None], n_draws: int) -> None:
    """function(s) for every draw, in threads where there are many."""
    n_threads = min(available_threads(), max(n_draws // 64, 1))

    def every_nth(first: int) -> None:
        for s in range(first, n_draws, n_threads):
            function(s)

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(every_nth, range(n_threads)))
