"""Conjugate priors for maximum a posteriori EM, as pseudo-rows that every component is given."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.data import is_number
from bayesgmm.errors import InputError
from bayesgmm.families import CovarianceFamily
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConjugatePrior:
    r"""Normal-inverse-Wishart prior on each component's mean and covariance, for `fit_em(..., prior=)`.

    mu_k given Sigma_k is Normal(`mean`, Sigma_k / `shrinkage`), and Sigma_k is inverse-Wishart with `degrees_of_freedom` and
    `scale`. The defaults are those of Fraley and Raftery (2007, section 3.2), who chose them so that a component
    does not collapse and a good fit hardly changes. Where the data lie on a line or plane, so does the default `scale`: give one.

    Parameters
    ----------
    shrinkage : float
        Pseudo-rows behind `mean`, at least 0; 0 leaves the means alone.
    mean : (D,), optional
        Prior mean, in the units of the data; None takes the mean of the data.
    degrees_of_freedom : float, optional
        Above D - 1; None takes D + 2.
    scale : (D, D), optional
        Positive definite, in the units of the data; None takes the covariance of the data divided by K^(2/D).

    Notes
    -----
    Where one covariance is shared by all components (E, EII, EEI, EEE) it is given its prior once; in every other family each
    component's covariance is. Priors are compared by value; `mean` and `scale` are copied and read-only.

    Raises
    ------
    InputError
        Values that are no numbers, or out of range; what only the data show (shapes, definiteness) is raised by the fit.
    """

    shrinkage: float = 0.01
    mean: ArrayLike | None = None
    degrees_of_freedom: float | None = None
    scale: ArrayLike | None = None

    def __post_init__(self) -> None:
        if not (is_number(self.shrinkage) and 0 <= self.shrinkage < np.inf):
            raise InputError(f"ConjugatePrior: shrinkage must be a number of at least 0; got {self.shrinkage!r}")
        if self.degrees_of_freedom is not None and not (
            is_number(self.degrees_of_freedom) and 0 < self.degrees_of_freedom < np.inf
        ):
            raise InputError(f"ConjugatePrior: degrees_of_freedom must be a positive number; got {self.degrees_of_freedom!r}")
        for name, value, n_dims in (("mean", self.mean, 1), ("scale", self.scale, 2)):
            if value is not None:
                object.__setattr__(self, name, _read_only(value, n_dims, name))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConjugatePrior):
            return NotImplemented
        return (
            self.shrinkage == other.shrinkage
            and self.degrees_of_freedom == other.degrees_of_freedom
            and _same(self.mean, other.mean)
            and _same(self.scale, other.scale)
        )

    __hash__ = None  # type: ignore[assignment]  # compared by value, holds arrays


class PseudoEstimates(NamedTuple):
    """Counts (K,), means (K, D) and scatters (K, D, D) with the prior's share added."""

    counts: Array
    means: Array
    scatters: Array


@dataclass(frozen=True)
class PseudoRows:
    """A ConjugatePrior in the coordinates of the standardised rows.

    Attributes
    ----------
    shrinkage : float
    mean : (D,)
    count : float
        Pseudo-rows added to each component's covariance.
    scatter : (D, D)
        Their scatter.
    """

    shrinkage: float
    mean: Array
    count: float
    scatter: Array

    def added_to(self, counts: Array, means: Array, scatters: Array) -> PseudoEstimates:
        """The estimates with the prior's pseudo-rows: for VVV and EEE those of Fraley and Raftery (2007, table 1).

        The spherical and diagonal families have other priors there; here every family takes the same pseudo-rows.
        """
        share = self.shrinkage / (counts + self.shrinkage)
        shifts = means - self.mean
        drawn_in = (counts * share)[:, None, None] * shifts[:, :, None] * shifts[:, None, :]
        return PseudoEstimates(counts + self.count, means - share[:, None] * shifts, scatters + drawn_in + self.scatter)

    def log_density(self, params: MixtureParams) -> float:
        """ln p(mu, Sigma) up to a constant: what EM's objective adds to the log-likelihood."""
        inverses = np.linalg.inv(params.scale_trils)  # one call for small matrices: this is evaluated in every iteration
        shifts = (inverses @ (params.means - self.mean)[:, :, None])[:, :, 0]
        log_determinants = 2 * np.log(np.diagonal(params.scale_trils, axis1=1, axis2=2)).sum()
        distances = ((inverses @ self.scatter) * inverses).sum() + self.shrinkage * (shifts**2).sum()
        return float(-0.5 * (self.count * log_determinants + distances))


def resolve_prior(
    prior: ConjugatePrior,
    n_components: int,
    family: CovarianceFamily,
    location: Array,
    scale: Array,
    covariance: Array,
) -> PseudoRows:
    """The prior in standardised coordinates (x - location) / scale; `covariance` (D, D) is that of the data in them."""
    if not isinstance(prior, ConjugatePrior):
        raise InputError(f"prior must be a ConjugatePrior, such as ConjugatePrior() with its defaults; got {prior!r:.80}")
    n_features = len(location)
    mean = np.zeros(n_features) if prior.mean is None else (_of_shape(prior.mean, (n_features,), "mean") - location) / scale
    degrees_of_freedom = n_features + 2.0 if prior.degrees_of_freedom is None else float(prior.degrees_of_freedom)
    if degrees_of_freedom <= n_features - 1:
        raise InputError(
            f"ConjugatePrior: degrees_of_freedom is {degrees_of_freedom:g}; with {n_features} columns it must exceed "
            f"{n_features - 1}"
        )
    if prior.scale is None:
        scatter = covariance / n_components ** (2 / n_features)
    else:
        scatter = _of_shape(prior.scale, (n_features, n_features), "scale") / np.outer(scale, scale)
        if not np.allclose(scatter, scatter.T) or np.linalg.eigvalsh(scatter)[0] <= 0:
            raise InputError("ConjugatePrior: scale must be symmetric and positive definite")
    is_shared = family.n_covariance_parameters(2, n_features) == family.n_covariance_parameters(1, n_features)
    share = 1 / n_components if is_shared else 1.0
    count = share * (degrees_of_freedom + n_features + 1) + (1.0 if prior.shrinkage > 0 else 0.0)
    return PseudoRows(float(prior.shrinkage), mean, count, share * scatter)


def _read_only(value: ArrayLike, n_dims: int, name: str) -> Array:
    """A copy of `value`; InputError unless it is `n_dims`-dimensional and finite."""
    said = f"ConjugatePrior: {name} must be finite numbers of shape {'(D,)' if n_dims == 1 else '(D, D)'}"
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{said}; got {value!r}") from None
    if array.ndim != n_dims or not np.isfinite(array).all():
        raise InputError(f"{said}; got {value!r}")
    array.setflags(write=False)
    return array


def _of_shape(value: ArrayLike, shape: tuple[int, ...], name: str) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape:
        raise InputError(f"ConjugatePrior: {name} must have shape {shape} for these data; got shape {array.shape}")
    return array


def _same(first: ArrayLike | None, second: ArrayLike | None) -> bool:
    if first is None or second is None:
        return first is second
    return np.array_equal(first, second)
