"""Volumes of covariances that share all else: Sigma_k = lambda_k C, by Newton's method in u_k = ln lambda_k.

Given the volumes the best C is sum_k W_k / (n lambda_k). Putting it in leaves the minimisation over u of

    f(u) = n ln|sum_k exp(-u_k) W_k| + D sum_k n_k u_k,

the logarithm of a sum of exponentials, hence convex, and unchanged when one number is added to all u_k. With M the sum and
T_kl = exp(-u_k - u_l) tr(M^-1 W_k M^-1 W_l), the "overlaps", and t_k = sum_l T_kl = exp(-u_k) tr(M^-1 W_k), its gradient is
D n_k - n t_k and its Hessian n (diag(t) - T). The same optimum as the alternating iteration of Celeux and Govaert (1995, section
4), which needs hundreds of steps where components differ much.
"""

import numpy as np
from numba import njit

from bayesgmm.kernels.cache import INTERNAL

MAX_STEPS = 100
LAST_STEP = 1e-8
"""Newton's method converges quadratically: after a step of this size (relative to 1) the error is that of rounding."""


@njit(**INTERNAL)
def start_log_volumes(counts, overlaps, n_features, log_volumes):
    """The best volumes for the C of equal volumes, from the overlaps at log_volumes = 0."""
    n_components = counts.shape[0]
    for k in range(n_components):
        trace = 0.0
        for m in range(n_components):
            trace += overlaps[k, m]
        log_volumes[k] = np.log(trace / (n_features * counts[k]))


@njit(**INTERNAL)
def _solve(matrix, vector):
    """Overwrite vector with matrix^-1 vector, by a Cholesky factor that overwrites the lower triangle; NaN if singular."""
    size = vector.shape[0]
    for i in range(size):
        for j in range(i + 1):
            for m in range(j):
                matrix[i, j] -= matrix[i, m] * matrix[j, m]
            matrix[i, j] = np.sqrt(matrix[i, i]) if i == j else matrix[i, j] / matrix[j, j]
        for j in range(i):
            vector[i] -= matrix[i, j] * vector[j]
        vector[i] /= matrix[i, i]
    for i in range(size - 1, -1, -1):
        for j in range(i + 1, size):
            vector[i] -= matrix[j, i] * vector[j]
        vector[i] /= matrix[i, i]


@njit(**INTERNAL)
def newton_step(counts, overlaps, n_features, log_volumes):
    """Step towards the minimum of f; return the range of the Newton direction, NaN where the Hessian is singular.

    Along a direction of range r, |f'''| <= r f''. So f falls along the whole step of length ln(1 + r) / r: no line search.
    """
    n_components = counts.shape[0]
    total = 0.0
    traces = np.zeros(n_components)
    for k in range(n_components):
        total += counts[k]
        for m in range(n_components):
            traces[k] += overlaps[k, m]
    hessian = np.empty((n_components, n_components))
    step = np.empty(n_components)
    for k in range(n_components):
        step[k] = traces[k] - n_features * counts[k] / total
        for m in range(n_components):  # t t' / D fixes the direction (1, ..., 1), along which f is constant
            hessian[k, m] = traces[k] * traces[m] / n_features - overlaps[k, m]
        hessian[k, k] += traces[k]
    _solve(hessian, step)
    lowest, highest = step[0], step[0]
    for k in range(n_components):
        lowest, highest = min(lowest, step[k]), max(highest, step[k])
    spread = highest - lowest
    length = np.log1p(spread) / spread if spread > LAST_STEP else 1.0
    for k in range(n_components):
        log_volumes[k] += length * step[k]
    return spread
