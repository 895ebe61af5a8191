"""The log-posterior of the library's own model and its gradient, in unconstrained coordinates, as one numba function.

It is the same density as that of the PyMC model from `build_model` (a test holds the two together), compiled once per
machine rather than once per process. `model/density.py` says which numbers it is given.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.kernels.block import matrices, matrix, vector
from bayesgmm.kernels.cache import INTERNAL
from bayesgmm.kernels.score import score

Array = NDArray[np.float64]

INVERSE_GAMMA, HALF_NORMAL, HALF_STUDENT_T, LOG_NORMAL, HIERARCHICAL_GAMMA = range(5)
COLUMNS, CORRELATIONS, ROTATIONS = range(3)


class Layout(NamedTuple):
    """Integers: sizes of the blocks of coordinates, and what the axes are; see `structure`."""

    n_components: int
    n_features: int
    scale_rows: int
    scale_columns: int
    n_ratios: int  # log_volumes and log_shapes
    n_axes: int
    axes: int
    equal_determinants: int
    triangular: int  # whether T_k are the Cholesky factors of the covariances of recorded rows
    scale_kind: int


class Hyperparameters(NamedTuple):
    """Numbers of the priors, and constants.

    concentration (K,); mean_loc, mean_scale (D,); scale_params (3, columns of the scales), 0 where a prior has fewer;
    noise (D,): variances of rounding; scale_map (n, 3): row kD + d, column and value of what is not 0 in the matrix that takes
    the coordinates of scales, log_volumes and log_shapes to ln s_kd; reference_axes (n_axes, D, D), where the axes are rotations;
    scalars (3,): log_ratio_scale, lkj_eta, log constant.
    """

    concentration: Array
    mean_loc: Array
    mean_scale: Array
    scale_params: Array
    noise: Array
    scale_map: Array
    reference_axes: Array
    scalars: Array


def scale_log_prior(kind, first, second, sigma):
    """Unnormalised ln p(sigma) and its derivative; `first` and `second` are the prior's parameters in their usual order."""
    if kind == INVERSE_GAMMA:
        return -(first + 1.0) * np.log(sigma) - second / sigma, -(first + 1.0) / sigma + second / sigma**2
    if kind == HALF_NORMAL:
        return -0.5 * (sigma / first) ** 2, -sigma / first**2
    if kind == HALF_STUDENT_T:
        ratio = (sigma / second) ** 2 / first
        return -0.5 * (first + 1.0) * np.log1p(ratio), -(first + 1.0) * ratio / (sigma * (1.0 + ratio))
    deviation = (np.log(sigma) - first) / second
    return -np.log(sigma) - 0.5 * deviation**2, -(1.0 + deviation / second) / sigma


_compiled_scale_log_prior = njit(**INTERNAL)(scale_log_prior)


@njit(**INTERNAL)
def _add_independent_scale_prior(u, at, layout, scale_params, gradient):
    """Each scale's prior and the Jacobian of its logarithm."""
    value = 0.0
    for e in range(layout.scale_rows * layout.scale_columns):
        column = e % layout.scale_columns
        sigma = np.exp(u[at + e])
        prior, d_prior = _compiled_scale_log_prior(layout.scale_kind, scale_params[0, column], scale_params[1, column], sigma)
        value += prior + u[at + e]
        gradient[at + e] = d_prior * sigma + 1.0
    return value


@njit(**INTERNAL)
def _add_hierarchical_scale_prior(u, at, layout, scale_params, gradient):
    """Unnormalised prior of the scales of each column together, and the Jacobian of their logarithms; see `HierarchicalGamma`."""
    value = 0.0
    for column in range(layout.scale_columns):
        alpha, g, log_h = scale_params[0, column], scale_params[1, column], np.log(scale_params[2, column])
        exponent = g + layout.scale_rows * alpha
        largest = log_h
        for row in range(layout.scale_rows):
            largest = max(largest, -2.0 * u[at + row * layout.scale_columns + column])
        total = np.exp(log_h - largest)
        for row in range(layout.scale_rows):
            total += np.exp(-2.0 * u[at + row * layout.scale_columns + column] - largest)
        value -= exponent * (largest + np.log(total))
        for row in range(layout.scale_rows):
            e = at + row * layout.scale_columns + column
            value -= 2.0 * alpha * u[e]
            gradient[e] = 2.0 * (exponent * np.exp(-2.0 * u[e] - largest) / total - alpha)
    return value


# Loops rather than array expressions below: numba compiles each array expression as a function of its own, for a second or so.


@njit(**INTERNAL)
def _softmax(u, weights):
    """Weights of the first K - 1 coordinates; the last logit is minus their sum."""
    last = len(weights) - 1
    weights[last] = 0.0
    for k in range(last):
        weights[k] = u[k]
        weights[last] -= u[k]
    largest = weights[0]
    for k in range(1, last + 1):
        largest = max(largest, weights[k])
    total = 0.0
    for k in range(last + 1):
        weights[k] = np.exp(weights[k] - largest)
        total += weights[k]
    for k in range(last + 1):
        weights[k] /= total


@njit(**INTERNAL)
def _add_weight_terms(weights, d_weights, concentration, gradient):
    """Dirichlet and Jacobian of the simplex: exponents a - 1 and 1; gradient by the K - 1 logits, the last minus their sum."""
    last = len(weights) - 1
    value, total = 0.0, 0.0
    for k in range(last + 1):
        value += concentration[k] * np.log(weights[k])
        total += weights[k] * d_weights[k] + concentration[k]
    d_last = weights[last] * d_weights[last] + concentration[last] - weights[last] * total
    for k in range(last):
        gradient[k] = weights[k] * d_weights[k] + concentration[k] - weights[k] * total - d_last
    return value


@njit(**INTERNAL)
def _fill_correlation_axes(u, at, axes, lengths):
    """Cholesky factors of correlation matrices, row i being (x_i1, ..., x_i,i-1, 1) divided by its length."""
    for a in range(axes.shape[0]):
        for i in range(axes.shape[1]):
            squares = 1.0
            for j in range(i):
                squares += u[at + j] * u[at + j]
            lengths[a, i] = np.sqrt(squares)
            for j in range(i + 1):
                axes[a, i, j] = (u[at + j] if j < i else 1.0) / lengths[a, i]
            at += i


@njit(**INTERNAL)
def _invert_unit_plus_skew(x, at, inverse):
    """(I + S)^-1 into inverse, for the skew-symmetric S with lower triangle sinh x[at], ...; return ln det(I + S).

    Elimination without pivots: the symmetric part of I + S is I, so that every pivot is at least 1.
    """
    n = inverse.shape[0]
    work = matrix(n, n)
    for i in range(n):
        for j in range(i):
            work[i, j] = np.sinh(x[at])
            work[j, i] = -work[i, j]
            at += 1
        work[i, i] = 1.0
        for j in range(n):
            inverse[i, j] = 1.0 if i == j else 0.0
    log_determinant = 0.0
    for p in range(n):
        pivot = work[p, p]
        log_determinant += np.log(pivot)
        for j in range(n):
            work[p, j] /= pivot
            inverse[p, j] /= pivot
        for i in range(n):
            if i != p:
                factor = work[i, p]
                for j in range(n):
                    work[i, j] -= factor * work[p, j]
                    inverse[i, j] -= factor * inverse[p, j]
    return log_determinant


@njit(**INTERNAL)
def _fill_rotation_axes(u, at, reference, axes, inverses):
    """Rotations R (2 (I + S)^-1 - I), R the reference, into axes, the inverses beside; return the sum of ln det(I + S)."""
    n = axes.shape[1]
    total = 0.0
    for a in range(axes.shape[0]):
        total += _invert_unit_plus_skew(u, at, inverses[a])
        for i in range(n):
            for j in range(n):
                axes[a, i, j] = -reference[a, i, j]
                for m in range(n):
                    axes[a, i, j] += 2.0 * reference[a, i, m] * inverses[a, m, j]
        at += n * (n - 1) // 2
    return total


@njit(**INTERNAL)
def _fill_log_scales(u, at, scale_map, log_scales):
    """ln s_kd (K, D) of the coordinates of scales, log_volumes and log_shapes, which begin at `at`."""
    n_features = log_scales.shape[1]
    for e in range(len(scale_map)):
        row = int(scale_map[e, 0])
        log_scales[row // n_features, row % n_features] += scale_map[e, 2] * u[at + int(scale_map[e, 1])]


@njit(**INTERNAL)
def _equalise_determinants(axes, log_scales):
    """Lower ln s_kd by ln|R_k| / 2D less the mean of these over the components."""
    n_components, n_features = log_scales.shape
    mean = 0.0
    for k in range(n_components):
        for i in range(n_features):
            mean += np.log(axes[k, i, i]) / (n_features * n_components)
    for k in range(n_components):
        own = 0.0
        for i in range(n_features):
            own += np.log(axes[k, i, i]) / n_features
        for d in range(n_features):
            log_scales[k, d] -= own - mean


@njit(**INTERNAL)
def _fill_axes(u, at, layout, reference, axes, lengths, inverses, log_scales):
    """A_k, what they do to ln s_kd, and ln of the density of uniform rotations without its constant."""
    if layout.axes == CORRELATIONS:
        _fill_correlation_axes(u, at, axes, lengths)
        if layout.equal_determinants:
            _equalise_determinants(axes, log_scales)
    elif layout.axes == ROTATIONS:
        return -(layout.n_features - 1.0) * _fill_rotation_axes(u, at, reference, axes, inverses)
    return 0.0


@njit(**INTERNAL)
def _fill_factors(layout, axes, log_scales, scales, factors):
    """s_kd, and T_k = diag(s_k) A_k or, for rotations, A_k diag(s_k)."""
    n_features = layout.n_features
    for k in range(layout.n_components):
        a = k if layout.n_axes > 1 else 0
        for i in range(n_features):
            scales[k, i] = np.exp(log_scales[k, i])
        for i in range(n_features):
            for j in range(n_features):
                if layout.axes == COLUMNS:
                    factors[k, i, j] = scales[k, i] if i == j else 0.0
                else:
                    factors[k, i, j] = axes[a, i, j] * scales[k, j if layout.axes == ROTATIONS else i]


@njit(**INTERNAL)
def _factorise(factors, noise, triangular, trils):
    """Lower Cholesky factors of T_k T_k' + diag(noise); False where there are none."""
    n_components, n_features = factors.shape[:2]
    for k in range(n_components):
        for i in range(n_features):
            for j in range(i + 1):
                if triangular:
                    trils[k, i, j] = factors[k, i, j]
                    continue
                total = noise[i] if i == j else 0.0
                for m in range(n_features):
                    total += factors[k, i, m] * factors[k, j, m]
                for m in range(j):
                    total -= trils[k, i, m] * trils[k, j, m]
                if i == j:
                    if not total > 0.0:
                        return False
                    trils[k, i, i] = np.sqrt(total)
                else:
                    trils[k, i, j] = total / trils[k, j, j]
            if not trils[k, i, i] > 0.0:
                return False
    return True


@njit(**INTERNAL)
def _back_through_axes(layout, scales, factors, d_covariances, d_log_scales, d_axes):
    """Gradients by ln s_kd and by A_k, where T_k = diag(s_k) A_k or, for rotations, A_k diag(s_k)."""
    d_factor = matrix(layout.n_features, layout.n_features)
    for k in range(layout.n_components):
        a = k if layout.n_axes > 1 else 0
        _times_transposed(d_covariances[k], factors[k], d_factor)
        for i in range(layout.n_features):
            for j in range(layout.n_features):
                scaled = j if layout.axes == ROTATIONS else i
                d_log_scales[k, scaled] += 2.0 * d_factor[i, j] * factors[k, i, j]
                if layout.n_axes > 0:
                    d_axes[a, i, j] += 2.0 * d_factor[i, j] * scales[k, scaled]


@njit(**INTERNAL)
def _add_scale_terms(u, at, layout, hyper, d_log_scales, gradient):
    """Priors and Jacobians of scales, log_volumes and log_shapes, and the gradient by their coordinates."""
    ratios_at = at + layout.scale_rows * layout.scale_columns
    precision = 1.0 / hyper.scalars[0] ** 2
    if layout.scale_kind == HIERARCHICAL_GAMMA:
        value = _add_hierarchical_scale_prior(u, at, layout, hyper.scale_params, gradient)
    else:
        value = _add_independent_scale_prior(u, at, layout, hyper.scale_params, gradient)
    for e in range(ratios_at, ratios_at + layout.n_ratios):
        value -= 0.5 * precision * u[e] ** 2
        gradient[e] = -precision * u[e]
    for e in range(len(hyper.scale_map)):
        row = int(hyper.scale_map[e, 0])
        slope = d_log_scales[row // layout.n_features, row % layout.n_features]
        gradient[at + int(hyper.scale_map[e, 1])] += hyper.scale_map[e, 2] * slope
    return value


@njit(**INTERNAL)
def _add_correlation_terms(axes, lengths, d_axes, extra, lkj_eta, at, gradient):
    """LKJ and Jacobian: exponents of ln A_ii 2 eta - 2 + D - (i + 1) and i + 2, for rows i from 0; and what `extra` (K,) adds."""
    n_features = axes.shape[1]
    value = 0.0
    for a in range(axes.shape[0]):
        for i in range(n_features):
            exponent = 2.0 * lkj_eta - 2.0 + n_features - (i + 1.0) + (i + 2.0)
            value += exponent * np.log(axes[a, i, i])
            along = exponent + extra[a]
            for j in range(i + 1):
                along += axes[a, i, j] * d_axes[a, i, j]
            for j in range(i):
                gradient[at + j] = (d_axes[a, i, j] - axes[a, i, j] * along) / lengths[a, i]
            at += i
    return value


@njit(**INTERNAL)
def _times_transposed(a, b, out):
    """a' b into out."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = 0.0
            for m in range(a.shape[0]):
                out[i, j] += a[m, i] * b[m, j]


@njit(**INTERNAL)
def _add_rotation_terms(u, reference, inverses, d_axes, at, gradient):
    """Jacobian of S = sinh x, element by element, and the gradient by the x of the lower triangle of S.

    A = R (2 M - I) with M = (I + S)^-1, and the density is det(I + S)^-(D - 1).
    """
    n = d_axes.shape[1]
    half, turned = matrix(n, n), matrix(n, n)
    value = 0.0
    for a in range(d_axes.shape[0]):
        inverse = inverses[a]
        _times_transposed(reference[a], d_axes[a], turned)
        _times_transposed(inverse, turned, half)
        for i in range(n):
            for j in range(i):
                slope = -(n - 1.0) * (inverse[j, i] - inverse[i, j])
                for m in range(n):
                    slope -= 2.0 * (half[i, m] * inverse[j, m] - half[j, m] * inverse[i, m])
                gradient[at] = slope * np.cosh(u[at]) + np.tanh(u[at])
                value += np.log(np.cosh(u[at]))
                at += 1
    return value


@njit(**INTERNAL)
def _spread_of_totals(d_log_scales, extra):
    """What equal determinants add to the derivative by each ln A_ii of component k: minus the deviation of its total, over D."""
    n_components, n_features = d_log_scales.shape
    mean = 0.0
    for k in range(n_components):
        for d in range(n_features):
            extra[k] -= d_log_scales[k, d] / n_features
        mean += extra[k] / n_components
    for k in range(n_components):
        extra[k] -= mean


@njit(**INTERNAL)
def fill_mixture(u, layout, hyper, weights, means, scales, factors, scale_trils, axes, lengths, inverses):
    """The mixture at u and what its covariances are made of; ln of the density of rotations, or -inf for a singular covariance.

    weights (K,); means, scales s_kd (K, D); factors T_k, scale_trils (K, D, D); axes A_k, inverses (n_axes, D, D); lengths
    (n_axes, D), see `_fill_axes`.
    """
    n_components, n_features = layout.n_components, layout.n_features
    means_at = n_components - 1
    scales_at = means_at + n_components * n_features
    axes_at = scales_at + layout.scale_rows * layout.scale_columns + layout.n_ratios
    log_scales = matrix(n_components, n_features)
    _softmax(u, weights)
    for k in range(n_components):
        for i in range(n_features):
            means[k, i] = u[means_at + k * n_features + i]
    _fill_log_scales(u, scales_at, hyper.scale_map, log_scales)
    value = _fill_axes(u, axes_at, layout, hyper.reference_axes, axes, lengths, inverses, log_scales)
    _fill_factors(layout, axes, log_scales, scales, factors)
    return value if _factorise(factors, hyper.noise, layout.triangular, scale_trils) else -np.inf


@njit(**INTERNAL)
def add_priors(
    u, layout, hyper, weights, means, scales, factors, axes, lengths, inverses, d_weights, d_means, d_covariances, gradient
):
    """ln of the priors and Jacobians; into `gradient` theirs, plus the likelihood's, whose derivatives d_... are."""
    n_components, n_features = layout.n_components, layout.n_features
    means_at = n_components - 1
    scales_at = means_at + n_components * n_features
    axes_at = scales_at + layout.scale_rows * layout.scale_columns + layout.n_ratios
    d_axes = matrices(layout.n_axes, n_features, n_features)
    d_log_scales, extra = matrix(n_components, n_features), vector(n_components)
    value = _add_weight_terms(weights, d_weights, hyper.concentration, gradient)
    for k in range(n_components):
        for i in range(n_features):
            deviation = (means[k, i] - hyper.mean_loc[i]) / hyper.mean_scale[i]
            value -= 0.5 * deviation**2
            gradient[means_at + k * n_features + i] = d_means[k, i] - deviation / hyper.mean_scale[i]
    _back_through_axes(layout, scales, factors, d_covariances, d_log_scales, d_axes)
    value += _add_scale_terms(u, scales_at, layout, hyper, d_log_scales, gradient)
    if layout.axes == CORRELATIONS:
        if layout.equal_determinants:
            _spread_of_totals(d_log_scales, extra)
        value += _add_correlation_terms(axes, lengths, d_axes, extra, hyper.scalars[1], axes_at, gradient)
    elif layout.axes == ROTATIONS:
        value += _add_rotation_terms(u, hyper.reference_axes, inverses, d_axes, axes_at, gradient)
    return value


@njit(**INTERNAL, inline="always")  # into the one function that calls it, which compiles faster
def log_posterior(u, X, row_weights, layout, hyper, gradient):
    """ln p(u | X) up to the evidence; its gradient (n_coordinates,) into `gradient`. Coordinates as in `coordinates`.

    -inf, with a gradient that means nothing, where a covariance is singular in floating point.
    """
    n_components, n_features = layout.n_components, layout.n_features
    weights, means, scales = vector(n_components), matrix(n_components, n_features), matrix(n_components, n_features)
    factors = matrices(n_components, n_features, n_features)
    scale_trils = matrices(n_components, n_features, n_features)
    axes, inverses = matrices(layout.n_axes, n_features, n_features), matrices(layout.n_axes, n_features, n_features)
    lengths = matrix(layout.n_axes, n_features)
    value = fill_mixture(u, layout, hyper, weights, means, scales, factors, scale_trils, axes, lengths, inverses)
    if value == -np.inf:
        return value
    log_likelihood, d_weights, d_means, d_covariances = score(X, weights, means, scale_trils, row_weights)
    priors = add_priors(
        u, layout, hyper, weights, means, scales, factors, axes, lengths, inverses, d_weights, d_means, d_covariances, gradient
    )
    return hyper.scalars[2] + value + log_likelihood + priors
