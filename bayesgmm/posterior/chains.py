"""Which chains agree: rank-normalised split R-hat of every pair, and the groups of chains that agree with one another."""

from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

Array = NDArray[np.float64]

R_HAT_LIMIT = 1.01
"""Of all chains together (Vehtari et al. 2021)."""

AGREE = 1.05
"""Two chains whose R-hat is below this, in every quantity, are in one group.

Looser than the limit for all chains together: with two chains it varies more.
"""


def all_agree(series: xr.Dataset) -> bool:
    """Whether the R-hat of all chains together is below R_HAT_LIMIT in every quantity (chain, draw)."""
    return _largest(_stacked(series)) < R_HAT_LIMIT


def pairwise_r_hat(series: xr.Dataset) -> pd.DataFrame:
    """The largest R-hat over the quantities (chain, draw) of each pair of chains; on the diagonal, of each chain's halves.

    Rank-normalised split R-hat (Vehtari et al. 2021, section 4). 1 where no quantity moves in either chain.
    """
    draws = _stacked(series)
    values = np.diag([_largest(_halves(chain)) for chain in draws])
    for i, j in combinations(range(len(draws)), 2):
        values[i, j] = values[j, i] = _largest(draws[[i, j]])
    return pd.DataFrame(values)


def chain_groups(pairwise: pd.DataFrame) -> tuple[tuple[int, ...], ...]:
    """Chains that agree, directly or through others: the pairs below AGREE linked, largest group first."""
    groups = linked(pairwise.to_numpy() < AGREE)
    return tuple(tuple(group) for group in sorted(groups, key=lambda group: (-len(group), group[0])))


def linked(links: NDArray[np.bool_]) -> list[list[int]]:
    """The connected sets of a symmetric relation (n, n), in the order of their first members."""
    n_groups, group = connected_components(links, directed=False)
    return [np.flatnonzero(group == i).tolist() for i in range(n_groups)]


def _stacked(series: xr.Dataset) -> Array:
    """(chain, draw, quantity)."""
    return np.stack([variable.transpose("chain", "draw").values for variable in series.data_vars.values()], axis=-1)


def _halves(draws: Array) -> Array:
    """The two halves of a chain (draw, quantity) as chains, (2, draw // 2, quantity)."""
    half = len(draws) // 2
    return np.stack([draws[:half], draws[-half:]])


def _largest(draws: Array) -> float:
    """The largest R-hat of the quantities, draws (chain, draw, quantity); of those that move."""
    moving = draws.min(axis=(0, 1)) < draws.max(axis=(0, 1))
    if not moving.any():
        return 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        values = array_stats.rhat(draws[..., moving], chain_axis=0, draw_axis=1, method="rank")
    return float(np.nan_to_num(values, nan=np.inf, posinf=np.inf).max())  # NaN: each chain stands still, at another place
