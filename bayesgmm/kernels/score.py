"""Gradient of the log-likelihood from the moments of the E-step (Fisher's identity), as plain numba code without threads.

Samplers run their chains in threads or processes of their own, so that nothing here starts any.
"""

import numpy as np
from numba import njit

from bayesgmm.kernels.block import matrices, matrix, vector
from bayesgmm.kernels.cache import ENTRY, INTERNAL
from bayesgmm.kernels.moments import add_moments


@njit(**INTERNAL, inline="always")  # what calls it compiles faster so
def score(X, weights, means, scale_trils, row_weights):
    r"""Weighted log-likelihood and its gradient.

    Fisher's identity: the gradient of sum_n w_n ln p(x_n) is the expected complete-data score. With the moments N_k, S_k,
    SS_k about mu_k::

        d/d pi_k    = N_k / pi_k                     the weights as free coordinates; the simplex is the caller's concern
        d/d mu_k    = Sigma_k^{-1} S_k
        d/d Sigma_k = (Sigma_k^{-1} SS_k Sigma_k^{-1} - N_k Sigma_k^{-1}) / 2

    Parameters
    ----------
    X : (N, D)
    weights, means, scale_trils : (K,), (K, D), (K, D, D)
    row_weights : (N,)

    Returns
    -------
    log_likelihood, d_weights (K,), d_means (K, D), d_covariances (K, D, D)
        The last is symmetric: the log-likelihood changes by the sum of its elements times those of dSigma_k, so that for any
        T with Sigma_k = T T' + const the derivative by T is 2 d_covariances T. A log_likelihood of -inf comes with a gradient
        that means nothing.
    """
    n_components, n_features = means.shape
    counts, sums = vector(n_components), matrix(n_components, n_features)
    scatters = matrices(n_components, n_features, n_features)
    location, scale = vector(n_features), vector(n_features)
    for i in range(n_features):
        scale[i] = 1.0
    start, only_variances = np.int64(0), np.bool_(False)  # literals would have add_moments compiled again
    log_likelihood = add_moments(
        X, location, scale, row_weights, start, X.shape[0], weights, means, scale_trils, only_variances, counts, sums, scatters
    )
    d_weights, d_means = vector(n_components), matrix(n_components, n_features)
    d_covariances = matrices(n_components, n_features, n_features)
    inverse, transposed = matrix(n_features, n_features), matrix(n_features, n_features)
    half, whitened = matrix(n_features, n_features), matrix(n_features, n_features)
    for k in range(n_components):
        d_weights[k] = counts[k] / weights[k]
        _invert_lower(scale_trils[k], inverse, transposed)
        _times_transposed(inverse, sums[k], d_means[k])
        _sandwich(inverse, scatters[k], half, whitened)
        for i in range(n_features):
            for j in range(n_features):
                whitened[i, j] *= 0.5
            whitened[i, i] -= 0.5 * counts[k]
        _sandwich(transposed, whitened, half, d_covariances[k])
    return log_likelihood, d_weights, d_means, d_covariances


@njit(**ENTRY)
def score_of_trils(X, weights, means, scale_trils, row_weights):
    """As `score`, with the gradient by the lower Cholesky factors L_k of Sigma_k = L_k L_k' in the place of d_covariances."""
    log_likelihood, d_weights, d_means, d_covariances = score(X, weights, means, scale_trils, row_weights)
    n_components, n_features = means.shape
    d_scale_trils = matrices(n_components, n_features, n_features)
    for k in range(n_components):
        for i in range(n_features):
            for j in range(i + 1):
                for m in range(j, n_features):
                    d_scale_trils[k, i, j] += 2.0 * d_covariances[k, i, m] * scale_trils[k, m, j]
    return log_likelihood, d_weights, d_means, d_scale_trils


@njit(**INTERNAL)
def _invert_lower(tril, inverse, transposed):
    """tril^{-1} into inverse, and its transpose."""
    n = tril.shape[0]
    for j in range(n):
        for i in range(j):
            inverse[i, j] = 0.0
        inverse[j, j] = 1.0 / tril[j, j]
        for i in range(j + 1, n):
            total = 0.0
            for m in range(j, i):
                total -= tril[i, m] * inverse[m, j]
            inverse[i, j] = total / tril[i, i]
    for i in range(n):
        for j in range(n):
            transposed[j, i] = inverse[i, j]


@njit(**INTERNAL)
def _sandwich(a, b, half, out):
    """a b a' into out, a b into half, by loops: for matrices this small a call to BLAS costs more, and BLAS may start threads."""
    n = a.shape[0]
    for i in range(n):
        for j in range(n):
            half[i, j] = 0.0
            for m in range(n):
                half[i, j] += a[i, m] * b[m, j]
    for i in range(n):
        for j in range(n):
            out[i, j] = 0.0
            for m in range(n):
                out[i, j] += half[i, m] * a[j, m]


@njit(**INTERNAL)
def _times_transposed(inverse, vector, out):
    """inverse' inverse vector, for lower triangular inverse, into out."""
    for i in range(len(vector)):
        out[i] = 0.0
        whitened = 0.0
        for j in range(i + 1):
            whitened += inverse[i, j] * vector[j]
        for j in range(i + 1):
            out[j] += inverse[i, j] * whitened
