"""One EM step: pure, with no loop, tolerance, randomness or printing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.families import CovarianceFamily
from bayesgmm.kernels.moments import Moments, compute_moments
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]

SMALLEST_SCALE = 1e-7
"""A component whose conditional standard deviation in some direction falls below this, in units of the columns' standard
deviations, has collapsed: its likelihood is on the way to infinity, or beyond what double precision resolves."""


@dataclass(frozen=True)
class Collapsed:
    """An M-step that has no proper maximum: the component, its expected number of rows, and what happened to it."""

    component: int
    count: float
    what: str

    def __str__(self) -> str:
        return f"component {self.component} {self.what} (it holds {self.count:.3g} rows)"


def maximise(moments: Moments, means: Array, family: CovarianceFamily) -> MixtureParams | Collapsed:
    """The M-step from moments about `means`; the scale of every column is taken to be about 1."""
    counts = moments.counts
    empty = counts <= 1e-8 * counts.sum()
    if empty.any():
        component = int(np.argmax(empty))
        return Collapsed(component, float(counts[component]), "became empty")
    shifts = moments.sums / counts[:, None]
    scatters = moments.scatters - counts[:, None, None] * shifts[:, :, None] * shifts[:, None, :]
    covariances = family.maximise(counts, scatters)
    scale_trils = np.empty_like(covariances)
    for component, covariance in enumerate(covariances):
        try:
            scale_trils[component] = np.linalg.cholesky(covariance)
            singular = np.diag(scale_trils[component]).min() < SMALLEST_SCALE
        except np.linalg.LinAlgError:
            singular = True
        if singular:
            return Collapsed(component, float(counts[component]), "shrank onto a point, line or plane")
    return MixtureParams(counts / counts.sum(), means + shifts, scale_trils)


def em_step(
    params: MixtureParams,
    X: Array,
    family: CovarianceFamily,
    row_weights: Array | None = None,
    *,
    n_threads: int = 1,
) -> tuple[MixtureParams | Collapsed, Moments]:
    """The next parameters (or why there are none) and the moments at `params`, whose log-likelihood is that of `params`.

    The log-likelihood of the next parameters is at least as high (Dempster, Laird and Rubin 1977, theorem 1).
    """
    moments = compute_moments(X, params.weights, params.means, params.scale_trils, row_weights, n_threads=n_threads)
    return maximise(moments, params.means, family), moments
