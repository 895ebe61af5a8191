"""EMResult: what an EM fit found."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm import em
from bayesgmm.data import check_columns, validate
from bayesgmm.em.modes import EMMode, distinct_modes
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.em.run import EMRun, EMStatus
from bayesgmm.em.spurious import spurious_signs, unresolved_components
from bayesgmm.errors import InputError
from bayesgmm.families import family_named
from bayesgmm.kernels.density import compute_log_density, compute_responsibilities
from bayesgmm.params import MixtureParams

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EMResult:
    """A fitted mixture with the history of its restarts.

    Attributes
    ----------
    runs : tuple of EMRun
        Every restart, best first (to 1e-9 nats); collapsed ones last, with their reason.
    covariance : str
        mclust's name of the covariance family.
    columns : tuple of str
        Names of the D columns.
    n_samples : int
        Rows of the data.
    total_weight : float
        Sum of the row weights; N where there were none. This is the N of BIC.
    classification_log_likelihood : float
        sum_n w_n ln max_k gamma_nk, at most 0: how clear-cut the memberships are.
    entropy : float
        -sum_n w_n sum_k gamma_nk ln gamma_nk, in nats: how much the components overlap.
    interrupted : bool
        Whether the user stopped the fit before the last restart.
    labels : tuple of str
        What the components are called, where `fit_mle` was given labels; empty otherwise.
    prior : ConjugatePrior or None
        The prior of a maximum a posteriori fit, as it was given; None for maximum likelihood.
    max_eigenvalue_ratio : float or None
        The bound on the eigenvalues of the covariances that the fit was given, if any.
    resolution : (D,) tuple of float
        The step that each column was rounded to, as the fit took it; 0 for a classical fit. `params` are of the true values; the
        log-likelihood and every density and membership are of recorded values, which follow `recorded_params`.
    """

    runs: tuple[EMRun, ...]
    covariance: str
    columns: tuple[str, ...]
    n_samples: int
    total_weight: float
    classification_log_likelihood: float
    entropy: float
    interrupted: bool = False
    labels: tuple[str, ...] = ()
    prior: ConjugatePrior | None = None
    max_eigenvalue_ratio: float | None = None
    resolution: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.resolution:
            object.__setattr__(self, "resolution", (0.0,) * len(self.columns))

    @property
    def params(self) -> MixtureParams:
        """Parameters of the best run."""
        params = self.runs[0].params
        assert params is not None  # for the type checker: fit_em raises when every run collapsed
        return params

    @cached_property
    def recorded_params(self) -> MixtureParams:
        """The mixture of recorded values: covariances Sigma_k + diag(h^2) / 12 for the resolution h; `params` if that is 0."""
        return self.params.recorded(np.array(self.resolution))

    @property
    def log_likelihood(self) -> float:
        """Total log-likelihood of `recorded_params`, in nats."""
        return self.runs[0].log_likelihood

    @property
    def n_parameters(self) -> int:
        """Free parameters: K - 1 weights, K D means, and those of the covariance family."""
        n_components, n_features = self.params.means.shape
        covariance = family_named(self.covariance).n_covariance_parameters(n_components, n_features)
        return n_components - 1 + n_components * n_features + covariance

    @property
    def bic(self) -> float:
        """-2 ln L + p ln N: smaller is better. R's mclust reports the negative of this."""
        return -2 * self.log_likelihood + self.n_parameters * float(np.log(self.total_weight))

    @property
    def aic(self) -> float:
        """-2 ln L + 2 p: smaller is better."""
        return -2 * self.log_likelihood + 2 * self.n_parameters

    @property
    def icl(self) -> float:
        """BIC - 2 sum_n ln max_k gamma_nk (Biernacki, Celeux and Govaert 2000): smaller is better (mclust: larger)."""
        return self.bic - 2 * self.classification_log_likelihood

    @property
    def status(self) -> EMStatus:
        return EMStatus.INTERRUPTED if self.interrupted else self.runs[0].status

    @property
    def converged(self) -> bool:
        """Whether the best run reached its limit."""
        return self.runs[0].converged

    @property
    def n_iter(self) -> int:
        return self.runs[0].n_iter

    @property
    def trace(self) -> Array:
        """Log-likelihood of the best run's start and after each of its iterations, shape (n_iter + 1,).

        Under a prior it is the log-likelihood plus the log prior density, without the latter's constant.
        """
        return self.runs[0].trace

    @cached_property
    def modes(self) -> tuple[EMMode, ...]:
        """The distinct optima among the converged runs modulo label permutation, best first."""
        return distinct_modes(self.runs, self.total_weight, np.array(self.resolution))

    @property
    def spurious(self) -> tuple[str, ...]:
        """Signs that `recorded_params` describe a few rows rather than groups, one sentence each: tiny or narrow components."""
        return spurious_signs(self.recorded_params, self.total_weight)

    @property
    def unresolved(self) -> tuple[str, ...]:
        """One sentence for each component whose spread, in some direction, is not seen beyond the rounding of the values."""
        return unresolved_components(self.params, np.array(self.resolution))

    def responsibilities(self, X: Any) -> Array:
        """gamma_nk of new rows, shape (N, K); rows sum to 1, but are 0 where the density underflows to -inf in logarithms.

        Raises InputError for data that do not fit the columns.
        """
        return compute_responsibilities(self._rows(X), *_arrays(self.recorded_params))

    def log_density(self, X: Any) -> Array:
        """ln p(x_n) of new rows in nats, shape (N,). Raises InputError for data that do not fit the columns."""
        return compute_log_density(self._rows(X), *_arrays(self.recorded_params))

    def predict(self, X: Any) -> NDArray[np.intp]:
        """The most probable component of each row, shape (N,)."""
        return self.responsibilities(X).argmax(axis=1)

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> tuple[Array, NDArray[np.intp]]:
        """n new rows (n, D), as recorded but not rounded, and the components they came from (n,)."""
        return sample_mixture(self.recorded_params, n, np.random.default_rng(seed))

    def to_dataset(self) -> "xr.Dataset":
        """Everything in this result as an xarray Dataset of numbers and strings; `em_result_from_dataset` reverses it."""
        return em.record.dataset_from_em_result(self)

    def _rows(self, X: Any) -> Array:
        dataset = validate(X)
        check_columns(dataset, self.columns)
        return dataset.X

    def __repr__(self) -> str:
        n_components, n_features = self.params.means.shape
        return (
            f"EMResult({self.covariance}, K={n_components}, D={n_features}, N={self.n_samples}: "
            f"log_likelihood={self.log_likelihood:.4f}, bic={self.bic:.2f}, {self.status.name.lower()} "
            f"after {self.n_iter} iterations; {len(self.runs)} runs, {len(self.modes)} distinct optima)"
        )


def sample_mixture(params: MixtureParams, n: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.intp]]:
    """n rows (n, D) from the mixture and their components (n,)."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InputError(f"sample: n must be a whole number of at least 1; got {n!r}")
    labels = rng.choice(params.n_components, size=n, p=params.weights)
    noise = rng.standard_normal((n, params.n_features))
    return params.means[labels] + np.einsum("nij,nj->ni", params.scale_trils[labels], noise), labels


def _arrays(params: MixtureParams) -> tuple[Array, Array, Array]:
    return params.weights, params.means, params.scale_trils
