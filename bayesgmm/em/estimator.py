"""GaussianMixture: scikit-learn's contract over the same engine."""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from bayesgmm.data import Dataset
from bayesgmm.em.fit import fit_em
from bayesgmm.em.initialise import STARTS
from bayesgmm.em.result import EMResult, sample_mixture
from bayesgmm.families import ALIASES, FAMILIES
from bayesgmm.kernels.density import compute_log_density, compute_responsibilities

Array = NDArray[np.float64]


class GaussianMixture(DensityMixin, BaseEstimator):
    """Gaussian mixture fitted by EM, for scikit-learn pipelines and searches.

    Parameters
    ----------
    n_components : int
    covariance_type : str
        "full" or "VVV".
    tol : float
        A start ends when its total log-likelihood is within `tol` nats of its limit, as `fit_em` has it. (scikit-learn's own
        `tol` is the last increase of the mean log-likelihood.)
    max_iter, n_init : int
        Iterations of one start at most; number of starts.
    init_params : str
        "auto", "k-means", "k-means++" or "random".
    random_state : int, RandomState or None

    Attributes
    ----------
    weights_, means_, covariances_ : (K,), (K, D), (K, D, D)
    precisions_, precisions_cholesky_ : (K, D, D)
        Inverse covariances and their upper triangular factors.
    converged_ : bool
    n_iter_ : int
    lower_bound_, lower_bounds_ : float, list of float
        Mean log-likelihood per sample at the end, and per iteration of the best start.
    result_ : EMResult
        Everything else: all starts, distinct optima, criteria.
    n_features_in_, feature_names_in_
        As in scikit-learn.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions({*FAMILIES, *ALIASES})],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions({"auto", *STARTS})],
        "random_state": ["random_state"],
    }

    result_: EMResult

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-8,
        max_iter: int = 10_000,
        n_init: int = 10,
        init_params: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit to X (N, D); `y` is ignored. Warns with ConvergenceWarning if the best start stopped at max_iter."""
        self._validate_params()
        matrix = validate_data(self, X, dtype=np.float64, order="C", ensure_min_samples=2)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, matrix, dtype=np.float64, ensure_non_negative=True)
        columns = getattr(self, "feature_names_in_", [f"x{i}" for i in range(matrix.shape[1])])
        self.result_ = fit_em(
            Dataset(matrix, tuple(map(str, columns))),
            int(self.n_components),
            covariance=self.covariance_type,
            init=self.init_params,
            n_init=int(self.n_init),
            tol=float(self.tol),
            max_iter=int(self.max_iter),
            sample_weight=sample_weight,
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
            progress=False,
        )
        if not self.converged_:
            warnings.warn(f"GaussianMixture: {self.result_.status}", ConvergenceWarning, stacklevel=2)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.intp]:
        """Fit, and return the most probable component of each row."""
        return self.fit(X, y, sample_weight).predict(X)

    def predict(self, X: Any) -> NDArray[np.intp]:
        """The most probable component of each row, (N,)."""
        return self.predict_proba(X).argmax(axis=1)

    def predict_proba(self, X: Any) -> Array:
        """Membership probabilities (N, K)."""
        params = self._fitted().params
        return compute_responsibilities(self._rows(X), params.weights, params.means, params.scale_trils)

    def score_samples(self, X: Any) -> Array:
        """Log-density of each row in nats, (N,)."""
        params = self._fitted().params
        return compute_log_density(self._rows(X), params.weights, params.means, params.scale_trils)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-density per row, in nats."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1) -> tuple[Array, NDArray[np.intp]]:
        """New rows (n_samples, D) and their components, in random order."""
        result = self._fitted()
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return sample_mixture(result.params, n_samples, np.random.default_rng(seed))

    def aic(self, X: Any) -> float:
        """-2 ln L + 2 p on X: smaller is better."""
        return -2.0 * float(self.score_samples(X).sum()) + 2 * self._fitted().n_parameters

    def bic(self, X: Any) -> float:
        """-2 ln L + p ln N on X: smaller is better."""
        log_density = self.score_samples(X)
        return -2.0 * float(log_density.sum()) + self._fitted().n_parameters * float(np.log(len(log_density)))

    @property
    def weights_(self) -> Array:
        return self._fitted().params.weights

    @property
    def means_(self) -> Array:
        return self._fitted().params.means

    @property
    def covariances_(self) -> Array:
        return self._fitted().params.covariances

    @property
    def precisions_(self) -> Array:
        return self._fitted().params.precisions

    @property
    def precisions_cholesky_(self) -> Array:
        return self._fitted().params.precision_trils

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
        if "result_" not in vars(self):
            raise NotFittedError(f"this {type(self).__name__} is not fitted: call fit first")
        return self.result_

    def _rows(self, X: Any) -> Array:
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, order="C", reset=False)
