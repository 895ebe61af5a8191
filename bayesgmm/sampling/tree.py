"""The posterior tree: everything that is known of one analysis after sampling, before the labels are sorted out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.kernels.draws import log_density_of_draws
from bayesgmm.model.coordinates import centred_on, constrain, covariances
from bayesgmm.model.priors import ResolvedPriors
from bayesgmm.model.specification import Specification
from bayesgmm.model.structure import structure_of
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.schema import SAMPLE_DIMS, posterior_dataset
from bayesgmm.sampling.chains import RawDraws, Visits

Array = NDArray[np.float64]

STATISTICS = {
    "diverging": "diverging",
    "energy": "energy",
    "logp": "lp",
    "lp": "lp",
    "depth": "tree_depth",
    "tree_depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "reached_max_treedepth": "reached_max_treedepth",
    "n_steps": "n_steps",
    "mean_tree_accept": "acceptance_rate",
    "acceptance_rate": "acceptance_rate",
    "step_size": "step_size",
}
"""What each sampler calls its statistics, and what ArviZ's schema calls them."""

_PRIOR, _SCALE = "prior_", "prior_scale_"


def posterior_tree(
    specification: Specification, raw: RawDraws, visits: Visits, started_in: Sequence[int], attrs: dict[str, Any]
) -> xr.DataTree:
    """The groups that `sample` documents, but for those of the relabelling."""
    target, dataset = specification.target, specification.dataset
    parameters = constrain(raw.u, target.structure)
    true = covariances(parameters, target.structure)
    posterior = posterior_dataset(parameters.weights, parameters.means, np.linalg.cholesky(true), dataset.columns)
    recorded = np.linalg.cholesky(true + np.diag(target.resolution**2 / 12))
    n_chains, n_draws = raw.u.shape[:2]
    flat = [array.reshape(-1, *array.shape[2:]) for array in (parameters.weights, parameters.means, recorded)]
    log_likelihood = log_density_of_draws(dataset.X, *flat).reshape(n_chains, n_draws, -1)
    samples = {dim: posterior[dim] for dim in SAMPLE_DIMS}
    obs = {"obs": np.arange(dataset.n_samples)}
    log_prior = {name: (SAMPLE_DIMS, value) for name, value in target.priors.log_density(parameters).items()}
    kept = {STATISTICS[name]: raw.statistics[name] for name in STATISTICS if name in raw.statistics}
    groups = {
        "posterior": posterior,
        "sample_stats": xr.Dataset(
            {name: (SAMPLE_DIMS, value.values) for name, value in kept.items()}, samples, {"sampling_time": raw.seconds}
        ),
        "log_likelihood": xr.Dataset({"X": ((*SAMPLE_DIMS, "obs"), log_likelihood)}, coords={**samples, **obs}),
        "log_prior": xr.Dataset(log_prior, coords=samples),
        "observed_data": xr.Dataset({"X": (("obs", "feature"), dataset.X)}, coords={**obs, "feature": list(dataset.columns)}),
        "constant_data": _constants(target, posterior),
        "modes": _modes(visits, started_in, posterior),
    }
    if specification.em is not None:
        groups["em"] = specification.em.to_dataset()
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = attrs
    return tree


def _constants(target: Target, posterior: xr.Dataset) -> xr.Dataset:
    priors = target.priors
    scale_params = {
        f"{_SCALE}{name}": ("feature", value) if len(value) == len(target.resolution) else ((), value[0])
        for name, value in priors.scale_params.items()
    }
    return xr.Dataset(
        {
            "resolution": ("feature", target.resolution),
            f"{_PRIOR}concentration": ("cluster", priors.concentration),
            f"{_PRIOR}mean_loc": ("feature", priors.mean_loc),
            f"{_PRIOR}mean_scale": ("feature", priors.mean_scale),
            **scale_params,
        },
        coords={dim: posterior[dim] for dim in ("cluster", "feature")},
        attrs={"scale_prior": priors.scale_prior, "lkj_eta": priors.lkj_eta, "log_ratio_scale": priors.log_ratio_scale},
    )


def target_of(tree: xr.DataTree) -> Target:
    """What the draws of a tree from `sample` were sampled from."""
    X = np.ascontiguousarray(tree["observed_data"]["X"].transpose("obs", "feature").values)
    constants = tree["constant_data"].to_dataset()
    modes = tree["modes"].to_dataset()
    largest = (modes[name].values[0] for name in ("weights", "means", "covariances"))
    structure = structure_of(tree.attrs["covariance"], constants.sizes["cluster"], constants.sizes["feature"])
    priors = ResolvedPriors(
        structure=centred_on(structure, MixtureParams.from_covariances(*largest)),
        concentration=constants[f"{_PRIOR}concentration"].values,
        mean_loc=constants[f"{_PRIOR}mean_loc"].values,
        mean_scale=constants[f"{_PRIOR}mean_scale"].values,
        scale_prior=constants.attrs["scale_prior"],
        scale_params={
            str(name)[len(_SCALE) :]: np.atleast_1d(value.values)
            for name, value in constants.items()
            if str(name).startswith(_SCALE)
        },
        lkj_eta=float(constants.attrs["lkj_eta"]),
        log_ratio_scale=float(constants.attrs["log_ratio_scale"]),
    )
    return Target(X, priors, constants["resolution"].values)


def _modes(visits: Visits, started_in: Sequence[int], posterior: xr.Dataset) -> xr.Dataset:
    """The atlas as a dataset: modes by Laplace's estimate of their mass, where chains started and where some draws are."""
    modes = visits.atlas.modes
    square = ("mode", "cluster", "feature", "feature_bis")
    return xr.Dataset(
        {
            "log_evidence": ("mode", [mapped.log_mass for mapped in modes]),
            "share": ("mode", visits.atlas.shares),
            "origin": ("mode", [mapped.origin for mapped in modes]),
            "weights": (("mode", "cluster"), [mapped.params.weights for mapped in modes]),
            "means": (("mode", "cluster", "feature"), [mapped.params.means for mapped in modes]),
            "covariances": (square, [mapped.params.covariances for mapped in modes]),
            "started_in": ("chain", list(started_in)),
            "visited": (("chain", "check"), visits.places),
        },
        coords={
            "mode": np.arange(len(modes)),
            "check": visits.draws,
            **{dim: posterior[dim] for dim in ("chain", "cluster", "feature", "feature_bis")},
        },
    )
