"""What a posterior tree holds, and how to read it: names of groups and variables, flat draws, derived variables."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.em.result import EMResult, em_result_from_dataset
from bayesgmm.errors import InputError

Array = NDArray[np.float64]

SAMPLE_DIMS = ("chain", "draw")
CLUSTER = (*SAMPLE_DIMS, "cluster")
FEATURE = (*CLUSTER, "feature")
SQUARE = (*FEATURE, "feature_bis")

POOLED = "pooled"
"""Attribute of trees whose draws were taken from the chains with chosen weights: how."""


class Draws(NamedTuple):
    """Posterior draws with chains end to end: weights (S, K), means (S, K, D), scale_trils (S, K, D, D).

    As mixtures of recorded values, which the data are.
    """

    weights: Array
    means: Array
    scale_trils: Array


def posterior_dataset(weights: Array, means: Array, scale_trils: Array, columns: Sequence[str]) -> xr.Dataset:
    """The variables of api.md from arrays with leading (chain, draw) axes."""
    scales = np.sqrt((scale_trils**2).sum(axis=-1))
    rows = scale_trils / scales[..., None]
    return xr.Dataset(
        {
            "weights": (CLUSTER, weights),
            "means": (FEATURE, means),
            "covariances": (SQUARE, scale_trils @ scale_trils.swapaxes(-1, -2)),
            "scales": (FEATURE, scales),
            "correlations": (SQUARE, rows @ rows.swapaxes(-1, -2)),
        },
        coords={
            "chain": np.arange(weights.shape[0]),
            "draw": np.arange(weights.shape[1]),
            "cluster": np.arange(weights.shape[2]),
            "feature": list(columns),
            "feature_bis": list(columns),
        },
    )


def group(tree: xr.DataTree, name: str) -> xr.Dataset:
    """The group's dataset; InputError naming the groups there are if it is missing."""
    if name not in tree.children:
        raise InputError(f"the tree has no group {name!r}; it has {', '.join(tree.children) or 'none'}")
    return tree[name].to_dataset()


def raw_posterior(tree: xr.DataTree) -> xr.Dataset:
    """The draws as sampled: `posterior_raw`, or `posterior` of a tree that was not relabelled yet."""
    return group(tree, "posterior_raw" if "posterior_raw" in tree.children else "posterior")


def resolution_of(tree: xr.DataTree) -> Array:
    """The step (D,) that each column of the data was rounded to, as the model took it; 0 where the tree says nothing of it."""
    constants = tree["constant_data"].to_dataset() if "constant_data" in tree.children else xr.Dataset()
    if "resolution" in constants:
        return np.asarray(constants["resolution"].values, dtype=np.float64)
    return np.zeros(raw_posterior(tree).sizes["feature"])


def recorded_draws(tree: xr.DataTree, posterior: xr.Dataset) -> Draws:
    """The draws of a posterior group of the tree as mixtures of recorded values, chains end to end.

    Their scale_trils are of Sigma_k + diag(h^2) / 12 for the resolution h of the tree, which every density of the data needs.
    """
    return flat_draws(posterior, np.diag(resolution_of(tree) ** 2) / 12)


def flat_draws(posterior: xr.Dataset, rounding: Array | float = 0.0) -> Draws:
    """The draws of a posterior group with chains end to end; `rounding` (D, D) is added to every covariance."""
    missing = [name for name in ("weights", "means", "covariances") if name not in posterior]
    if missing:
        raise InputError(f"the posterior has no {', '.join(missing)}; it has {', '.join(map(str, posterior.data_vars))}")
    weights = posterior["weights"].transpose(*CLUSTER).values
    means = posterior["means"].transpose(*FEATURE).values
    covariances = posterior["covariances"].transpose(*SQUARE).values + rounding
    flat = weights.shape[0] * weights.shape[1]
    try:
        scale_trils = np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        smallest = np.linalg.eigvalsh(covariances)[..., 0]
        chain, draw, k = (int(i) for i in np.unravel_index(smallest.argmin(), smallest.shape))
        raise InputError(
            f"the covariance of cluster {k} in draw {draw} of chain {chain} is not positive definite "
            f"(smallest eigenvalue {smallest.min():.3g})"
        ) from None
    return Draws(
        weights.reshape(flat, *weights.shape[2:]),
        means.reshape(flat, *means.shape[2:]),
        scale_trils.reshape(flat, *scale_trils.shape[2:]),
    )


def with_derived(posterior: xr.Dataset) -> xr.Dataset:
    """The posterior with `scales` and `correlations`, computed from the covariances where another sampler left them out."""
    covariances = posterior["covariances"].transpose(*SQUARE)
    scales = np.sqrt(np.diagonal(covariances.values, axis1=-2, axis2=-1))
    correlations = covariances.values / scales[..., :, None] / scales[..., None, :]
    derived = xr.Dataset({"scales": (FEATURE, scales), "correlations": (SQUARE, correlations)})
    return posterior.assign({name: value for name, value in derived.items() if name not in posterior})


def observed_matrix(tree: xr.DataTree) -> Array:
    """The data X (N, D) of the tree."""
    observed = group(tree, "observed_data")
    (name,) = [name for name, variable in observed.data_vars.items() if variable.ndim == 2] or [None]
    if name is None:
        raise InputError("the observed_data group has no two-dimensional variable with the data (obs, feature)")
    return np.ascontiguousarray(observed[name].transpose("obs", "feature").values, dtype=np.float64)


def pointwise_log_likelihood(tree: xr.DataTree, X: Array) -> Array | None:
    """The log_likelihood group's single (chain, draw, obs) variable with chains end to end (S, N), if the tree has it."""
    if "log_likelihood" not in tree.children:
        return None
    variables = list(tree["log_likelihood"].to_dataset().data_vars.values())
    if len(variables) != 1 or set(variables[0].dims) != {*SAMPLE_DIMS, "obs"}:
        return None
    return variables[0].transpose(*SAMPLE_DIMS, "obs").values.reshape(-1, len(X))


def log_prior_of(tree: xr.DataTree) -> Array | None:
    """The sum (S,) of all variables of the group `log_prior`, chains end to end; None where there is none."""
    if "log_prior" not in tree.children:
        return None
    shape = tuple(raw_posterior(tree).sizes[dim] for dim in SAMPLE_DIMS)
    total = np.zeros(shape)
    for name, term in tree["log_prior"].to_dataset().data_vars.items():
        values = term.transpose(*SAMPLE_DIMS, ...).values
        if values.shape[:2] != shape:
            raise InputError(f"log_prior has {name} of shape {values.shape}, which does not fit the draws of shape {shape}")
        total += values.reshape(*shape, -1).sum(axis=2)
    return total.ravel()


def em_of(tree: xr.DataTree) -> EMResult | None:
    """The EM fit that the tree carries, if any."""
    return em_result_from_dataset(tree["em"].to_dataset()) if "em" in tree.children else None


def with_groups(tree: xr.DataTree, groups: dict[str, xr.Dataset]) -> xr.DataTree:
    """A new tree with the given groups added or replaced; the old tree is left as it is."""
    datasets = {name: child.to_dataset() for name, child in tree.children.items()}
    out = xr.DataTree.from_dict({**datasets, **groups})
    out.attrs = dict(tree.attrs)
    return out
