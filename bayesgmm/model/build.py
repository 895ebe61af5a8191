"""build_model: the Bayesian mixture as a plain PyMC model."""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.distributions.transforms import CholeskyCorrTransform

from bayesgmm.data import Dataset, check_count, require_fittable, validate
from bayesgmm.em.result import EMResult, sample_mixture
from bayesgmm.errors import InputError
from bayesgmm.families import family_named
from bayesgmm.model.likelihood import mixture_log_density
from bayesgmm.model.priors import Priors, ResolvedPriors
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]


FREE_VARIANCES = ("V", "VII", "VEI", "VVI", "VEE", "VVE", "VEV")
"""Families that are VVV under another name where there is a single column."""


class CorrelationTransform(CholeskyCorrTransform):
    """PyMC's transform under a name without an underscore: PyMC 6.4 splits value names there and loses its own variable."""

    name = "cholesky"


def build_model(
    X: Any,
    n_components_or_em: int | EMResult,
    *,
    covariance: str | None = None,
    priors: Priors | None = None,
) -> pm.Model:
    """The Gaussian mixture as a plain `pm.Model`, to sample, extend, or draw prior and posterior predictive from.

    Free variables: ``weights (cluster)`` Dirichlet, ``means (cluster, feature)`` Normal, ``scales (cluster, feature)`` (marginal
    standard deviations) and, for D > 1, ``correlation_trils (cluster, feature, feature_bis)``, the Cholesky factors of LKJ
    correlation matrices. Deterministic: ``correlations``, ``covariances``. Observed: ``X (obs, feature)``, a random variable
    whose log-density is one value per row, from the library's fused kernel.

    Parameters
    ----------
    X : (N, D) array or frame
    n_components_or_em : int or EMResult
        K, or a fit whose K and covariance family are taken.
    covariance : str, optional
        "VVV" or "full"; by default the fit's, or "VVV".
    priors : Priors, optional
        By default scaled from the data; see `Priors`.

    Raises
    ------
    InputError
        Bad data or arguments.
    """
    dataset = validate(X)
    n_components = resolve_components(n_components_or_em, covariance)
    require_fittable(dataset, n_components)
    return assemble(dataset, (priors or Priors()).resolved(dataset.X, n_components))


def resolve_components(n_components_or_em: int | EMResult, covariance: str | None) -> int:
    """K of a number or a fit, after checking that the covariance families agree and have a model."""
    if not isinstance(n_components_or_em, EMResult):
        if covariance is not None and family_named(covariance).name != "VVV":
            raise InputError(f"covariance is {covariance!r}; the posterior has the family VVV ('full') only so far: leave it out")
        return check_count(n_components_or_em, "n_components")
    em = n_components_or_em
    if covariance is not None and family_named(covariance).name != em.covariance:
        raise InputError(f"covariance is {covariance!r} but the EM fit has {em.covariance!r}; leave it out, or fit again")
    if em.covariance != "VVV" and not (em.covariance in FREE_VARIANCES and em.params.n_features == 1):
        raise InputError(
            f"the EM fit has covariance {em.covariance!r}; the posterior has the family VVV ('full') only so far: fit again with "
            "covariance='VVV'"
        )
    return em.params.n_components


def assemble(dataset: Dataset, priors: ResolvedPriors) -> pm.Model:
    """The model of a validated data set and priors with every number given."""
    n_components, n_features = len(priors.concentration), dataset.n_features
    columns = list(dataset.columns)
    coords = {
        "cluster": np.arange(n_components),
        "feature": columns,
        "feature_bis": columns,
        "obs": np.arange(dataset.n_samples),
    }
    square = ("cluster", "feature", "feature_bis")
    with pm.Model(coords=coords) as model:
        weights = pm.Dirichlet("weights", priors.concentration, dims="cluster")
        means = pm.Normal("means", priors.mean_loc, priors.mean_scale, dims=("cluster", "feature"))
        scales = _scales(priors)
        if n_features > 1:
            correlation_trils = pm.LKJCorr(
                "correlation_trils",
                n=n_features,
                size=(n_components,),
                eta=priors.lkj_eta,
                default_transform=CorrelationTransform(n_features),
                dims=square,
            )
        else:
            correlation_trils = pt.ones((n_components, 1, 1))
        pm.Deterministic("correlations", correlation_trils @ correlation_trils.swapaxes(-1, -2), dims=square)
        scale_trils = scales[:, :, None] * correlation_trils
        pm.Deterministic("covariances", scale_trils @ scale_trils.swapaxes(-1, -2), dims=square)
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


def _scales(priors: ResolvedPriors) -> Any:
    distributions = {
        "inverse_gamma": pm.InverseGamma,
        "half_normal": pm.HalfNormal,
        "half_student_t": pm.HalfStudentT,
        "log_normal": pm.LogNormal,
    }
    return distributions[priors.scale_prior]("scales", **priors.scale_params, dims=("cluster", "feature"))


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
