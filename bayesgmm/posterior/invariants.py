"""Label-invariant quantities of each draw: what convergence of a mixture posterior can be judged on."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import entr

from bayesgmm.kernels.draws import log_density_of_draws, log_likelihood_of_draws, responsibilities_of_draws
from bayesgmm.posterior.schema import (
    SAMPLE_DIMS,
    log_prior_of,
    matching_draws,
    observed_matrix,
    pointwise_log_likelihood,
    raw_posterior,
    recorded_draws,
)

Array = NDArray[np.float64]

N_POINTS = 5
N_PAIRS = 100
N_SINGLE_PAIRS = 2


def invariants(tree: xr.DataTree) -> xr.Dataset:
    """Quantities (chain, draw) of the raw draws that no permutation of components changes.

    - ``log_likelihood``: total, nats;
    - ``log_posterior``: it plus the log prior density of the parameters, or what the sampler recorded as its log density, where
      the tree has either;
    - ``weight_entropy``: -sum_k pi_k ln pi_k, nats;
    - ``log_det_total_covariance``: ln det of sum_k pi_k (Sigma_k + mu_k mu_k') - m m', with m = sum_k pi_k mu_k, of recorded
      values;
    - ``co_assignment``: mean over up to 100 fixed pairs of rows of the probability that both come from the same component;
    - ``co_assignment_of_rows_i_j``: that probability of the two of these pairs that it varies most for;
    - ``log_density_at_row_n``: ln p(x_n) at 5 rows spread over the data along their first principal axis.
    """
    raw, X = raw_posterior(tree), observed_matrix(tree)
    draws = recorded_draws(tree, raw)
    n_chains, n_draws = raw.sizes["chain"], raw.sizes["draw"]
    rows = _spread_rows(X)
    pointwise = pointwise_log_likelihood(tree, X)
    log_likelihood = log_likelihood_of_draws(X, *draws) if pointwise is None else pointwise.sum(axis=1)
    at_rows = log_density_of_draws(np.ascontiguousarray(X[rows]), *draws) if pointwise is None else pointwise[:, rows]
    values = {
        "log_likelihood": log_likelihood,
        **_log_posterior(tree, log_likelihood),
        "weight_entropy": entr(draws.weights).sum(axis=1),
        "log_det_total_covariance": _log_det_total_covariance(draws.weights, draws.means, draws.scale_trils),
        **_co_assignment(X, *draws),
        **{f"log_density_at_row_{row}": at_rows[:, i] for i, row in enumerate(rows)},
    }
    return xr.Dataset(
        {name: (SAMPLE_DIMS, value.reshape(n_chains, n_draws)) for name, value in values.items()},
        coords={dim: raw[dim] for dim in SAMPLE_DIMS if dim in raw.coords},
    )


def _spread_rows(X: Array) -> list[int]:
    """Rows at evenly spaced ranks along the first principal axis of the standardised data."""
    spread = X.std(axis=0)
    standardised = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    _, _, axes = np.linalg.svd(standardised, full_matrices=False)
    order = np.argsort(standardised @ axes[0], kind="stable")
    ranks = np.linspace(0, len(X) - 1, N_POINTS + 2)[1:-1].round().astype(int)
    return sorted({int(row) for row in order[ranks]})


def _log_det_total_covariance(weights: Array, means: Array, scale_trils: Array) -> Array:
    centre = np.einsum("sk,ski->si", weights, means)
    deviations = means - centre[:, None, :]
    within = np.einsum("sk,skim,skjm->sij", weights, scale_trils, scale_trils)
    between = np.einsum("sk,ski,skj->sij", weights, deviations, deviations)
    return np.linalg.slogdet(within + between)[1]


def _co_assignment(X: Array, weights: Array, means: Array, scale_trils: Array) -> dict[str, Array]:
    rng = np.random.default_rng(0)  # the same pairs for every tree with as many rows
    n_pairs = min(N_PAIRS, len(X) // 2)
    if n_pairs == 0:
        return {}
    first, second = rng.permutation(len(X))[: 2 * n_pairs].reshape(2, n_pairs)
    gamma = responsibilities_of_draws(np.ascontiguousarray(X[np.concatenate([first, second])]), weights, means, scale_trils)
    together = np.einsum("snk,snk->sn", gamma[:, :n_pairs], gamma[:, n_pairs:])
    varied = np.argsort(-together.std(axis=0), kind="stable")[:N_SINGLE_PAIRS]
    single = {f"co_assignment_of_rows_{first[pair]}_{second[pair]}": together[:, pair] for pair in sorted(varied)}
    return {"co_assignment": together.mean(axis=1), **single}


def _log_posterior(tree: xr.DataTree, log_likelihood: Array) -> dict[str, Array]:
    log_prior = log_prior_of(tree)
    if log_prior is not None:
        return {"log_posterior": log_likelihood + log_prior}
    if "sample_stats" in tree.children and "lp" in tree["sample_stats"]:
        lp = matching_draws(raw_posterior(tree), tree["sample_stats"].to_dataset()["lp"], "sample_stats lp")
        return {"log_posterior": lp.values.ravel()}
    return {}
