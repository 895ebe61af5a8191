"""relabel: give the components of every draw the names of one reference, so that component-wise summaries mean something."""

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError
from bayesgmm.kernels.density import compute_responsibilities
from bayesgmm.kernels.draws import log_density_of_draws, matches_of_draws
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.schema import (
    CLUSTER,
    Draws,
    em_of,
    observed_matrix,
    raw_posterior,
    recorded_draws,
    resolution_of,
    with_groups,
)

Array = NDArray[np.float64]


def relabel(
    tree: xr.DataTree,
    *,
    method: Literal["ecr"] = "ecr",
    reference: MixtureParams | EMResult | None = None,
) -> xr.DataTree:
    """A new tree whose `posterior` has the components of every draw in the reference's order.

    Parameters
    ----------
    tree : DataTree
        Groups `posterior` (or `posterior_raw`) with weights, means and covariances, and `observed_data`; from any sampler.
    method : "ecr"
        Equivalence classes representatives: each draw is permuted so that as many rows as possible have the same most probable
        component as under the reference (Papastamoulis and Iliopoulos 2010).
    reference : MixtureParams or EMResult, optional
        By default the EM fit that the tree carries, else the draw with the highest log-likelihood. MixtureParams are taken to be
        of the true values, as the draws are, where the tree has a resolution.

    Returns
    -------
    DataTree
        `posterior` relabelled; `posterior_raw` as sampled; `relabelling` with `permutation (chain, draw, cluster)`: cluster k of
        the relabelled draw is cluster permutation[k] of the raw one. Every variable with a `cluster` dimension is permuted.

    Raises
    ------
    InputError
        If the tree lacks what is needed, or the reference has another number of components.
    """
    if method != "ecr":
        raise InputError(f"relabel: method is {method!r}; choose 'ecr'")
    raw = raw_posterior(tree)
    draws, X = recorded_draws(tree, raw), observed_matrix(tree)
    params = _reference_params(reference if reference is not None else em_of(tree), X, draws, resolution_of(tree))
    labels = compute_responsibilities(X, params.weights, params.means, params.scale_trils).argmax(axis=1)
    permutations = ecr_permutations(matches_of_draws(X, labels, *draws))
    permutation = xr.DataArray(
        permutations.reshape(*raw["weights"].transpose(*CLUSTER).shape),
        dims=CLUSTER,
        coords={dim: raw[dim] for dim in CLUSTER if dim in raw.coords},
        name="permutation",
    )
    relabelling = permutation.to_dataset()
    relabelling.attrs = {"method": method}
    groups = {"posterior": permuted(raw, permutation), "posterior_raw": raw, "relabelling": relabelling}
    return with_groups(tree, groups)


def ecr_permutations(matches: NDArray[np.int64]) -> NDArray[np.intp]:
    """Permutations (S, K) that maximise sum_k matches[s, k, permutation[s, k]], for matches (S, K, K)."""
    return np.array([linear_sum_assignment(match, maximize=True)[1] for match in matches])


def permuted(posterior: xr.Dataset, permutation: xr.DataArray) -> xr.Dataset:
    """Every variable with a `cluster` dimension in the order that `permutation` (chain, draw, cluster) gives."""
    variables = {
        name: variable.isel(cluster=permutation.variable).assign_coords(cluster=posterior["cluster"])
        if "cluster" in variable.dims
        else variable
        for name, variable in posterior.drop_vars("cluster", errors="ignore").data_vars.items()
    }
    return posterior.assign(variables)


def _reference_params(reference: MixtureParams | EMResult | None, X: Array, draws: Draws, resolution: Array) -> MixtureParams:
    """The mixture of recorded values that the reference stands for."""
    if reference is None:
        best = int(log_density_of_draws(X, *draws).sum(axis=1).argmax())
        return MixtureParams(*(array[best] for array in draws))
    params = reference.recorded_params if isinstance(reference, EMResult) else reference
    if params.means.shape != draws.means.shape[1:]:
        raise InputError(
            f"relabel: the reference has means of shape {params.means.shape}, the draws of shape {draws.means.shape[1:]}"
        )
    return params if isinstance(reference, EMResult) else params.recorded(resolution)
