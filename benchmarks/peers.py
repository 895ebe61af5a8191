"""The same mixture as the library's, data and priors alike, in PyMC's own terms, and what benchmarks ask of any system."""

import ctypes
import time
from collections.abc import Callable
from typing import Any

import arviz_stats
import numpy as np
import nutpie
import pymc as pm
import xarray as xr
from machine import table_line
from numpy.typing import NDArray

from bayesgmm import EMResult, MixtureParams, relabel
from bayesgmm.model.build import CorrelationTransform
from bayesgmm.model.coordinates import from_mixture
from bayesgmm.model.priors import ResolvedPriors
from bayesgmm.posterior.schema import posterior_dataset

Array = NDArray[np.float64]


def mixture_of_components(X: Array, priors: ResolvedPriors) -> pm.Model:
    """`pm.Mixture` of K `MvNormal`s."""
    with pm.Model() as model:
        weights, means, scale_trils = _parameters(priors)
        components = [pm.MvNormal.dist(means[k], chol=scale_trils[k]) for k in range(priors.structure.n_components)]
        pm.Mixture("X", weights, components, observed=X)
    return model


def mixture_of_a_batch(X: Array, priors: ResolvedPriors) -> pm.Model:
    """`pm.Mixture` of one `MvNormal` with a batch of K."""
    with pm.Model() as model:
        weights, means, scale_trils = _parameters(priors)
        pm.Mixture("X", weights, pm.MvNormal.dist(means, chol=scale_trils), observed=X)
    return model


def _parameters(priors: ResolvedPriors) -> tuple[Any, Any, Any]:
    shape = n_components, n_features = priors.structure.n_components, priors.structure.n_features
    weights = pm.Dirichlet("weights", priors.concentration)
    means = pm.Normal("means", priors.mean_loc, priors.mean_scale, shape=shape)
    scales = pm.InverseGamma("scales", **priors.scale_params, shape=shape)
    correlation_trils = pm.LKJCorr(
        "correlation_trils",
        n=n_features,
        eta=priors.lkj_eta,
        size=(n_components,),
        default_transform=CorrelationTransform(n_features),
    )
    return weights, means, scales[:, :, None] * correlation_trils


def values_at(params: MixtureParams, priors: ResolvedPriors) -> dict[str, Array]:
    """The values of the four free variables at a mixture."""
    parameters = from_mixture(params, priors.structure)._asdict()
    return {name: parameters[name] for name in ("weights", "means", "scales", "correlation_trils")}


def compiled_at(model: pm.Model, values: dict[str, Array]) -> Any:
    """The model compiled for nutpie, every chain of which starts at these values."""
    return nutpie.compile_pymc_model(model, initial_points=values, jitter_rvs=set(), var_names=list(values))


def gradient_of(compiled: Any, u: Array) -> Callable[[], object]:
    """One log-density with gradient at u (P,), by the C function that nutpie calls."""
    gradient, value, user_data = np.empty_like(u), np.empty(1), compiled.user_data
    doubles = ctypes.POINTER(ctypes.c_double)
    pointers = [array.ctypes.data_as(doubles) for array in (u, gradient, value)]
    pointers.append(user_data.ctypes.data_as(compiled.compiled_logp_func.ctypes.argtypes[-1]))
    function, size = compiled.compiled_logp_func.ctypes, len(u)
    if function(size, *pointers) != 0:
        raise SystemExit("the log-density is not finite at the point where it is timed")
    return lambda: function(size, *pointers)


def microseconds(function: Callable[[], object], seconds: float = 0.2) -> float:
    """Mean time of a call, over calls for so many seconds."""
    function()
    start = time.perf_counter()
    count = 0
    while time.perf_counter() - start < seconds:
        function()
        count += 1
    return 1e6 * (time.perf_counter() - start) / count


def relabelled(posterior: xr.Dataset, X: Array, em: EMResult) -> xr.Dataset:
    """Weights, means and covariances of draws with the four free variables, in the order of the EM fit's components."""
    batch = posterior.sizes["chain"], posterior.sizes["draw"]
    draws = [posterior[name].values for name in ("weights", "means", "scales", "correlation_trils")]
    weights, means, scales, correlation_trils = (array.reshape(*batch, *array.shape[2:]) for array in draws)
    raw = posterior_dataset(weights, means, scales[..., None] * correlation_trils, em.columns)
    observed = xr.Dataset({"X": (("obs", "feature"), X)})
    return relabel(xr.DataTree.from_dict({"posterior": raw, "observed_data": observed}), reference=em)["posterior"].to_dataset()


def least_ess(posterior: xr.Dataset) -> float:
    """The least bulk effective sample size of weights, means and covariances."""
    sizes = arviz_stats.ess(posterior[["weights", "means", "covariances"]], method="bulk")
    return min(float(size.min()) for size in sizes.values())


def show(*cells: object) -> None:
    print(table_line(*cells), flush=True)
