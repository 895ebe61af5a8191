"""sample and extend: from data and EM solutions to a labelled posterior tree."""

import warnings
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayesgmm import model
from bayesgmm.data import Dataset, check_count, check_probability, check_seed
from bayesgmm.em.fit import fit_em
from bayesgmm.em.result import EMResult
from bayesgmm.errors import FitError, InputError, SamplingWarning
from bayesgmm.kernels.threads import available_threads
from bayesgmm.model.atlas import place_of_draw
from bayesgmm.model.chains import run_own_density, visits_of
from bayesgmm.model.nuts import FEWEST_DRAWS, NutsSettings
from bayesgmm.model.priors import Priors
from bayesgmm.model.specification import Specification, specify
from bayesgmm.model.start import ChainStart, chain_starts, make_atlas
from bayesgmm.model.tree import posterior_tree, target_of
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.problems import sampling_problems
from bayesgmm.posterior.relabel import relabel
from bayesgmm.posterior.schema import em_of

Array = NDArray[np.float64]

PER_DRAW = ("sample_stats", "log_likelihood", "log_prior")

TUNE = {"auto": 200, "nutpie": 1000, "pymc": 1000}
"""Draws for adaptation: few where the metric is known beforehand."""


def sample(
    X: Any,
    em_or_n_components: EMResult | int,
    *,
    covariance: str | None = None,
    priors: Priors | None = None,
    resolution: float | ArrayLike | None = None,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    sampler: Literal["auto", "nutpie", "pymc"] = "auto",
    target_accept: float = 0.9,
    seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> xr.DataTree:
    """Posterior draws of the Gaussian mixture by NUTS, started at the EM solutions, with labels sorted out.

    Parameters
    ----------
    X : (N, D) array or frame
    em_or_n_components : EMResult or int
        A fit from `fit_em`, or K, for which EM is run first.
    covariance : str, optional
        One of mclust's names or an alias, as in `fit_em`; by default the fit's, or "VVV".
    priors : Priors, optional
        By default scaled from the data.
    resolution : float or (D,), optional
        Rounding step of the columns, see `build_model`; by default the fit's or as the ties in the data say, 0 for none.
    draws, chains : int
        Draws kept per chain, and chains.
    tune : int, optional
        Draws for adaptation before them: by default 200 for "auto", whose chains know their metric, and 1000 for the others.
    cores : int, optional
        Chains at a time; by default one per processor.
    sampler : "auto", "nutpie" or "pymc"
        "auto" gives nutpie the library's own compiled density; "nutpie" compiles the PyMC model of `build_model` for nutpie
        (10 to 30 s); "pymc" uses PyMC's own NUTS on it. All three sample the same posterior.
    target_accept : float
        Acceptance rate that the step size is adapted to.
    seed : int, Generator or None
        The same seed gives the same draws.
    progress : bool, optional
        Show progress; by default when standard error is a terminal.

    Returns
    -------
    DataTree
        Groups `posterior` (relabelled with the EM fit as pivot), `posterior_raw`, `relabelling`, `sample_stats`,
        `log_likelihood` (one value per row), `log_prior`, `observed_data`, `constant_data` (the priors' numbers and the
        resolution), `modes` and `em`. Its attributes give the seed, versions, priors in words, where each chain started, and
        `problems`, the sentences of the warning, if any.

        `modes` is the atlas of the posterior: distinct modes, largest first, with Laplace's estimate of the log evidence of each
        (all K! copies) and its share of their sum, the mode that each chain `started_in`, and `visited`, the mode uphill from
        some draws of each chain (-1 where the search failed).

    Warns
    -----
    SamplingWarning
        If draws diverged, trajectories were cut, energies mix slowly, a component collapsed, chains are in different modes, or in
        one that holds next to nothing of the posterior.

    Raises
    ------
    InputError
        Bad data or arguments, or a prior under which the posterior would be improper.
    SamplingError
        A chain could not be started or run.

    Notes
    -----
    Each EM optimum is followed to the mode of the posterior beside it. Chains are shared out among the modes by Laplace's
    estimate of their mass; each starts at a draw from the normal approximation there and works, with "auto", in coordinates in
    which that approximation is standard normal, on top of which nutpie adapts. If EM finds no optimum because every start
    collapses, the modes are those beside random partitions and the tree has no `em` group. Ctrl-C returns the draws made by then,
    marked ``interrupted`` in the attributes; chains with less than half the draws of the longest are left out. (PyMC's own NUTS
    handles Ctrl-C itself.)
    """
    specification = specify(X, em_or_n_components, covariance, priors, resolution)
    settings = _settings(draws, tune, chains, cores, sampler, target_accept)
    seed = check_seed(seed)
    rng = np.random.default_rng(seed)
    if specification.em is None and (fit := _fit_or_none(specification, rng, progress)) is not None:
        specification = specify(X, fit, covariance, priors, resolution)
    target, em = specification.target, specification.em
    atlas = make_atlas(target, em, rng)
    starts = chain_starts(target, atlas, chains, rng)
    seeds = [int(value) for value in rng.integers(2**31 - 1, size=chains)]
    if sampler == "auto":
        raw = run_own_density(target, atlas, starts, seeds, settings, progress)
    else:
        raw = model.through_pymc.RUNS[sampler](specification, starts, seeds, settings, progress)
    attrs = {
        "seed": seed if isinstance(seed, int | np.integer) else "not given",
        "sampler": sampler,
        "draws": draws,
        "tune": settings.tune,
        "chains": len(raw.chains),
        "target_accept": target_accept,
        "starts": "; ".join(f"chain {c}: mode {starts[c].mode}, {atlas.modes[starts[c].mode].origin}" for c in raw.chains),
        "priors": target.priors.describe(specification.dataset.columns),
        "interrupted": int(raw.interrupted),
        "covariance": target.structure.family,
        **{f"{name}_version": version(name) for name in ("bayesgmm", "pymc", "nutpie", "numpy")},
    }
    visits = visits_of(target, atlas, raw.u)
    tree = relabel(posterior_tree(specification, raw, visits, [starts[c].mode for c in raw.chains], attrs))
    return _with_problems(tree)


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
    raw_groups = {name: tree[name].to_dataset() for name in ("posterior_raw", *PER_DRAW)}
    target, em = target_of(tree), em_of(tree)
    n_chains = raw_groups["posterior_raw"].sizes["chain"]
    settings = _settings(draws, tune, n_chains, cores, "auto", tree.attrs["target_accept"])
    rng = np.random.default_rng(check_seed(seed))
    atlas = make_atlas(target, em, rng)
    starts = []
    for last in _last_draws(raw_groups["posterior_raw"]):
        u = target.coordinates_of(last)
        atlas, place = place_of_draw(target, atlas, u, atlas.modes[0].mode.metric)
        starts.append(ChainStart(place or 0, u))
    seeds = [int(value) for value in rng.integers(2**31 - 1, size=n_chains)]
    raw = run_own_density(target, atlas, starts, seeds, settings, progress)
    dataset = Dataset(target.X, tuple(str(column) for column in raw_groups["posterior_raw"]["feature"].values))
    started_in = tree["modes"].to_dataset()["started_in"].values.tolist()
    more = posterior_tree(Specification(dataset, em, target), raw, visits_of(target, atlas, raw.u), started_in, {})
    kept = list(raw.chains)
    groups = {name: _appended(old, more[name.removesuffix("_raw")].to_dataset(), kept) for name, old in raw_groups.items()}
    groups["posterior"] = groups.pop("posterior_raw")
    both = xr.DataTree.from_dict({**{name: group.to_dataset() for name, group in more.children.items()}, **groups})
    both.attrs = {**tree.attrs, "draws": groups["posterior"].sizes["draw"], "interrupted": int(raw.interrupted)}
    both.attrs.pop("problems", None)
    both["sample_stats"].attrs["sampling_time"] = raw.seconds + tree["sample_stats"].attrs["sampling_time"]
    return _with_problems(relabel(both))


def _last_draws(posterior: xr.Dataset) -> list[MixtureParams]:
    last = posterior.isel(draw=-1).transpose("chain", "cluster", "feature", "feature_bis")
    arrays = (last[name].values for name in ("weights", "means", "covariances"))
    return [MixtureParams.from_covariances(*draw) for draw in zip(*arrays, strict=True)]


def _appended(old: xr.Dataset, new: xr.Dataset, chains: list[int]) -> xr.Dataset:
    """The draws of both, one after the other, of the chains that went on."""
    new = new.assign_coords(draw=new["draw"] + old.sizes["draw"], chain=old["chain"].values[chains])
    return xr.concat([old.isel(chain=chains), new], dim="draw", data_vars="minimal", coords="minimal", compat="override")


def _settings(draws: int, tune: int | None, chains: int, cores: int | None, sampler: str, target_accept: float) -> NutsSettings:
    if sampler not in TUNE:
        raise InputError(f"sampler is {sampler!r}; choose 'auto', 'nutpie' or 'pymc'")
    check_probability(target_accept, "target_accept")
    check_count(chains, "chains")
    return NutsSettings(
        draws=check_count(draws, "draws", minimum=FEWEST_DRAWS),
        tune=TUNE[sampler] if tune is None else check_count(tune, "tune"),
        cores=available_threads() if cores is None else check_count(cores, "cores"),
        target_accept=target_accept,
    )


def _fit_or_none(specification: Specification, rng: np.random.Generator, progress: bool | None) -> EMResult | None:
    structure = specification.target.structure
    try:
        return fit_em(specification.dataset, structure.n_components, covariance=structure.family, seed=rng, progress=progress)
    except FitError:
        return None


def _with_problems(tree: xr.DataTree) -> xr.DataTree:
    """The tree with its problems among its attributes, after a warning of them."""
    problems = sampling_problems(tree)
    if problems:
        tree.attrs["problems"] = "; ".join(problems)
        warnings.warn(". ".join(problem[0].upper() + problem[1:] for problem in problems) + ".", SamplingWarning, stacklevel=3)
    return tree
