"""The common orientation of K covariances whose shapes are their own (EVE and VVE), by cyclic Jacobi rotations.

With d_kj the diagonal of D' W_k D the orientation D minimises

    VVE:  sum_k n_k sum_j ln d_kj                    (Flury 1984, common principal components)
    EVE:  sum_k (prod_j d_kj)^(1/D)                  (Browne and McNicholas 2014)

Both are sums of (prod_j d_kj)^power: with power 1 / D, and with weights n_k in the limit of power 0, the logarithm. Turning axes
i and j by the angle psi / 4 changes the product only through

    d_ki d_kj = P_k(psi) = w_ii w_jj + p (1 - cos psi) - q sin psi,
    p = ((w_ii - w_jj)^2 / 4 - w_ij^2) / 2,   q = (w_ii - w_jj) w_ij / 2,

with w the entries of D' W_k D: smooth in one angle, whose best value Newton's method finds. Rotations go on until no pair has a
slope.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.families.rotations import diagonalise, rotate, seen_along, set_identity
from bayesgmm.kernels.cache import ENTRY, INTERNAL

Array = NDArray[np.float64]

MAX_SWEEPS = 500
STATIONARY = 1e-12
"""A pair's slope over (curvature * weight)^(1/2): the root of what a turn could still gain, in units of the total weight."""
AT_THE_TOP = 1e-10
"""A pair with this negative curvature per weight is at a maximum or saddle point, which has no slope either."""
NEARLY_STATIONARY = 1e-3
"""Enough to tell the better of two stationary points."""
MAX_RELAXATION = 1.5
RATE_SWEEPS = 4
"""The rate of convergence is taken over this many sweeps."""
SMALL_STEP = 1e-3
"""After a Newton step of this size (radians) the pair waits for the next sweep; steps below it may be over-relaxed."""


@njit(**INTERNAL)
def _slope_and_curvature(pairs, weights, power, psi):
    """First and second derivative of the pair's objective, and the positive part of the second, at the angle psi."""
    cosine, sine = np.cos(psi), np.sin(psi)
    slope = 0.0
    curvature = 0.0
    scale = 0.0
    for k in range(weights.shape[0]):
        start, p, q = pairs[k, 0], pairs[k, 1], pairs[k, 2]
        product = start + p * (1.0 - cosine) - q * sine
        weight = weights[k]
        if power > 0.0:
            weight *= (product / start) ** power
        relative = (p * sine - q * cosine) / product
        slope += weight * relative
        curvature += weight * ((p * cosine + q * sine) / product - (1.0 - power) * relative * relative)
        scale += weight * abs(p) / product
    return slope, curvature, scale


@njit(**INTERNAL)
def _gain(pairs, weights, power, psi):
    """How far the objective falls when the pair turns by psi from 0."""
    haversine, sine = 2.0 * np.sin(0.5 * psi) ** 2, np.sin(psi)
    gain = 0.0
    for k in range(weights.shape[0]):
        change = np.log1p((pairs[k, 1] * haversine - pairs[k, 2] * sine) / pairs[k, 0])
        gain -= weights[k] * (np.expm1(power * change) / power if power > 0.0 else change)
    return gain


@njit(**INTERNAL)
def _best_angle(pairs, weights, power, relaxation):
    """Go down to a minimum of the pair's objective; return its angle and how far from stationary the start was.

    A small angle is multiplied by relaxation, from 1 to below 2.
    """
    slope, curvature, scale = _slope_and_curvature(pairs, weights, power, 0.0)
    total = 0.0
    for k in range(weights.shape[0]):
        total += weights[k]
    unrest = abs(slope) / np.sqrt(scale * total)
    if curvature < -AT_THE_TOP * total:
        unrest = 1.0
    if not unrest > STATIONARY:
        return 0.0, 0.0
    psi = 0.0
    gain = 0.0
    for _ in range(50):
        step = -slope / curvature if curvature > 0.0 else -np.pi / 4 if slope > 0.0 else np.pi / 4
        step = min(max(step, -np.pi / 2), np.pi / 2)
        if abs(step) < SMALL_STEP:
            return psi + (step if psi != 0.0 else relaxation * step), unrest
        for _ in range(30):
            new_gain = _gain(pairs, weights, power, psi + step)
            if new_gain > gain:
                break
            step *= 0.5
        if not new_gain > gain:
            break
        psi += step
        gain = new_gain
        slope, curvature, _ = _slope_and_curvature(pairs, weights, power, psi)
    return psi, unrest


@njit(**INTERNAL)
def _turn_pair(matrices, weights, power, axes, i, j, pairs, relaxation):
    """Turn axes i and j to their best angle; return how far from stationary they were."""
    for k in range(weights.shape[0]):
        a, b, c = matrices[k, i, i], matrices[k, i, j], matrices[k, j, j]
        half = 0.5 * (a - c)
        pairs[k, 0] = a * c
        pairs[k, 1] = 0.5 * (half * half - b * b)
        pairs[k, 2] = half * b
    psi, unrest = _best_angle(pairs, weights, power, relaxation)
    if unrest > 0.0:
        rotate(matrices, axes, i, j, np.cos(0.25 * psi), np.sin(0.25 * psi))
        if power > 0.0:
            for k in range(weights.shape[0]):
                weights[k] *= (matrices[k, i, i] * matrices[k, j, j] / pairs[k, 0]) ** power
    return unrest


@njit(**ENTRY)
def descend(scatters, counts, power, axes, tolerance):
    """Turn axes (D, D) downhill until no pair is further than tolerance from stationary; return the objective there.

    Sweeps over the pairs converge linearly, as Gauss-Seidel's iteration does, and are over-relaxed as it may be: the factor comes
    from the rate seen (Young 1954).
    """
    n_components, n_features, _ = scatters.shape
    matrices = seen_along(scatters, axes)
    weights = np.empty(n_components)
    for k in range(n_components):
        weights[k] = counts[k] if power == 0.0 else np.exp(power * _log_product(matrices, k))
    pairs = np.empty((n_components, 3))
    relaxation = 1.0
    before = np.inf
    for sweep in range(1, MAX_SWEEPS + 1):
        largest = 0.0
        squares = 0.0
        for i in range(n_features):
            for j in range(i + 1, n_features):
                unrest = _turn_pair(matrices, weights, power, axes, i, j, pairs, relaxation)
                largest = max(largest, unrest)
                squares += unrest * unrest
        if not largest > tolerance:
            break
        if sweep % RATE_SWEEPS == 0:
            relaxation = _faster(relaxation, (squares / before) ** (0.5 / RATE_SWEEPS))
            before = squares
    return _objective(matrices, counts, power)


@njit(**ENTRY)
def _objective(matrices, counts, power):
    """What the orientation minimises, from D' W_k D."""
    objective = 0.0
    for k in range(len(counts)):
        objective += counts[k] * _log_product(matrices, k) if power == 0.0 else np.exp(power * _log_product(matrices, k))
    return objective


@njit(**INTERNAL)
def _faster(relaxation, rate):
    """The relaxation that suits the spectral radius which `rate` shows at the present one (Young 1954)."""
    if not relaxation - 1.0 < rate < 1.0:
        return relaxation
    root = (rate + relaxation - 1.0) / relaxation
    return max(relaxation, min(2.0 / (1.0 + np.sqrt(max(1.0 - root * root / rate, 0.0))), MAX_RELAXATION))


@njit(**INTERNAL)
def _log_product(matrices, k):
    total = 0.0
    for j in range(matrices.shape[1]):
        total += np.log(matrices[k, j, j])
    return total


@njit(**ENTRY)
def axes_of_sum(matrices, first, stop):
    """Eigenvectors (D, D), as rows, of sum_k matrices[k], k = first, ..., stop - 1."""
    n_features = matrices.shape[1]
    pooled = np.zeros((1, n_features, n_features))
    for k in range(first, stop):
        for i in range(n_features):
            for j in range(n_features):
                pooled[0, i, j] += matrices[k, i, j]
    axes = np.empty((n_features, n_features))
    set_identity(axes)
    diagonalise(pooled, axes)
    return axes


def axes_from_data(scatters: Array, counts: Array, power: float) -> Array:
    """The best of the stationary points below the axes of the pooled scatter and of each component's."""
    n_components = len(counts)
    best, best_axes = np.inf, axes_of_sum(scatters, 0, n_components)
    for first, stop in [(0, n_components), *((k, k + 1) for k in range(n_components))]:
        axes = axes_of_sum(scatters, first, stop)
        objective = descend(scatters, counts, power, axes, NEARLY_STATIONARY)
        if objective < best:
            best, best_axes = objective, axes
    descend(scatters, counts, power, best_axes, STATIONARY)
    return best_axes


def axes_from_guess(scatters: Array, counts: Array, power: float, guess: Array) -> Array:
    """The stationary point below the common axes of guess (K, D, D); these axes themselves where rounding hides the way down."""
    start = axes_of_sum(guess, 0, len(guess))
    descend(guess, counts, 0.0, start, STATIONARY)  # the sum may have equal eigenvalues where its terms have not
    axes = start.copy()
    objective = descend(scatters, counts, power, axes, STATIONARY)
    # A scatter that is singular to rounding makes objectives of noise: the search must not end above its start for that.
    return axes if objective <= _objective(seen_along(scatters, start), counts, power) else start
