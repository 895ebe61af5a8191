"""Maximum likelihood where rows are recorded with an error of known variance: V_k = Sigma_k + H is seen, H = diag(noise)."""

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.moments import Moments

Array = NDArray[np.float64]

SEPARABLE = ("E", "V", "EEI", "VVI", "EEE", "VVV")
"""Families of which taking H off a member leaves a member: the maximum over V_k >= H gives the maximum over Sigma_k."""

NARROWEST = 1e-6
"""Smallest variance of the true values, as a part of that of the error: an optimum at 0 is put there, to be a proper mixture."""


def without_noise(covariances: Array, noise: Array) -> Array:
    """Sigma_k (K, D, D) for which Sigma_k + H maximises the likelihood that `covariances` (K, D, D) maximise without bound.

    In coordinates in which C and H are diagonal, c and h, the maximum of -ln|V| - tr(V^-1 C) over V >= H is at max(c, h), so that
    Sigma is max(c - h, 0). NaN where C and H together are singular.
    """
    total = covariances + np.diag(noise)
    out = np.full_like(covariances, np.nan)
    for k in range(len(covariances)):
        try:
            root = np.linalg.cholesky(total[k])
        except np.linalg.LinAlgError:
            continue
        half = np.linalg.solve(root, covariances[k])
        shares, axes = np.linalg.eigh(np.linalg.solve(root, half.T))
        directions = root @ axes
        true_values = np.maximum(2 * shares - 1, NARROWEST * (1 - shares))
        out[k] = (directions * true_values) @ directions.T
    return out


def moments_of_true_values(moments: Moments, covariances: Array, noise: Array) -> tuple[Array, Array]:
    """Expected sums (K, D) and scatters (K, D, D) about the means of the true values, from moments of the recorded ones.

    Given its recorded value x a true value of component k has mean mu_k + A_k (x - mu_k) and covariance Sigma_k - A_k Sigma_k =
    A_k H, with A_k = Sigma_k (Sigma_k + H)^-1 (Bovy, Hogg and Roweis 2011, section 3, with one H for all rows).
    """
    shares = np.linalg.solve(covariances + np.diag(noise), covariances).swapaxes(1, 2)
    sums = (shares @ moments.sums[:, :, None])[:, :, 0]
    left = moments.counts[:, None, None] * shares * noise
    return sums, shares @ moments.scatters @ shares.swapaxes(1, 2) + left
