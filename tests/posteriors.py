"""Posterior trees made without MCMC: components are known, so that what labelling must find is known."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.params import MixtureParams
from bayesgmm.posterior.schema import posterior_dataset
from tests.problems import random_data

Array = NDArray[np.float64]


def made_tree(
    params: MixtureParams,
    rng: np.random.Generator,
    *,
    n_chains: int = 4,
    n_draws: int = 250,
    n_samples: int = 200,
    spread: float = 0.02,
) -> xr.DataTree:
    """Independent draws around `params`, in its own component order, with data from it."""
    X, _ = random_data(rng, params, n_samples)
    shape = (n_chains, n_draws)
    weights = params.weights * np.exp(spread * rng.standard_normal((*shape, params.n_components)))
    weights /= weights.sum(axis=-1, keepdims=True)
    means = params.means + spread * rng.standard_normal((*shape, *params.means.shape))
    scale_trils = params.scale_trils * np.exp(spread * rng.standard_normal((*shape, params.n_components, 1, 1)))
    columns = [f"column {d}" for d in range(params.n_features)]
    observed = xr.Dataset({"X": (("obs", "feature"), X)}, coords={"obs": np.arange(n_samples), "feature": columns})
    return xr.DataTree.from_dict(
        {"posterior": posterior_dataset(weights, means, scale_trils, columns), "observed_data": observed}
    )


def scrambled(tree: xr.DataTree, rng: np.random.Generator) -> tuple[xr.DataTree, NDArray[np.intp]]:
    """The tree with the components of every draw in random order, and the orders (chain, draw, cluster)."""
    posterior = tree["posterior"].to_dataset()
    n_chains, n_draws, n_components = posterior["weights"].shape
    orders = rng.permuted(np.tile(np.arange(n_components), (n_chains, n_draws, 1)), axis=2)
    shuffled = posterior.copy(deep=True)
    for name, variable in posterior.data_vars.items():
        index = orders.reshape(*orders.shape, *[1] * (variable.ndim - 3))
        shuffled[name] = (variable.dims, np.take_along_axis(variable.values, index, axis=2))
    return xr.DataTree.from_dict({"posterior": shuffled, "observed_data": tree["observed_data"].to_dataset()}), orders


def separated_params(n_components: int = 3) -> MixtureParams:
    """Components far apart in two dimensions, with unequal weights and correlations."""
    weights = np.arange(1.0, n_components + 1)
    angles = 2 * np.pi * np.arange(n_components) / n_components
    scale_trils = np.array([[[1.0, 0.0], [0.3 * k, 0.8]] for k in range(n_components)])
    return MixtureParams(weights / weights.sum(), 8.0 * np.c_[np.cos(angles), np.sin(angles)], scale_trils)
