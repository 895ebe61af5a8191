"""Per-row results for given parameters: log-density, responsibilities, and how clearly the rows are classified."""

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.kernels.block import block_rows, expect_block, new_mixture, new_workspace
from bayesgmm.kernels.moments import prepare_parameters
from bayesgmm.kernels.rows import Rows, plain
from bayesgmm.kernels.threads import map_row_chunks

Array = NDArray[np.float64]


@njit(nogil=True, cache=True, error_model="numpy")
def fill_log_density(X, start, stop, log_weights, means, scale_trils, out):
    """ln p(x_n) of rows start, ..., stop - 1 into out (N,)."""
    mixture = new_mixture(log_weights, means, scale_trils)
    workspace = new_workspace(means.shape[0], means.shape[1])
    location, scale = np.zeros(means.shape[1]), np.ones(means.shape[1])
    for first in range(start, stop, block_rows(X.shape[1])):
        n_rows = expect_block(X, location, scale, first, stop, mixture, workspace)
        for b in range(n_rows):
            out[first + b] = workspace.log_density[b]


@njit(nogil=True, cache=True, error_model="numpy")
def fill_responsibilities(X, start, stop, log_weights, means, scale_trils, out):
    """gamma_nk of rows start, ..., stop - 1 into out (N, K)."""
    mixture = new_mixture(log_weights, means, scale_trils)
    workspace = new_workspace(means.shape[0], means.shape[1])
    location, scale = np.zeros(means.shape[1]), np.ones(means.shape[1])
    for first in range(start, stop, block_rows(X.shape[1])):
        n_rows = expect_block(X, location, scale, first, stop, mixture, workspace)
        for b in range(n_rows):
            for k in range(out.shape[1]):
                out[first + b, k] = workspace.responsibilities[k, b]


@njit(nogil=True, cache=True, error_model="numpy")
def classify(X, location, scale, row_weights, start, stop, log_weights, means, scale_trils):
    """sum_n w_n ln max_k gamma_nk and sum_n w_n of the entropies, of rows start, ..., stop - 1."""
    mixture, workspace = new_mixture(log_weights, means, scale_trils), new_workspace(means.shape[0], means.shape[1])
    log_likelihood, entropy = 0.0, 0.0
    for first in range(start, stop, block_rows(X.shape[1])):
        n_rows = expect_block(X, location, scale, first, stop, mixture, workspace)
        for b in range(n_rows):
            weight = row_weights[first + b] if len(row_weights) > 0 else 1.0
            if weight == 0.0:
                continue
            largest = 0.0
            for k in range(means.shape[0]):
                gamma = workspace.responsibilities[k, b]
                largest = max(largest, gamma)
                if gamma > 0.0:
                    entropy -= weight * gamma * np.log(gamma)
            log_likelihood += weight * np.log(largest)
    return log_likelihood, entropy


def compute_log_density(X: Array, weights: Array, means: Array, scale_trils: Array, *, n_threads: int = 1) -> Array:
    """ln p(x_n) in nats, shape (N,); -inf where the squared distance from every component overflows (about 1e154 scales)."""
    out = np.empty(X.shape[0])
    _fill_chunks(fill_log_density, plain(X), prepare_parameters(weights, means, scale_trils), out, n_threads)
    return out


def compute_responsibilities(X: Array, weights: Array, means: Array, scale_trils: Array, *, n_threads: int = 1) -> Array:
    """gamma_nk, shape (N, K); rows sum to 1, but are all 0 where the log-density is -inf."""
    out = np.empty((X.shape[0], len(means)))
    _fill_chunks(fill_responsibilities, plain(X), prepare_parameters(weights, means, scale_trils), out, n_threads)
    return out


def _fill_chunks(fill: Callable[..., None], X: Array, parameters: tuple[Array, Array, Array], out: Array, n_threads: int) -> None:
    for _ in map_row_chunks(lambda start, stop: fill(X, start, stop, *parameters, out), X.shape[0], n_threads):
        pass


def compute_classification(
    rows: Rows, weights: Array, means: Array, scale_trils: Array, *, n_threads: int = 1
) -> tuple[float, float]:
    """How clearly the rows are classified: (sum_n w_n ln max_k gamma_nk, -sum_n w_n sum_k gamma_nk ln gamma_nk), in nats.

    Parameters are those of the standardised rows. The first is what ICL adds to the log-likelihood (Biernacki, Celeux and Govaert
    2000), at most 0, and -inf where a row of positive weight has density 0, which then counts for nothing in the second, the
    entropy.
    """
    parameters = prepare_parameters(weights, means, scale_trils)
    parts = map_row_chunks(lambda start, stop: classify(*rows, start, stop, *parameters), rows.X.shape[0], n_threads)
    log_likelihoods, entropies = zip(*parts, strict=True)
    return float(sum(log_likelihoods)), float(sum(entropies))
