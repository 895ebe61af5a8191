"""Gradient of the log-likelihood from the moments of the E-step (Fisher's identity), as plain numba code without threads.

Samplers run their chains in threads or processes of their own, so that nothing here starts any.
"""

import numpy as np
from numba import njit

from bayesgmm.kernels.moments import add_moments


@njit(nogil=True, cache=True, error_model="numpy")
def score(X, weights, means, scale_trils, row_weights):
    r"""Weighted log-likelihood and its gradient.

    Fisher's identity: the gradient of sum_n w_n ln p(x_n) is the expected complete-data score. With the moments N_k, S_k,
    SS_k about mu_k and z = L_k^{-1} (x - mu_k)::

        d/d pi_k = N_k / pi_k                     the weights as free coordinates; the simplex is the caller's concern
        d/d mu_k = L_k^{-T} L_k^{-1} S_k
        d/d L_k  = tril(L_k^{-T} (L_k^{-1} SS_k L_k^{-T}) - N_k diag(1 / diag L_k))

    Parameters
    ----------
    X : (N, D)
    weights, means, scale_trils : (K,), (K, D), (K, D, D)
    row_weights : (N,)

    Returns
    -------
    log_likelihood, d_weights (K,), d_means (K, D), d_scale_trils (K, D, D)
        The last is zero above the diagonal. A log_likelihood of -inf comes with a gradient that means nothing.
    """
    n_components, n_features = means.shape
    counts = np.zeros(n_components)
    sums = np.zeros((n_components, n_features))
    scatters = np.zeros((n_components, n_features, n_features))
    location, scale = np.zeros(n_features), np.ones(n_features)
    log_weights = np.log(weights)
    log_likelihood = add_moments(
        X, location, scale, row_weights, 0, X.shape[0], log_weights, means, scale_trils, False, counts, sums, scatters
    )
    d_means = np.empty_like(sums)
    d_scale_trils = np.zeros_like(scatters)
    inverse = np.empty((n_features, n_features))
    half = np.empty((n_features, n_features))
    whitened = np.empty((n_features, n_features))
    for k in range(n_components):
        _invert_lower(scale_trils[k], inverse)
        _times_transposed(inverse, sums[k], d_means[k])
        _matmul(inverse, scatters[k], half)
        _matmul(half, inverse.T, whitened)
        _matmul(inverse.T, whitened, half)
        for i in range(n_features):
            for j in range(i + 1):
                d_scale_trils[k, i, j] = half[i, j]
            d_scale_trils[k, i, i] -= counts[k] * inverse[i, i]
    return log_likelihood, counts / weights, d_means, d_scale_trils


@njit(cache=True, error_model="numpy")
def _invert_lower(tril, inverse):
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


@njit(cache=True, error_model="numpy")
def _matmul(a, b, out):
    """a @ b into out, by loops: for matrices this small a call to BLAS costs more, and BLAS may start threads."""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = 0.0
            for m in range(a.shape[1]):
                total += a[i, m] * b[m, j]
            out[i, j] = total


@njit(cache=True, error_model="numpy")
def _times_transposed(inverse, vector, out):
    """inverse' inverse vector, for lower triangular inverse, into out."""
    for i in range(len(vector)):
        out[i] = 0.0
        whitened = 0.0
        for j in range(i + 1):
            whitened += inverse[i, j] * vector[j]
        for j in range(i + 1):
            out[j] += inverse[i, j] * whitened
