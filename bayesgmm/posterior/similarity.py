"""similarity: how probable it is that two observations come from the same component."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.data import check_count
from bayesgmm.errors import InputError
from bayesgmm.partitions.from_draws import similarity_of_draws
from bayesgmm.posterior.pool import warn_unless_pooled
from bayesgmm.posterior.schema import group, observed_matrix, raw_posterior, recorded_draws

MAX_BYTES = 4 * 2**30


def similarity(tree: xr.DataTree, *, max_bytes: int = MAX_BYTES) -> xr.DataArray:
    """The posterior similarity matrix, P(z_i = z_j | X) for every pair of rows.

    Parameters
    ----------
    tree : DataTree
        From any sampler; relabelled or not, as a permutation of the components changes nothing.
    max_bytes : int
        Largest size of the matrix, 8 N^2 bytes; by default 4 GiB, N about 23 000. Twice as much is needed on the way.

    Returns
    -------
    DataArray
        (obs, obs_bis), symmetric: the mean over draws of sum_k gamma_ik gamma_jk for i != j, and 1 on the diagonal. Given the
        parameters the allocations of two rows are independent, so no allocation has to be drawn, and the only Monte-Carlo error
        is that of the parameters' draws. mcclust's `comp.psm` and salso's `psm` take the share of drawn allocations instead.
        The coordinates are those of obs in the tree's data.

    Warns
    -----
    SamplingWarning
        If the chains are steady in different modes, and were not weighed (`chain_weights`, `pool`).

    Raises
    ------
    InputError
        If the matrix would be larger than max_bytes.
    """
    advice = "raise max_bytes if there is memory for twice that, or take fewer rows"
    refuse_too_large(len(observed_matrix(tree)), check_count(max_bytes, "max_bytes"), advice)
    warn_unless_pooled(tree, "similarity")
    return similarity_of(tree)


def similarity_of(tree: xr.DataTree) -> xr.DataArray:
    """What `similarity` returns, whether or not the chains mix, however large."""
    matrix = similarity_of_draws(observed_matrix(tree), *recorded_draws(tree, raw_posterior(tree)))
    rows = names_of_rows(tree)
    return xr.DataArray(matrix, dims=("obs", "obs_bis"), coords={"obs": rows, "obs_bis": rows}, name="similarity")


def names_of_rows(tree: xr.DataTree) -> NDArray[Any]:
    """The obs coordinate of the data (N,); 0, 1, ... where it has none."""
    return np.asarray(group(tree, "observed_data")["obs"].values)


def refuse_too_large(n_samples: int, max_bytes: int, advice: str) -> None:
    """InputError with the advice if an (N, N) matrix of float64 takes more than max_bytes."""
    if 8 * n_samples**2 > max_bytes:
        raise InputError(
            f"the similarity matrix of N = {n_samples} rows takes {8 * n_samples**2 / 2**30:.3g} GiB, more than the "
            f"{max_bytes / 2**30:.3g} GiB allowed: {advice}"
        )
