"""standard_errors: how sure an EM estimate is, by its information or by replicates."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.data import Dataset, check_columns, check_count, check_probability, check_row_weights, check_seed, validate
from bayesgmm.em.bounds import attains_bound
from bayesgmm.em.coordinates import Coordinates, coordinates_around
from bayesgmm.em.fit import make_problem
from bayesgmm.em.information import Information, delta_errors, information_at, responsibility_errors, square_root
from bayesgmm.em.intervals import Quantities, interval_table, quantities_of
from bayesgmm.em.resampling import (
    Plan,
    Replicates,
    bootstrap_plan,
    exponential_weights,
    fit_replicates,
    jackknife_plan,
    multinomial_weights,
    refit,
    replicated_responsibilities,
    spread,
)
from bayesgmm.em.result import EMResult
from bayesgmm.em.standardise import standardised_rows
from bayesgmm.errors import InputError
from bayesgmm.families import family_named
from bayesgmm.kernels.density import compute_log_density

Array = NDArray[np.float64]
Method = Literal["information", "sandwich", "bootstrap", "weighted_bootstrap", "jackknife"]

SINGULAR = 1e-10
"""Smallest eigenvalue, in units of the diagonal, of an information matrix that is inverted."""

OFF_THE_OPTIMUM = 1e-3
"""Nats to gain, by one Newton step or by EM, above which the estimate is said to be no maximum of the likelihood."""

REFIT_TOL = {"bootstrap": 1e-8, "weighted_bootstrap": 1e-8, "jackknife": 1e-10}
"""Nats; the jackknife's replicates differ from the estimate by 1 / sqrt(N) of a standard error only, and need more digits."""

REFIT_MAX_ITER = 10_000


@dataclass(frozen=True, eq=False)
class StandardErrors:
    """Standard errors of the parameters of a fitted mixture, in the units of the data.

    Attributes
    ----------
    method : str
    em : EMResult
        The estimate.
    weights, means, covariances : (K,), (K, D), (K, D, D)
    scales, correlations : (K, D), (K, D, D)
        Of marginal standard deviations and correlations; 0 on the diagonal of the latter.
    ci_prob : float
        Probability of the intervals of `table`.
    coordinates : Coordinates or None
        Free coordinates of the covariance family; `coordinates.names` says what they are. None for replicates.
    root : (P, P) or None
        A square root V^{1/2} of the estimated covariance matrix of the coordinates, without units.
    replicates : Replicates or None
        Parameters of the bootstrap or jackknife replicates, aligned.
    notes : tuple of str
        What a reader should know before trusting the numbers; empty if nothing.
    """

    method: Method
    em: EMResult
    weights: Array
    means: Array
    covariances: Array
    scales: Array
    correlations: Array
    ci_prob: float
    coordinates: Coordinates | None
    root: Array | None
    replicates: Replicates | None
    notes: tuple[str, ...]

    @property
    def covariance_matrix(self) -> Array | None:
        """Estimated covariance matrix of the coordinates (P, P), means and covariances in the units of the data."""
        if self.coordinates is None or self.root is None:
            return None
        with np.errstate(over="ignore", under="ignore"):  # of the squares of extreme units
            root = self.coordinates.to_data_units() @ self.root
            return root @ root.T

    @property
    def n_failed(self) -> int:
        """Replicates that collapsed; `replicates.failures` has the reasons."""
        return self.replicates.n_failed if self.replicates else 0

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped before the last replicate."""
        return self.replicates.interrupted if self.replicates else False

    @property
    def table(self) -> pd.DataFrame:
        """Estimate, standard_error, lower and upper of every weight, mean, scale and correlation, indexed by label.

        Percentile intervals for the bootstraps. Otherwise normal ones: on the logit scale for weights, logarithmic for standard
        deviations, atanh for correlations.
        """
        params = self.em.params
        estimates = quantities_of(params.weights, params.means, params.covariances)
        errors = Quantities(self.weights, self.means, self.scales, self.covariances, self.correlations)
        percentiles = None if self.method == "jackknife" else self.replicates
        return interval_table(estimates, errors, self.em.columns, self.ci_prob, percentiles)

    def responsibilities(self, X: Any) -> Array:
        """Standard errors of the membership probabilities of the rows of X, (N, K).

        By the delta method, or from the replicates. Raises InputError for data that do not fit the columns.
        """
        dataset = validate(X)
        check_columns(dataset, self.em.columns)
        if self.replicates is not None:
            return replicated_responsibilities(
                dataset.X, self.replicates, np.array(self.em.resolution), jackknife=self.method == "jackknife"
            )
        assert self.coordinates is not None  # for the type checker: there are either replicates or these two
        assert self.root is not None
        return responsibility_errors(dataset.X, self.coordinates, self.root, np.array(self.em.resolution))

    def __repr__(self) -> str:
        n_components, n_features = self.means.shape
        weights = ", ".join(
            f"{weight:.3f} ± {error:.3f}" for weight, error in zip(self.em.params.weights, self.weights, strict=True)
        )
        lines = [f"StandardErrors({self.method}, {self.em.covariance}, K={n_components}, D={n_features}: weights {weights})"]
        if self.replicates:
            lines[0] = lines[0][:-1] + f"; {int(self.replicates.counts.sum())} replicates, {self.n_failed} collapsed)"
        return "\n".join([*lines, *(f"- {note}" for note in self.notes)])


def standard_errors(
    em: EMResult,
    X: Any,
    *,
    method: Method = "information",
    n_boot: int = 999,
    sample_weight: Any = None,
    ci_prob: float = 0.95,
    seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> StandardErrors:
    """Standard errors of an EM estimate.

    Parameters
    ----------
    em : EMResult
        As `fit_em` returned it, with or without a prior or an eigenvalue bound.
    X : (N, D) array or frame
        The data it was fitted to.
    method : str
        "information": inverse observed information, in closed form (Boldea and Magnus 2009). "sandwich": the same, but right too
        where the data do not follow the model. "bootstrap": rows drawn with replacement. "weighted_bootstrap": every row kept,
        with random weights (O'Hagan, Murphy, Scrucca and Gormley 2019). "jackknife": every row left out once.
    n_boot : int
        Bootstrap replicates, at least 2.
    sample_weight : (N,), optional
        The row weights of the fit. The jackknife leaves out one copy of a row at a time, and needs whole numbers.
    ci_prob : float
        Probability of the intervals in `table`.
    seed : int, Generator or None
        Of the bootstraps; the same seed gives the same result.
    progress : bool, optional
        Show a progress bar for replicates; by default when standard error is a terminal.

    Returns
    -------
    StandardErrors

    Raises
    ------
    InputError
        Bad arguments; X or sample_weight are not those of the fit; the fit is of labelled data; "information" or "sandwich" of a
        fit with a prior, at its eigenvalue bound, or with a component no wider than rounding; or the information is singular or
        indefinite at the estimate: the message names the coordinates.
    FitError
        Fewer than two replicates did not collapse.

    Notes
    -----
    Every replicate is fitted from the estimate, with its prior (defaults taken from X once), eigenvalue bound and resolution;
    its components are matched to the estimate's. Replicates that collapse are left out and counted. Ctrl-C keeps the replicates
    that were finished by then.
    """
    if method not in get_args(Method):
        raise InputError(f"method is {method!r}; choose one of: {', '.join(get_args(Method))}")
    check_count(n_boot, "n_boot", minimum=2)
    ci_prob = check_probability(ci_prob, "ci_prob")
    rng = np.random.default_rng(check_seed(seed))
    dataset = validate(X)
    row_weights = np.ones(dataset.n_samples) if sample_weight is None else check_row_weights(sample_weight, dataset.n_samples)
    _require_unlabelled(em)
    _require_data_of_fit(em, dataset, row_weights)
    notes: tuple[str, ...] = () if em.converged else (f"the fit is not at its limit: {em.status}",)
    if method in ("information", "sandwich"):
        _require_free_maximum(em, method, dataset, row_weights)
        return _by_information(em, dataset.X, row_weights, method, ci_prob, notes)
    plan = _plan_of(method, row_weights, n_boot, rng)
    problem = make_problem(
        dataset,
        em.params.n_components,
        family_named(em.covariance),
        row_weights=row_weights,
        prior=em.prior,
        max_eigenvalue_ratio=em.max_eigenvalue_ratio,
        resolution=np.array(em.resolution),
    )
    rows, m_step, tol = problem.rows, problem.m_step, REFIT_TOL[method]
    again = refit(rows, row_weights, em.params, m_step, tol, REFIT_MAX_ITER)
    notes += _off_the_optimum(float(again.trace[-1] - again.trace[0]), "posterior density" if em.prior else "likelihood")
    replicates = fit_replicates(rows, em.params, m_step, plan, tol=tol, max_iter=REFIT_MAX_ITER, progress=progress)
    return _by_replicates(em, replicates, method, ci_prob, notes)


def _require_data_of_fit(em: EMResult, dataset: Dataset, row_weights: Array) -> None:
    """InputError unless the rows and their weights give the fit's log-likelihood."""
    check_columns(dataset, em.columns)
    params = em.recorded_params
    counting = row_weights > 0
    log_density = compute_log_density(dataset.X[counting], params.weights, params.means, params.scale_trils)
    log_likelihood = float(row_weights[counting] @ log_density)
    if not abs(log_likelihood - em.log_likelihood) <= 1e-6 * max(abs(em.log_likelihood), em.total_weight):
        raise InputError(
            f"X and sample_weight are not those that em was fitted to: its log-likelihood is {em.log_likelihood:.6f}, on these "
            f"rows it is {log_likelihood:.6f}; pass the same X and the same sample_weight to fit_em and standard_errors"
        )


def _require_unlabelled(em: EMResult) -> None:
    """InputError for a fit of labelled data: replicates by EM and the information of X alone answer for another estimate."""
    if em.labels:
        raise InputError(
            "em is a fit of labelled data (fit_mle): these standard errors are of estimates that do not know the labels. "
            "Fit the same rows by fit_em, or bootstrap rows and labels together and call fit_mle on each draw"
        )


def _require_free_maximum(em: EMResult, method: Method, dataset: Dataset, row_weights: Array) -> None:
    """InputError where the estimate need not be a stationary point of the likelihood: with a prior, or at a bound or edge."""
    if em.unresolved:
        what = f"the variance of true values tending to 0 ({em.unresolved[0]})"
    elif em.prior is not None:
        what = "a prior"
    elif em.max_eigenvalue_ratio is not None and _attains_its_bound(em, em.max_eigenvalue_ratio, dataset, row_weights):
        what = f"eigenvalues at their bound, max_eigenvalue_ratio={em.max_eigenvalue_ratio:g}"
    else:
        return
    raise InputError(
        f"method={method!r} is for maximum likelihood, but em was fitted with {what}: use method='bootstrap', whose "
        "replicates are fitted in the same way"
    )


def _attains_its_bound(em: EMResult, max_eigenvalue_ratio: float, dataset: Dataset, row_weights: Array) -> bool:
    """Whether the bound, which is on covariances in EM's units, is active."""
    scale = standardised_rows(dataset, row_weights, family_named(em.covariance)).scale
    return attains_bound(em.params.scale_trils / scale[:, None], max_eigenvalue_ratio)


def _by_information(
    em: EMResult, X: Array, row_weights: Array, method: Method, ci_prob: float, notes: tuple[str, ...]
) -> StandardErrors:
    params = em.params
    if not params.weights.all():
        raise InputError(f"the weight of component {int(np.argmin(params.weights))} is 0: fit fewer components")
    coordinates = coordinates_around(params, em.covariance, em.columns)
    counting = row_weights > 0
    information = information_at(X[counting], row_weights[counting], coordinates, np.array(em.resolution))
    root = _inverse_root(information, coordinates.names, float(row_weights.sum()))
    notes += _off_the_optimum(float(np.sum((root.T @ information.gradient) ** 2)) / 2)
    if method == "sandwich":
        root = root @ (root.T @ square_root(information.score_products))
    errors, scales = delta_errors(coordinates, root), params.scales
    return StandardErrors(
        method=method,
        em=em,
        weights=errors.weights,
        means=scales * errors.means,
        covariances=scales[:, :, None] * errors.covariances * scales[:, None, :],
        scales=scales * errors.scales,
        correlations=errors.correlations,
        ci_prob=ci_prob,
        coordinates=coordinates,
        root=root,
        replicates=None,
        notes=notes,
    )


def _off_the_optimum(gain: float, what: str = "likelihood") -> tuple[str, ...]:
    """A note if the logarithm of what EM maximises rises by more than rounding and the tolerance of EM from the estimate."""
    return (f"the estimate is no maximum of the {what}, which rises by {gain:.3g} from it",) if gain > OFF_THE_OPTIMUM else ()


def _inverse_root(information: Information, names: tuple[str, ...], total_weight: float) -> Array:
    """Square root (P, P) of the inverse of the observed information; InputError if that is not positive definite."""
    sizes = np.sqrt(np.maximum(np.abs(np.diag(information.observed)), 1e-12 * total_weight))
    values, vectors = np.linalg.eigh(information.observed / np.outer(sizes, sizes))
    if not values[0] > SINGULAR:
        strongest = np.argsort(-np.abs(vectors[:, 0]))[:3]
        responsible = ", ".join(names[i] for i in strongest if abs(vectors[i, 0]) > 0.1)
        what = "singular" if values[0] > -SINGULAR else "not positive definite"
        raise InputError(
            f"the observed information is {what} at this estimate (smallest eigenvalue {values[0]:.3g}, of its scaled form), "
            f"mostly in the direction of {responsible}: the likelihood has no proper maximum there. Use method='bootstrap' or "
            "'weighted_bootstrap', a simpler covariance family, fewer components, or a smaller tol if the fit is not at its limit"
        )
    return vectors / np.sqrt(values) / sizes[:, None]


def _plan_of(method: Method, row_weights: Array, n_boot: int, rng: np.random.Generator) -> Plan:
    if method == "jackknife":
        return jackknife_plan(row_weights)
    return bootstrap_plan(multinomial_weights if method == "bootstrap" else exponential_weights, row_weights, n_boot, rng)


def _by_replicates(
    em: EMResult, replicates: Replicates, method: Method, ci_prob: float, notes: tuple[str, ...]
) -> StandardErrors:
    drawn = quantities_of(replicates.weights, replicates.means, replicates.covariances)
    scales = em.params.scales
    products = scales[:, :, None] * scales[:, None, :]

    def error(values: Array, unit: Array | float = 1.0) -> Array:
        return unit * spread(values / unit, replicates.counts, jackknife=method == "jackknife")

    notes += tuple(f"{count} replicates collapsed: {reason}" for reason, count in replicates.failures)
    if replicates.n_stopped:
        notes += (f"{replicates.n_stopped} replicates were left before their limit, after {REFIT_MAX_ITER} iterations",)
    if replicates.interrupted:
        notes += (f"interrupted after {int(replicates.counts.sum()) + replicates.n_failed} replicates",)
    return StandardErrors(
        method=method,
        em=em,
        weights=error(drawn.weights),
        means=error(drawn.means, scales),
        covariances=error(drawn.covariances, products),
        scales=error(drawn.scales, scales),
        correlations=error(drawn.correlations) * (1 - np.eye(drawn.means.shape[-1])),
        ci_prob=ci_prob,
        coordinates=None,
        root=None,
        replicates=replicates,
        notes=notes,
    )
