"""Scales of components that share the rate of their precisions' prior: one joint density, by quadrature and by its own story."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad, trapezoid

from bayesgmm.model.scale_priors import HierarchicalGamma, draw_scales, joint_log_density

PRIOR = HierarchicalGamma(np.array([2.0, 1.3]), np.array([0.2, 0.8]), np.array([10.0, 0.5]))
LEVEL = 1e-4  # of each Kolmogorov-Smirnov test; seeds are fixed
GRID = np.linspace(-70.0, 40.0, 2201)
"""ln sigma: the density of one falls as sigma^(2g) below, and as sigma^(-2 alpha) above."""


def of_column(d):
    return HierarchicalGamma(*(np.array([value[d]]) for value in (PRIOR.alpha, PRIOR.g, PRIOR.h)))


@pytest.mark.parametrize("n_components", [1, 2, 5])
@pytest.mark.parametrize("d", [0, 1])
def test_density_is_that_of_gammas_averaged_over_beta(n_components, d):
    scales = np.exp(np.random.default_rng(1).normal(size=n_components))
    alpha, g, h = PRIOR.alpha[d], PRIOR.g[d], PRIOR.h[d]

    def integrand(log_beta):
        of_precisions = stats.gamma(alpha, scale=np.exp(-log_beta)).logpdf(scales**-2) + np.log(2 * scales**-3)
        return np.exp(of_precisions.sum() + stats.gamma(g, scale=1 / h).logpdf(np.exp(log_beta)) + log_beta)

    expected = np.log(quad(integrand, -40, 10, limit=500, epsabs=0.0)[0])
    assert of_column(d).joint_logpdf(scales[:, None])[0] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("d", [0, 1])
def test_density_integrates_to_one_and_to_that_of_fewer(d):
    sigma = np.exp(GRID)
    of_one = np.exp(of_column(d).joint_logpdf(sigma[:, None, None])[:, 0] + GRID)
    assert trapezoid(of_one, GRID) == pytest.approx(1.0, abs=1e-5)
    some = slice(600, 1601, 50)
    pairs = np.stack(np.broadcast_arrays(sigma[some, None], sigma[None, :]), axis=-1)[..., None]
    of_two = np.exp(of_column(d).joint_logpdf(pairs)[..., 0] + GRID[some, None] + GRID)
    np.testing.assert_allclose(trapezoid(of_two, GRID, axis=1), of_one[some], rtol=1e-6)


@pytest.mark.parametrize("d", [0, 1])
def test_quantiles_are_those_of_one(d):
    of_one = np.exp(of_column(d).joint_logpdf(np.exp(GRID)[:, None, None])[:, 0] + GRID)
    for level in (0.01, 0.5, 0.99):
        quantile = PRIOR.ppf(level)[d]
        below = np.append(GRID[np.exp(GRID) < quantile], np.log(quantile))
        assert trapezoid(np.interp(below, GRID, of_one), below) == pytest.approx(level, abs=1e-4)


def test_columns_are_independent_and_components_exchangeable():
    scales = np.exp(np.random.default_rng(2).normal(size=(4, 3, 2)))
    whole = joint_log_density(PRIOR, scales)
    assert whole.shape == (4,)
    np.testing.assert_allclose(joint_log_density(PRIOR, scales[:, [2, 0, 1]]), whole, rtol=1e-12)
    parts = [joint_log_density(of_column(d), scales[..., [d]]) for d in (0, 1)]
    np.testing.assert_allclose(sum(parts), whole, rtol=1e-12)


def test_draws_share_one_beta_in_each_column():
    """Each alone has the marginal; the ratio of two is free of beta; those of two columns are independent."""
    draws = draw_scales(PRIOR, np.random.default_rng(3), (5000, 3, 2))
    assert draws.shape == (5000, 3, 2)
    for d in (0, 1):
        marginal = stats.betaprime(PRIOR.g[d], PRIOR.alpha[d])
        assert stats.kstest(PRIOR.h[d] * draws[:, 2, d] ** 2, marginal.cdf).pvalue > LEVEL
        ratio = stats.betaprime(PRIOR.alpha[d], PRIOR.alpha[d])
        assert stats.kstest((draws[:, 0, d] / draws[:, 1, d]) ** 2, ratio.cdf).pvalue > LEVEL
    assert stats.spearmanr(draws[:, 0, 0], draws[:, 1, 0]).statistic > 0.5
    assert stats.spearmanr(draws[:, 0, 0], draws[:, 1, 1]).pvalue > LEVEL
