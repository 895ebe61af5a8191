"""A bound on the ratio of eigenvalues, which keeps the likelihood of a mixture bounded."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BOUNDABLE = ("V", "VII", "VVI", "VVV")
"""Families for which cutting the eigenvalues of the free M-step is the bounded M-step: every component is on its own."""


def bound_eigenvalues(covariances: Array, counts: Array, max_ratio: float) -> Array:
    """Covariances (K, D, D) whose eigenvalues all lie in [m, max_ratio * m], with the m that costs least likelihood.

    Fritz, García-Escudero and Mayo-Iscar (2013, section 3): with e_kj the eigenvalues, minimise over m
    sum_k n_k sum_j (ln t_kj + e_kj / t_kj), t_kj being e_kj cut to the interval.
    """
    eigenvalues, vectors = np.linalg.eigh(covariances)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    if eigenvalues.max() <= max_ratio * eigenvalues.min():
        return covariances
    cut = _cut(eigenvalues, _best_threshold(eigenvalues, counts, max_ratio), max_ratio)
    return np.einsum("kij,kj,klj->kil", vectors, cut, vectors)


def attains_bound(scale_trils: Array, max_ratio: float) -> bool:
    """Whether the eigenvalues of the covariances L_k L_k' (K, D, D) are as far apart as the bound allows, up to rounding."""
    singular_values = np.linalg.svd(scale_trils, compute_uv=False)
    return bool((singular_values.max() / singular_values.min()) ** 2 >= max_ratio * (1 - 1e-6))


def _cut(eigenvalues: Array, threshold: float, max_ratio: float) -> Array:
    return np.clip(eigenvalues, threshold, max_ratio * threshold)


def _best_threshold(eigenvalues: Array, counts: Array, max_ratio: float) -> float:
    """The minimum lies at one of the stationary points of the pieces between e_kj and e_kj / max_ratio."""
    values = eigenvalues.ravel()
    rows = np.repeat(counts, eigenvalues.shape[1])
    breaks = np.unique(np.concatenate([values, values / max_ratio]))
    middles = np.concatenate([[breaks[0] / 2], (breaks[1:] + breaks[:-1]) / 2, [breaks[-1] * 2]])
    below = values < middles[:, None]
    above = values > max_ratio * middles[:, None]
    weight = (rows * (below | above)).sum(axis=1)
    sums = (rows * values * below).sum(axis=1) + (rows * values * above).sum(axis=1) / max_ratio
    candidates = sums[weight > 0] / weight[weight > 0]
    candidates = candidates[candidates > 0]
    cuts = np.clip(values, candidates[:, None], max_ratio * candidates[:, None])
    costs = (rows * (np.log(cuts) + values / cuts)).sum(axis=1)
    return float(candidates[np.argmin(costs)])
