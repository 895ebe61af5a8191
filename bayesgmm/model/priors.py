"""Priors: what is believed before the data, scaled from the data where the user says nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import gammaln

from bayesgmm.errors import InputError

Array = NDArray[np.float64]

SCALE_PARAMETERS: dict[str, tuple[str, ...]] = {
    "inverse_gamma": ("alpha", "beta"),
    "half_normal": ("sigma",),
    "half_student_t": ("nu", "sigma"),
    "log_normal": ("mu", "sigma"),
}
"""Priors on the marginal standard deviations and their parameters, named as in PyMC."""

MEAN_SCALE_FACTOR = 2.5
"""Prior standard deviation of the means, in standard deviations of the column."""


@dataclass(frozen=True)
class Priors:
    """Priors of the mixture model; None is filled in from the data, column by column.

    Parameters
    ----------
    concentration : float or (K,)
        Dirichlet parameter of the weights; 1 is uniform on the simplex.
    mean_loc, mean_scale : float or (D,), optional
        Normal prior of each component's mean. By default the column's mean and 2.5 times its standard deviation.
    scale_prior : str
        Prior of each marginal standard deviation: "inverse_gamma", "half_normal", "half_student_t" or "log_normal". Of these
        half_normal and half_student_t are positive at 0: with them, two tied values in a column make the posterior improper.
    scale_params : mapping of str to float or (D,), optional
        Its parameters, named as in PyMC: alpha and beta; sigma; nu and sigma; mu and sigma. By default, with s the standard
        deviation of the column: inverse gamma with alpha 2 and beta s/2 (98% of the prior between 0.08 s and 3.4 s, mean s/2);
        sigma s; nu 4 and sigma s; mu ln(0.3 s) and sigma 0.8.
    lkj_eta : float
        Shape of the LKJ prior on each correlation matrix; 1 is uniform, larger values favour weaker correlations.
    """

    concentration: float | Any = 1.0
    mean_loc: float | Any = None
    mean_scale: float | Any = None
    scale_prior: str = "inverse_gamma"
    scale_params: Mapping[str, float | Any] | None = None
    lkj_eta: float = 2.0

    def __post_init__(self) -> None:
        for name in ("concentration", "mean_loc", "mean_scale"):
            object.__setattr__(self, name, _as_plain(getattr(self, name)))
        if not isinstance(self.scale_prior, str) or self.scale_prior not in SCALE_PARAMETERS:
            raise InputError(f"Priors: scale_prior is {self.scale_prior!r}; choose one of {', '.join(SCALE_PARAMETERS)}")
        if self.scale_params is not None:
            expected = SCALE_PARAMETERS[self.scale_prior]
            if set(self.scale_params) != set(expected):
                raise InputError(
                    f"Priors: scale_params of {self.scale_prior} are {', '.join(expected)}; got {', '.join(self.scale_params)}"
                )
            object.__setattr__(self, "scale_params", {name: _as_plain(self.scale_params[name]) for name in expected})
        eta: Any = self.lkj_eta
        if not (isinstance(eta, Real) and np.isfinite(float(eta)) and float(eta) > 0):
            raise InputError(f"Priors: lkj_eta must be a positive number; got {self.lkj_eta!r}")

    def resolved(self, X: Array, n_components: int) -> "ResolvedPriors":
        """Every number filled in for the data X (N, D) and K components."""
        n_features = X.shape[1]
        location, scale = X.mean(axis=0), X.std(axis=0)
        defaults: dict[str, dict[str, Any]] = {
            "inverse_gamma": {"alpha": 2.0, "beta": scale / 2},
            "half_normal": {"sigma": scale},
            "half_student_t": {"nu": 4.0, "sigma": scale},
            "log_normal": {"mu": np.log(0.3 * scale), "sigma": 0.8},
        }
        parameters = defaults[self.scale_prior] if self.scale_params is None else self.scale_params
        mean_loc = location if self.mean_loc is None else self.mean_loc
        mean_scale = MEAN_SCALE_FACTOR * scale if self.mean_scale is None else self.mean_scale
        return ResolvedPriors(
            concentration=_filled(self.concentration, n_components, "concentration", positive=True),
            mean_loc=_filled(mean_loc, n_features, "mean_loc", positive=False),
            mean_scale=_filled(mean_scale, n_features, "mean_scale", positive=True),
            scale_prior=self.scale_prior,
            scale_params={
                name: _filled(value, n_features, f"scale_params[{name!r}]", positive=name != "mu")
                for name, value in parameters.items()
            },
            lkj_eta=float(self.lkj_eta),
        )


@dataclass(frozen=True)
class ResolvedPriors:
    """Priors with every number given: concentration (K,), all others (D,)."""

    concentration: Array
    mean_loc: Array
    mean_scale: Array
    scale_prior: str
    scale_params: dict[str, Array] = field(default_factory=dict)
    lkj_eta: float = 2.0

    @property
    def scale_distribution(self) -> Any:
        """The prior of the standard deviations as a frozen SciPy distribution over (..., D)."""
        values = self.scale_params
        if self.scale_prior == "inverse_gamma":
            return stats.invgamma(values["alpha"], scale=values["beta"])
        if self.scale_prior == "half_normal":
            return stats.halfnorm(scale=values["sigma"])
        if self.scale_prior == "half_student_t":
            return HalfStudentT(values["nu"], values["sigma"])
        return stats.lognorm(values["sigma"], scale=np.exp(values["mu"]))

    def log_density(self, weights: Array, means: Array, scales: Array, correlation_trils: Array) -> dict[str, Array]:
        """ln prior of each parameter block, for any leading batch shape; normalised as PyMC normalises.

        weights (..., K), means and scales (..., K, D), correlation_trils (..., K, D, D): lower Cholesky factors of the
        correlation matrices.
        """
        n_features = means.shape[-1]
        out = {
            "weights": gammaln(self.concentration.sum())
            - gammaln(self.concentration).sum()
            + ((self.concentration - 1) * np.log(weights)).sum(axis=-1),
            "means": stats.norm(self.mean_loc, self.mean_scale).logpdf(means).sum(axis=(-1, -2)),
            "scales": self.scale_distribution.logpdf(scales).sum(axis=(-1, -2)),
        }
        if n_features > 1:
            log_diagonal = np.log(np.diagonal(correlation_trils, axis1=-2, axis2=-1))
            exponents = 2 * self.lkj_eta - 2 + n_features - np.arange(1, n_features + 1)
            per_component = lkj_log_constant(self.lkj_eta, n_features) + (exponents * log_diagonal).sum(axis=-1)
            out["correlations"] = per_component.sum(axis=-1)
        return out

    def describe(self, columns: tuple[str, ...]) -> str:
        """The priors in words and numbers, one line each."""
        concentration = ", ".join(f"{value:.4g}" for value in self.concentration)
        lines = [f"weights ~ Dirichlet({concentration})"]
        for d, column in enumerate(columns):
            low, median, high = self.scale_distribution.ppf(np.array([[0.01], [0.5], [0.99]]))[:, d]
            values = ", ".join(f"{name}={array[d]:.4g}" for name, array in self.scale_params.items())
            lines.append(f"means of {column} ~ Normal({self.mean_loc[d]:.4g}, sd {self.mean_scale[d]:.4g})")
            lines.append(
                f"standard deviations of {column} ~ {self.scale_prior}({values}): "
                f"median {median:.3g}, 98% between {low:.3g} and {high:.3g}"
            )
        if len(columns) > 1:
            lines.append(f"correlations ~ LKJ({self.lkj_eta:.4g})")
        return "\n".join(lines)


@dataclass(frozen=True)
class HalfStudentT:
    """Student's t folded at 0, with SciPy's method names (SciPy has none of its own)."""

    nu: Array
    sigma: Array

    def logpdf(self, x: Array) -> Array:
        return np.log(2) + stats.t(self.nu, scale=self.sigma).logpdf(x)

    def ppf(self, q: Array) -> Array:
        return stats.t(self.nu, scale=self.sigma).ppf((1 + q) / 2)


def lkj_log_constant(eta: float, n_features: int) -> float:
    """ln of the normalising constant of LKJ(eta) on correlation matrices (Lewandowski, Kurowicka and Joe 2009, section 3)."""
    k = np.arange(1, n_features)
    beta = eta + (n_features - 1 - k) / 2
    return float((gammaln(eta + (n_features - 1) / 2) - k / 2 * np.log(np.pi) - gammaln(beta)).sum())


def _as_plain(value: Any) -> Any:
    """Arrays and sequences as tuples, so that Priors compare and print by value."""
    return value if value is None or np.isscalar(value) else tuple(np.asarray(value).tolist())


def _filled(value: ArrayLike, length: int, name: str, *, positive: bool) -> Array:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"Priors: {name} must be a number or {length} numbers; got {value!r}") from None
    if array.shape not in ((), (1,), (length,)):
        raise InputError(f"Priors: {name} has {array.size} values; give one number or {length}")
    bad = ~np.isfinite(array) | (array <= 0 if positive else False)
    if np.any(bad):
        raise InputError(f"Priors: {name} must be {'positive' if positive else 'finite'}; got {array.tolist()}")
    return np.broadcast_to(array, (length,)).copy()
