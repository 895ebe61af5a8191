"""relabel: give the components of every draw the same names, so that component-wise summaries mean something."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError
from bayesgmm.kernels.density import compute_responsibilities
from bayesgmm.kernels.draws import log_likelihood_of_draws
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.orders import checked_permutations, ordered_by
from bayesgmm.posterior.permutations import (
    Labelling,
    as_given,
    ecr,
    ecr_iterative,
    ecr_iterative_soft,
    pra,
    stephens,
)
from bayesgmm.posterior.schema import (
    CLUSTER,
    SAMPLE_DIMS,
    Draws,
    em_of,
    group,
    log_prior_of,
    observed_matrix,
    raw_posterior,
    recorded_draws,
    resolution_of,
    with_groups,
)

Array = NDArray[np.float64]
Method = Literal["ecr", "ecr_iterative", "ecr_iterative_soft", "stephens", "pra", "ordering", "given"]

WITH_REFERENCE: dict[str, Callable[[Array, Draws, MixtureParams], Labelling]] = {
    "ecr": ecr,
    "ecr_iterative": ecr_iterative,
    "ecr_iterative_soft": ecr_iterative_soft,
    "stephens": stephens,
    "pra": pra,
}
ARGUMENT_OF: dict[str, str] = {**dict.fromkeys(WITH_REFERENCE, "reference"), "ordering": "by", "given": "permutation"}


def relabel(
    tree: xr.DataTree,
    *,
    method: Method = "ecr",
    reference: MixtureParams | EMResult | None = None,
    by: str | Sequence[str] | None = None,
    permutation: xr.DataArray | ArrayLike | None = None,
) -> xr.DataTree:
    """A new tree whose `posterior` has the components of every draw in one order; the draws as sampled are kept.

    Parameters
    ----------
    tree : DataTree
        Groups `posterior` (or `posterior_raw`) with weights, means and covariances, and `observed_data`; from any sampler.
    method : str
        What decides the order of each draw's components:

        - "ecr": as many rows as possible have the same most probable component as under the reference (equivalence classes
          representatives; Papastamoulis and Iliopoulos 2010).
        - "ecr_iterative", "ecr_iterative_soft": the same with a pivot that the relabelled draws make themselves, each row's most
          frequent component or its most probable one by its mean memberships, until nothing changes (Papastamoulis 2016).
        - "stephens": the memberships have the least Kullback-Leibler divergence from their mean over the draws (Stephens 2000).
        - "pra": weights, means and covariances are nearest to the reference's, in units of the columns' standard deviations
          (pivotal reordering; Marin, Mengersen and Robert 2005).
        - "ordering": the values of the variable `by` increase with the cluster.
        - "given": `permutation` does.
    reference : MixtureParams or EMResult, optional
        By default the EM fit that the tree carries, else the draw with the highest log-posterior, or log-likelihood if there is
        no group `log_prior`. The iterative methods start from it and keep its order of components. MixtureParams are taken to be
        of the true values, as the draws are, where the tree has a resolution.
    by : str or sequence of str
        For "ordering": a variable with one value per cluster ("weights"), or a variable and a place in it ("means", "waiting").
    permutation : (chain, draw, cluster) array or DataArray
        For "given": cluster k of the relabelled draw is cluster permutation[k] of the raw one.

    Returns
    -------
    DataTree
        `posterior` relabelled, every variable with a `cluster` dimension; `posterior_raw` as sampled; `relabelling` with
        `permutation (chain, draw, cluster)`, in the meaning of the argument. Attributes of `relabelling`: `method`; `objective`,
        what was minimised, and `objective_value`, where it ended (not for "ordering" and "given"); `kullback_leibler`, Stephens'
        objective in nats, on which all methods can be compared; `n_iterations`; `converged` and `named_by_em`, 1 or 0.

    Raises
    ------
    InputError
        If the tree lacks what is needed, the reference has another number of components, an argument is missing or belongs to
        another method, `by` names nothing or ties within a draw, or a permutation is none.

    Notes
    -----
    Relabelling starts from the raw draws each time, so a second call replaces the first. Allocations that a sampler drew itself,
    (chain, draw, obs) without `cluster`, keep the raw names. To undo relabelling take `posterior_raw`; where that is lost,
    ``method="given"`` with ``permutation.argsort(axis=-1)`` turns relabelled draws back into the raw ones.
    """
    _check_arguments(method, {"reference": reference, "by": by, "permutation": permutation})
    raw = raw_posterior(tree)
    draws, X = recorded_draws(tree, raw), observed_matrix(tree)
    em = em_of(tree)
    if method in WITH_REFERENCE:
        params = _reference_params(reference if reference is not None else em, X, draws, tree)
        labelling = WITH_REFERENCE[method](X, draws, params)
    else:
        orders = ordered_by(raw, by) if by is not None else checked_permutations(raw, permutation)
        labelling = as_given(X, draws, orders)
    found = xr.DataArray(
        labelling.permutations.reshape(*raw["weights"].transpose(*CLUSTER).shape),
        dims=CLUSTER,
        coords={dim: raw[dim] for dim in CLUSTER if dim in raw.coords},
        name="permutation",
    )
    named_by_em = method in WITH_REFERENCE and em is not None and reference in (None, em)
    relabelling = found.to_dataset().assign_attrs(_attributes(method, labelling), named_by_em=int(named_by_em))
    return with_groups(tree, {"posterior": permuted(raw, found), "posterior_raw": raw, "relabelling": relabelling})


def permuted(posterior: xr.Dataset, permutation: xr.DataArray) -> xr.Dataset:
    """Every variable with a `cluster` dimension in the order that `permutation` (chain, draw, cluster) gives."""
    variables = {
        name: variable.isel(cluster=permutation.variable).assign_coords(cluster=posterior["cluster"])
        if "cluster" in variable.dims
        else variable
        for name, variable in posterior.drop_vars("cluster", errors="ignore").data_vars.items()
    }
    return posterior.assign(variables)


def em_order(tree: xr.DataTree, em: EMResult) -> NDArray[np.intp]:
    """The order of the components of the tree's EM fit that matches the clusters of its posterior.

    The identity where the posterior is labelled with that fit; else that in which most membership is shared, over the rows of
    the tree, with the mixture of the posterior mean parameters.
    """
    relabelling = tree["relabelling"].attrs if "relabelling" in tree.children else {}
    if relabelling.get("named_by_em", 0):
        return np.arange(em.params.n_components)
    means = group(tree, "posterior")[["weights", "means", "covariances"]].mean(SAMPLE_DIMS)
    weights, centres, covariances = (means[name].transpose("cluster", ...).values for name in means)
    mean = MixtureParams.from_covariances(weights / weights.sum(), centres, covariances).recorded(resolution_of(tree))
    X = observed_matrix(tree)
    shared = em.responsibilities(X).T @ compute_responsibilities(X, mean.weights, mean.means, mean.scale_trils)
    return linear_sum_assignment(shared.T, maximize=True)[1]


def _check_arguments(method: str, arguments: dict[str, Any]) -> None:
    if method not in ARGUMENT_OF:
        raise InputError(f"relabel: method is {method!r}; choose {', '.join(map(repr, ARGUMENT_OF))}")
    used = ARGUMENT_OF[method]
    unused = [name for name, value in arguments.items() if value is not None and name != used]
    if unused:
        raise InputError(
            f"relabel: method {method!r} does not use the argument {unused[0]!r}; leave it out, or choose another method"
        )
    if used != "reference" and arguments[used] is None:
        raise InputError(f"relabel: method {method!r} needs the argument {used!r}")


def _attributes(method: str, labelling: Labelling) -> dict[str, Any]:
    attributes = {"method": method, **labelling._asdict(), "converged": int(labelling.converged)}
    return {name: value for name, value in attributes.items() if name != "permutations" and value is not None}


def _reference_params(reference: MixtureParams | EMResult | None, X: Array, draws: Draws, tree: xr.DataTree) -> MixtureParams:
    """The mixture of recorded values that the reference stands for."""
    if reference is None:
        log_prior = log_prior_of(tree)
        best = int((log_likelihood_of_draws(X, *draws) + (0.0 if log_prior is None else log_prior)).argmax())
        return MixtureParams(*(array[best] for array in draws))
    params = reference.recorded_params if isinstance(reference, EMResult) else reference
    if params.means.shape != draws.means.shape[1:]:
        raise InputError(
            f"relabel: the reference has means of shape {params.means.shape}, the draws of shape {draws.means.shape[1:]}"
        )
    return params if isinstance(reference, EMResult) else params.recorded(resolution_of(tree))
