"""What a posterior tree holds, and how to read it: names of groups and variables, flat draws, derived variables."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.em.record import em_result_from_dataset
from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError
from bayesgmm.kernels.draws import log_density_of_draws

Array = NDArray[np.float64]

SAMPLE_DIMS = ("chain", "draw")
CLUSTER = (*SAMPLE_DIMS, "cluster")
FEATURE = (*CLUSTER, "feature")
SQUARE = (*FEATURE, "feature_bis")

DIMS = {"weights": CLUSTER, "means": FEATURE, "covariances": SQUARE}

LARGEST_ROUNDING = 1e-3
"""Weights whose sum differs by less from 1 were rounded, in single precision or in a text file; they are divided by it."""

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


N_OCCUPIED = "n_occupied"
"""In the group `regions` where each region is a stratum: how many components hold rows there."""


def region_of_draws(tree: xr.DataTree) -> NDArray[np.intp]:
    """Of which region each draw (chain, draw) is, where `sample` put chains together from draws of several; else 0."""
    if "regions" in tree.children:
        return np.asarray(tree["regions"]["of_draw"].transpose(*SAMPLE_DIMS).values)
    raw = raw_posterior(tree)
    return np.zeros([raw.sizes[dim] for dim in SAMPLE_DIMS], dtype=np.intp)


def recorded_draws(tree: xr.DataTree, posterior: xr.Dataset) -> Draws:
    """The draws of a posterior group of the tree as mixtures of recorded values, chains end to end.

    Their scale_trils are of Sigma_k + diag(h^2) / 12 for the resolution h of the tree, which every density of the data needs.
    """
    return flat_draws(posterior, np.diag(resolution_of(tree) ** 2) / 12)


def flat_draws(posterior: xr.Dataset, rounding: Array | float = 0.0) -> Draws:
    """The draws of a posterior group with chains end to end; `rounding` (D, D) is added to every covariance."""
    weights, means, covariances = (checked_values(posterior, name, dims) for name, dims in DIMS.items())
    covariances = covariances + rounding
    totals = weights.sum(axis=-1, keepdims=True)
    if (weights < 0).any() or (np.abs(totals - 1) > LARGEST_ROUNDING).any():
        chain, draw = (
            int(i) for i in np.argwhere((weights < 0).any(axis=-1) | (np.abs(totals[..., 0] - 1) > LARGEST_ROUNDING))[0]
        )
        raise InputError(f"the weights of draw {draw} of chain {chain} are {weights[chain, draw]}: not a simplex")
    weights = weights / totals
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


def checked_values(posterior: xr.Dataset, name: str, dims: tuple[str, ...]) -> Array:
    """A variable of the posterior in this order of dimensions; InputError if it is missing, has others, or is not finite."""
    if name not in posterior:
        raise InputError(f"the posterior has no {name}; it has {', '.join(map(str, posterior.data_vars)) or 'nothing'}")
    if set(posterior[name].dims) != set(dims):
        found = ", ".join(map(str, posterior[name].dims))
        raise InputError(f"{name} has the dimensions ({found}); it needs ({', '.join(dims)}): rename them")
    values = np.asarray(posterior[name].transpose(*dims).values, dtype=np.float64)
    broken = ~np.isfinite(values).reshape(*values.shape[:2], -1).all(axis=2)
    if broken.any():
        chain, draw = (int(i) for i in np.argwhere(broken)[0])
        raise InputError(
            f"{name} is not finite in {int(broken.sum())} of {broken.size} draws, first in draw {draw} of chain {chain}: "
            "leave those draws out, and find out why the sampler made them"
        )
    return values


def matching_draws(posterior: xr.Dataset, values: xr.DataArray, what: str) -> xr.DataArray:
    """Values with (chain, draw) in the order of the posterior's; InputError if their chains or draws are others."""
    for dim in SAMPLE_DIMS:
        same_size = values.sizes.get(dim) == posterior.sizes[dim]
        labelled = dim in values.coords and dim in posterior.coords
        if not same_size or (labelled and set(values[dim].values.tolist()) != set(posterior[dim].values.tolist())):
            raise InputError(f"{what} has other values of {dim!r} than the posterior: it belongs to other draws")
        if labelled:
            values = values.sel({dim: posterior[dim].values})
    return values.transpose(*SAMPLE_DIMS, ...)


def with_derived(posterior: xr.Dataset) -> xr.Dataset:
    """The posterior with `scales` and `correlations`, computed from the covariances where another sampler left them out."""
    covariances = posterior["covariances"].transpose(*SQUARE)
    scales = np.sqrt(np.diagonal(covariances.values, axis1=-2, axis2=-1))
    correlations = covariances.values / scales[..., :, None] / scales[..., None, :]
    derived = xr.Dataset({"scales": (FEATURE, scales), "correlations": (SQUARE, correlations)})
    return posterior.assign({name: value for name, value in derived.items() if name not in posterior})


def observed_matrix(tree: xr.DataTree) -> Array:
    """The data X (N, D) of the tree."""
    tables = {str(name): table for name, table in group(tree, "observed_data").data_vars.items() if table.ndim == 2}
    if len(tables) != 1 and "X" not in tables:
        listed = f"several, {', '.join(tables)}" if tables else "none"
        raise InputError(
            f"the data must be the two-dimensional variable (obs, feature) of observed_data, X if there are more: {listed}"
        )
    table = tables.get("X", next(iter(tables.values())))
    if set(table.dims) != {"obs", "feature"}:
        raise InputError(f"the data of observed_data have the dimensions {table.dims}; they need (obs, feature): rename them")
    return np.ascontiguousarray(table.transpose("obs", "feature").values, dtype=np.float64)


def pointwise_log_likelihood(tree: xr.DataTree, X: Array) -> Array | None:
    """The log_likelihood group's single (chain, draw, obs) variable with chains end to end (S, N), if the tree has it."""
    variables = list(tree["log_likelihood"].to_dataset().data_vars.values()) if "log_likelihood" in tree.children else []
    if len(variables) != 1 or set(variables[0].dims) != {*SAMPLE_DIMS, "obs"}:
        return None
    if variables[0].sizes["obs"] != len(X):
        raise InputError(f"log_likelihood has {variables[0].sizes['obs']} rows, the data have {len(X)}")
    return matching_draws(raw_posterior(tree), variables[0], "log_likelihood").values.reshape(-1, len(X))


def with_log_likelihood(tree: xr.DataTree) -> xr.DataTree:
    """The tree with a log_likelihood group of one value per row, computed where another sampler left it out."""
    X, raw = observed_matrix(tree), raw_posterior(tree)
    if pointwise_log_likelihood(tree, X) is not None:
        return tree
    shape = (raw.sizes["chain"], raw.sizes["draw"], len(X))
    values = log_density_of_draws(X, *recorded_draws(tree, raw)).reshape(shape)
    coords = {dim: raw[dim] for dim in SAMPLE_DIMS if dim in raw.coords}
    return with_groups(tree, {"log_likelihood": xr.Dataset({"X": ((*SAMPLE_DIMS, "obs"), values)}, coords)})


def log_prior_of(tree: xr.DataTree) -> Array | None:
    """The sum (S,) of all variables of the group `log_prior` but rotations, chains end to end; None where there is no group.

    Rotations are uniform: their density in coordinates tells where these are centred, and differs between equal orientations.
    """
    if "log_prior" not in tree.children:
        return None
    raw = raw_posterior(tree)
    terms = tree["log_prior"].to_dataset().drop_vars("rotations", errors="ignore").data_vars.items()
    values = [matching_draws(raw, term, f"log_prior of {name}").values for name, term in terms]
    n_draws = raw.sizes["chain"] * raw.sizes["draw"]
    return np.sum([value.reshape(n_draws, -1).sum(axis=1) for value in values], axis=0) if values else np.zeros(n_draws)


def em_of(tree: xr.DataTree) -> EMResult | None:
    """The EM fit that the tree carries, if any."""
    return em_result_from_dataset(tree["em"].to_dataset()) if "em" in tree.children else None


def with_groups(tree: xr.DataTree, groups: dict[str, xr.Dataset]) -> xr.DataTree:
    """A new tree with the given groups added or replaced; the old tree is left as it is."""
    datasets = {name: child.to_dataset() for name, child in tree.children.items()}
    out = xr.DataTree.from_dict({**datasets, **groups})
    out.attrs = dict(tree.attrs)
    return out
