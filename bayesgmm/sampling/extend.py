"""extend: more draws for a tree of `sample`."""

from dataclasses import replace
from functools import partial

import numpy as np
import xarray as xr

from bayesgmm.data import Dataset, check_seed
from bayesgmm.errors import InputError
from bayesgmm.model.specification import Specification
from bayesgmm.model.target import Target
from bayesgmm.posterior.relabel import relabel
from bayesgmm.posterior.schema import SAMPLE_DIMS, em_of, region_of_draws
from bayesgmm.sampling.chains import Run, in_schema, run_own_density
from bayesgmm.sampling.combine import Piece, Whole, sample_whole
from bayesgmm.sampling.explore import Exploration, seeds_of
from bayesgmm.sampling.nuts import NutsSettings
from bayesgmm.sampling.sample import nuts_settings, with_problems_said
from bayesgmm.sampling.start import ChainStart
from bayesgmm.sampling.strata import extend_strata
from bayesgmm.sampling.tree import coordinates_of_draws, exploration_of, has_atlas, posterior_tree, target_of


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

    Of several regions, chains begin in them anew, and old and new draws are put together in the proportions that all of them say.

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
    if "sampler" not in tree.attrs or not has_atlas(tree):
        raise InputError("extend: the tree was not made by `sample`, or parts of it are gone; sample again with more draws")
    target = target_of(tree)
    exploration = exploration_of(tree, target)
    posterior = tree["posterior_raw"].to_dataset()
    n_chains, n_draws = (posterior.sizes[dim] for dim in SAMPLE_DIMS)
    settings = nuts_settings(draws, tune, n_chains, cores, "auto", tree.attrs["target_accept"])
    rng = np.random.default_rng(check_seed(seed))
    run = partial(run_own_density, target, exploration.atlas, progress=progress)
    dataset = Dataset(target.X, tuple(str(column) for column in posterior["feature"].values))
    specification = Specification(dataset, em_of(tree), target)
    if exploration.regions[0].n_occupied is not None:
        before = _strata(tree, target, exploration)
        whole = extend_strata(specification, exploration, before, settings, n_chains, rng, progress)
        longer = posterior_tree(specification, whole, {})
    elif len(exploration.regions) > 1:
        whole = _of_regions(tree, target, exploration, run, replace(settings, draws=n_draws + settings.draws), rng)
        longer = posterior_tree(specification, whole, {})
    else:
        whole = _of_chains(tree, target, exploration, run, settings, rng)
        longer = _joined(tree, posterior_tree(specification, whole, {}), list(whole.raw.chains))
    longer.attrs = {name: value for name, value in tree.attrs.items() if name != "problems"}
    longer.attrs |= {
        "draws": longer["posterior"].sizes["draw"],
        "chains": len(whole.raw.chains),
        "interrupted": int(whole.raw.interrupted),
    }
    longer["sample_stats"].attrs["sampling_time"] = whole.raw.seconds + tree["sample_stats"].attrs["sampling_time"]
    return with_problems_said(relabel(longer))


def _of_regions(
    tree: xr.DataTree, target: Target, exploration: Exploration, run: Run, settings: NutsSettings, rng: np.random.Generator
) -> Whole:
    """The tree's draws of each region, and more of those that have too few for their share of settings.draws, together."""
    none = np.zeros((0, target.structure.n_coordinates))  # the draws of a region are those of its piece
    explored = replace(exploration, regions=tuple(replace(region, u=none) for region in exploration.regions))
    n_chains = tree["posterior_raw"].sizes["chain"]
    return sample_whole(target, explored, run, settings, n_chains, rng, _pieces(tree, target, exploration))


def _strata(tree: xr.DataTree, target: Target, exploration: Exploration) -> dict[int, tuple[Piece, int]]:
    """The tree's draws of each stratum, by number of components that hold rows, and how many draws were made for it."""
    pieces, made = _pieces(tree, target, exploration), tree["regions"].to_dataset()["n_draws"].values.tolist()
    nothing = np.zeros((0, target.structure.n_coordinates))
    return {
        region.n_occupied or 0: (pieces.get(i, Piece(region, nothing, {}, (), 0.0)), made[i])
        for i, region in enumerate(exploration.regions)
    }


def _pieces(tree: xr.DataTree, target: Target, exploration: Exploration) -> dict[int, Piece]:
    """The tree's draws of each region that has some."""
    u, of_draw = coordinates_of_draws(tree, target), region_of_draws(tree)
    statistics = in_schema(tree["sample_stats"].to_dataset())
    started_in = tuple(tree["modes"].to_dataset()["started_in"].values.tolist())
    return {
        i: Piece(region, u[of_draw == i], {str(name): v.values[of_draw == i] for name, v in statistics.items()}, started_in, 0.0)
        for i, region in enumerate(exploration.regions)
        if (of_draw == i).any()
    }


def _of_chains(
    tree: xr.DataTree, target: Target, exploration: Exploration, run: Run, settings: NutsSettings, rng: np.random.Generator
) -> Whole:
    """Draws that go on from the last ones of the chains."""
    ends = coordinates_of_draws(tree.isel(draw=[-1]), target)[:, 0]
    starts = [ChainStart(max(place, 0), u) for place, u in zip(exploration.locator.places(ends).tolist(), ends, strict=True)]
    raw = run(starts, seeds_of(rng, len(starts)), settings)
    started_in = tuple(tree["modes"].to_dataset()["started_in"].values[list(raw.chains)].tolist())
    return Whole(raw, exploration, np.zeros(raw.u.shape[:2], dtype=np.intp), started_in)


def _joined(tree: xr.DataTree, more: xr.DataTree, chains: list[int]) -> xr.DataTree:
    """The groups of the new draws of these chains, with the old ones before them."""
    groups = {name: child.to_dataset() for name, child in more.children.items()}
    for name in ("posterior_raw", "sample_stats", "log_likelihood", "log_prior"):
        group = name.removesuffix("_raw")
        groups[group] = _appended(tree[name].to_dataset().isel(chain=chains), groups[group])
    before, after = tree["modes"].to_dataset().isel(chain=chains), groups["modes"]
    later = after["check"] + tree["posterior_raw"].sizes["draw"]
    checks = [before["visited"].transpose("chain", "check"), after["visited"].assign_coords(check=later)]
    groups["modes"] = after.drop_dims("check").assign(
        visited=xr.concat([part.assign_coords(chain=after["chain"]) for part in checks], dim="check")
    )
    return xr.DataTree.from_dict(groups)


def _appended(old: xr.Dataset, new: xr.Dataset) -> xr.Dataset:
    """The draws of both, one after the other."""
    old = old.assign_coords(chain=new["chain"].values)
    new = new.assign_coords(draw=new["draw"] + old.sizes["draw"])
    return xr.concat([old, new], dim="draw", data_vars="minimal", coords="minimal", compat="override")
