"""Per-row results for given parameters: log-density, responsibilities, and how clearly the rows are classified."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.kernels.block import block_rows, expect_block, new_mixture, new_workspace
from bayesgmm.kernels.cache import ENTRY
from bayesgmm.kernels.rows import Rows, plain, rows_of
from bayesgmm.kernels.threads import map_row_chunks

Array = NDArray[np.float64]
Parameters = tuple[Array, Array, Array]
"""Weights (K,), means (K, D) and scale_trils (K, D, D)."""


@njit(**ENTRY)
def fill_densities(X, location, scale, start, stop, weights, means, scale_trils, log_density, responsibilities):
    """ln p(x_n) and gamma_nk of rows start, ..., stop - 1 of (X - location) / scale, into the same rows of what is given.

    What is not asked for comes without rows: log_density (0,), responsibilities (0, K).
    """
    mixture, workspace = new_mixture(weights, means, scale_trils), new_workspace(means.shape[0], means.shape[1])
    for first in range(start, stop, block_rows(X.shape[1])):
        n_rows = expect_block(X, location, scale, first, stop, mixture, workspace)
        if len(log_density) > 0:
            for b in range(n_rows):
                log_density[first + b] = workspace.log_density[b]
        if len(responsibilities) > 0:
            for b in range(n_rows):
                for k in range(means.shape[0]):
                    responsibilities[first + b, k] = workspace.responsibilities[k, b]


def fill_log_density(rows: Rows, parameters: Parameters, out: Array, *, n_threads: int = 1) -> None:
    """ln p(x_n) of all rows into out (N,)."""
    _fill(rows, parameters, out, np.empty((0, len(parameters[0]))), n_threads)


def fill_responsibilities(rows: Rows, parameters: Parameters, out: Array, *, n_threads: int = 1) -> None:
    """gamma_nk of all rows into out (N, K)."""
    _fill(rows, parameters, np.empty(0), out, n_threads)


def _fill(rows: Rows, parameters: Parameters, log_density: Array, responsibilities: Array, n_threads: int) -> None:
    X, location, scale, _ = rows
    weights, means, scale_trils = map(plain, parameters)

    def fill(start: int, stop: int) -> None:
        fill_densities(X, location, scale, start, stop, weights, means, scale_trils, log_density, responsibilities)

    for _ in map_row_chunks(fill, len(X), n_threads):
        pass


def compute_log_density(X: Array, weights: Array, means: Array, scale_trils: Array, *, n_threads: int = 1) -> Array:
    """ln p(x_n) in nats, shape (N,); -inf where the squared distance from every component overflows (about 1e154 scales)."""
    out = np.empty(len(X))
    fill_log_density(rows_of(X), (weights, means, scale_trils), out, n_threads=n_threads)
    return out


def compute_responsibilities(X: Array, weights: Array, means: Array, scale_trils: Array, *, n_threads: int = 1) -> Array:
    """gamma_nk, shape (N, K); rows sum to 1, but are all 0 where the log-density is -inf."""
    out = np.empty((len(X), len(means)))
    fill_responsibilities(rows_of(X), (weights, means, scale_trils), out, n_threads=n_threads)
    return out


def compute_classification(
    rows: Rows, weights: Array, means: Array, scale_trils: Array, *, n_threads: int = 1
) -> tuple[float, float]:
    """How clearly the rows are classified: (sum_n w_n ln max_k gamma_nk, -sum_n w_n sum_k gamma_nk ln gamma_nk), in nats.

    Parameters are those of the standardised rows. The first is what ICL adds to the log-likelihood (Biernacki, Celeux and Govaert
    2000), at most 0, and -inf where a row of positive weight has density 0, which then counts for nothing in the second, the
    entropy.
    """
    parameters = (weights, means, scale_trils)
    parts = map_row_chunks(lambda start, stop: _classification(_part(rows, start, stop), parameters), len(rows.X), n_threads)
    log_likelihoods, entropies = zip(*parts, strict=True)
    return float(sum(log_likelihoods)), float(sum(entropies))


def _part(rows: Rows, start: int, stop: int) -> Rows:
    return rows._replace(X=rows.X[start:stop], weights=rows.weights[start:stop])


def _classification(rows: Rows, parameters: Parameters) -> tuple[float, float]:
    gamma = np.empty((len(rows.X), len(parameters[0])))
    fill_responsibilities(rows, parameters, gamma)
    row_weights = rows.weights if len(rows.weights) else np.ones(len(gamma))
    largest, counts = gamma.max(axis=1), row_weights > 0.0
    with np.errstate(divide="ignore"):
        log_likelihood = row_weights[counts] @ np.log(largest[counts])
    log_gamma = np.log(gamma, out=np.zeros_like(gamma), where=gamma > 0.0)
    return float(log_likelihood), -float(row_weights @ (gamma * log_gamma).sum(axis=1))
