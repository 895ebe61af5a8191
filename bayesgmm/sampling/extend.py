"""extend: more draws for a tree of `sample`."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import xarray as xr

from bayesgmm.data import Dataset, check_seed
from bayesgmm.errors import InputError
from bayesgmm.model.specification import Specification
from bayesgmm.posterior.relabel import relabel
from bayesgmm.posterior.schema import em_of
from bayesgmm.sampling.chains import run_own_density
from bayesgmm.sampling.combine import Whole, sample_whole
from bayesgmm.sampling.explore import Region, seeds_of
from bayesgmm.sampling.sample import nuts_settings, with_problems_said
from bayesgmm.sampling.start import ChainStart
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
    """The tree of `sample` with more draws: every chain goes on where it ended, or, of several regions, begins in them anew.

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
    old = {name: tree[name].to_dataset() for name in ("posterior_raw", "sample_stats", "log_likelihood", "log_prior")}
    target = target_of(tree)
    exploration = exploration_of(tree, target)
    n_chains, n_draws = (old["posterior_raw"].sizes[dim] for dim in ("chain", "draw"))
    settings = nuts_settings(draws, tune, n_chains, cores, "auto", tree.attrs["target_accept"])
    rng = np.random.default_rng(check_seed(seed))
    run = partial(run_own_density, target, exploration.atlas, progress=progress)
    if len(exploration.regions) > 1:
        whole = _with_all_regions(sample_whole(target, exploration, run, settings, n_chains, rng), exploration.regions)
    else:
        ends = coordinates_of_draws(tree.isel(draw=[-1]), target)[:, 0]
        starts = [ChainStart(max(place, 0), u) for place, u in zip(exploration.locator.places(ends).tolist(), ends, strict=True)]
        raw = run(starts, seeds_of(rng, n_chains), settings)
        started_in = tuple(tree["modes"].to_dataset()["started_in"].values[list(raw.chains)].tolist())
        whole = Whole(raw, exploration, np.zeros(raw.u.shape[:2], dtype=np.intp), started_in)
    dataset = Dataset(target.X, tuple(str(column) for column in old["posterior_raw"]["feature"].values))
    more = posterior_tree(Specification(dataset, em_of(tree), target), whole, {})
    both = _joined(tree, old, more, [region.modes for region in exploration.regions], whole)
    both.attrs = {name: value for name, value in tree.attrs.items() if name != "problems"}
    both.attrs |= {
        "draws": n_draws + whole.raw.u.shape[1],
        "chains": len(whole.raw.chains),
        "interrupted": int(whole.raw.interrupted),
    }
    both["sample_stats"].attrs["sampling_time"] = whole.raw.seconds + tree["sample_stats"].attrs["sampling_time"]
    return with_problems_said(relabel(both))


def _joined(
    tree: xr.DataTree,
    old: dict[str, xr.Dataset],
    more: xr.DataTree,
    regions: Sequence[tuple[int, ...]],
    whole: Whole,
) -> xr.DataTree:
    """The groups of the new draws with the old ones before them; `regions` are the modes of the tree's regions, in its order."""
    chains, n_draws = list(whole.raw.chains), old["posterior_raw"].sizes["draw"]
    groups = {name: child.to_dataset() for name, child in more.children.items()}
    for name, draws_before in old.items():
        group = name.removesuffix("_raw")
        groups[group] = _appended(draws_before.isel(chain=chains), groups[group])
    before, after = tree["modes"].to_dataset().isel(chain=chains), groups["modes"]
    checks = [before["visited"].transpose("chain", "check"), after["visited"].assign_coords(check=after["check"] + n_draws)]
    groups["modes"] = after.drop_dims("check").assign(
        visited=xr.concat([part.assign_coords(chain=after["chain"]) for part in checks], dim="check")
    )
    if "regions" in groups:
        now = [region.modes for region in whole.exploration.regions]  # in an order of their own: largest first
        numbers = np.array([now.index(modes) for modes in regions])
        before = tree["regions"].to_dataset()[["of_draw"]].isel(chain=chains)
        before = before.assign(of_draw=before["of_draw"].copy(data=numbers[before["of_draw"].values]))
        of_draw = _appended(before, groups["regions"][["of_draw"]])
        groups["regions"] = groups["regions"].drop_dims("draw").assign(of_draw=of_draw["of_draw"])
    return xr.DataTree.from_dict(groups)


def _with_all_regions(whole: Whole, before: Sequence[Region]) -> Whole:
    """With masses known before where those are more precise, and with the regions, after its own, that got no new draws."""
    known = {region.modes: region for region in before}
    reached = [
        region
        if region.evidence.standard_error <= known[region.modes].evidence.standard_error
        or np.isnan(known[region.modes].evidence.standard_error)
        else replace(region, evidence=known[region.modes].evidence)
        for region in whole.exploration.regions
    ]
    order = np.argsort([-region.evidence.log_value for region in reached], kind="stable")
    rest = [region for region in before if region.modes not in {one.modes for one in reached}]
    regions = (*(reached[i] for i in order), *rest)
    return replace(whole, exploration=replace(whole.exploration, regions=regions), region=np.argsort(order)[whole.region])


def _appended(old: xr.Dataset, new: xr.Dataset) -> xr.Dataset:
    """The draws of both, one after the other."""
    old = old.assign_coords(chain=new["chain"].values)
    new = new.assign_coords(draw=new["draw"] + old.sizes["draw"])
    return xr.concat([old, new], dim="draw", data_vars="minimal", coords="minimal", compat="override")
