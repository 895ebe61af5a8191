"""EMResult: what an EM fit found."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.data import check_columns, validate
from bayesgmm.em.modes import EMMode, distinct_modes
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.em.run import EMRun, EMStatus
from bayesgmm.em.spurious import spurious_signs, unresolved_components
from bayesgmm.errors import InputError
from bayesgmm.families import family_named
from bayesgmm.kernels.density import compute_log_density, compute_responsibilities
from bayesgmm.params import MixtureParams

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

    def to_dataset(self) -> xr.Dataset:
        """Everything in this result as an xarray Dataset of numbers and strings; `em_result_from_dataset` reverses it."""
        return _to_dataset(self)

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


def _to_dataset(em: EMResult) -> xr.Dataset:
    n_components, n_features = em.params.means.shape
    unknown = MixtureParams(
        np.full(n_components, 1 / n_components),
        np.zeros((n_components, n_features)),
        np.array([np.eye(n_features)] * n_components),
    )
    every = [run.params or unknown for run in em.runs]
    found = np.array([run.params is not None for run in em.runs])
    longest = max(len(run.trace) for run in em.runs)
    traces = np.array([np.pad(run.trace, (0, longest - len(run.trace)), constant_values=np.nan) for run in em.runs])

    def known(arrays: list[Array]) -> Array:
        stacked = np.array(arrays)
        return np.where(found.reshape(-1, *[1] * (stacked.ndim - 1)), stacked, np.nan)

    feature, feature_bis = ("cluster", "feature"), ("cluster", "feature", "feature_bis")
    best = em.params
    return xr.Dataset(
        {
            "weights": ("cluster", best.weights),
            "means": (feature, best.means),
            "covariances": (feature_bis, best.covariances),
            "scales": (feature, best.scales),
            "correlations": (feature_bis, best.correlations),
            "run_weights": (("run", "cluster"), known([params.weights for params in every])),
            "run_means": (("run", *feature), known([params.means for params in every])),
            "run_scale_trils": (("run", *feature_bis), known([params.scale_trils for params in every])),
            "run_log_likelihood": ("run", np.array([run.log_likelihood for run in em.runs])),
            "run_trace": (("run", "iteration"), traces),
            "run_status": ("run", [run.status.name for run in em.runs]),
            "run_init": ("run", [run.init for run in em.runs]),
            "run_reason": ("run", [run.reason for run in em.runs]),
            **({"labels": ("cluster", list(em.labels))} if em.labels else {}),
            **({"resolution": ("feature", np.array(em.resolution))} if any(em.resolution) else {}),
            **_prior_variables(em.prior),
        },
        coords={"cluster": np.arange(n_components), "feature": list(em.columns), "feature_bis": list(em.columns)},
        attrs={
            "covariance": em.covariance,
            "n_samples": em.n_samples,
            "total_weight": em.total_weight,
            "classification_log_likelihood": em.classification_log_likelihood,
            "entropy": em.entropy,
            "interrupted": int(em.interrupted),
            "log_likelihood": em.log_likelihood,
            "bic": em.bic,
            **_prior_attributes(em.prior),
            **({} if em.max_eigenvalue_ratio is None else {"max_eigenvalue_ratio": em.max_eigenvalue_ratio}),
        },
    )


def _prior_variables(prior: ConjugatePrior | None) -> dict[str, tuple[tuple[str, ...], Any]]:
    """What of the prior was given as arrays."""
    variables: dict[str, tuple[tuple[str, ...], Any]] = {}
    if prior is not None and prior.mean is not None:
        variables["prior_mean"] = ("feature",), prior.mean
    if prior is not None and prior.scale is not None:
        variables["prior_scale"] = ("feature", "feature_bis"), prior.scale
    return variables


def _prior_attributes(prior: ConjugatePrior | None) -> dict[str, float]:
    """What of the prior was given as numbers; `prior_shrinkage` is there wherever there is a prior."""
    if prior is None:
        return {}
    given = {} if prior.degrees_of_freedom is None else {"prior_degrees_of_freedom": float(prior.degrees_of_freedom)}
    return {"prior_shrinkage": float(prior.shrinkage), **given}


def _prior_from_dataset(dataset: xr.Dataset) -> ConjugatePrior | None:
    if "prior_shrinkage" not in dataset.attrs:
        return None
    degrees_of_freedom = dataset.attrs.get("prior_degrees_of_freedom")
    return ConjugatePrior(
        shrinkage=float(dataset.attrs["prior_shrinkage"]),
        mean=dataset["prior_mean"].values if "prior_mean" in dataset else None,
        degrees_of_freedom=None if degrees_of_freedom is None else float(degrees_of_freedom),
        scale=dataset["prior_scale"].values if "prior_scale" in dataset else None,
    )


def em_result_from_dataset(dataset: xr.Dataset) -> EMResult:
    """The EMResult that `EMResult.to_dataset` was called on."""
    runs = tuple(_run_from_dataset(dataset.isel(run=r)) for r in range(dataset.sizes["run"]))
    max_eigenvalue_ratio = dataset.attrs.get("max_eigenvalue_ratio")
    return EMResult(
        runs=runs,
        covariance=str(dataset.attrs["covariance"]),
        columns=tuple(str(name) for name in dataset["feature"].values),
        n_samples=int(dataset.attrs["n_samples"]),
        total_weight=float(dataset.attrs["total_weight"]),
        classification_log_likelihood=float(dataset.attrs["classification_log_likelihood"]),
        entropy=float(dataset.attrs["entropy"]),
        interrupted=bool(dataset.attrs["interrupted"]),
        labels=tuple(str(label) for label in dataset["labels"].values) if "labels" in dataset else (),
        prior=_prior_from_dataset(dataset),
        max_eigenvalue_ratio=None if max_eigenvalue_ratio is None else float(max_eigenvalue_ratio),
        resolution=tuple(dataset["resolution"].values.tolist()) if "resolution" in dataset else (),
    )


def _run_from_dataset(run: xr.Dataset) -> EMRun:
    trace = run["run_trace"].values
    weights = run["run_weights"].values
    return EMRun(
        params=None
        if np.isnan(weights).any()
        else MixtureParams(weights, run["run_means"].values, run["run_scale_trils"].values),
        log_likelihood=float(run["run_log_likelihood"]),
        trace=trace[~np.isnan(trace)],
        status=EMStatus[str(run["run_status"].item())],
        init=str(run["run_init"].item()),
        reason=str(run["run_reason"].item()),
    )
