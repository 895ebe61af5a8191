"""GaussianMixture: scikit-learn's contract over the same engine."""

import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from bayesgmm.data import Dataset
from bayesgmm.em.fit import Problem, RunSettings, fit_starts, make_problem
from bayesgmm.em.given_start import check_given_start
from bayesgmm.em.initialise import STARTS, StartSample, given_parameters, start_sample, starting_memberships, starting_points
from bayesgmm.em.result import EMResult, sample_mixture
from bayesgmm.em.run import EMStatus
from bayesgmm.em.step import Collapsed
from bayesgmm.errors import FitError, InputError
from bayesgmm.families import ALIASES, FAMILIES, family_named, require_dimension
from bayesgmm.kernels.density import compute_log_density, compute_responsibilities
from bayesgmm.kernels.threads import available_threads
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
Starts = list[tuple[str, MixtureParams | Collapsed]]

ILL_DEFINED = (
    "Fitting the mixture model failed because some components have ill-defined empirical covariance (for instance caused by "
    "singleton or collapsed samples). Try to decrease the number of components, increase reg_covar, or scale the input data."
)
ROUNDING = 1e-9
"""Runs whose log-likelihoods differ by fewer nats found the same."""
NOT_CONVERGED = (
    "Best performing initialization did not converge. Try different init parameters, or increase max_iter, tol, or check for "
    "degenerate data."
)


class GaussianMixture(DensityMixin, BaseEstimator):
    """Gaussian mixture fitted by EM: takes the place of `sklearn.mixture.GaussianMixture`.

    Three defaults differ, because they decide the answer. `tol` is a distance to the limit in nats of the *total* log-likelihood,
    where scikit-learn's is the last increase of the *mean* one: the same number is the stricter here. `reg_covar` is 0, where
    scikit-learn adds 1e-6 to every variance. And the best of five starts is taken, where scikit-learn makes one.

    Parameters
    ----------
    n_components : int
    covariance_type : str
        "full", "tied", "diag", "spherical", or one of mclust's names (EII, VII, EEI, VEI, EVI, VVI, EEE, VEE, EVE, VVE, EEV, VEV,
        EVV, VVV; E and V for one column).
    tol : float
        A start ends when its total log-likelihood is, by Aitken's estimate, within `tol` nats of its limit. One or two iterations
        (a low `max_iter`) are too few for the estimate: there `tol` is what it is in scikit-learn.
    reg_covar : float
        Added to the variances in every iteration, in squared units of the data. 0 gives the maximum likelihood. scikit-learn's
        1e-6 is nothing to a variance of 1, but replaces one of 1e-8: what is fitted then depends on the unit of the data.
    max_iter, n_init : int
        Iterations of one start at most; 0 gives the best start itself. Number of starts.
    init_params : str
        "auto", "kmeans", "k-means++", "random_from_data", "random", or one of the others that `fit_em` has.
        Columns are brought to unit scale for all but the unscaled ones, and groups drawn towards their pooled covariance.
    weights_init, means_init, precisions_init : array_like, optional
        Take the place of these parts of every start; precisions in the shape of `precisions_`.
    random_state : int, RandomState or None
    warm_start : bool
        Begin where the last fit ended, whatever it was fitted to; `n_init` and the other starts do not count then.
    verbose : int
        1 prints how each start ended, 2 also its iterations.
    verbose_interval : int
        Which iterations: every how many.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
    means_ : ndarray of shape (n_components, n_features)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Covariances, their inverses, and the upper triangular factors of these: (n_components, n_features, n_features), but for
        "tied" (n_features, n_features), "diag" (n_components, n_features), "spherical" (n_components,). mclust's names always
        give the first shape. Single precision where X was.
    converged_ : bool
    n_iter_ : int
    lower_bound_, lower_bounds_ : float, list of float
        Mean log-likelihood per row at the end, and after each iteration of the best start. (scikit-learn's are those before.)
    result_ : EMResult
        Everything else, in double precision: all starts, distinct optima, criteria.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has names.

    Notes
    -----
    A fit that fails leaves the last one as it was. `fit` raises ValueError for bad data or arguments, and FitError, which is one
    too, where every start collapsed; a collapse in the very last iteration that `max_iter` allows counts as not converged.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions({*FAMILIES, *ALIASES})],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions({"auto", *STARTS})],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }

    result_: EMResult
    _fitted_as: tuple[str, type[np.floating]]

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-8,
        reg_covar: float = 0.0,
        max_iter: int = 10_000,
        n_init: int = 5,
        init_params: str = "auto",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit to X (N, D), rows weighted by `sample_weight` (N,); `y` is ignored. ConvergenceWarning if max_iter was too low."""
        before = vars(self).copy()
        try:
            self._validate_params()
            self._fit(X, sample_weight)
        except BaseException:
            self.__dict__ = before
            raise
        if self.result_.interrupted or not (self.converged_ or self.max_iter == 0):
            warnings.warn(f"{NOT_CONVERGED} {self.result_.status}", ConvergenceWarning, stacklevel=2)
        return self

    def _fit(self, X: Any, sample_weight: Any) -> None:
        previous = vars(self).get("result_") if self.warm_start else None
        matrix = validate_data(self, X, dtype=[np.float64, np.float32], order="C", ensure_min_samples=2)
        n_samples, n_features = matrix.shape
        if n_samples < self.n_components:
            raise InputError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, n_samples = {n_samples}"
            )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, matrix, dtype=np.float64, ensure_non_negative=True)
        columns = getattr(self, "feature_names_in_", [f"x{i}" for i in range(n_features)])
        dataset = Dataset(matrix.astype(np.float64, copy=False), tuple(map(str, columns)))
        family = family_named(self.covariance_type)
        require_dimension(family, n_features)
        try:
            problem = make_problem(
                dataset, int(self.n_components), family, row_weights=sample_weight, floor=float(self.reg_covar)
            )
        except InputError as error:
            raise InputError(f"{ILL_DEFINED} {error}") from None
        starts, sample = self._starts(problem, previous, sample_weight)
        result = self._run(problem, starts, sample)
        self.result_ = _judged(result, float(self.tol))
        self._fitted_as = (self.covariance_type, matrix.dtype.type)
        if self.verbose:
            self._tell()

    def _starts(
        self, problem: Problem, previous: EMResult | None, row_weights: Array | None
    ) -> tuple[Starts, StartSample | None]:
        """The last fit, or what is given, or starting points with what is given in them; and the rows these were made from."""
        n_components, n_features = problem.n_components, problem.dataset.n_features
        if previous is not None:
            if previous.params.means.shape != (n_components, n_features):
                raise InputError(
                    f"warm_start: the last fit has means of shape {previous.params.means.shape}, but n_components and X need "
                    f"{(n_components, n_features)}: set warm_start=False"
                )
            return [("last fit", given_parameters(previous.params, n_components, problem.rows, problem.m_step))], None
        given = check_given_start(
            self.weights_init, self.means_init, self.precisions_init, self.covariance_type, n_components, n_features
        ).standardised(problem)
        if isinstance(given, Collapsed):
            return [("given parameters", given)], None
        if given.weights is not None and given.means is not None and given.scale_trils is not None:
            return [("given parameters", MixtureParams(given.weights, given.means, given.scale_trils))], None
        rng = np.random.default_rng(self._seed())
        sample = start_sample(problem.dataset, row_weights, rng.spawn(1)[0])
        n_init = int(self.n_init) if n_components > 1 else 1
        memberships = starting_memberships(self.init_params, n_init, sample, n_components, rng)
        points = starting_points(memberships, sample, problem.m_step)
        return [(name, given.put_into(start)) for name, start in points], sample

    def _run(self, problem: Problem, starts: Starts, sample: StartSample | None) -> EMResult:
        """EM from the starts. Where all collapse, those that do so in the last iteration of all count up to there."""
        max_iter, has_floor = int(self.max_iter), self.reg_covar > 0
        settings = RunSettings(float(self.tol), max_iter, available_threads(), accelerate=not has_floor)
        n_long = len(starts) if has_floor else None  # with a floor, who leads early tells nothing about the end
        progress = None if self.verbose else False
        try:
            return fit_starts(problem, starts, len(starts), settings, n_long=n_long, sample=sample, progress=progress)
        except FitError as error:
            failure = FitError(f"{ILL_DEFINED} {error}")
        try:
            shorter = replace(settings, max_iter=max(max_iter - 1, 0))
            return fit_starts(problem, starts, len(starts), shorter, n_long=n_long, sample=sample, progress=False)
        except FitError:
            raise failure from None

    def _tell(self) -> None:
        """Print how the starts went."""
        for i, run in enumerate(self.result_.runs):
            means = run.trace / self.result_.total_weight
            for iteration in range(self.verbose_interval, len(means) if self.verbose > 1 else 0, self.verbose_interval):
                change = means[iteration] - means[iteration - 1]
                print(f"  Iteration {iteration}\t mean log-likelihood {means[iteration]:.10g}\t change {change:.3g}")  # noqa: T201
            ended = f"mean log-likelihood {means[-1]:.10g}" if run.params is not None else run.reason
            print(f"Initialization {i} ({run.init}): {run.status.name.lower()} after {run.n_iter} iterations, {ended}")  # noqa: T201

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.intp]:
        """Fit, and return the most probable component of each row."""
        return self.fit(X, y, sample_weight).predict(X)

    def predict(self, X: Any) -> NDArray[np.intp]:
        """The most probable component of each row, (N,)."""
        return self.predict_proba(X).argmax(axis=1)

    def predict_proba(self, X: Any) -> Floats:
        """Membership probabilities (N, K), in the precision of X."""
        rows, params = self._rows(X), self.result_.params
        responsibilities = compute_responsibilities(
            rows.astype(np.float64, copy=False), params.weights, params.means, params.scale_trils, n_threads=available_threads()
        )
        return responsibilities.astype(rows.dtype, copy=False)

    def score_samples(self, X: Any) -> Floats:
        """Log-density of each row in nats, (N,), in the precision of X."""
        rows = self._rows(X)
        return self._log_density(rows).astype(rows.dtype, copy=False)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log-density per row, in nats; weighted by `sample_weight` (N,)."""
        rows = self._rows(X)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
        return float(np.average(self._log_density(rows), weights=sample_weight))

    def sample(self, n_samples: int = 1) -> tuple[Array, NDArray[np.intp]]:
        """New rows (n_samples, D), one component after the other, and their components (n_samples,)."""
        check_is_fitted(self)
        if n_samples < 1:
            raise InputError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        X, labels = sample_mixture(self.result_.params, n_samples, np.random.default_rng(self._seed()))
        order = labels.argsort(kind="stable")
        return X[order], labels[order]

    def aic(self, X: Any) -> float:
        """-2 ln L + 2 p on X: smaller is better."""
        return -2.0 * float(self._log_density(self._rows(X)).sum()) + 2 * self._n_parameters()

    def bic(self, X: Any) -> float:
        """-2 ln L + p ln N on X: smaller is better. `result_.bic` counts the sample weights of the fit."""
        log_density = self._log_density(self._rows(X))
        return -2.0 * float(log_density.sum()) + self._n_parameters() * float(np.log(len(log_density)))

    def _n_parameters(self) -> int:
        return self._fitted().n_parameters

    @property
    def weights_(self) -> Floats:
        return self._as_fitted(self._fitted().params.weights)

    @property
    def means_(self) -> Floats:
        return self._as_fitted(self._fitted().params.means)

    @property
    def covariances_(self) -> Floats:
        return self._compact(self._fitted().params.covariances)

    @property
    def precisions_(self) -> Floats:
        return self._compact(self._fitted().params.precisions)

    @property
    def precisions_cholesky_(self) -> Floats:
        return self._compact(self._fitted().params.precision_trils)

    @property
    def converged_(self) -> bool:
        return self._fitted().converged

    @property
    def n_iter_(self) -> int:
        return self._fitted().n_iter

    @property
    def lower_bound_(self) -> float:
        return self._fitted().log_likelihood / self._fitted().total_weight

    @property
    def lower_bounds_(self) -> list[float]:
        return (self._fitted().trace[1:] / self._fitted().total_weight).tolist()

    def __sklearn_is_fitted__(self) -> bool:
        return "result_" in vars(self)

    def _fitted(self) -> EMResult:
        check_is_fitted(self)
        return self.result_

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _rows(self, X: Any) -> Floats:
        check_is_fitted(self)
        return validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=False)

    def _log_density(self, rows: Floats) -> Array:
        params = self.result_.params
        return compute_log_density(
            rows.astype(np.float64, copy=False), params.weights, params.means, params.scale_trils, n_threads=available_threads()
        )

    def _as_fitted(self, array: Array) -> Floats:
        return array.astype(self._fitted_as[1], copy=False)

    def _compact(self, matrices: Array) -> Floats:
        """Matrices (K, D, D) in the shape that scikit-learn gives them."""
        shaped = {
            "tied": matrices[0],
            "diag": matrices.diagonal(axis1=1, axis2=2),
            "spherical": matrices[:, 0, 0],
        }
        return np.ascontiguousarray(self._as_fitted(shaped.get(self._fitted_as[0], matrices)))


def _judged(result: EMResult, tol: float) -> EMResult:
    """The result: first the shortest of the runs that agree with the best, or that one judged by scikit-learn's rule."""
    runs = list(result.runs)
    agreeing = [run for run in runs if run.converged and abs(run.trace[-1] - runs[0].trace[-1]) < ROUNDING]
    if agreeing:
        best = min(agreeing, key=lambda run: run.n_iter)
        return replace(result, runs=(best, *(run for run in runs if run is not best)))
    run = runs[0]
    short = run.status is EMStatus.MAX_ITER and 1 <= run.n_iter <= 2
    if short and abs(run.trace[-1] - run.trace[-2]) < tol * result.total_weight:
        runs[0] = replace(run, status=EMStatus.CONVERGED, reason="")
    return replace(result, runs=tuple(runs))
