"""sample: from data and EM solutions to a labelled posterior tree."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import nutpie
import pymc as pm
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.data import Dataset, check_columns, check_count, check_probability, check_seed, require_fittable, validate
from bayesgmm.em.fit import fit_em
from bayesgmm.em.result import EMResult
from bayesgmm.errors import FitError, InputError
from bayesgmm.kernels.draws import log_density_of_draws
from bayesgmm.kernels.threads import available_threads
from bayesgmm.model.build import assemble, resolve_components
from bayesgmm.model.coordinates import Parameters, constrain, from_mixture, unconstrain
from bayesgmm.model.native import COORDINATES, native_model
from bayesgmm.model.nuts import FEWEST_DRAWS, NutsSettings, joined, run_chains, started_at
from bayesgmm.model.priors import Priors, ResolvedPriors
from bayesgmm.model.start import ChainStart, chain_starts
from bayesgmm.posterior.relabel import relabel
from bayesgmm.posterior.schema import SAMPLE_DIMS, posterior_dataset
from bayesgmm.progress import progress_wanted

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


@dataclass(frozen=True)
class RawDraws:
    """Draws as sampled, with leading (chain, draw) axes, and what the sampler says of them."""

    parameters: Parameters
    statistics: xr.Dataset
    interrupted: bool


def sample(
    X: Any,
    em_or_n_components: EMResult | int,
    *,
    priors: Priors | None = None,
    draws: int = 1000,
    tune: int = 1000,
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
    priors : Priors, optional
        By default scaled from the data.
    draws, tune, chains : int
        Draws kept per chain, draws for adaptation before them, and chains.
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
        `log_likelihood` (one value per row), `log_prior`, `observed_data`, `constant_data` (the priors' numbers) and `em`. Its
        attributes give the seed, versions, priors in words, and where each chain started.

    Raises
    ------
    InputError
        Bad data or arguments.

    Notes
    -----
    Each chain starts at a weighted-likelihood bootstrap replicate of an EM optimum (the optima within a factor of 100 of the best
    likelihood, in turn), so that chains start apart, in places that the data support. If EM finds no optimum because every start
    collapses, chains start from random partitions and the tree has no `em` group. Ctrl-C returns the draws made by then, marked
    ``interrupted`` in the attributes; chains with less than half the draws of the longest are left out. (PyMC's own NUTS handles
    Ctrl-C itself.)
    """
    dataset = validate(X)
    n_components = resolve_components(em_or_n_components, None)
    require_fittable(dataset, n_components)
    if isinstance(em_or_n_components, EMResult):
        _check_same_data(em_or_n_components, dataset)
    settings = _settings(draws, tune, chains, cores, sampler, target_accept)
    seed = check_seed(seed)
    resolved = (priors or Priors()).resolved(dataset.X, n_components)
    rng = np.random.default_rng(seed)
    em = em_or_n_components if isinstance(em_or_n_components, EMResult) else _fit_or_none(dataset, n_components, rng, progress)
    starts = chain_starts(dataset.X, em, n_components, rng, chains)
    seeds = [int(value) for value in rng.integers(2**31 - 1, size=chains)]
    if sampler == "auto":
        raw = _sample_own_density(dataset, resolved, starts, seeds, settings, progress)
    elif sampler == "nutpie":
        raw = _sample_model_with_nutpie(dataset, resolved, starts, seeds, settings, progress)
    else:
        raw = _sample_model_with_pymc(dataset, resolved, starts, seeds, settings, progress)
    attrs = {
        "seed": seed if isinstance(seed, int | np.integer) else "not given",
        "sampler": sampler,
        "draws": draws,
        "tune": tune,
        "chains": raw.statistics.sizes["chain"],
        "target_accept": target_accept,
        "starts": "; ".join(f"chain {c}: {start.origin}" for c, start in enumerate(starts)),
        "priors": resolved.describe(dataset.columns),
        "interrupted": int(raw.interrupted),
        "covariance": em.covariance if em is not None else "VVV",
        **{f"{name}_version": version(name) for name in ("bayesgmm", "pymc", "nutpie", "numpy")},
    }
    return relabel(_tree(dataset, em, resolved, raw, attrs))


def _check_same_data(em: EMResult, dataset: Dataset) -> None:
    check_columns(dataset, em.columns)
    if em.n_samples != dataset.n_samples:
        raise InputError(f"the EM fit has {em.n_samples} rows, X has {dataset.n_samples}: pass the data it was fitted to")
    if em.total_weight != em.n_samples:
        raise InputError(
            f"the EM fit has row weights (their sum is {em.total_weight:g}, there are {em.n_samples} rows), which the "
            "posterior does not take: fit again without sample_weight"
        )


def _settings(draws: int, tune: int, chains: int, cores: int | None, sampler: str, target_accept: float) -> NutsSettings:
    if sampler not in ("auto", "nutpie", "pymc"):
        raise InputError(f"sampler is {sampler!r}; choose 'auto', 'nutpie' or 'pymc'")
    check_probability(target_accept, "target_accept")
    check_count(chains, "chains")
    return NutsSettings(
        draws=check_count(draws, "draws", minimum=FEWEST_DRAWS),
        tune=check_count(tune, "tune"),
        cores=available_threads() if cores is None else check_count(cores, "cores"),
        target_accept=target_accept,
    )


def _fit_or_none(dataset: Dataset, n_components: int, rng: np.random.Generator, progress: bool | None) -> EMResult | None:
    try:
        return fit_em(dataset, n_components, seed=rng, progress=progress)
    except FitError:
        return None


def _sample_own_density(
    dataset: Dataset,
    priors: ResolvedPriors,
    starts: list[ChainStart],
    seeds: list[int],
    settings: NutsSettings,
    progress: bool | None,
) -> RawDraws:
    n_components, n_features = starts[0].params.means.shape
    model = native_model(dataset.X, priors)
    models = [started_at(model, unconstrain(from_mixture(start.params))) for start in starts]
    traces, interrupted = run_chains(models, seeds, settings, progress)
    u = joined(traces, "posterior")[COORDINATES].values
    return RawDraws(constrain(u, n_components, n_features), joined(traces, "sample_stats"), interrupted)


def _sample_model_with_nutpie(
    dataset: Dataset,
    priors: ResolvedPriors,
    starts: list[ChainStart],
    seeds: list[int],
    settings: NutsSettings,
    progress: bool | None,
) -> RawDraws:
    model = assemble(dataset, priors)
    compiled = nutpie.compile_pymc_model(model, var_names=[variable.name for variable in model.free_RVs])
    models = [started_at(compiled, _flat_start(model, start)) for start in starts]
    traces, interrupted = run_chains(models, seeds, settings, progress)
    return RawDraws(_parameters(joined(traces, "posterior")), joined(traces, "sample_stats"), interrupted)


def _sample_model_with_pymc(
    dataset: Dataset,
    priors: ResolvedPriors,
    starts: list[ChainStart],
    seeds: list[int],
    settings: NutsSettings,
    progress: bool | None,
) -> RawDraws:
    model = assemble(dataset, priors)
    with model:
        trace = pm.sample(
            draws=settings.draws,
            tune=settings.tune,
            chains=len(starts),
            cores=min(settings.cores, len(starts)),
            initvals=[_start_values(model, start) for start in starts],
            init="adapt_diag",
            nuts_sampler="pymc",
            target_accept=settings.target_accept,
            random_seed=seeds,
            progressbar=progress_wanted(progress),
            compute_convergence_checks=False,
        )
    return RawDraws(_parameters(trace["posterior"].to_dataset()), trace["sample_stats"].to_dataset(), interrupted=False)


def _start_values(model: pm.Model, start: ChainStart) -> dict[str, Array]:
    values = from_mixture(start.params)._asdict()
    return {variable.name: values[variable.name] for variable in model.free_RVs}


def _flat_start(model: pm.Model, start: ChainStart) -> Array:
    """The start in PyMC's unconstrained coordinates, in the order of its free variables."""
    values = _start_values(model, start)
    pieces = []
    for variable in model.free_RVs:
        transform = model.rvs_to_transforms[variable]
        value = np.asarray(values[variable.name])
        if transform is not None:
            value = transform.forward(value, *variable.owner.inputs).eval(mode="FAST_COMPILE")
        pieces.append(np.ravel(value))
    return np.concatenate(pieces)


def _parameters(posterior: xr.Dataset) -> Parameters:
    weights, means, scales = (posterior[name].values for name in ("weights", "means", "scales"))
    if "correlation_trils" in posterior:
        return Parameters(weights, means, scales, posterior["correlation_trils"].values)
    return Parameters(weights, means, scales, np.ones((*scales.shape, 1)))


def _tree(dataset: Dataset, em: EMResult | None, priors: ResolvedPriors, raw: RawDraws, attrs: dict[str, Any]) -> xr.DataTree:
    parameters = raw.parameters
    posterior = posterior_dataset(parameters.weights, parameters.means, parameters.scale_trils, dataset.columns)
    n_chains, n_draws = parameters.weights.shape[:2]
    flat = [array.reshape(-1, *array.shape[2:]) for array in (parameters.weights, parameters.means, parameters.scale_trils)]
    log_likelihood = log_density_of_draws(dataset.X, *flat).reshape(n_chains, n_draws, -1)
    samples = {dim: posterior[dim] for dim in SAMPLE_DIMS}
    obs = {"obs": np.arange(dataset.n_samples)}
    log_prior = {name: (SAMPLE_DIMS, value) for name, value in priors.log_density(*parameters).items()}
    kept = {STATISTICS[name]: raw.statistics[name] for name in STATISTICS if name in raw.statistics}
    groups = {
        "posterior": posterior,
        "sample_stats": xr.Dataset({name: (SAMPLE_DIMS, value.values) for name, value in kept.items()}, coords=samples),
        "log_likelihood": xr.Dataset({"X": ((*SAMPLE_DIMS, "obs"), log_likelihood)}, coords={**samples, **obs}),
        "log_prior": xr.Dataset(log_prior, coords=samples),
        "observed_data": xr.Dataset({"X": (("obs", "feature"), dataset.X)}, coords={**obs, "feature": list(dataset.columns)}),
        "constant_data": _hyperparameters(priors, posterior),
    }
    if em is not None:
        groups["em"] = em.to_dataset()
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = attrs
    return tree


def _hyperparameters(priors: ResolvedPriors, posterior: xr.Dataset) -> xr.Dataset:
    return xr.Dataset(
        {
            "prior_concentration": ("cluster", priors.concentration),
            "prior_mean_loc": ("feature", priors.mean_loc),
            "prior_mean_scale": ("feature", priors.mean_scale),
            **{f"prior_scale_{name}": ("feature", value) for name, value in priors.scale_params.items()},
        },
        coords={dim: posterior[dim] for dim in ("cluster", "feature")},
        attrs={"scale_prior": priors.scale_prior, "lkj_eta": priors.lkj_eta},
    )
