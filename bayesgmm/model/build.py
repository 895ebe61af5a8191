"""build_model: the Bayesian mixture as a plain PyMC model."""

from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import ArrayLike, NDArray
from pymc.distributions.transforms import CholeskyCorrTransform, LogTransform
from pymc.logprob.transforms import Transform

from bayesgmm.em.result import EMResult, sample_mixture
from bayesgmm.model.axes import cayley_log_constant, draw_cayley
from bayesgmm.model.likelihood import mixture_log_density
from bayesgmm.model.priors import Priors, ResolvedPriors
from bayesgmm.model.scale_priors import HierarchicalGamma
from bayesgmm.model.specification import Specification, specify
from bayesgmm.params import MixtureParams

if find_spec("jax") is not None:
    import bayesgmm.model.likelihood_jax  # noqa: F401 - makes the ops known to PyTensor's JAX backend

Array = NDArray[np.float64]


class CorrelationTransform(CholeskyCorrTransform):
    """PyMC's transform under a name without an underscore: PyMC 6.4 splits value names there and loses its own variable."""

    name = "cholesky"


class JointLogTransform(LogTransform):
    """To the logarithms of values that have one density together, under the name that PyMC has for logarithms."""

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return value.sum()


class ArcsinhTransform(Transform):
    """To the inverse hyperbolic sine of every element, which takes the heavy tails off Cayley coordinates."""

    name = "arcsinh"

    def forward(self, value: Any, *inputs: Any) -> Any:
        return pt.arcsinh(value)

    def backward(self, value: Any, *inputs: Any) -> Any:
        return pt.sinh(value)

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return pt.log(pt.cosh(value)).sum(axis=-1)


def build_model(
    X: Any,
    n_components_or_em: int | EMResult,
    *,
    covariance: str | None = None,
    priors: Priors | None = None,
    resolution: float | ArrayLike | None = None,
) -> pm.Model:
    """The Gaussian mixture as a plain `pm.Model`, to sample, extend, or draw prior and posterior predictive from.

    Free variables: ``weights (cluster)`` Dirichlet; ``means (cluster, feature)`` Normal; ``scales``, with the axes that the
    family has (marginal standard deviations, or semi-axes for EVE VVE EEV VEV); and, where the family has them, ``log_volumes
    (cluster)`` and ``log_shapes (cluster, feature)``, Normal with sum 0, ``correlation_trils (cluster, feature, feature_bis)`` or
    without the first axis, Cholesky factors of LKJ correlation matrices, and ``rotations``, Cayley coordinates of uniform ones.
    Deterministic: ``correlations``, ``covariances``. Observed: ``X (obs, feature)``, a random variable whose log-density is one
    value per row, from the library's fused kernel. Data: ``resolution (feature)``, where it is not 0.

    Parameters
    ----------
    X : (N, D) array or frame
    n_components_or_em : int or EMResult
        K, or a fit whose K and covariance family are taken.
    covariance : str, optional
        One of mclust's names or an alias, as in `fit_em`; by default the fit's, or "VVV".
    priors : Priors, optional
        By default scaled from the data; see `Priors`.
    resolution : float or (D,), optional
        Rounding step of the columns: a recorded row has covariance Sigma_k + diag(resolution^2) / 12. None takes the fit's, if it
        was given one, else the smallest gap between the values of columns with ties; 0 is none.

    Raises
    ------
    InputError
        Bad data or arguments, or a prior under which the posterior would be improper.
    """
    return assemble(specify(X, n_components_or_em, covariance, priors, resolution))


def assemble(specification: Specification) -> pm.Model:
    """The model of a validated data set and priors with every number given."""
    dataset, priors = specification.dataset, specification.target.priors
    structure, resolution = priors.structure, specification.target.resolution
    n_features = structure.n_features
    coords: dict[str, Any] = {
        "cluster": np.arange(structure.n_components),
        "feature": list(dataset.columns),
        "feature_bis": list(dataset.columns),
        "obs": np.arange(dataset.n_samples),
    }
    if structure.axes == "rotations":
        coords["rotation_plane"] = [f"{i}-{j}" for i, j in zip(*np.tril_indices(n_features, -1), strict=True)]
    square = ("cluster", "feature", "feature_bis")
    with pm.Model(coords=coords) as model:
        weights = pm.Dirichlet("weights", priors.concentration, dims="cluster")
        means = pm.Normal("means", priors.mean_loc, priors.mean_scale, dims=("cluster", "feature"))
        factors = _factors(priors)
        covariances = pm.Deterministic("covariances", factors @ factors.swapaxes(-1, -2), dims=square)
        scales = pt.sqrt(pt.diagonal(covariances, axis1=-2, axis2=-1))
        pm.Deterministic("correlations", covariances / scales[:, :, None] / scales[:, None, :], dims=square)
        if resolution.any():
            noise = pm.Data("resolution", resolution, dims="feature") ** 2 / 12
            scale_trils = pt.linalg.cholesky(covariances + pt.diag(noise))
        else:
            scale_trils = pt.linalg.cholesky(covariances) if structure.axes == "rotations" else factors
        pm.CustomDist(
            "X",
            weights,
            means,
            scale_trils,
            logp=_logp,
            random=_random,
            signature="(k),(k,d),(k,d,d)->(d)",
            dims=("obs", "feature"),
            observed=dataset.X,
        )
    return model


def _factors(priors: ResolvedPriors) -> Any:
    """T_k (K, D, D) with Sigma_k = T_k T_k', of new free variables; see `structure`."""
    structure, n_features = priors.structure, priors.structure.n_features
    log_scales = pt.log(_scales(priors))
    log_scales = log_scales[..., None] if not structure.feature_scales else log_scales
    log_scales = log_scales[None] if not structure.cluster_scales else log_scales
    log_scales = pt.broadcast_to(log_scales, (structure.n_components, n_features))
    if structure.own_volumes:
        log_scales += pm.ZeroSumNormal("log_volumes", priors.log_ratio_scale, dims="cluster")[:, None]
    if structure.own_shapes:
        log_scales += pm.ZeroSumNormal("log_shapes", priors.log_ratio_scale, n_zerosum_axes=2, dims=("cluster", "feature"))
    if structure.axes == "columns":
        return pt.exp(log_scales)[:, :, None] * pt.eye(n_features)
    own = ("cluster",) if structure.own_axes else ()
    if structure.axes == "rotations":
        rotations = pm.CustomDist(
            "rotations",
            np.zeros(structure.n_pairs),  # PyMC takes the shape of a draw from its parameters
            logp=partial(_rotations_logp, n_features=n_features),
            default_transform=ArcsinhTransform(),
            random=partial(_random_rotations, n_features=n_features),
            signature="(p)->(p)",
            dims=(*own, "rotation_plane"),
        )
        return structure.reference_axes @ _cayley(rotations, n_features) * pt.exp(log_scales)[:, None, :]
    trils = pm.LKJCorr(
        "correlation_trils",
        n=n_features,
        size=(structure.n_components,) if structure.own_axes else (),
        eta=priors.lkj_eta,
        default_transform=CorrelationTransform(n_features),
        dims=(*own, "feature", "feature_bis"),
    )
    if structure.equal_determinants:
        own_logs = pt.log(pt.diagonal(trils, axis1=-2, axis2=-1)).mean(axis=-1, keepdims=True)
        log_scales -= own_logs - own_logs.mean()
    return pt.exp(log_scales)[:, :, None] * trils


def _scales(priors: ResolvedPriors) -> Any:
    structure = priors.structure
    has = {"cluster": structure.cluster_scales, "feature": structure.feature_scales}
    dims = tuple(dim for dim, there in has.items() if there)
    if isinstance(priors.scale_distribution, HierarchicalGamma):
        return _hierarchical_scales(priors.scale_distribution, structure.scales_shape, dims)
    distributions = {
        "inverse_gamma": pm.InverseGamma,
        "half_normal": pm.HalfNormal,
        "half_student_t": pm.HalfStudentT,
        "log_normal": pm.LogNormal,
    }
    parameters = priors.scale_params if structure.feature_scales else {k: v[0] for k, v in priors.scale_params.items()}
    return distributions[priors.scale_prior]("scales", **parameters, dims=dims)


def _hierarchical_scales(distribution: HierarchicalGamma, shape: tuple[int, int], dims: tuple[str, ...]) -> Any:
    """The scales of all components, `shape` (K, D) with axes of length 1 for dims that there are not, as one variable."""
    letters = ",".join(dim[0] for dim in dims)
    start = np.broadcast_to(distribution.ppf(0.5), shape)
    start = start.reshape([size for size, dim in zip(shape, ("cluster", "feature"), strict=True) if dim in dims])
    return pm.CustomDist(
        "scales",
        start,
        logp=partial(_hierarchical_logp, distribution=distribution, shape=shape),
        random=partial(_random_hierarchical, distribution=distribution, shape=shape),
        support_point=_start_of,
        signature=f"({letters})->({letters})",
        default_transform=JointLogTransform(),
        dims=dims,
    )


def _start_of(_variable: Any, _size: Any, start: Any) -> Any:
    return start


def _hierarchical_logp(value: Any, _start: Any, *, distribution: HierarchicalGamma, shape: tuple[int, int]) -> Any:
    log_scales = pt.log(value.reshape(shape))
    total = pt.logaddexp(np.log(distribution.h), pt.logsumexp(-2 * log_scales, axis=0))
    density = distribution.log_constant(shape[0]) - (2 * distribution.alpha + 1) * log_scales.sum(axis=0)
    return (density - (distribution.g + shape[0] * distribution.alpha) * total).sum()


def _random_hierarchical(
    start: Array,
    rng: np.random.Generator,
    size: tuple[int, ...] | None,
    *,
    distribution: HierarchicalGamma,
    shape: tuple[int, int],
) -> Array:
    batch = () if size is None else tuple(size)
    return distribution.draw(rng, (*batch, *shape)).reshape(*batch, *start.shape)


def _skew(rotations: Any, n_features: int) -> Any:
    rows, columns = np.tril_indices(n_features, -1)
    zeros = pt.zeros((*rotations.shape[:-1], n_features, n_features))
    return zeros[..., rows, columns].set(rotations)[..., columns, rows].set(-rotations)


def _cayley(rotations: Any, n_features: int) -> Any:
    return 2 * pt.linalg.inv(pt.eye(n_features) + _skew(rotations, n_features)) - pt.eye(n_features)


def _rotations_logp(value: Any, _template: Any, *, n_features: int) -> Any:
    determinant = pt.linalg.det(pt.eye(n_features) + _skew(value, n_features))
    return cayley_log_constant(n_features) - (n_features - 1) * pt.log(determinant)


def _random_rotations(_template: Array, rng: np.random.Generator, size: tuple[int, ...] | None, *, n_features: int) -> Array:
    return draw_cayley(rng, n_features, () if size is None else tuple(size))


def _logp(value: Any, weights: Any, means: Any, scale_trils: Any) -> Any:
    if weights.type.ndim == 2:  # PyMC pads the parameters with an axis of length 1 for the observations
        weights, means, scale_trils = weights[0], means[0], scale_trils[0]
    return mixture_log_density(value, weights, means, scale_trils)


def _random(weights: Array, means: Array, scale_trils: Array, rng: np.random.Generator, size: tuple[int, ...] | None) -> Array:
    n_components, n_features = means.shape[-2:]
    if weights.size != n_components:
        raise ValueError(f"X is drawn from one mixture at a time; got weights of shape {weights.shape}")
    params = MixtureParams(
        weights.reshape(-1, n_components)[0],
        means.reshape(-1, n_components, n_features)[0],
        scale_trils.reshape(-1, n_components, n_features, n_features)[0],
    )
    size = (1,) if size is None else tuple(size)
    rows, _ = sample_mixture(params, int(np.prod(size)), rng)
    return rows.reshape(*size, n_features)
