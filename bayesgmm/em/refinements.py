"""Starts of K + 1 components from K fitted ones."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from bayesgmm.em.initialise import start_from_memberships
from bayesgmm.em.step import Collapsed, MStep
from bayesgmm.kernels.density import compute_log_density, compute_responsibilities
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]

N_CANDIDATES = 64
"""Rows, drawn at random, that are tried as the place of a further component."""

LARGEST_EXPONENT = 300.0
"""Where a density ratio is cut off, so that its sum over the rows stays finite."""


def refinements(
    Z: Array, row_weights: Array, params: MixtureParams, m_step: MStep, rng: np.random.Generator
) -> Iterator[tuple[str, MixtureParams | Collapsed]]:
    """Starts of K + 1 components from K fitted ones: each cut in two, and a new one of the shape of each.

    Everything in the coordinates of the M-step; Z (n, D) are rows with weights (n,).
    """
    arrays = params.weights, params.means, params.scale_trils
    responsibilities = compute_responsibilities(Z, *arrays)
    log_density = compute_log_density(Z, *arrays)
    candidates = Z if len(Z) <= N_CANDIDATES else Z[rng.choice(len(Z), N_CANDIDATES, replace=False)]
    for k in range(params.n_components):
        cut = _cut_in_two(Z, responsibilities, params, k)
        yield f"component {k} cut in two", start_from_memberships(Z, cut * row_weights[:, None], m_step)
        share = _share_of_new(Z, row_weights, log_density, candidates, params, k)
        added = np.column_stack([responsibilities * (1 - share)[:, None], share])
        yield f"a component like {k} added", start_from_memberships(Z, added * row_weights[:, None], m_step)


def _cut_in_two(Z: Array, responsibilities: Array, params: MixtureParams, k: int) -> Array:
    """Responsibilities (n, K + 1) with those of component k divided by the plane through its mean across its longest axis."""
    _, axes = np.linalg.eigh(params.covariances[k])
    beyond = (Z - params.means[k]) @ axes[:, -1] > 0
    cut = np.column_stack([responsibilities, responsibilities[:, k] * beyond])
    cut[:, k] *= ~beyond
    return cut


def _share_of_new(Z: Array, row_weights: Array, log_density: Array, candidates: Array, params: MixtureParams, k: int) -> Array:
    """Responsibility (n,) of a new component with the covariance of component k, at the candidate (C, D) that gains most.

    A little of a density f raises the log-likelihood of a mixture p by its weight times sum_n f(x_n) / p(x_n) - N (the gradient
    function of Lindsay 1983), so the largest sum shows where the data exceed the fitted density most.
    """
    scale_tril = params.scale_trils[k]
    whitened, centres = (solve_triangular(scale_tril, points.T, lower=True) for points in (Z, candidates))
    squares = (whitened**2).sum(axis=0)[:, None] + (centres**2).sum(axis=0) - 2 * whitened.T @ centres
    log_norm = np.log(np.diag(scale_tril)).sum() + 0.5 * params.n_features * np.log(2 * np.pi)
    ratios = np.exp(np.minimum(-0.5 * squares - log_norm - log_density[:, None], LARGEST_EXPONENT))
    ratio = ratios[:, (row_weights @ ratios).argmax()]
    weight = 1 / (params.n_components + 1)
    return weight * ratio / (1 - weight + weight * ratio)
