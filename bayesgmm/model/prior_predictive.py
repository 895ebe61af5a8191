"""sample_prior: what the priors say before the data, as parameters and as data sets."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayesgmm.data import check_count, check_seed
from bayesgmm.em.result import EMResult, sample_mixture
from bayesgmm.model.coordinates import Parameters, covariances, factors
from bayesgmm.model.priors import Priors
from bayesgmm.model.specification import specify
from bayesgmm.model.structure import Structure
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.schema import SAMPLE_DIMS, posterior_dataset

Array = NDArray[np.float64]

MAX_ROWS = 500
"""Rows of each simulated data set, at most."""


def sample_prior(
    X: Any,
    n_components_or_em: int | EMResult,
    *,
    covariance: str | None = None,
    priors: Priors | None = None,
    resolution: float | ArrayLike | None = None,
    draws: int = 500,
    seed: int | np.random.Generator | None = None,
) -> xr.DataTree:
    """Independent draws from the priors, each with a data set drawn from it; nothing is compiled.

    Parameters
    ----------
    X, n_components_or_em, covariance, priors, resolution
        As for `build_model`; the data give the priors their scale, and the data sets their size.
    draws : int
        Number of draws.
    seed : int, Generator or None
        The same seed gives the same draws.

    Returns
    -------
    DataTree
        `prior`: weights, means, covariances, scales and correlations (chain, draw, cluster, ...), one chain, named as in the
        posterior of `sample`. `prior_predictive`: X (chain, draw, obs, feature), recorded values, of as many rows as the data but
        at most 500, as its attributes say. `observed_data`: X. `constant_data`: resolution (feature). The attributes give the
        covariance family and the priors in words.

    Raises
    ------
    InputError
        Bad data or arguments, or a prior under which the posterior would be improper.
    """
    specification = specify(X, n_components_or_em, covariance, priors, resolution)
    dataset, target = specification.dataset, specification.target
    rng = np.random.default_rng(check_seed(seed))
    parameters = target.priors.draw(rng, check_count(draws, "draws"))
    steps = (np.zeros_like(target.resolution), target.resolution)
    true, recorded = (_scale_trils(parameters, target.structure, resolution) for resolution in steps)
    n_rows = min(dataset.n_samples, MAX_ROWS)
    simulated = _simulated(parameters.weights, parameters.means, recorded, n_rows, rng)
    prior = posterior_dataset(parameters.weights[None], parameters.means[None], true[None], dataset.columns)
    feature = {"feature": list(dataset.columns)}
    size = {"rows": n_rows, "rows_of_the_data": dataset.n_samples}
    tree = xr.DataTree.from_dict(
        {
            "prior": prior,
            "prior_predictive": xr.Dataset(
                {"X": ((*SAMPLE_DIMS, "obs", "feature"), simulated[None])},
                {**{dim: prior[dim] for dim in SAMPLE_DIMS}, "obs": np.arange(n_rows), **feature},
                size,
            ),
            "observed_data": xr.Dataset({"X": (("obs", "feature"), dataset.X)}, {"obs": np.arange(dataset.n_samples), **feature}),
            "constant_data": xr.Dataset({"resolution": ("feature", target.resolution)}, feature),
        }
    )
    tree.attrs = {"covariance": target.structure.family, "priors": target.priors.describe(dataset.columns)}
    return tree


def _scale_trils(parameters: Parameters, structure: Structure, resolution: Array) -> Array:
    """Lower factors (S, K, D, D) of Sigma_k + diag(resolution^2)/12.

    Rotated ones from a QR decomposition, as semi-axes may differ by more than the precision of numbers, which covariances lose.
    """
    if structure.axes != "rotations":
        return np.linalg.cholesky(covariances(parameters, structure) + np.diag(resolution**2 / 12))
    roots = factors(parameters, structure).swapaxes(-1, -2)
    noise = np.broadcast_to(np.diag(resolution / np.sqrt(12)), roots.shape)
    triangles = np.linalg.qr(np.concatenate([roots, noise], axis=-2), mode="r")
    signs = np.where(np.diagonal(triangles, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    return (signs[..., None] * triangles).swapaxes(-1, -2)


def _simulated(weights: Array, means: Array, scale_trils: Array, n_rows: int, rng: np.random.Generator) -> Array:
    """A data set (S, n_rows, D) from each of S mixtures."""
    mixtures = (MixtureParams(*draw) for draw in zip(weights, means, scale_trils, strict=True))
    return np.array([sample_mixture(mixture, n_rows, rng)[0] for mixture in mixtures])
