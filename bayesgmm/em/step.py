"""One EM step: pure, with no loop, tolerance, randomness or printing."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em.bounds import bound_eigenvalues
from bayesgmm.em.noise import SEPARABLE, moments_of_true_values, without_noise
from bayesgmm.em.prior import PseudoRows
from bayesgmm.families import CovarianceFamily
from bayesgmm.kernels.estimates import centre, factorise, weights_of
from bayesgmm.kernels.moments import Moments, compute_moments
from bayesgmm.kernels.rows import Rows, plain
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]

SMALLEST_SCALE = 1e-7
"""A component whose conditional standard deviation in some direction falls below this, in units of the columns' standard
deviations, has collapsed: its likelihood is on the way to infinity, or beyond what double precision resolves."""

EMPTY = 1e-8
"""A component with a smaller share of the rows is empty."""

EMPTY_ON_FLOOR = 1e-200
"""The same where a floor bounds the densities, so that components that share a place may lose their rows to each other."""


@dataclass(frozen=True)
class Collapsed:
    """An M-step that has no proper maximum: the component, its expected number of rows, and what happened to it."""

    component: int
    count: float
    what: str

    def __str__(self) -> str:
        return f"component {self.component} {self.what} (it holds {self.count:.3g} rows)"


class Estimates(NamedTuple):
    """Expected counts (K,), weighted means (K, D), and scatters (K, D, D) about them: what a family's M-step begins from."""

    counts: Array
    means: Array
    scatters: Array


@dataclass(frozen=True)
class MStep:
    """What is maximised: the likelihood over a covariance family, perhaps with a prior, a floor or a bound.

    Everything is in the coordinates of the standardised rows.

    Attributes
    ----------
    family : CovarianceFamily
    prior : PseudoRows, optional
        Added to every component before the family's own step (maximum a posteriori).
    floor : (D,), optional
        Added to the diagonals of the covariances after it. The likelihood may then fall between iterations.
    max_eigenvalue_ratio : float, optional
        Bound on the ratio of the largest to the smallest eigenvalue over all covariances.
    noise : (D,), optional
        Variances of the error with which the rows were recorded: they follow the mixture with Sigma_k + diag(noise).
    """

    family: CovarianceFamily
    prior: PseudoRows | None = None
    floor: Array | None = None
    max_eigenvalue_ratio: float | None = None
    noise: Array | None = None

    @property
    def is_monotone(self) -> bool:
        """Whether the objective cannot fall: always, but for a floor."""
        return self.floor is None

    def recorded(self, params: MixtureParams) -> MixtureParams:
        """The mixture that the rows follow, error included."""
        if self.noise is None:
            return params
        scale_trils = np.linalg.cholesky(params.covariances + np.diag(self.noise))
        return MixtureParams.unchecked(params.weights, params.means, scale_trils)

    @property
    def takes_noise_off(self) -> bool:
        """Whether the M-step works on estimates of the recorded values, in closed form; otherwise on those of the true ones."""
        restricted = self.prior is not None or self.floor is not None or self.max_eigenvalue_ratio is not None
        return self.noise is not None and self.family.name in SEPARABLE and not restricted

    def moments(self, rows: Rows, params: MixtureParams, *, n_threads: int = 1) -> Moments:
        """The E-step, as far as the family needs it: moments of the rows as recorded, about the means."""
        recorded = self.recorded(params)
        return compute_moments(
            rows,
            recorded.weights,
            recorded.means,
            recorded.scale_trils,
            n_threads=n_threads,
            only_variances=self.family.only_variances,
        )

    def estimates(self, moments: Moments, params: MixtureParams) -> Estimates:
        """What the M-step begins from, given the moments at `params`.

        With noise they are of the true values, but where the M-step itself takes the noise off.
        """
        sums, scatters = moments.sums, moments.scatters
        if self.noise is not None and not self.takes_noise_off:
            sums, scatters = moments_of_true_values(moments, params.covariances, self.noise)
        return Estimates(moments.counts, *centre(moments.counts, sums, scatters, plain(params.means)))

    def objective(self, moments: Moments, params: MixtureParams) -> float:
        """The log-likelihood of `params`, plus their log prior density (without its constant) where there is a prior."""
        return moments.log_likelihood + (self.prior.log_density(params) if self.prior else 0.0)

    def start(self, estimates: Estimates) -> MixtureParams | Collapsed:
        """Parameters to start from, given estimates of the recorded values.

        Where EM expects the true ones they are widened by the noise, so that a group on one point starts with some spread.
        """
        if self.noise is None or self.takes_noise_off:
            return self.maximise(estimates)
        counts, means, scatters = estimates
        return self.maximise(Estimates(counts, means, scatters + counts[:, None, None] * np.diag(self.noise)))

    def maximise(self, estimates: Estimates, previous: MixtureParams | None = None) -> MixtureParams | Collapsed:
        """The parameters of the family that maximise the expected objective.

        At the `previous` parameters the inner search of a family begins, where it has one.
        """
        counts, means, scatters = estimates
        weights, component = weights_of(counts, EMPTY if self.floor is None else EMPTY_ON_FLOOR)
        if component >= 0:
            return Collapsed(component, float(counts[component]), "became empty")
        guess = previous.covariances if previous is not None and self.family.uses_guess else None
        rows = counts
        if self.prior is not None:
            rows, means, scatters = self.prior.added_to(counts, means, scatters)
        covariances = self.family.maximise(rows, scatters, guess)
        if self.noise is not None and self.takes_noise_off:
            covariances = without_noise(covariances, self.noise)
        if self.floor is not None:
            covariances = covariances + np.diag(self.floor)
        if self.max_eigenvalue_ratio is not None:
            covariances = bound_eigenvalues(covariances, rows, self.max_eigenvalue_ratio)
        scale_trils, component = factorise(covariances, SMALLEST_SCALE)
        if component >= 0:
            tied = "" if self._is_untied(*means.shape) else "and others share what "
            return Collapsed(component, float(counts[component]), f"{tied}shrank onto a point, line or plane")
        return MixtureParams.unchecked(weights, means, scale_trils)

    def _is_untied(self, n_components: int, n_features: int) -> bool:
        """Whether every covariance has parameters of its own only."""
        single = self.family.n_covariance_parameters(1, n_features)
        return self.family.n_covariance_parameters(n_components, n_features) == n_components * single


def em_step(params: MixtureParams, rows: Rows, m_step: MStep, *, n_threads: int = 1) -> tuple[MixtureParams | Collapsed, Moments]:
    """The next parameters (or why there are none) and the moments at `params`, whose log-likelihood is that of `params`.

    The objective of the next parameters is at least as high (Dempster, Laird and Rubin 1977, theorem 1).
    """
    moments = m_step.moments(rows, params, n_threads=n_threads)
    return m_step.maximise(m_step.estimates(moments, params), params), moments
