"""Label-invariant quantities of each draw: what convergence of a mixture posterior can be judged on."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.kernels.draws import log_density_of_draws, responsibilities_of_draws
from bayesgmm.posterior.schema import SAMPLE_DIMS, observed_matrix, raw_posterior, recorded_draws

Array = NDArray[np.float64]

N_POINTS = 5
N_PAIRS = 100


def invariants(tree: xr.DataTree) -> xr.Dataset:
    """Quantities (chain, draw) of the raw draws that no permutation of components changes.

    - ``log_likelihood``: total, nats;
    - ``weight_entropy``: -sum_k pi_k ln pi_k, nats;
    - ``log_det_total_covariance``: ln det of sum_k pi_k (Sigma_k + mu_k mu_k') - m m', with m = sum_k pi_k mu_k, of recorded
      values;
    - ``co_assignment``: mean over up to 100 fixed pairs of rows of the probability that both come from the same component;
    - ``log_density_at_row_n``: ln p(x_n) at 5 rows spread over the data along their first principal axis.
    """
    raw, X = raw_posterior(tree), observed_matrix(tree)
    draws = recorded_draws(tree, raw)
    n_chains, n_draws = raw.sizes["chain"], raw.sizes["draw"]
    log_density = _pointwise(tree, X)
    if log_density is None:
        log_density = log_density_of_draws(X, *draws)
    rows = _spread_rows(X)
    values = {
        "log_likelihood": log_density.sum(axis=1),
        "weight_entropy": _entropy(draws.weights),
        "log_det_total_covariance": _log_det_total_covariance(draws.weights, draws.means, draws.scale_trils),
        "co_assignment": _co_assignment(X, *draws),
        **{f"log_density_at_row_{row}": log_density[:, row] for row in rows},
    }
    return xr.Dataset(
        {name: (SAMPLE_DIMS, value.reshape(n_chains, n_draws)) for name, value in values.items()},
        coords={dim: raw[dim] for dim in SAMPLE_DIMS if dim in raw.coords},
    )


def _pointwise(tree: xr.DataTree, X: Array) -> Array | None:
    """The log_likelihood group's single (chain, draw, obs) variable, flat, if the tree has it."""
    if "log_likelihood" not in tree.children:
        return None
    variables = list(tree["log_likelihood"].to_dataset().data_vars.values())
    if len(variables) != 1 or set(variables[0].dims) != {*SAMPLE_DIMS, "obs"}:
        return None
    return variables[0].transpose(*SAMPLE_DIMS, "obs").values.reshape(-1, len(X))


def _spread_rows(X: Array) -> list[int]:
    """Rows at evenly spaced ranks along the first principal axis of the standardised data."""
    standardised = (X - X.mean(axis=0)) / X.std(axis=0)
    _, _, axes = np.linalg.svd(standardised, full_matrices=False)
    order = np.argsort(standardised @ axes[0], kind="stable")
    ranks = np.linspace(0, len(X) - 1, N_POINTS + 2)[1:-1].round().astype(int)
    return sorted({int(row) for row in order[ranks]})


def _entropy(weights: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.where(weights > 0, weights * np.log(weights), 0.0).sum(axis=-1)


def _log_det_total_covariance(weights: Array, means: Array, scale_trils: Array) -> Array:
    centre = np.einsum("sk,ski->si", weights, means)
    deviations = means - centre[:, None, :]
    within = np.einsum("sk,skim,skjm->sij", weights, scale_trils, scale_trils)
    between = np.einsum("sk,ski,skj->sij", weights, deviations, deviations)
    return np.linalg.slogdet(within + between)[1]


def _co_assignment(X: Array, weights: Array, means: Array, scale_trils: Array) -> Array:
    rng = np.random.default_rng(0)  # the same pairs for every tree with as many rows
    n_pairs = min(N_PAIRS, len(X) // 2)
    if n_pairs == 0:
        return np.ones(len(weights))
    pairs = rng.permutation(len(X))[: 2 * n_pairs]
    gamma = responsibilities_of_draws(np.ascontiguousarray(X[pairs]), weights, means, scale_trils)
    return np.einsum("snk,snk->s", gamma[:, :n_pairs], gamma[:, n_pairs:]) / n_pairs
