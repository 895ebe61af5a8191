"""sample: from data and EM solutions to a labelled posterior tree."""

import warnings
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayesgmm import sampling
from bayesgmm.compilation import POSTERIOR, compile_side_by_side
from bayesgmm.data import check_count, check_probability, check_seed
from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError, SamplingWarning
from bayesgmm.evidence.chart import fit_or_none, make_atlas
from bayesgmm.kernels.threads import available_threads
from bayesgmm.model.priors import Priors
from bayesgmm.model.specification import Specification, specify
from bayesgmm.posterior.problems import chains_apart, sampling_problems
from bayesgmm.posterior.relabel import relabel
from bayesgmm.sampling.chains import run_own_density
from bayesgmm.sampling.combine import sample_whole
from bayesgmm.sampling.explore import explore
from bayesgmm.sampling.nuts import FEWEST_DRAWS, NutsSettings
from bayesgmm.sampling.strata import is_sparse, sample_strata
from bayesgmm.sampling.tree import posterior_tree

Array = NDArray[np.float64]

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

        `modes` is the atlas of the posterior: its distinct modes with their estimated ``log_evidence``, ``share``, the number
        of EM starts that led there, the ``region`` that they are in (-1: no chains were there), the mode that each chain
        `started_in`, and `visited`, the modes that some draws of each chain are in (-1: far from all). A mode stands for its
        copies in all orders of the components; where the prior's concentrations differ, each order is a mode of its own.

        `regions` is there where there are several regions between which chains do not travel: the ``log_evidence`` of each with
        its ``standard_error``, its ``share`` of every chain (to a whole draw; none where that is less than one) with its
        ``share_error``, and the region of every draw, ``of_draw``. Under a sparse prior (see Notes) it is always there, its
        regions are strata, and ``n_occupied`` says how many components hold rows in each.

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
    EM optima, of fewer components too, are followed to the modes of the posterior beside them. Short chains from every mode
    with at least 0.03% of the posterior, as estimated, show between which of them chains travel; the mass of each region is
    estimated by bridge sampling (see `log_evidence`), and each chain consists of draws of all regions in proportion to their
    masses, those of a region in the order in which they were made. Where one region has all, its chains are shared out among
    its modes. Chains start at draws from the normal approximation of their mode and work, with "auto", in coordinates in which
    that approximation is standard normal, on top of which nutpie adapts. If EM finds no optimum because every start collapses,
    the modes are those beside random partitions and the tree has no `em` group. Ctrl-C returns the draws made by then, marked
    ``interrupted`` in the attributes; chains with less than half the draws of the longest are left out. (PyMC's own NUTS
    handles Ctrl-C itself.)

    Under a sparse prior, with a concentration below 0.5, components may be empty, and chains seldom go from one number of
    components that hold rows to another. Where components are independent a priori, "auto" then samples each number k = 1, ..., K
    by itself: k components with Dirichlet(1/2) weights, whose draws are resampled by the ratio of the weights' densities times
    the probability that all k hold rows (an exact sum over allocations), with empty components drawn beside them.
    `sample_stats` are then those of the chains of k components, but for ``lp``.
    """
    specification = specify(X, em_or_n_components, covariance, priors, resolution)
    settings = nuts_settings(draws, tune, chains, cores, sampler, target_accept)
    compile_side_by_side(POSTERIOR, progress)
    seed = check_seed(seed)
    rng = np.random.default_rng(seed)
    if specification.em is None and (fit := _fit_or_none(specification, rng, progress)) is not None:
        specification = specification.started_at(fit)
    target = specification.target
    if sampler == "auto" and is_sparse(target):
        whole = sample_strata(specification, settings, chains, rng, progress)
    else:
        exploration = explore(target, make_atlas(target, specification.em, rng), rng, settings.cores, progress)
        run = (
            partial(run_own_density, target, exploration.atlas, progress=progress)
            if sampler == "auto"
            else sampling.through_pymc.SAMPLERS[sampler](specification, progress)
        )
        whole = sample_whole(target, exploration, run, settings, chains, rng)
    raw = whole.raw
    attrs = {
        "seed": seed if isinstance(seed, int | np.integer) else "not given",
        "sampler": sampler,
        "draws": draws,
        "tune": settings.tune,
        "chains": len(raw.chains),
        "target_accept": target_accept,
        "starts": "; ".join(
            f"chain {i}: mode {place}, {whole.exploration.atlas.modes[place].origin}" for i, place in enumerate(whole.started_in)
        ),
        "priors": target.priors.describe(specification.dataset.columns),
        "interrupted": int(raw.interrupted),
        "covariance": target.structure.family,
        **{f"{name}_version": version(name) for name in ("bayesgmm", "pymc", "nutpie", "numpy")},
    }
    tree = relabel(posterior_tree(specification, whole, attrs))
    return with_problems_said(tree)


def nuts_settings(
    draws: int, tune: int | None, chains: int, cores: int | None, sampler: str, target_accept: float
) -> NutsSettings:
    """The checked settings, with those that were left out; InputError for bad ones."""
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
    return fit_or_none(specification.dataset, structure.n_components, covariance=structure.family, seed=rng, progress=progress)


def with_problems_said(tree: xr.DataTree) -> xr.DataTree:
    """The tree with its problems among its attributes, after a warning of them."""
    problems = [*sampling_problems(tree), *chains_apart(tree)]
    if problems:
        tree.attrs["problems"] = "; ".join(problems)
        warnings.warn(". ".join(problem[0].upper() + problem[1:] for problem in problems) + ".", SamplingWarning, stacklevel=3)
    return tree
