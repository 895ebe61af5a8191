"""The posterior tree: everything that is known of one analysis after sampling, before the labels are sorted out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import softmax

from bayesgmm.evidence.atlas import Atlas, MappedMode
from bayesgmm.evidence.bridge import Estimate, share_errors
from bayesgmm.evidence.laplace import PosteriorMode
from bayesgmm.evidence.regions import locator_of
from bayesgmm.kernels.draws import log_density_of_draws
from bayesgmm.model.coordinates import constrain, covariances
from bayesgmm.model.priors import ResolvedPriors
from bayesgmm.model.specification import Specification
from bayesgmm.model.structure import structure_of
from bayesgmm.model.target import Target
from bayesgmm.posterior.schema import N_OCCUPIED, SAMPLE_DIMS, flat_draws, posterior_dataset, raw_posterior, region_of_draws
from bayesgmm.sampling.chains import visits_of
from bayesgmm.sampling.combine import Whole
from bayesgmm.sampling.explore import Exploration, Region

Array = NDArray[np.float64]

ATLAS = {"region", "n_starts", "n_empty", "origin", "covariances", "coordinates", "metric", "reference_axes"}

LOCATED = "n_located"
"""Of the modes, the first so many told the draws apart; the others were met on the way."""

_PRIOR, _SCALE = "prior_", "prior_scale_"


def posterior_tree(specification: Specification, whole: Whole, attrs: dict[str, Any]) -> xr.DataTree:
    """The groups that `sample` documents, but for those of the relabelling."""
    target, dataset, raw = specification.target, specification.dataset, whole.raw
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
    groups = {
        "posterior": posterior,
        "sample_stats": raw.statistics.assign_coords(samples).assign_attrs(sampling_time=raw.seconds),
        "log_likelihood": xr.Dataset({"X": ((*SAMPLE_DIMS, "obs"), log_likelihood)}, coords={**samples, **obs}),
        "log_prior": xr.Dataset(log_prior, coords=samples),
        "observed_data": xr.Dataset({"X": (("obs", "feature"), dataset.X)}, coords={**obs, "feature": list(dataset.columns)}),
        "constant_data": _constants(target, posterior),
        **_atlas_groups(target, whole, posterior),
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
    structure = structure_of(tree.attrs["covariance"], constants.sizes["cluster"], constants.sizes["feature"])
    priors = ResolvedPriors(
        structure=replace(structure, reference_axes=tree["modes"].to_dataset()["reference_axes"].values),
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


def _atlas_groups(target: Target, whole: Whole, posterior: xr.Dataset) -> dict[str, xr.Dataset]:
    """The atlas: every mode, where chains started and where some draws are; and the regions, if the draws are of several."""
    regions = whole.exploration.regions
    visits = visits_of(target, whole.exploration.atlas, whole.exploration.locator, whole.raw.u)
    modes = visits.atlas.modes
    square = ("mode", "cluster", "feature", "feature_bis")
    home = np.full(len(modes), -1)
    for i, region in enumerate(regions):
        home[list(region.modes)] = i
    atlas = xr.Dataset(
        {
            "log_evidence": ("mode", [mapped.log_mass for mapped in modes]),
            "share": ("mode", shares_of_modes(visits.atlas, regions)),
            "region": ("mode", home),
            "origin": ("mode", [mapped.origin for mapped in modes]),
            "n_starts": ("mode", [mapped.n_starts for mapped in modes]),
            "n_empty": ("mode", [mapped.n_empty for mapped in modes]),
            "weights": (("mode", "cluster"), [mapped.params.weights for mapped in modes]),
            "means": (("mode", "cluster", "feature"), [mapped.params.means for mapped in modes]),
            "covariances": (square, [mapped.params.covariances for mapped in modes]),
            "log_density": ("mode", [mapped.mode.log_density for mapped in modes]),
            "coordinates": (("mode", "coordinate"), [mapped.mode.u for mapped in modes]),
            "metric": (("mode", "coordinate", "coordinate_bis"), [mapped.mode.metric for mapped in modes]),
            "reference_axes": (("axes", "feature", "feature_bis"), target.structure.reference_axes),
            "started_in": ("chain", list(whole.started_in)),
            "visited": (("chain", "check"), visits.places),
        },
        coords={
            "mode": np.arange(len(modes)),
            "check": visits.draws,
            **{dim: posterior[dim] for dim in ("chain", "cluster", "feature", "feature_bis")},
        },
        attrs={LOCATED: len(whole.exploration.locator.n_empty)},
    )
    if len(regions) == 1 and regions[0].n_occupied is None:
        return {"modes": atlas}
    values, errors = np.array([region.evidence for region in regions]).T
    found = xr.Dataset(
        {
            "log_evidence": ("region", values),
            "standard_error": ("region", errors),
            "share": ("region", whole.exploration.shares),
            "share_error": ("region", share_errors([region.evidence for region in regions])),
            "n_draws": ("region", [max(len(region.u), region.n_made) for region in regions]),
            "of_draw": (SAMPLE_DIMS, whole.region),
        },
        coords={"region": np.arange(len(regions)), **{dim: posterior[dim] for dim in SAMPLE_DIMS}},
    )
    if regions[0].n_occupied is not None:
        found[N_OCCUPIED] = "region", [region.n_occupied for region in regions]
    return {"modes": atlas, "regions": found}


def shares_of_modes(atlas: Atlas, regions: Sequence[Region]) -> Array:
    """Share of each mode: of its region's mass, where that was estimated, as the atlas divides it; else as the atlas says."""
    log_masses = np.array([mapped.log_mass for mapped in atlas.modes])
    for region in regions:
        if np.isfinite(region.evidence.standard_error):
            places = list(region.modes)
            log_masses[places] += region.evidence.log_value - np.logaddexp.reduce(log_masses[places])
    return np.asarray(softmax(log_masses))


def has_atlas(tree: xr.DataTree) -> bool:
    """Whether the tree has the atlas that `sample` makes; trees of earlier versions lack parts of it."""
    return "modes" in tree.children and set(tree["modes"].to_dataset()) >= ATLAS


def exploration_of(tree: xr.DataTree, target: Target) -> Exploration:
    """The atlas and the regions of a tree from `sample`, with the tree's draws of each."""
    modes = tree["modes"].to_dataset()
    columns = ("coordinates", "log_density", "metric", "origin", "log_evidence", "n_starts", "n_empty")
    found = [
        MappedMode(PosteriorMode(u, float(height), metric, 0), target.mixture_at(u), str(origin), float(mass), int(n), int(empty))
        for u, height, metric, origin, mass, n, empty in zip(*(modes[name].values for name in columns), strict=True)
    ]
    atlas = Atlas(tuple(found), target.priors.symmetric)
    u = coordinates_of_draws(tree, target)
    if "regions" not in tree.children:
        alone = tuple(np.flatnonzero(modes["region"].values == 0).tolist())
        regions = [Region(alone, Estimate(float("nan"), float("nan")), u.reshape(-1, u.shape[2]))]
    else:
        table = tree["regions"].to_dataset()
        evidence = zip(table["log_evidence"].values, table["standard_error"].values, strict=True)
        of_draw = region_of_draws(tree)
        numbers = table[N_OCCUPIED].values.tolist() if N_OCCUPIED in table else [None] * table.sizes["region"]
        regions = [
            Region(tuple(np.flatnonzero(modes["region"].values == i).tolist()), Estimate(*map(float, pair)), u[of_draw == i], k)
            for i, (pair, k) in enumerate(zip(evidence, numbers, strict=True))
        ]
    known = replace(atlas, modes=atlas.modes[: modes.attrs.get(LOCATED)])
    return Exploration(atlas, locator_of(target, known), tuple(regions))


def coordinates_of_draws(tree: xr.DataTree, target: Target) -> Array:
    """The coordinates u (chain, draw, P) of the draws as sampled."""
    raw = raw_posterior(tree)
    return target.coordinates_of_draws(*flat_draws(raw)).reshape(raw.sizes["chain"], raw.sizes["draw"], -1)
