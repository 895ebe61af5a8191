"""Chains that do not mix, weighed and pooled when asked: never silently."""

import warnings
from typing import Literal

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayesgmm.data import check_seed
from bayesgmm.errors import InputError, SamplingWarning
from bayesgmm.kernels.draws import log_density_of_draws
from bayesgmm.posterior.chains import all_agree
from bayesgmm.posterior.conditions import Condition
from bayesgmm.posterior.diagnose import FEWEST_TO_JUDGE, Diagnosis, diagnose
from bayesgmm.posterior.invariants import invariants
from bayesgmm.posterior.problems import NOTABLE
from bayesgmm.posterior.schema import (
    POOLED,
    SAMPLE_DIMS,
    observed_matrix,
    pointwise_log_likelihood,
    raw_posterior,
    recorded_draws,
)

Array = NDArray[np.float64]

FEWEST_FOR_TAILS = 25
"""Draws of each chain, whose tails Pareto smoothing fits."""


def chain_weights(tree: xr.DataTree, *, method: Literal["stacking", "evidence"] = "stacking") -> pd.DataFrame:
    """Weights for chains that are in different modes.

    Chains are put into groups that agree with one another (`Diagnosis.groups`); each group is weighed, and its chains share its
    weight equally.

    Parameters
    ----------
    tree : DataTree
        As `sample` returns it, or any with posterior and observed_data groups.
    method : "stacking" or "evidence"
        "stacking": the mixture of the groups' predictive distributions that predicts rows left out best, by Pareto-smoothed
        importance sampling (Yao, Vehtari and Gelman 2022, section 2). Weights for prediction: they are no posterior
        probabilities. "evidence": the share of the posterior that the modes each group is in hold, as estimated,
        from the tree's `modes` and where its `visited` found the chains, or the structures of their draws without it.

    Returns
    -------
    DataFrame
        A row per chain: ``group``, ``structure`` (where most of its draws are), ``weight`` (they sum to 1), and, by "stacking",
        ``elpd`` of its group, leave-one-out, in nats.

    Raises
    ------
    InputError
        If the method is unknown; if "evidence" is asked of a tree without `modes`, or of chains where none of them is, or two
        groups are in the same modes, between which evidence cannot choose.
    """
    if method not in ("stacking", "evidence"):
        raise InputError(f"chain_weights: method is {method!r}; choose 'stacking' or 'evidence'")
    diagnosis = diagnose(tree)
    table = diagnosis.chains[["group", "structure"]].copy()
    by_group = _stacking(tree, diagnosis) if method == "stacking" else _evidence(tree, diagnosis)
    sizes = table["group"].map(table["group"].value_counts())
    table["weight"] = table["group"].map(by_group["weight"]) / sizes
    if "elpd" in by_group:
        table["elpd"] = table["group"].map(by_group["elpd"])
    return table


def pool(tree: xr.DataTree, weights: pd.DataFrame | ArrayLike, *, seed: int | np.random.Generator | None = None) -> xr.DataTree:
    """A tree with as many draws in each chain, drawn again from all chains with the given weights.

    Parameters
    ----------
    tree : DataTree
    weights : DataFrame from `chain_weights`, or one non-negative number per chain
        Taken relative to their sum.
    seed : int, Generator or None

    Returns
    -------
    DataTree
        Every group with the posterior's chains and draws has them in the new order, the same for all groups; the attribute
        ``pooled`` keeps the weights. Draws are repeated where weights are large; R-hat and effective sample sizes mean nothing
        any more.
    """
    raw = raw_posterior(tree)
    n_chains, n_draws = raw.sizes["chain"], raw.sizes["draw"]
    values = np.asarray(weights["weight"] if isinstance(weights, pd.DataFrame) else weights, dtype=np.float64)
    if values.shape != (n_chains,) or not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
        raise InputError(
            f"pool: weights must be {n_chains} numbers, one per chain, not negative and not all 0; got {np.array2string(values)}"
        )
    values = values / values.sum()
    rng = np.random.default_rng(check_seed(seed))
    total = n_chains * n_draws
    places = (np.arange(total) + rng.random()) / total  # systematic: each chain as often as its weight says, within one draw
    chains = np.minimum(np.searchsorted(np.cumsum(values), places), n_chains - 1)
    picked = np.concatenate([_spread(n_draws, int((chains == chain).sum()), rng) for chain in range(n_chains)])
    order = rng.permutation(total)
    index = {
        dim: xr.DataArray(part[order].reshape(n_chains, n_draws), dims=SAMPLE_DIMS)
        for dim, part in (("chain", chains), ("draw", picked))
    }
    samples = {dim: raw[dim] if dim in raw.coords else np.arange(raw.sizes[dim]) for dim in SAMPLE_DIMS}
    groups = {name: child.to_dataset() for name, child in tree.children.items()}
    for name, dataset in groups.items():
        if all(dataset.sizes.get(dim) == raw.sizes[dim] for dim in SAMPLE_DIMS):  # others, such as warm-up, are of other draws
            groups[name] = dataset.drop_vars(SAMPLE_DIMS, errors="ignore").isel(index).assign_coords(samples)
    if "modes" in groups:
        groups["modes"] = groups["modes"].drop_dims("chain", errors="ignore")  # where each chain was
    out = xr.DataTree.from_dict(groups)
    listed = ", ".join(f"{value:.3g}" for value in values)
    out.attrs = {**tree.attrs, POOLED: f"draws of chains 0 to {n_chains - 1} taken with weights {listed}"}
    return out


def warn_unless_pooled(tree: xr.DataTree, verb: str) -> None:
    """SamplingWarning if the chains are stuck apart, or too slow to agree, and nobody has weighed them."""
    raw = raw_posterior(tree)
    if POOLED in tree.attrs or raw.sizes["chain"] == 1 or raw.sizes["draw"] < FEWEST_TO_JUDGE or all_agree(invariants(tree)):
        return
    diagnosis = diagnose(tree)
    if diagnosis.conditions[0] in (Condition.STUCK, Condition.SLOW) and len(diagnosis.groups) > 1:
        warnings.warn(
            f"{verb} takes the draws of all chains together, but {diagnosis.reasons[0]}. Chains can be weighed first: "
            "pool(tree, chain_weights(tree)).",
            SamplingWarning,
            stacklevel=3,
        )


def _spread(n_draws: int, n_wanted: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """n_wanted of n_draws, each as often as any other, within one."""
    whole, rest = divmod(n_wanted, n_draws)
    return np.concatenate([np.tile(np.arange(n_draws), whole), rng.choice(n_draws, rest, replace=False)])


def _stacking(tree: xr.DataTree, diagnosis: Diagnosis) -> pd.DataFrame:
    raw, X = raw_posterior(tree), observed_matrix(tree)
    pointwise = pointwise_log_likelihood(tree, X)
    if pointwise is None:
        pointwise = log_density_of_draws(X, *recorded_draws(tree, raw))
    values = pointwise.reshape(raw.sizes["chain"], raw.sizes["draw"], len(X))
    estimates = {}
    if raw.sizes["draw"] < FEWEST_FOR_TAILS:
        raise InputError(
            f"chain_weights: {raw.sizes['draw']} draws in each chain are too few to leave rows out; {FEWEST_FOR_TAILS} are enough"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # large Pareto k of single rows move the weights little
        for i, group in enumerate(diagnosis.groups):
            part = xr.Dataset({"X": ((*SAMPLE_DIMS, "obs"), values[list(group)])})
            posterior = xr.Dataset({"log_likelihood": diagnosis.series["log_likelihood"].isel(chain=list(group))})
            data = xr.DataTree.from_dict({"posterior": posterior.reset_coords(drop=True), "log_likelihood": part})
            estimates[str(i)] = azs.loo(data, pointwise=True)
        if len(estimates) == 1:
            return pd.DataFrame({"weight": [1.0], "elpd": [estimates["0"].elpd]})
        table = azs.compare(estimates, method="stacking", round_to="none")
    table.index = table.index.astype(int)
    return table.sort_index()[["weight", "elpd"]]


def _evidence(tree: xr.DataTree, diagnosis: Diagnosis) -> pd.DataFrame:
    """By the modes that draws of each group were found in, where the tree says so; else by the groups' structures."""
    modes = tree["modes"].to_dataset() if "modes" in tree.children else xr.Dataset()
    if "share" not in modes:
        raise InputError(
            "chain_weights: the tree has no group 'modes' with shares by evidence (only trees from sample have); "
            "use method='stacking'"
        )
    if len(diagnosis.groups) == 1:
        return pd.DataFrame({"weight": [1.0]})
    if "visited" in modes:
        what, evidence = "mode", modes["share"].values
        places = modes["visited"].transpose("chain", "check").values
        found = [np.isin(np.arange(len(evidence)), places[list(group)]) for group in diagnosis.groups]
    else:
        what, evidence = "structure", diagnosis.structures.table["evidence"].to_numpy()
        found = [diagnosis.structures.shares()[list(group)].mean(axis=0) >= NOTABLE for group in diagnosis.groups]
    visited = np.array(found)
    unknown = visited.any(axis=0) & np.isnan(evidence)
    if unknown.any() or not visited.any(axis=1).all():
        raise InputError(
            f"chain_weights: the tree's modes have no evidence for where chains are ({what}s "
            f"{', '.join(map(str, np.flatnonzero(unknown))) or 'not in the table'}); use method='stacking'"
        )
    if (visited.sum(axis=0) > 1).any():
        raise InputError(
            f"chain_weights: chains that do not agree (groups {', '.join(map(str, diagnosis.groups))}) are in the same "
            f"{what}, between whose places evidence cannot choose; sample longer, or use method='stacking'"
        )
    shares = visited @ np.nan_to_num(evidence)
    return pd.DataFrame({"weight": shares / shares.sum()})
