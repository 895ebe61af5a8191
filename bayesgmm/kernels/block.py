"""Numba building blocks that work on one block of rows, feature-major, so that loops vectorise over rows."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.kernels.cache import FINGERPRINT

Array = NDArray[np.float64]

CODE_VERSION = int(FINGERPRINT[:12], 16)
"""Changes with the compiled code; for caches that others keep of it."""

BLOCK_ROWS = 128
"""Rows handled together: all temporaries of a block stay in the first-level cache for small D and K."""

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_ROUND_TO_INTEGER = 6755399441055744.0  # 1.5 * 2**52: adding it leaves the nearest integer in the low mantissa bits
_LOWEST_EXPONENT = -708.0


@njit(cache=True, error_model="numpy")
def exp_nonpositive(x):
    """exp(x) for x <= 0, to 2 units in the last place; 0 below -708, where the result would leave the normal range.

    LLVM vectorises this and does not vectorise a call to the C library's exp. No fastmath here: reassociation
    would cancel the rounding constant.
    """
    clipped = max(x, _LOWEST_EXPONENT)
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


@njit(cache=True, error_model="numpy")
def log_normalisers(log_weights, scale_trils):
    """ln pi_k - D/2 ln(2 pi) - ln det L_k, shape (K,)."""
    n_components, n_features, _ = scale_trils.shape
    out = np.empty(n_components)
    for k in range(n_components):
        value = log_weights[k] - 0.5 * n_features * np.log(2.0 * np.pi)
        for d in range(n_features):
            value -= np.log(scale_trils[k, d, d])
        out[k] = value
    return out


class Workspace(NamedTuple):
    """Arrays that the blocks of one pass share: x, z (D, B), responsibilities (K, B), log_density (B,), with B = BLOCK_ROWS."""

    x: Array
    z: Array
    responsibilities: Array
    log_density: Array


@njit(cache=True, error_model="numpy")
def new_workspace(n_components, n_features):
    """Uninitialised arrays of a Workspace."""
    return Workspace(
        np.empty((n_features, BLOCK_ROWS)),
        np.empty((n_features, BLOCK_ROWS)),
        np.empty((n_components, BLOCK_ROWS)),
        np.empty(BLOCK_ROWS),
    )


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _log_joint_block(x, n_rows, normalisers, means, scale_trils, z, log_joint):
    """ln pi_k + ln N(x_n; mu_k, L_k L_k') into log_joint (K, B), by forward substitution; z (D, B) is scratch."""
    n_components, n_features = means.shape
    for k in range(n_components):
        for b in range(n_rows):
            log_joint[k, b] = 0.0
        for i in range(n_features):
            for b in range(n_rows):
                z[i, b] = x[i, b] - means[k, i]
            for j in range(i):
                factor = scale_trils[k, i, j]
                for b in range(n_rows):
                    z[i, b] -= factor * z[j, b]
            inverse = 1.0 / scale_trils[k, i, i]
            for b in range(n_rows):
                z[i, b] *= inverse
                log_joint[k, b] += z[i, b] * z[i, b]
        for b in range(n_rows):
            value = normalisers[k] - 0.5 * log_joint[k, b]
            log_joint[k, b] = value if value == value else -np.inf  # NaN: the substitution overflowed


@njit(cache=True, error_model="numpy")
def _normalise_block(log_joint, n_rows, log_density):
    """Turn log_joint (K, BLOCK_ROWS) into responsibilities in place; put ln p(x_n) into log_density (BLOCK_ROWS,).

    A row that no component gives any density has log_density -inf and responsibilities 0.
    """
    n_components = log_joint.shape[0]
    for b in range(n_rows):
        log_density[b] = log_joint[0, b]
    for k in range(1, n_components):
        for b in range(n_rows):
            log_density[b] = max(log_density[b], log_joint[k, b])
    total = np.zeros(BLOCK_ROWS)
    for k in range(n_components):
        for b in range(n_rows):
            top = log_density[b] if log_density[b] > -np.inf else 0.0
            log_joint[k, b] = exp_nonpositive(log_joint[k, b] - top)
            total[b] += log_joint[k, b]
    for k in range(n_components):
        for b in range(n_rows):
            log_joint[k, b] /= total[b] if total[b] > 0.0 else 1.0
    for b in range(n_rows):
        log_density[b] += np.log(total[b])


@njit(cache=True, error_model="numpy")
def expect_block(X, first, stop, normalisers, means, scale_trils, workspace):
    """Responsibilities and log-densities of rows first, first + 1, ... of X (N, D) into workspace; return how many rows."""
    x = workspace.x
    n_rows = min(BLOCK_ROWS, stop - first)
    for b in range(n_rows):
        for d in range(x.shape[0]):
            x[d, b] = X[first + b, d]
    _log_joint_block(x, n_rows, normalisers, means, scale_trils, workspace.z, workspace.responsibilities)
    _normalise_block(workspace.responsibilities, n_rows, workspace.log_density)
    return n_rows
