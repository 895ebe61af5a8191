"""Orders of components that are not searched for: by the values of a variable, or given."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayesgmm.errors import InputError
from bayesgmm.posterior.schema import CLUSTER, with_derived

Permutations = NDArray[np.intp]


def ordered_by(raw: xr.Dataset, by: str | Sequence[str]) -> Permutations:
    """Permutations (S, K) after which the values that `by` names increase with the cluster.

    An order constraint on one parameter (Richardson and Green 1997), as good as that parameter separates the components.
    """
    values = _values(raw, by)
    ranks = values.argsort(axis=-1)
    ordered = np.take_along_axis(values, ranks, axis=-1)
    unclear = ~(ordered[..., 1:] > ordered[..., :-1])  # NaN is neither larger nor smaller
    if unclear.any():
        chain, draw, place = (int(i) for i in np.argwhere(unclear)[0])
        first, second = (int(k) for k in ranks[chain, draw, place : place + 2])
        raise InputError(
            f"relabel: {_text(by)} orders nothing in draw {draw} of chain {chain}: clusters {first} and {second} have "
            f"{values[chain, draw, first]:.6g} and {values[chain, draw, second]:.6g}; order by another variable"
        )
    return ranks.reshape(-1, ranks.shape[-1])


def checked_permutations(raw: xr.Dataset, permutation: xr.DataArray | ArrayLike | None) -> Permutations:
    """The given permutations as (S, K), once each is known to be one and they are as many as the draws."""
    if isinstance(permutation, xr.DataArray):
        permutation = _aligned(raw, permutation)
    orders = np.asarray(permutation)
    expected = raw["weights"].transpose(*CLUSTER).shape
    if orders.shape != expected or orders.dtype.kind not in "iu":
        raise InputError(
            f"relabel: permutation must be integers over (chain, draw, cluster), of shape {expected}; "
            f"got {orders.dtype} of shape {orders.shape}"
        )
    wrong = (np.sort(orders, axis=-1) != np.arange(expected[-1])).any(axis=-1)
    if wrong.any():
        chain, draw = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"relabel: permutation of draw {draw} of chain {chain} is {orders[chain, draw].tolist()}, "
            f"no permutation of 0, ..., {expected[-1] - 1}"
        )
    return orders.astype(np.intp).reshape(-1, expected[-1])


def _aligned(raw: xr.Dataset, permutation: xr.DataArray) -> xr.DataArray:
    """The permutation with its dimensions in order; its chains and draws must be those of the posterior."""
    if set(permutation.dims) != set(CLUSTER):
        raise InputError(f"relabel: permutation has the dimensions {permutation.dims}; it needs {CLUSTER}")
    for dim in CLUSTER:
        if dim in permutation.coords and dim in raw.coords and not permutation[dim].equals(raw[dim]):
            raise InputError(f"relabel: permutation has another coordinate {dim!r} than the posterior; it belongs to other draws")
    return permutation.transpose(*CLUSTER)


def _values(raw: xr.Dataset, by: str | Sequence[str]) -> NDArray[np.float64]:
    """What `by` names, (chain, draw, cluster)."""
    name, *places = [by] if isinstance(by, str) else list(by)
    posterior = with_derived(raw)
    with_clusters = [str(key) for key, variable in posterior.data_vars.items() if "cluster" in variable.dims]
    if name not in with_clusters:
        raise InputError(f"relabel: by is {by!r}; the posterior has {', '.join(with_clusters)} over the clusters")
    variable = posterior[name]
    rest = [str(dim) for dim in variable.dims if dim not in CLUSTER]
    if len(places) != len(rest):
        what = f"needs a place in {' and '.join(rest)}" if rest else "has one value per cluster and needs no place"
        raise InputError(f"relabel: by is {by!r}, but {name} {what}")
    for dim, place in zip(rest, places, strict=True):
        found = np.flatnonzero(posterior[dim].values == place)
        if len(found) != 1:
            raise InputError(
                f"relabel: by is {by!r}; {name} has no {dim} {place!r}, but {', '.join(map(str, posterior[dim].values))}"
            )
        variable = variable.isel({dim: int(found[0])})
    return np.asarray(variable.transpose(*CLUSTER).values, dtype=np.float64)


def _text(by: str | Sequence[str]) -> str:
    return by if isinstance(by, str) else f"{by[0]}[{', '.join(by[1:])}]"
