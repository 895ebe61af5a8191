"""NUTS against posteriors known exactly: tiny data, all allocations summed, covariances by quadrature (tests/reference)."""

import json
from pathlib import Path

import arviz_stats as azs
import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.kernels.draws import responsibilities_of_draws
from bayesgmm.posterior.schema import flat_draws, raw_posterior

pytestmark = pytest.mark.statistical

PROBLEMS = json.loads((Path(__file__).parents[1] / "reference" / "exact_posteriors.json").read_text())
SEED = 20_261_122
CHAINS, DRAWS = 16, 10_000
CASES = [*((problem, "auto") for problem in PROBLEMS), (PROBLEMS[-1], "nutpie")]


def priors_of(problem):
    priors = problem["priors"]
    return bg.Priors(
        concentration=priors["dirichlet_alpha"],
        mean_loc=priors["mean_loc"],
        mean_scale=priors["mean_scale"],
        scale_prior="half_normal",
        scale_params={"sigma": priors["sd_halfnormal_scale"]},
        lkj_eta=priors["lkj_eta"],
    )


def co_assignment_series(X, tree):
    """P(z_i = z_j | draw) of every pair i < j, as a dataset over (chain, draw, pair)."""
    raw = raw_posterior(tree)
    gamma = responsibilities_of_draws(X, *flat_draws(raw))
    first, second = np.triu_indices(len(X), 1)
    series = np.einsum("snk,snk->sn", gamma[:, first], gamma[:, second])
    values = series.reshape(raw.sizes["chain"], raw.sizes["draw"], -1)
    return xr.Dataset({"co_assignment": (("chain", "draw", "pair"), values)})


@pytest.mark.parametrize(("problem", "sampler"), CASES, ids=lambda value: value if isinstance(value, str) else value["name"])
def test_co_assignment_probabilities(problem, sampler):
    """Within 4 Monte-Carlo standard errors, at an effective sample size of at least 2000 for every pair.

    With half-normal scales a component that holds one point may shrink far (a funnel). A chain visits that region rarely and
    stays long, which autocorrelations within chains do not show; so the standard error is the larger of ArviZ's and of the one
    between the chains' means.
    """
    X = np.array(problem["X"])
    tree = bg.sample(
        X,
        problem["n_components"],
        priors=priors_of(problem),
        draws=DRAWS,
        chains=CHAINS,
        sampler=sampler,
        target_accept=0.99,
        seed=SEED,
    )
    series = xr.DataTree.from_dict({"posterior": co_assignment_series(X, tree)})
    ess = azs.ess(series, method="mean")["co_assignment"].values
    mcse_within = azs.mcse(series, method="mean")["co_assignment"].values
    chain_means = series["posterior"]["co_assignment"].mean("draw").values
    mcse = np.maximum(mcse_within, chain_means.std(axis=0, ddof=1) / np.sqrt(CHAINS))
    estimates = series["posterior"]["co_assignment"].mean(("chain", "draw")).values
    exact = np.array(problem["co_assignment"])[np.triu_indices(len(X), 1)]
    assert ess.min() > 2000
    z = (estimates - exact) / mcse
    print(f"{problem['name']} by {sampler}: least ESS {ess.min():.0f}, largest |z| {abs(z).max():.2f}, seed {SEED}")
    assert abs(z).max() < 4
