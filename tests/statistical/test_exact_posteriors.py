"""NUTS against posteriors known exactly: the reference's three problems, and eight of the generator's."""

from itertools import combinations

import arviz_stats as azs
import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.kernels.draws import log_density_of_draws, responsibilities_of_draws
from bayesgmm.posterior.schema import flat_draws, raw_posterior
from tests.representatives import representative_values
from tests.statistical.exact import random_problem, solve
from tests.test_exact_generator import REFERENCE, reference_problem

pytestmark = [
    pytest.mark.statistical,
    pytest.mark.filterwarnings("ignore::bayesgmm.errors.SamplingWarning"),  # a few divergences in funnels; judged by the z-scores
]

SEED = 20_261_122
CHAINS, TUNE, DRAWS = 4, 500, 10_000
LEAST_ESS, MAX_EXTENSIONS = 4000, 15
TARGET_ACCEPT = 0.97  # with few rows scales may nearly vanish: small steps in the funnel
GENERATED = [  # family, D, K, prior of the scales, rounded
    ("VVV", 1, 2, "inverse_gamma", False),
    ("VVV", 1, 3, "log_normal", True),
    ("VVV", 1, 2, "half_student_t", True),
    ("EII", 1, 3, "half_normal", False),
    ("VVV", 2, 2, "inverse_gamma", True),
    ("VVV", 2, 3, "log_normal", False),
    ("VVV", 2, 2, "half_normal", True),
    ("EEI", 2, 2, "half_student_t", False),
]


def generated_problem(case):
    covariance, n_features, n_components, scale_prior, rounded = case
    return random_problem(
        np.random.default_rng(SEED + GENERATED.index(case)),
        covariance=covariance,
        n_features=n_features,
        n_components=n_components,
        scale_prior=scale_prior,
        rounded=rounded,
        n_samples=7,
    )


def recorded_draws(tree, resolution):
    """Weights, means and Cholesky factors of the recorded covariances, all draws in a row; their (chain, draw) shape."""
    raw = raw_posterior(tree)
    weights, means, factors = flat_draws(raw)
    covariances = factors @ factors.swapaxes(-1, -2) + np.diag(resolution**2) / 12
    return (weights, means, np.linalg.cholesky(covariances)), (raw.sizes["chain"], raw.sizes["draw"])


def occupied_series(gamma):
    """P(j components hold rows | draw), j = 1..K, shape (S, K): inclusion and exclusion over the sets that hold all rows."""
    n_components = gamma.shape[2]
    exactly, out = {}, np.zeros((len(gamma), n_components))
    for size in range(1, n_components + 1):
        for chosen in combinations(range(n_components), size):
            inside = gamma[:, :, list(chosen)].sum(axis=2).prod(axis=1)
            exactly[chosen] = inside - sum(value for smaller, value in exactly.items() if set(smaller) < set(chosen))
            out[:, size - 1] += exactly[chosen]
    return out


def z_scores(series, known):
    """(mean - known) / MCSE and the effective sample size; series (chain, draw, quantity).

    A component with one row may shrink far and stay there long, which autocorrelations within chains do not show: the standard
    error is the larger of ArviZ's and of the one between the means of the chains.
    """
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"value": (("chain", "draw", "quantity"), series)})})
    within = azs.mcse(tree, method="mean")["value"].values
    between = series.mean(axis=1).std(axis=0, ddof=1) / np.sqrt(len(series))
    ess = azs.ess(tree, method="mean")["value"].values
    return (series.mean(axis=(0, 1)) - known) / np.maximum(within, between), ess


def series_of(tree, problem, known):
    """Each quantity's draws (chain, draw, entry) and the exact values, but those that next to nothing moves."""
    parameters, shape = recorded_draws(tree, problem.resolution)
    gamma = responsibilities_of_draws(problem.X, *parameters)
    first, second = np.triu_indices(len(problem.X), 1)
    quantities = {
        "co-assignment": (np.einsum("snk,snk->sn", gamma[:, first], gamma[:, second]), known.co_assignment[first, second]),
        "occupied": (occupied_series(gamma), known.occupied),
    }
    out = {}
    for quantity, (series, expected) in quantities.items():
        keep = (expected > 1e-3) & (expected < 0.999)
        out[quantity] = (series.reshape(*shape, -1)[..., keep], expected[keep])
    if len(problem.points):
        out["predictive"] = (np.exp(log_density_of_draws(problem.points, *parameters)).reshape(*shape, -1), known.predictive)
    return out


def check(name, problem):
    """Draws are added until every quantity has the effective sample size that is asked for."""
    known = solve(problem)
    tree = bg.sample(
        problem.X,
        problem.n_components,
        covariance=problem.covariance,
        priors=problem.priors,
        resolution=problem.resolution,
        draws=DRAWS,
        tune=TUNE,
        chains=CHAINS,
        target_accept=TARGET_ACCEPT,
        seed=SEED,
    )
    for _ in range(MAX_EXTENSIONS + 1):
        scores = {quantity: z_scores(*series) for quantity, series in series_of(tree, problem, known).items()}
        least = min(ess.min(initial=np.inf) for _, ess in scores.values())
        if least >= LEAST_ESS:
            break
        tree = bg.extend(tree, DRAWS, seed=SEED)
    print(f"\n{name}, seed {SEED}, {tree.attrs['draws']} draws: {tree.attrs.get('problems', 'no problems')}")
    for quantity, (z, ess) in scores.items():
        print(f"  {quantity}: least ESS {ess.min(initial=np.inf):.0f}, largest |z| {abs(z).max(initial=0):.2f}")
        assert abs(z).max(initial=0) < 4
    assert least >= LEAST_ESS


@pytest.mark.parametrize("reference", representative_values(REFERENCE, 1), ids=lambda reference: reference["name"])
def test_reference_problems(reference):
    check(reference["name"], reference_problem(reference))


@pytest.mark.parametrize("case", representative_values(GENERATED, 1, 4), ids=lambda case: "-".join(map(str, case)))
def test_generated_problems(case):
    check("-".join(map(str, case)), generated_problem(case))
