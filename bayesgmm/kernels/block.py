"""Numba building blocks that work on one block of rows, feature-major, so that loops vectorise over rows."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.kernels.cache import FINGERPRINT, INTERNAL
from bayesgmm.kernels.tiles import TILE, whiten

Array = NDArray[np.float64]

CODE_VERSION = int(FINGERPRINT[:12], 16)
"""Changes with the compiled code; for caches that others keep of it."""

BLOCK_ROWS = 128
"""Rows handled together, up to 32 features."""

NEGLIGIBLE_ODDS = 1e-20
"""Rows whose responsibility is below this times the component's weight are left out of its moments, where there are tiles.

At a maximum of the likelihood the mean of gamma_nk / pi_k over the rows is 1 for every component, so that what is left out is
a ten-thousandth of rounding.
"""

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_ROUND_TO_INTEGER = 6755399441055744.0  # 1.5 * 2**52: adding it leaves the nearest integer in the low mantissa bits
_LOWEST_EXPONENT = -708.0
_MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
_MANTISSA_BITS = np.uint64(52)
_TWO_52_BITS = np.uint64(0x4330000000000000)
_ONE_BITS = np.uint64(0x3FF0000000000000)
_SQRT_HALF_BITS = np.uint64(0x3FE6A09E667F3BCD)


@njit(**INTERNAL, fastmath={"contract"})
def exp_nonpositive(x):
    """exp(x) for x <= 0, to 2 units in the last place; 0 below -708, where the result would leave the normal range.

    LLVM vectorises this and does not vectorise a call to the C library's exp. Reassociation would cancel the
    rounding constant.
    """
    clipped = x if x > _LOWEST_EXPONENT else _LOWEST_EXPONENT  # noqa: FURB136  # LLVM does not vectorise numba's max
    shifted = clipped * _LOG2_E + _ROUND_TO_INTEGER
    n = shifted - _ROUND_TO_INTEGER
    r = (clipped - n * _LN2_HIGH) - n * _LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    two_to_the_n = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    return p * two_to_the_n if x >= _LOWEST_EXPONENT else 0.0


@njit(**INTERNAL, fastmath={"contract"})
def log_from_one(x):
    """ln(x) for 1 <= x < inf, to 2 units in the last place.

    With x = 2^e m, m in [sqrt(1/2), sqrt(2)), and s = (m - 1) / (m + 1): ln m = 2 (s + s^3/3 + s^5/5 + ...).
    """
    bits = np.float64(x).view(np.uint64) + (_ONE_BITS - _SQRT_HALF_BITS)
    # Read as the low bits of a double: a conversion from integer to double is not vectorised.
    exponent = np.uint64((bits >> _MANTISSA_BITS) | _TWO_52_BITS).view(np.float64) - (2.0**52 + 1023.0)
    m = np.uint64((bits & _MANTISSA) + _SQRT_HALF_BITS).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    t = s * s
    p = 1.0 / 23.0
    p = p * t + 1.0 / 21.0
    p = p * t + 1.0 / 19.0
    p = p * t + 1.0 / 17.0
    p = p * t + 1.0 / 15.0
    p = p * t + 1.0 / 13.0
    p = p * t + 1.0 / 11.0
    p = p * t + 1.0 / 9.0
    p = p * t + 1.0 / 7.0
    p = p * t + 1.0 / 5.0
    p = p * t + 1.0 / 3.0
    return exponent * _LN2_HIGH + (2.0 * s + (2.0 * s * t * p + exponent * _LN2_LOW))


class Workspace(NamedTuple):
    """Arrays that the blocks of one pass share; B rows a block, D padded to whole tiles.

    x, z (D, B) feature-major; rows, y, weighted (B, D and more) row-major, where there are tiles; responsibilities (K, B);
    log_density, row_weights, weights (B,); chosen (B,) int. A little more than D keeps rows off each other's cache lines.
    """

    x: Array
    z: Array
    rows: Array
    y: Array
    weighted: Array
    responsibilities: Array
    log_density: Array
    row_weights: Array
    weights: Array
    chosen: NDArray[np.intp]


class Mixture(NamedTuple):
    """Parameters as the blocks need them, D padded to whole tiles, matrices of all components one below the other.

    normalisers (K,): ln pi_k - D/2 ln(2 pi) - ln det L_k; means (K, D); scale_trils (K D, D); inverses (K, D) of their diagonals;
    begins (K D,) int: for the first row of a tile, the first column in which the tile's rows are not zero; negligible (K,):
    responsibilities that do not count.
    """

    normalisers: Array
    means: Array
    scale_trils: Array
    inverses: Array
    begins: NDArray[np.intp]
    negligible: Array


@njit(**INTERNAL)
def vector(size):
    """Zeros (size,)."""
    return np.zeros(size)


@njit(**INTERNAL)
def matrix(n_rows, n_columns):
    """Zeros (n_rows, n_columns)."""
    return np.zeros((n_rows, n_columns))


@njit(**INTERNAL)
def matrices(n_matrices, n_rows, n_columns):
    """Zeros (n_matrices, n_rows, n_columns)."""
    return np.zeros((n_matrices, n_rows, n_columns))


@njit(**INTERNAL)
def _indices(size):
    """Zeros (size,), of type int."""
    return np.zeros(size, np.intp)


@njit(**INTERNAL)
def padded(n_features):
    """n_features up to whole tiles; as it is where there is not even one."""
    return n_features if n_features < TILE else (n_features + TILE - 1) // TILE * TILE


@njit(**INTERNAL)
def block_rows(n_features):
    """Rows handled together: the temporaries of a block stay in the first two levels of cache."""
    return BLOCK_ROWS if n_features <= 32 else BLOCK_ROWS // 2


@njit(**INTERNAL)
def new_workspace(n_components, n_features):
    """A Workspace of zeros, but row_weights 1."""
    size, width = block_rows(n_features), padded(n_features)
    n_rows, n_columns = (size, width + 2 * TILE) if n_features >= TILE else (0, 0)
    row_weights = vector(size)
    for b in range(size):
        row_weights[b] = 1.0
    return Workspace(
        matrix(width, size),
        matrix(width, size),
        matrix(n_rows, n_columns),
        matrix(n_rows, n_columns),
        matrix(n_rows, n_columns),
        matrix(n_components, size),
        vector(size),
        row_weights,
        vector(size + 1),
        _indices(size + 1),
    )


@njit(**INTERNAL)
def new_mixture(weights, means, scale_trils):
    """A Mixture of weights (K,), means (K, D) and scale_trils (K, D, D)."""
    n_components, n_features = means.shape
    width = padded(n_features)
    normalisers, negligible, begins = vector(n_components), vector(n_components), _indices(n_components * width)
    padded_means, inverses, trils = (
        matrix(n_components, width),
        matrix(n_components, width),
        matrix(n_components * width, width),
    )
    for k in range(n_components):
        normaliser = np.log(weights[k]) - 0.5 * n_features * np.log(2.0 * np.pi)
        for i in range(n_features):
            row = k * width + i
            padded_means[k, i] = means[k, i]
            inverses[k, i] = 1.0 / scale_trils[k, i, i]
            normaliser -= np.log(scale_trils[k, i, i])
            begin = i
            for j in range(i + 1):
                trils[row, j] = scale_trils[k, i, j]
                if begin > j and scale_trils[k, i, j] != 0.0:
                    begin = j
            begins[row] = begin
            first_of_tile = row - i % TILE
            if begins[first_of_tile] > begin:
                begins[first_of_tile] = begin
        normalisers[k] = normaliser
        negligible[k] = NEGLIGIBLE_ODDS * weights[k]
    return Mixture(normalisers, padded_means, trils, inverses, begins, negligible)


@njit(**INTERNAL)
def _load_block(X, location, scale, first, n_rows, x, rows):
    """Standardise n_rows rows from `first` into x, and rows where there are tiles."""
    n_features = X.shape[1]
    if n_features < TILE:
        for d in range(n_features):
            for b in range(n_rows):
                x[d, b] = (X[first + b, d] - location[d]) / scale[d]
        return
    for b in range(n_rows):
        for d in range(n_features):
            rows[b, d] = (X[first + b, d] - location[d]) / scale[d]
        for d in range(n_features):
            x[d, b] = rows[b, d]


@njit(**INTERNAL, fastmath={"contract"})
def _whiten_narrow(x, n_rows, mixture, k, z, distances):
    """As `whiten`, for fewer features than a tile has: LLVM vectorises the loops over rows."""
    n_features = x.shape[0]
    for i in range(n_features):
        mean, inverse = mixture.means[k, i], mixture.inverses[k, i]
        for b in range(n_rows):
            z[i, b] = x[i, b] - mean
        for j in range(i):
            factor = mixture.scale_trils[k * n_features + i, j]
            for b in range(n_rows):
                z[i, b] -= factor * z[j, b]
        for b in range(n_rows):
            z[i, b] *= inverse
            distances[k, b] = z[i, b] * z[i, b] + (distances[k, b] if i > 0 else 0.0)


@njit(**INTERNAL, fastmath={"contract"})
def _normalise_block(distances, n_rows, normalisers, log_density, total):
    """Turn squared distances (K, B) into responsibilities in place; put ln p(x_n) into log_density (B,).

    A row that no component gives any density has log_density -inf and responsibilities 0.
    """
    for b in range(n_rows):
        log_density[b] = -np.inf
        total[b] = 0.0
    for k in range(len(normalisers)):
        normaliser = normalisers[k]
        for b in range(n_rows):
            value = normaliser - 0.5 * distances[k, b]
            distances[k, b] = value
            # Not for NaN, where the substitution overflowed; LLVM does not vectorise numba's max.
            log_density[b] = value if value > log_density[b] else log_density[b]  # noqa: FURB136
    for k in range(len(normalisers)):
        for b in range(n_rows):
            top = log_density[b] if log_density[b] > -np.inf else 0.0
            value = exp_nonpositive(distances[k, b] - top)
            distances[k, b] = value
            total[b] += value
    for b in range(n_rows):
        log_density[b] += log_from_one(total[b] if total[b] > 1.0 else 1.0)  # noqa: FURB136
        total[b] = 1.0 / total[b] if total[b] > 0.0 else 1.0
    for k in range(len(normalisers)):
        for b in range(n_rows):
            distances[k, b] *= total[b]


@njit(**INTERNAL)
def expect_block(X, location, scale, first, stop, mixture, workspace):
    """Responsibilities and log-densities of rows first, first + 1, ... of (X - location) / scale; return how many rows."""
    n_rows = min(block_rows(X.shape[1]), stop - first)
    x, distances = workspace.x, workspace.responsibilities
    _load_block(X, location, scale, first, n_rows, x, workspace.rows)
    for k in range(distances.shape[0]):
        if X.shape[1] < TILE:
            _whiten_narrow(x, n_rows, mixture, k, workspace.z, distances)
        else:
            whiten(x, n_rows, mixture, k, workspace.z, distances)
    _normalise_block(distances, n_rows, mixture.normalisers, workspace.log_density, workspace.weights)
    return n_rows
