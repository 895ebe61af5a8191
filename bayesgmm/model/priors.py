"""Priors: what is believed before the data, scaled from the data where the user says nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import gammaln

from bayesgmm.data import check_count, require_fittable, validate
from bayesgmm.errors import InputError
from bayesgmm.families import family_named, require_dimension
from bayesgmm.model.axes import cayley_log_density, draw_cayley, draw_lkj_trils, lkj_log_density
from bayesgmm.model.coordinates import Parameters, contrasts
from bayesgmm.model.scale_priors import (
    DEFAULT_SCALES,
    SCALE_PARAMETERS,
    default_scale_params,
    draw_scales,
    joint_log_density,
    scale_distribution,
)
from bayesgmm.model.structure import Structure, structure_of

Array = NDArray[np.float64]

CENTRAL = np.array([0.01, 0.5, 0.99])

MEAN_SCALE_FACTOR = 2.5
"""Prior standard deviation of the means, in standard deviations of the column."""


@dataclass(frozen=True)
class Priors:
    """Priors of the mixture model; None is filled in from the data, column by column.

    `print` tells what is given and what will be taken from the data; `describe` gives the numbers for data.

    Parameters
    ----------
    concentration : float or (K,)
        Dirichlet parameter of the weights; 1 is uniform on the simplex.
    mean_loc, mean_scale : float or (D,), optional
        Normal prior of each component's mean. By default the column's mean and 2.5 times its standard deviation.
    scale_prior : str
        Prior of each marginal standard deviation: "inverse_gamma", "half_normal", "half_student_t" or "log_normal". Of these
        half_normal and half_student_t are positive at 0: with them, two tied values in a column make the posterior improper.
        Or "hierarchical_gamma", of all components' in a column at once: precisions 1/sigma^2 ~ Gamma(alpha, rate beta), with
        beta ~ Gamma(g, rate h) common to the components and integrated out. What the spread is like is then learnt from the
        components together, down to 0: some more ties make that improper, and `sample` says so.
    scale_params : mapping of str to float or (D,), optional
        Its parameters, named as in PyMC: alpha and beta; sigma; nu and sigma; mu and sigma; or alpha, g and h. By default, with
        s the standard deviation of the column and R its range: inverse gamma with alpha 2 and beta s/2 (98% of the prior between
        0.08 s and 3.4 s, mean s/2); sigma s; nu 4 and sigma s; mu ln(0.3 s) and sigma 0.8; alpha 2, g 0.2 and h 10/R^2.
    lkj_eta : float
        Shape of the LKJ prior on each correlation matrix; 1 is uniform, larger values favour weaker correlations.
    log_ratio_scale : float
        Standard deviation of the Normal prior on the logarithms of relative volumes or shapes, where a family ties the other of
        the two (VEI VEE VEV, EVI EVE EVV): 0.8, about as wide as the default prior of the scales.

    Notes
    -----
    Where components or columns share a scale, it has one prior, not one for each. Families without a scale for each column (EII,
    VII, and those with rotated axes: EVE VVE EEV VEV, whose scales are semi-axes and whose rotations are uniform) take s and R as
    the geometric means of the columns' standard deviations and ranges, and one number for each of `scale_params`.

    The priors of Richardson and Green (1997, section 2.4), for one column of range R about its middle m, are
    ``Priors(mean_loc=m, mean_scale=R, scale_prior="hierarchical_gamma")``.
    """

    concentration: float | Any = 1.0
    mean_loc: float | Any = None
    mean_scale: float | Any = None
    scale_prior: str = "inverse_gamma"
    scale_params: Mapping[str, float | Any] | None = None
    lkj_eta: float = 2.0
    log_ratio_scale: float = 0.8

    def __post_init__(self) -> None:
        for name in ("concentration", "mean_loc", "mean_scale"):
            object.__setattr__(self, name, _as_plain(getattr(self, name)))
        if not isinstance(self.scale_prior, str) or self.scale_prior not in SCALE_PARAMETERS:
            raise InputError(f"Priors: scale_prior is {self.scale_prior!r}; choose one of {', '.join(SCALE_PARAMETERS)}")
        if self.scale_params is not None and not isinstance(self.scale_params, Mapping):
            raise InputError(f"Priors: scale_params must be a mapping such as {{'sigma': 2.0}}; got {self.scale_params!r}")
        if self.scale_params is not None:
            expected = SCALE_PARAMETERS[self.scale_prior]
            if set(self.scale_params) != set(expected):
                raise InputError(
                    f"Priors: scale_params of {self.scale_prior} are {', '.join(expected)}; got {', '.join(self.scale_params)}"
                )
            object.__setattr__(self, "scale_params", {name: _as_plain(self.scale_params[name]) for name in expected})
        for name in ("lkj_eta", "log_ratio_scale"):
            value: Any = getattr(self, name)
            if isinstance(value, bool) or not (isinstance(value, Real) and np.isfinite(float(value)) and float(value) > 0):
                raise InputError(f"Priors: {name} must be a positive number; got {value!r}")

    def __str__(self) -> str:
        """What is given and what will be taken from the data, one line each."""
        location = "mean of the column" if self.mean_loc is None else _in_words(self.mean_loc)
        spread = f"{MEAN_SCALE_FACTOR:g} s" if self.mean_scale is None else _in_words(self.mean_scale)
        return f"""weights ~ Dirichlet({_in_words(self.concentration)})
means in a column ~ Normal({location}, sd {spread})
standard deviations in a column ~ {self._scale_words()}
logarithms of relative sizes or shapes, of sum 0 ~ Normal(0, sd {self.log_ratio_scale:.4g}): in VEI VEE VEV EVI EVE EVV
correlations ~ LKJ({self.lkj_eta:.4g})
orientations ~ uniform over all rotations: in EVE VVE EEV VEV
{self._units()}, or all columns' geometric mean where a family has no scale for each"""

    def _units(self) -> str:
        by_range = self.scale_params is None and "R" in DEFAULT_SCALES[self.scale_prior]
        return f"{'s, R' if by_range else 's'}: the column's standard deviation{' and range' if by_range else ''} in the data"

    def _scale_words(self) -> str:
        if self.scale_params is not None:
            return f"{self.scale_prior}({', '.join(f'{name}={_in_words(value)}' for name, value in self.scale_params.items())})"
        low, median, high = scale_distribution(self.scale_prior, default_scale_params(self.scale_prior, 1.0, 1.0)).ppf(CENTRAL)
        default = f"{self.scale_prior}({DEFAULT_SCALES[self.scale_prior]})"
        unit = "R" if "R" in DEFAULT_SCALES[self.scale_prior] else "s"
        return f"{default}: median {median:.2g} {unit}, 98% between {low:.2g} {unit} and {high:.2g} {unit}"

    def describe(self, X: Any, n_components: int, covariance: str = "VVV") -> str:
        """The priors in numbers for data X (N, D), K components and a covariance family, one line for each variable."""
        dataset, family = validate(X), family_named(covariance)
        require_dimension(family, dataset.n_features)
        require_fittable(dataset, check_count(n_components, "n_components"))
        return self.resolved(dataset.X, n_components, family.name).describe(dataset.columns)

    def resolved(self, X: Array, n_components: int, covariance: str = "VVV") -> "ResolvedPriors":
        """Every number filled in for the data X (N, D), K components and a covariance family."""
        n_features = X.shape[1]
        structure = structure_of(covariance, n_components, n_features)
        location, spread, extent = X.mean(axis=0), X.std(axis=0), np.ptp(X, axis=0)
        by_column = structure.feature_scales and structure.axes != "rotations"
        sizes = [size if by_column else np.exp(np.log(size).mean()) for size in (spread, extent)]
        parameters = default_scale_params(self.scale_prior, *sizes) if self.scale_params is None else self.scale_params
        mean_loc = location if self.mean_loc is None else self.mean_loc
        mean_scale = MEAN_SCALE_FACTOR * spread if self.mean_scale is None else self.mean_scale
        if not by_column and any(np.size(value) > 1 for value in parameters.values()):
            raise InputError(
                f"Priors: scale_params has a number for each column, but {structure.family} has no scale for each column: give "
                "one number for each of its parameters"
            )
        return ResolvedPriors(
            structure=structure,
            concentration=_filled(self.concentration, n_components, "concentration", positive=True),
            mean_loc=_filled(mean_loc, n_features, "mean_loc", positive=False),
            mean_scale=_filled(mean_scale, n_features, "mean_scale", positive=True),
            scale_prior=self.scale_prior,
            scale_params={
                name: _filled(value, structure.scales_shape[1], f"scale_params[{name!r}]", positive=name != "mu")
                for name, value in parameters.items()
            },
            lkj_eta=float(self.lkj_eta),
            log_ratio_scale=float(self.log_ratio_scale),
        )


@dataclass(frozen=True)
class ResolvedPriors:
    """Priors of one structure with every number given.

    concentration (K,), mean_loc and mean_scale (D,), scale_params (D,) or (1,) as the structure has scales.
    """

    structure: Structure
    concentration: Array
    mean_loc: Array
    mean_scale: Array
    scale_prior: str
    scale_params: dict[str, Array]
    lkj_eta: float
    log_ratio_scale: float

    @property
    def symmetric(self) -> bool:
        """Whether the prior, and so the posterior, is the same in every order of the components."""
        return bool(np.ptp(self.concentration) == 0)

    @property
    def scale_distribution(self) -> Any:
        """The prior of one component's standard deviations as a frozen SciPy distribution over (..., D), or as like one."""
        return scale_distribution(self.scale_prior, self.scale_params)

    def log_density(self, parameters: Parameters) -> dict[str, Array]:
        """ln prior of each free variable that the structure has, for any leading batch shape; normalised as PyMC normalises."""
        structure, concentration = self.structure, self.concentration
        ratio = stats.norm(0, self.log_ratio_scale)
        constant = gammaln(concentration.sum()) - gammaln(concentration).sum()
        out = {
            "weights": constant + ((concentration - 1) * np.log(parameters.weights)).sum(axis=-1),
            "means": stats.norm(self.mean_loc, self.mean_scale).logpdf(parameters.means).sum(axis=(-1, -2)),
            "scales": joint_log_density(self.scale_distribution, parameters.scales),
        }
        if structure.own_volumes:  # one dimension fewer than there are components
            out["log_volumes"] = ratio.logpdf(parameters.log_volumes).sum(axis=-1) - ratio.logpdf(0.0)
        if structure.own_shapes:
            missing = structure.n_components + structure.n_features - 1
            out["log_shapes"] = ratio.logpdf(parameters.log_shapes).sum(axis=(-1, -2)) - missing * ratio.logpdf(0.0)
        if structure.axes == "correlations":
            out["correlation_trils"] = lkj_log_density(parameters.correlation_trils, self.lkj_eta).sum(axis=-1)
        elif structure.axes == "rotations":
            out["rotations"] = cayley_log_density(parameters.rotations, structure.n_features).sum(axis=-1)
        return out

    def draw(self, rng: np.random.Generator, size: int) -> Parameters:
        """Parameters with a leading axis of `size` independent draws."""
        structure = self.structure
        n_components, n_features, none = structure.n_components, structure.n_features, np.zeros((size, 0))
        scales = draw_scales(self.scale_distribution, rng, (size, *structure.scales_shape))
        volumes = rng.normal(scale=self.log_ratio_scale, size=(size, n_components - 1))
        shapes = rng.normal(scale=self.log_ratio_scale, size=(size, n_components - 1, n_features - 1))
        return Parameters(
            rng.dirichlet(self.concentration, size=size),
            self.mean_loc + self.mean_scale * rng.standard_normal((size, n_components, n_features)),
            scales,
            volumes @ contrasts(n_components).T if structure.own_volumes else none,
            contrasts(n_components) @ shapes @ contrasts(n_features).T if structure.own_shapes else none,
            draw_lkj_trils(rng, self.lkj_eta, n_features, (size, structure.n_axes)) if structure.axes == "correlations" else none,
            draw_cayley(rng, n_features, (size, structure.n_axes)) if structure.axes == "rotations" else none,
        )

    def describe(self, columns: tuple[str, ...]) -> str:
        """The priors in words and numbers, one line each."""
        structure = self.structure
        concentration = ", ".join(f"{value:.4g}" for value in self.concentration)
        lines = [f"weights ~ Dirichlet({concentration})"]
        for d, column in enumerate(columns):
            lines.append(f"means of {column} ~ Normal({self.mean_loc[d]:.4g}, sd {self.mean_scale[d]:.4g})")
        of_columns = structure.feature_scales and structure.axes != "rotations"
        sharing = "" if structure.cluster_scales or structure.n_components == 1 else ", common to the components"
        for d in range(structure.scales_shape[1]):
            low, median, high = self.scale_distribution.ppf(CENTRAL[:, None])[:, d]
            values = ", ".join(f"{name}={array[d]:.4g}" for name, array in self.scale_params.items())
            what = f"standard deviations of {columns[d]}" if of_columns else f"{self._scale_words(d)}"
            lines.append(
                f"{what}{sharing} ~ {self.scale_prior}({values}): median {median:.3g}, 98% between {low:.3g} and {high:.3g}"
            )
        if structure.own_volumes:
            lines.append(f"logarithms of the components' relative sizes ~ Normal(0, sd {self.log_ratio_scale:.4g}), of sum 0")
        if structure.own_shapes:
            lines.append(f"logarithms of the components' relative shapes ~ Normal(0, sd {self.log_ratio_scale:.4g}), of sum 0")
        common = "" if structure.own_axes or structure.n_components == 1 else ", common to the components"
        if structure.axes == "correlations":
            lines.append(f"correlations{common} ~ LKJ({self.lkj_eta:.4g})")
        elif structure.axes == "rotations":
            lines.append(f"orientation{common} ~ uniform over all rotations")
        return "\n".join(lines)

    def _scale_words(self, d: int) -> str:
        return f"semi-axis {d}" if self.structure.axes == "rotations" else "standard deviations, the same in every column"


def _in_words(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(_in_words(entry) for entry in value).join("()")
    return f"{value:.4g}" if isinstance(value, Real) else str(value)


def _as_plain(value: Any) -> Any:
    """Arrays and sequences as tuples, so that Priors compare and print by value."""
    if value is None or np.isscalar(value):
        return value
    plain = np.asarray(value).tolist()
    return tuple(plain) if isinstance(plain, list) else plain


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
