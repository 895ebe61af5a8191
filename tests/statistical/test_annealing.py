"""Annealing from the atlas against evidences and shares of modes known exactly, and its parts against their definitions."""

import numpy as np
import pytest
from scipy import stats

from bayesgmm.evidence.atlas import atlas_of, map_from
from bayesgmm.evidence.chart import make_atlas
from bayesgmm.kernels.draws import responsibilities_of_draws
from bayesgmm.model.specification import specify
from bayesgmm.params import MixtureParams
from tests.representatives import representative_values
from tests.statistical.annealing import annealed_log_evidence, mode_shares
from tests.statistical.exact import random_problem, solve
from tests.statistical.regions import FAMILIES, log_mixture, regions_of
from tests.statistical.separated import separated_problem

pytestmark = pytest.mark.statistical

SEED = 20_261_122
CASES = [("VVV", 1, 3, "inverse_gamma"), ("EII", 1, 3, "log_normal"), ("VVI", 2, 2, "inverse_gamma"), ("EEI", 2, 2, "log_normal")]


def target_of(problem):
    return specify(problem.X, problem.n_components, problem.covariance, problem.priors, problem.resolution).target


def in_order(coordinates, u, order):
    """The same mixtures with their components in another order."""
    K, width = coordinates.own.shape
    columns = np.concatenate([order, *(K + width * k + np.arange(width) for k in order)])
    e = coordinates.extended(u)
    e[:, : len(columns)] = e[:, columns]
    return coordinates.contracted(e)


@pytest.mark.parametrize("covariance", FAMILIES)
def test_regions_are_what_they_say(covariance):
    """Each integrates to 1, its gradient is that of its density, its orders are orders, and the mixture knows none."""
    rng = np.random.default_rng(SEED)
    X = np.concatenate([rng.normal(-2, 1, (12, 2)), rng.normal(2, 1, (12, 2))])
    target = specify(X, 3, covariance, None, 0.0).target
    regions = regions_of(target, make_atlas(target, None, rng), rng)
    assert {region.n_occupied for region in regions} == {1, 2, 3}
    log_v = np.log(np.full(len(regions), 1 / len(regions)))
    for region in regions:
        u = region.draw(rng, 40_000)
        few, order = u[:5], rng.permutation(3)
        np.testing.assert_allclose(differences(region, few), region.gradient(few), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            np.sort(region.log_density(few, all_orders=True)),
            np.sort(region.log_density(in_order(region.coordinates, few, order), all_orders=True)),
            rtol=1e-9,
        )
        moved = in_order(region.coordinates, few, region.orders[-1])
        np.testing.assert_allclose(
            region.log_density(few, all_orders=True)[:, -1], region.log_density(moved, all_orders=False)[:, 0], rtol=1e-9
        )
        np.testing.assert_allclose(log_mixture(regions, log_v, moved), log_mixture(regions, log_v, few), rtol=1e-9)
        narrow = stats.multivariate_normal(np.median(u, axis=0), 0.5 * np.cov(u.T))
        ratio = np.exp(narrow.logpdf(u) - region.log_density(u, all_orders=False)[:, 0])
        error = ratio.std() / np.sqrt(len(u))
        assert error < 0.1
        assert abs(ratio.mean() - 1) < 4 * error


def differences(region, u):
    """The gradient of ln q_m by central differences."""
    step = 1e-5 * np.eye(u.shape[1])
    up, down = (np.array([region.log_density(u + sign * row, all_orders=False)[:, 0] for row in step]) for sign in (1, -1))
    return (up - down).T / 2e-5


@pytest.mark.parametrize("case", representative_values(CASES, 0), ids=lambda case: "-".join(map(str, case)))
def test_exact_problems(case):
    covariance, n_features, n_components, scale_prior = case
    rng = np.random.default_rng([SEED, CASES.index(case)])
    problem = random_problem(
        rng, covariance=covariance, n_features=n_features, n_components=n_components, scale_prior=scale_prior, n_samples=7
    )
    target, known = target_of(problem), solve(problem)
    annealed = annealed_log_evidence(target, make_atlas(target, None, rng), rng, n_particles=800)
    z = (annealed.log_value - known.log_evidence) / annealed.standard_error
    print(f"\n{case}: {annealed.log_value:.3f} ± {annealed.standard_error:.3f}, exact {known.log_evidence:.3f}, z {z:.2f}")
    assert annealed.standard_error < 0.1
    assert abs(z) < 4


@pytest.mark.parametrize("number", representative_values(range(4), 0))
def test_two_separated_modes(number):
    """Evidence within 4 standard errors, and the shares of the modes within 0.05, which no move between them helps to find."""
    rng = np.random.default_rng([SEED, number])
    separated = separated_problem(rng, ("VVI", "VVV")[number % 2])
    problem = separated.problem
    target = target_of(problem)
    atlas = atlas_of([map_from(target, start, "a grouping") for start in groupings(problem.X)], symmetric=True)
    assert len(atlas.modes) == 2
    annealed = annealed_log_evidence(target, atlas, rng, n_particles=800)
    z = (annealed.log_value - separated.known.log_evidence) / annealed.standard_error
    shares = separated.shares_given(responsibilities(target, annealed.resampled(rng, 2000))).mean(axis=0)
    print(f"\n{number}: {annealed.log_value:.3f} ± {annealed.standard_error:.3f}, z {z:.2f}; shares {shares}, {separated.shares}")
    assert annealed.standard_error < 0.1
    assert abs(z) < 4
    np.testing.assert_allclose(shares, separated.shares, atol=0.05)
    by_mode = mode_shares(target, atlas, annealed, rng)
    np.testing.assert_allclose(np.sort(by_mode), np.sort(separated.shares[:2]), atol=0.08)


def groupings(X):
    """Left against right, and top against bottom."""
    for column in range(2):
        side = X[:, column] > X[:, column].mean()
        rows = [X[side], X[~side]]
        scales = np.array([part.std(axis=0) + 0.1 * X.std(axis=0) for part in rows])
        yield MixtureParams(np.full(2, 0.5), np.array([part.mean(axis=0) for part in rows]), scales[:, :, None] * np.eye(2))


def responsibilities(target, u):
    mixtures = [target.mixture_at(one) for one in u]
    stacked = (np.array([getattr(params, name) for params in mixtures]) for name in ("weights", "means", "scale_trils"))
    return responsibilities_of_draws(target.X, *stacked)
