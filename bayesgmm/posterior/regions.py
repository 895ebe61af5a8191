"""The regions that the draws of a tree were put together from, and the modes of its posterior, as tables."""

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.params import MixtureParams
from bayesgmm.posterior.groupings import describe
from bayesgmm.posterior.schema import N_OCCUPIED, observed_matrix, region_of_draws, resolution_of
from bayesgmm.posterior.structures import grouping_of

UNSAMPLED = -1
"""Region of a mode whose mass was not measured by chains."""

UNMEASURED = 1.0
"""Standard error, in nats, that a region's mass which could not be measured is given where it is added to others."""


def region_table(tree: xr.DataTree) -> pd.DataFrame | None:
    """One row per region, or stratum, largest first; None where neither was told apart.

    ``n_occupied`` where regions are strata: how many components hold rows there; ``share`` of the posterior and its
    ``share_error``, ``log_evidence`` and its ``standard_error`` (nats, NaN where it could not be measured), ``of_draws`` (share
    of the draws), ``modes`` (their places), and the sorted ``weights`` of the leading one.
    """
    if "regions" not in tree.children or "modes" not in tree.children:
        return None
    regions, modes = tree["regions"].to_dataset(), tree["modes"].to_dataset()
    places = [np.flatnonzero(modes["region"].values == region) for region in regions["region"].values]
    of_draw = region_of_draws(tree)
    columns = [N_OCCUPIED] if N_OCCUPIED in regions else []
    table = regions[[*columns, "share", "share_error", "log_evidence", "standard_error"]].to_dataframe()
    table["of_draws"] = [float((of_draw == region).mean()) for region in regions["region"].values]
    table["modes"] = [tuple(members.tolist()) for members in places]
    table["weights"] = [_sorted_weights(modes, int(members[0])) for members in places]
    return table


def has_strata(tree: xr.DataTree) -> bool:
    """Whether the regions of a tree are strata, by how many components hold rows."""
    return "regions" in tree.children and N_OCCUPIED in tree["regions"].to_dataset()


def error_of_mean(values: NDArray[np.float64], tree: xr.DataTree, draws: NDArray[np.intp] | slice = slice(None)) -> float:
    """Monte Carlo standard error of the mean of (chain, draw) values of some draws: within regions, and of the regions' shares.

    By the delta method the errors e_r of the log masses of several regions add (share_r (mean_r - mean) e_r)^2 each.
    """
    if np.ptp(values) == 0:
        return 0.0
    of_draw = region_of_draws(tree)[:, draws]
    places = np.unique(of_draw)
    means = np.array([values[of_draw == place].mean() for place in places])
    within = values - means[np.searchsorted(places, of_draw)]
    error = float(azs.mcse(within, method="mean")) if np.ptp(within) else 0.0
    if len(places) == 1:
        return error
    shares = np.array([(of_draw == place).mean() for place in places])
    errors = np.nan_to_num(tree["regions"].to_dataset()["standard_error"].values[places], nan=UNMEASURED)
    return float(np.hypot(error, np.linalg.norm(shares * (means - shares @ means) * errors)))


def has_modes(tree: xr.DataTree) -> bool:
    """Whether the tree has modes that `mode_table` can tell of."""
    return "modes" in tree.children and {"region", "n_starts", "origin", "covariances"} <= set(tree["modes"].to_dataset())


def mode_table(tree: xr.DataTree) -> pd.DataFrame:
    """One row per mode, in the order of the tree's `modes`.

    ``share`` of the posterior, ``region`` (-1: of none), EM ``starts`` that led there, sorted ``weights``, ``origin``,
    and a ``description`` against the first, the reference.
    """
    modes = tree["modes"].to_dataset()
    X, resolution = observed_matrix(tree), resolution_of(tree)
    arrays = zip(*(modes[name].values for name in ("weights", "means", "covariances")), strict=True)
    groupings = [grouping_of(X, MixtureParams.from_covariances(*mode).recorded(resolution)) for mode in arrays]
    return pd.DataFrame(
        {
            "share": modes["share"].values,
            "region": modes["region"].values,
            "starts": modes["n_starts"].values,
            "weights": [_sorted_weights(modes, place) for place in range(len(groupings))],
            "origin": modes["origin"].values.astype(object),
            "description": ["the reference", *(describe(grouping, groupings[0]) for grouping in groupings[1:])],
        }
    ).rename_axis("mode")


def modes_without_draws(tree: xr.DataTree, least: float) -> pd.DataFrame:
    """``share`` and ``weights`` of the modes that hold so much of the posterior and that no draw is of."""
    modes = tree["modes"].to_dataset() if "modes" in tree.children else xr.Dataset()
    if not {"region", "visited", "share", "weights"} <= set(modes):
        return pd.DataFrame({"share": [], "weights": []})
    share, place = modes["share"].values, np.arange(modes.sizes["mode"])
    chosen = place[(share >= least) & (modes["region"].values == UNSAMPLED) & ~np.isin(place, modes["visited"].values)]
    return pd.DataFrame({"share": share[chosen], "weights": [_sorted_weights(modes, int(p)) for p in chosen]}, index=chosen)


def _sorted_weights(modes: xr.Dataset, place: int) -> tuple[float, ...]:
    return tuple(np.sort(modes["weights"].values[place])[::-1].tolist())
