"""Sweeps of the plain Gibbs sampler, compiled; `prior` is (a, m, T, kind, scale parameters (2, columns), LKJ eta, h^2 / 12)."""

import numpy as np
from numba import njit

KINDS = ("inverse_gamma", "half_normal", "half_student_t", "log_normal")
"""Of the prior of scales: 0, 1, 2, 3 below."""
MOVES = 2
"""Metropolis moves of every entry of a covariance in a sweep."""


@njit(cache=True)
def run(X, n_rows, labels, weights, means, covariances, log_scales, axes, prior, rng, thin, out):
    log_empty, occupied, log_predictive, kept_weights, kept_means, kept_covariances, kept_labels = out
    K = len(weights)
    counts = np.zeros(K, np.int64)
    for sweep in range(len(log_empty)):
        log_empty[sweep] = _allocate(X, n_rows, labels, weights, means, covariances, prior[6], rng)
        allocated(X, n_rows, labels, weights, means, covariances, log_scales, axes, prior, rng)
        counts[:] = 0
        for i in range(n_rows):
            counts[labels[i]] += 1
        occupied[sweep] = (counts > 0).sum()
        log_predictive[sweep] = np.nan
        if n_rows < len(X):
            log_predictive[sweep] = _log_predictive(X, n_rows, labels, counts, covariances, prior)
        if (sweep + 1) % thin == 0:
            at = (sweep + 1) // thin - 1
            kept_weights[at], kept_means[at], kept_covariances[at], kept_labels[at] = weights, means, covariances, labels[:n_rows]


@njit(cache=True)
def _allocate(X, n_rows, labels, weights, means, covariances, noise, rng):
    """Labels of the first rows given parameters; returns ln of the mean over k of P(component k has no rows | parameters)."""
    K, D = means.shape
    inverse, recorded = np.empty((K, D, D)), np.empty((D, D))
    log_factor, log_none, log_terms = np.empty(K), np.zeros(K), np.empty(K)
    for k in range(K):
        recorded[:] = covariances[k]
        for d in range(D):
            recorded[d, d] += noise[d]
        log_factor[k] = np.log(weights[k]) - 0.5 * _invert(recorded, inverse[k])
    for i in range(n_rows):
        largest = -np.inf
        for k in range(K):
            log_terms[k] = log_factor[k] - 0.5 * _quadratic(inverse[k], X[i], means[k])
            largest = max(largest, log_terms[k])
        total = 0.0
        for k in range(K):
            log_terms[k] = np.exp(log_terms[k] - largest)
            total += log_terms[k]
        left, chosen = rng.random() * total, K - 1
        for k in range(K):
            others = 0.0
            for other in range(K):
                others += log_terms[other] if other != k else 0.0
            log_none[k] += np.log(others / total) if others > 0 else -np.inf
            left -= log_terms[k]
            if left < 0 and chosen == K - 1:
                chosen, left = k, np.inf
        labels[i] = chosen
    largest = log_none.max()
    return largest + np.log(np.exp(log_none - largest).sum() / K) if largest > -np.inf else -np.inf


@njit(cache=True)
def allocated(X, n_rows, labels, weights, means, covariances, log_scales, axes, prior, rng):
    """Weights, covariances and means given the labels of the first rows."""
    concentration, loc, spread, kind, scale_params, eta, noise = prior
    K, D = means.shape
    total, centre, scatter = 0.0, np.empty(D), np.empty((D, D))
    for k in range(K):
        n = _moments(X, n_rows, labels, k, centre, scatter)
        weights[k] = max(rng.standard_gamma(concentration + n), 1e-300)
        total += weights[k]
        if n == 0:
            _draw_prior(log_scales[k], axes[k], kind, scale_params, eta, D, rng)
        else:
            _move(log_scales[k], axes[k], n, centre, scatter, prior, rng)
        _covariance(log_scales[k], axes[k], covariances[k])
        _draw_mean(n, centre, covariances[k], loc, spread, noise, means[k], rng)
    weights /= total


@njit(cache=True)
def _moments(X, n_rows, labels, k, centre, scatter):
    n, D = 0, len(centre)
    centre[:] = 0.0
    scatter[:] = 0.0
    for i in range(n_rows):
        if labels[i] == k:
            n += 1
            for d in range(D):
                centre[d] += X[i, d]
    centre /= max(n, 1)
    for i in range(n_rows):
        if labels[i] == k:
            for d in range(D):
                for e in range(D):
                    scatter[d, e] += (X[i, d] - centre[d]) * (X[i, e] - centre[e])
    return n


@njit(cache=True)
def _draw_prior(log_scales, axes, kind, scale_params, eta, n_features, rng):
    """Scales from their prior; rows of correlations from LKJ's, which are multivariate t (see `_log_prior`)."""
    for d in range(len(log_scales)):
        first, second = scale_params[0, d], scale_params[1, d]
        if kind == 0:
            log_scales[d] = np.log(second) - np.log(rng.standard_gamma(first))
        elif kind == 1:
            log_scales[d] = np.log(first * abs(rng.standard_normal()))
        elif kind == 2:
            log_scales[d] = np.log(second * abs(rng.standard_normal()) / np.sqrt(2 * rng.standard_gamma(first / 2) / first))
        else:
            log_scales[d] = first + second * rng.standard_normal()
    at = 0
    for i in range(1, n_features):
        if at < len(axes):
            root = np.sqrt(2 * rng.standard_gamma((2 * eta - 1 + n_features - i) / 2))
            for j in range(i):
                axes[at + j] = rng.standard_normal() / root
            at += i


@njit(cache=True)
def _log_prior(log_scales, axes, kind, scale_params, eta, n_features):
    """ln p, without constants, of ln scales, and of rows x_i: LKJ is (1 + |x_i|^2)^-(2 eta - 1 + D) / 2, row by row."""
    value = 0.0
    for d in range(len(log_scales)):
        t, first, second = log_scales[d], scale_params[0, d], scale_params[1, d]
        if kind == 0:
            value -= first * t + second * np.exp(-t)
        elif kind == 1:
            value += t - 0.5 * np.exp(2 * t) / first**2
        elif kind == 2:
            value += t - 0.5 * (first + 1) * np.log1p(np.exp(2 * t) / second**2 / first)
        else:
            value -= 0.5 * ((t - first) / second) ** 2
    at = 0
    for i in range(1, n_features):
        if at < len(axes):
            squares = 1.0
            for j in range(i):
                squares += axes[at + j] ** 2
            value -= 0.5 * (2 * eta - 1 + n_features) * np.log(squares)
            at += i
    return value


@njit(cache=True)
def _factor(log_scales, axes, factor):
    """diag(s) A, row i of A being (x_i, 1) divided by its length."""
    at = 0
    factor[:] = 0.0
    for i in range(len(factor)):
        squares = 1.0
        if len(axes):
            for j in range(i):
                factor[i, j] = axes[at + j]
                squares += factor[i, j] ** 2
            at += i
        factor[i, i] = 1.0
        scale = np.exp(log_scales[i if len(log_scales) > 1 else 0]) / np.sqrt(squares)
        for j in range(i + 1):
            factor[i, j] *= scale


@njit(cache=True)
def _covariance(log_scales, axes, covariance):
    """Sigma = diag(s) A A' diag(s)."""
    D = len(covariance)
    factor = np.empty((D, D))
    _factor(log_scales, axes, factor)
    for i in range(D):
        for j in range(D):
            covariance[i, j] = 0.0
            for m in range(D):
                covariance[i, j] += factor[i, m] * factor[j, m]


@njit(cache=True)
def _invert(matrix, inverse):
    """The inverse of a positive definite matrix by elimination; returns ln of its determinant, nan where it is none."""
    D = len(matrix)
    work, log_determinant = matrix.copy(), 0.0
    inverse[:] = 0.0
    for p in range(D):
        inverse[p, p] = 1.0
    for p in range(D):
        pivot = work[p, p]
        if not pivot > 0:
            return np.nan
        log_determinant += np.log(pivot)
        for j in range(D):
            work[p, j] /= pivot
            inverse[p, j] /= pivot
        for i in range(D):
            if i != p:
                factor = work[i, p]
                for j in range(D):
                    work[i, j] -= factor * work[p, j]
                    inverse[i, j] -= factor * inverse[p, j]
    return log_determinant


@njit(cache=True)
def _quadratic(matrix, x, y):
    total = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            total += matrix[i, j] * (x[i] - y[i]) * (x[j] - y[j])
    return total


@njit(cache=True)
def _log_rows(log_scales, axes, n, centre, scatter, prior, work):
    """ln p(n rows, coordinates), without constants, the mean integrated out."""
    _, loc, spread, kind, scale_params, eta, noise = prior
    D = len(centre)
    recorded, inverse = work[0], work[1]
    _covariance(log_scales, axes, recorded)
    for d in range(D):
        recorded[d, d] += noise[d]
    value = _log_prior(log_scales, axes, kind, scale_params, eta, D) - 0.5 * (n - 1) * _invert(recorded, inverse)
    for d in range(D):
        for e in range(D):
            value -= 0.5 * inverse[d, e] * scatter[d, e]
            recorded[d, e] /= n
        recorded[d, d] += spread[d]
    return value - 0.5 * _invert(recorded, inverse) - 0.5 * _quadratic(inverse, centre, loc)


@njit(cache=True)
def _move(log_scales, axes, n, centre, scatter, prior, rng):
    """Random-walk moves of one coordinate or column at a time, of widths from a tenth to ten times the usual one."""
    D = len(centre)
    work, new_scales, new_axes = np.empty((2, D, D)), log_scales.copy(), axes.copy()
    value = _log_rows(log_scales, axes, n, centre, scatter, prior, work)
    for _ in range(MOVES):
        for i in range(D if len(axes) else len(log_scales)):
            for j in range(0 if len(axes) else i, i + 1):
                step = 2.4 / np.sqrt(n + 2.0) * np.exp(rng.standard_normal()) * rng.standard_normal()
                new_scales[:], new_axes[:] = log_scales, axes
                log_volume = 0.0
                if len(axes):
                    log_volume = _add_columns(new_scales, new_axes, i, j, step, work[0])
                else:
                    new_scales[i] += step
                new = _log_rows(new_scales, new_axes, n, centre, scatter, prior, work)
                if np.log(rng.random()) < new - value + log_volume:
                    value, log_scales[:], axes[:] = new, new_scales, new_axes


@njit(cache=True)
def _add_columns(log_scales, axes, i, j, step, factor):
    """Add `step` times column i of the Cholesky factor to column j < i, or, where j is i, scale it by e^step.

    These suit any correlations. Returns ln of the change of volume in ln s and x: d(row r of the factor) / d(ln s_r, x_r) is the
    diagonal entry to the power r + 1, rows from 0, and only scaling changes it.
    """
    D = len(factor)
    _factor(log_scales, axes, factor)
    for row in range(i, D):
        if i == j:
            factor[row, i] *= np.exp(step)
        else:
            factor[row, j] += step * factor[row, i]
    at = 0
    for row in range(D):
        squares = factor[row, row] ** 2
        for column in range(row):
            squares += factor[row, column] ** 2
            axes[at] = factor[row, column] / factor[row, row]
            at += 1
        log_scales[row] = 0.5 * np.log(squares)
    return step * (D - 1 - 2 * i) if i == j else 0.0


@njit(cache=True)
def _mean_given_rows(n, centre, covariance, loc, spread, noise, mean, inverse):
    """Mean, and the covariance into `inverse`, of a component's mean given its n rows."""
    D = len(loc)
    recorded, precision, pull = covariance.copy(), np.zeros((D, D)), np.empty(D)
    for d in range(D):
        recorded[d, d] += noise[d]
    if n > 0:
        _invert(recorded, precision)
    for d in range(D):
        pull[d] = loc[d] / spread[d]
        for e in range(D):
            precision[d, e] *= n
            pull[d] += precision[d, e] * centre[e]
    for d in range(D):
        precision[d, d] += 1 / spread[d]
    _invert(precision, inverse)
    for d in range(D):
        mean[d] = 0.0
        for e in range(D):
            mean[d] += inverse[d, e] * pull[e]


@njit(cache=True)
def _draw_mean(n, centre, covariance, loc, spread, noise, mean, rng):
    D = len(loc)
    inverse, noises = np.empty((D, D)), rng.standard_normal(D)
    _mean_given_rows(n, centre, covariance, loc, spread, noise, mean, inverse)
    factor = np.linalg.cholesky(inverse)
    for d in range(D):
        for e in range(d + 1):
            mean[d] += factor[d, e] * noises[e]


@njit(cache=True)
def _log_predictive(X, n_rows, labels, counts, covariances, prior):
    """ln p(next row | labels, covariances)."""
    concentration, loc, spread, _, _, _, noise = prior
    K, D = covariances.shape[:2]
    centre, scatter, mean, total_covariance, inverse = (
        np.empty(D),
        np.empty((D, D)),
        np.empty(D),
        np.empty((D, D)),
        np.empty((D, D)),
    )
    density = 0.0
    for k in range(K):
        _moments(X, n_rows, labels, k, centre, scatter)
        _mean_given_rows(counts[k], centre, covariances[k], loc, spread, noise, mean, inverse)
        for d in range(D):
            for e in range(D):
                total_covariance[d, e] = inverse[d, e] + covariances[k, d, e]
            total_covariance[d, d] += noise[d]
        log_determinant = _invert(total_covariance, inverse)
        exponent = -0.5 * (log_determinant + _quadratic(inverse, X[n_rows], mean) + D * np.log(2 * np.pi))
        density += (concentration + counts[k]) / (K * concentration + n_rows) * np.exp(exponent)
    return np.log(density)
