"""What `sample` says of modes and regions, put into trees made without it."""

import numpy as np
import pandas as pd
import xarray as xr

from bayesgmm.posterior.schema import with_groups
from bayesgmm.sampling.log_evidence import Evidence


def with_regions(
    tree: xr.DataTree, *, shares: tuple[float, float] = (0.8, 0.2), share_error: float = 0.012, without_draws: float = 1e-4
) -> xr.DataTree:
    """The tree as if its draws were of two regions in these proportions, with a third mode that no draw is of.

    Each mode is at the mean of the draws, with the weights of its own.
    """
    posterior = tree["posterior"].to_dataset()
    n_chains, n_draws, n_components = posterior["weights"].transpose("chain", "draw", "cluster").shape
    centre = posterior[["weights", "means", "covariances"]].mean(("chain", "draw"))
    sizes = np.array([np.arange(1.0, n_components + 1) ** power for power in (0, 1, 2)])
    of_draw = np.tile((np.arange(n_draws) % 10 >= round(10 * shares[0])).astype(int), (n_chains, 1))
    modes = xr.Dataset(
        {
            **{name: centre[name].expand_dims(mode=3).copy() for name in ("means", "covariances")},
            "weights": (("mode", "cluster"), sizes / sizes.sum(axis=1, keepdims=True)),
            "share": ("mode", [*((1 - without_draws) * np.array(shares)), without_draws]),
            "region": ("mode", [0, 1, -1]),
            "n_starts": ("mode", [4, 2, 1]),
            "origin": ("mode", ["EM optimum 0", "EM optimum 1", "met while sampling"]),
            "visited": (("chain", "check"), of_draw[:, :10]),
        }
    )
    regions = xr.Dataset(
        {
            "log_evidence": ("region", -100 + np.log(shares)),
            "standard_error": ("region", [0.05, 0.1]),
            "share": ("region", list(shares)),
            "share_error": ("region", [share_error] * 2),
            "n_draws": ("region", [1000, 500]),
            "of_draw": (("chain", "draw"), of_draw),
        },
        coords={"region": [0, 1], "chain": posterior["chain"], "draw": posterior["draw"]},
    )
    return with_groups(tree, {"modes": modes, "regions": regions})


def made_evidence(n_small: int = 0) -> Evidence:
    """Two regions, the first of two modes, a mode without chains, one that holds next to nothing, and some more such."""
    shares = np.array([0.5, 0.3, 0.19, 0.01, 1e-40, *np.full(n_small, 1e-41)])
    modes = pd.DataFrame(
        {
            "share": shares,
            "log_evidence": -100 + np.log(shares),
            "standard_error": [0.02, 0.02, 0.05, *np.full(n_small + 2, np.nan)],
            "region": [0, 0, 1, -1, -1, *[-1] * n_small],
            "starts": [5, 1, 3, 0, 1, *[1] * n_small],
            "weights": [(0.6, 0.3, 0.1), (0.5, 0.25, 0.25), (0.9, 0.05, 0.05), (0.34, 0.33, 0.33), (1.0, 0.0, 0.0)]
            + [(1.0, 0.0, 0.0)] * n_small,
            "description": ["the largest", *["0 and 1 of the reference are together"] * (n_small + 4)],
        }
    ).rename_axis("mode")
    return Evidence(-100.0, 0.02, modes)
