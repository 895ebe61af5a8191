"""extend: more draws for a tree of `sample`."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.data import Dataset, check_seed
from bayesgmm.errors import InputError
from bayesgmm.evidence.atlas import Atlas, atlas_of, map_from, place_of_draw
from bayesgmm.model.specification import Specification
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.relabel import relabel
from bayesgmm.posterior.schema import em_of
from bayesgmm.sampling.chains import Visits, run_own_density, visits_of
from bayesgmm.sampling.sample import nuts_settings, with_problems_said
from bayesgmm.sampling.start import ChainStart
from bayesgmm.sampling.tree import posterior_tree, target_of


def extend(
    tree: xr.DataTree,
    draws: int = 1000,
    *,
    tune: int | None = None,
    cores: int | None = None,
    seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> xr.DataTree:
    """The tree of `sample` with more draws: every chain goes on where it ended.

    Parameters
    ----------
    tree : DataTree
        As `sample` or `extend` returned it, or `load` read it; it is left as it is.
    draws : int
        Draws to add to each chain.
    tune, cores, seed, progress
        As in `sample`. The step size is adapted anew, so that some draws are spent on that.

    Returns
    -------
    DataTree
        All draws, relabelled together; groups that are not made by `sample` are left out.

    Raises
    ------
    InputError
        If the tree was not made by `sample`, or bad arguments.
    """
    if "sampler" not in tree.attrs or "modes" not in tree.children:
        raise InputError("extend: the tree was not made by `sample`, or parts of it are gone; sample again with more draws")
    old = {name: tree[name].to_dataset() for name in ("posterior_raw", "sample_stats", "log_likelihood", "log_prior")}
    target = target_of(tree)
    n_chains, n_draws = (old["posterior_raw"].sizes[dim] for dim in ("chain", "draw"))
    settings = nuts_settings(draws, tune, n_chains, cores, "auto", tree.attrs["target_accept"])
    rng = np.random.default_rng(check_seed(seed))
    atlas, places = _stored_atlas(target, tree["modes"].to_dataset())
    starts = []
    for last in _mixtures(old["posterior_raw"].isel(draw=-1), "chain"):
        u = target.coordinates_of(last)
        atlas, place = place_of_draw(target, atlas, u, atlas.modes[0].mode.metric)
        starts.append(ChainStart(place or 0, u))
    seeds = [int(value) for value in rng.integers(2**31 - 1, size=n_chains)]
    raw = run_own_density(target, atlas, starts, seeds, settings, progress)
    chains = list(raw.chains)
    modes = tree["modes"].to_dataset().isel(chain=chains)
    visits = visits_of(target, atlas, raw.u)
    visits = Visits(
        visits.atlas,
        np.concatenate([modes["check"].values, visits.draws + n_draws]),
        np.concatenate([_translated(modes["visited"].transpose("chain", "check").values, places), visits.places], axis=1),
    )
    dataset = Dataset(target.X, tuple(str(column) for column in old["posterior_raw"]["feature"].values))
    started_in = _translated(modes["started_in"].values, places).tolist()
    more = posterior_tree(Specification(dataset, em_of(tree), target), raw, visits, started_in, {})
    groups = {name: child.to_dataset() for name, child in more.children.items()}
    for name, draws_before in old.items():
        group = name.removesuffix("_raw")
        groups[group] = _appended(draws_before.isel(chain=chains), groups[group])
    both = xr.DataTree.from_dict(groups)
    both.attrs = {name: value for name, value in tree.attrs.items() if name != "problems"}
    both.attrs |= {"draws": n_draws + raw.u.shape[1], "chains": len(chains), "interrupted": int(raw.interrupted)}
    both["sample_stats"].attrs["sampling_time"] = raw.seconds + tree["sample_stats"].attrs["sampling_time"]
    return with_problems_said(relabel(both))


def _stored_atlas(target: Target, modes: xr.Dataset) -> tuple[Atlas, NDArray[np.intp]]:
    """The atlas of a tree's modes, and the place in it of each of them."""
    mixtures = _mixtures(modes, "mode")
    found = [map_from(target, params, str(origin)) for params, origin in zip(mixtures, modes["origin"].values, strict=True)]
    atlas = atlas_of([mapped for mapped in found if mapped is not None], symmetric=target.priors.symmetric)
    places = [atlas.place_of(params) for params in mixtures]
    return atlas, np.array([-1 if place is None else place for place in places], dtype=np.intp)


def _translated(old: NDArray[np.intp], places: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.where(old < 0, -1, places[old])


def _mixtures(dataset: xr.Dataset, dim: str) -> list[MixtureParams]:
    """The mixtures along a dimension."""
    ordered = dataset.transpose(dim, "cluster", "feature", "feature_bis", ...)
    arrays = (ordered[name].values for name in ("weights", "means", "covariances"))
    return [MixtureParams.from_covariances(*mixture) for mixture in zip(*arrays, strict=True)]


def _appended(old: xr.Dataset, new: xr.Dataset) -> xr.Dataset:
    """The draws of both, one after the other."""
    old = old.assign_coords(chain=new["chain"].values)
    new = new.assign_coords(draw=new["draw"] + old.sizes["draw"])
    return xr.concat([old, new], dim="draw", data_vars="minimal", coords="minimal", compat="override")
