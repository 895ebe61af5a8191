"""Bridge sampling: integrals known, errors that are what they say, and no answer where there is none."""

import numpy as np
import pytest
from scipy import stats

from bayesgmm.evidence.bridge import Estimate, bridge, mean_of, share_errors
from bayesgmm.posterior.regions import UNMEASURED
from tests.representatives import representatives

LOG_INTEGRAL = 3.0


def estimated(rng, shift, scale, correlation=0.0, n_chains=4, n_draws=250, n_proposed=1000):
    """e^3 times a standard normal density, from an autoregressive chain, bridged from N(shift, scale^2)."""
    x = rng.standard_normal((n_chains, n_draws))
    for t in range(1, n_draws):
        x[:, t] = correlation * x[:, t - 1] + np.sqrt(1 - correlation**2) * x[:, t]
    q = stats.norm(shift, scale)
    y = q.rvs(n_proposed, random_state=rng)
    log_p = stats.norm().logpdf
    return bridge(log_p(x) + LOG_INTEGRAL, q.logpdf(x), log_p(y) + LOG_INTEGRAL, q.logpdf(y))


@pytest.mark.parametrize(
    ("shift", "scale", "correlation"),
    representatives([(0.5, 1.2, 0.0), (0.5, 1.2, 0.9), (1.5, 0.7, 0.5)], 1, others=pytest.mark.slow),
)
def test_errors_are_what_they_say(shift, scale, correlation):
    """z-scores of repetitions, also with draws of which ten are worth one."""
    rng = np.random.default_rng(1)
    values, errors = np.array([estimated(rng, shift, scale, correlation) for _ in range(150)]).T
    z = (values - LOG_INTEGRAL) / errors
    assert abs(z.mean()) < 0.3
    assert 0.85 < z.std() < 1.2


def test_correlated_draws_are_worth_less():
    rng = np.random.default_rng(2)
    errors = [np.mean([estimated(rng, 1.0, 1.0, rho).standard_error for _ in range(10)]) for rho in (0.0, 0.95)]
    assert errors[1] > 1.5 * errors[0]


def test_a_proposal_that_is_the_posterior_has_no_error():
    x = np.random.default_rng(3).normal(size=(2, 100))
    log_q = stats.norm().logpdf(x)
    found = bridge(log_q + LOG_INTEGRAL, log_q, log_q[0] + LOG_INTEGRAL, log_q[0])
    assert found.log_value == pytest.approx(LOG_INTEGRAL, abs=1e-12)
    assert found.standard_error == pytest.approx(0.0, abs=1e-12)


def test_constants_only_shift_the_value():
    """Also by thousands of nats, as for large data."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 200)), rng.normal(size=300)
    densities = (-(x**2) / 2, stats.t(5).logpdf(x), -(y**2) / 2, stats.t(5).logpdf(y))
    one = bridge(*densities)
    two = bridge(densities[0] - 12_345.0, densities[1], densities[2] - 12_345.0, densities[3])
    assert two.log_value == pytest.approx(one.log_value - 12_345.0, abs=1e-8)
    assert two.standard_error == pytest.approx(one.standard_error, rel=1e-6)


def test_draws_of_the_proposal_outside_of_the_support_count():
    """p is a half normal, q a whole one: half of the draws of q are impossible, and the integral is a half."""
    rng = np.random.default_rng(5)
    z = []
    for _ in range(60):
        x, y = np.abs(rng.normal(size=(4, 200))), rng.normal(size=1000)
        log_p = np.where(y > 0, stats.norm().logpdf(y), -np.inf)
        value, error = bridge(stats.norm().logpdf(x), stats.norm().logpdf(x), log_p, stats.norm().logpdf(y))
        z.append((value - np.log(0.5)) / error)
    assert abs(np.mean(z)) < 0.5
    assert 0.75 < np.std(z) < 1.3


def test_where_all_draws_of_the_proposal_are_impossible_nothing_is_known():
    x = np.random.default_rng(6).normal(size=(2, 50))
    assert bridge(-(x**2), -(x**2), np.full(100, -np.inf), np.zeros(100)) == (-np.inf, np.inf)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [20.0, 60.0, 1000.0])
def test_without_overlap_the_error_is_infinite(shift):
    """A few terms make up the means: the value is off by far, and an error from their spread would be about one."""
    found = estimated(np.random.default_rng(7), shift, 1.0)
    assert np.isfinite(found.log_value)
    assert found.standard_error == np.inf


def test_few_draws_of_equal_density():
    """No spread to estimate an effective number from."""
    found = bridge(np.zeros((1, 3)), np.zeros((1, 3)), np.zeros(5), np.zeros(5))
    assert found == pytest.approx((0.0, 0.0))


def test_the_mean_of_estimates_has_the_error_of_their_differences():
    agreeing = mean_of([Estimate(1.0, 0.3), Estimate(1.1, 0.4)])
    assert agreeing == pytest.approx((1.05, 0.25))
    apart = mean_of([Estimate(1.0, 0.1), Estimate(3.0, 0.1)])
    assert apart == pytest.approx((2.0, 1.0))


def test_a_mean_of_which_one_is_not_known_is_not_known():
    assert mean_of([Estimate(1.0, 0.1), Estimate(1.0, np.inf)]).standard_error == np.inf
    value, error = mean_of([Estimate(1.0, 0.1), Estimate(-np.inf, np.inf)])
    assert np.isnan(value)
    assert error == np.inf


def test_errors_of_shares_by_simulation():
    estimates = [Estimate(-5.0, 0.05), Estimate(-6.0, 0.1), Estimate(-7.0, 0.02)]
    rng = np.random.default_rng(8)
    centres, errors = np.array(estimates).T
    values = centres + errors * rng.normal(size=(20_000, 3))
    shares = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(share_errors(estimates), shares.std(axis=0), rtol=0.05)


def test_a_share_alone_is_sure_and_one_of_unknown_error_is_not():
    np.testing.assert_array_equal(share_errors([Estimate(-5.0, 0.1)]), 0.0)
    unmeasured = [Estimate(-5.0, np.nan), Estimate(-5.0, 0.0)]
    np.testing.assert_array_equal(share_errors(unmeasured), share_errors([Estimate(-5.0, UNMEASURED), Estimate(-5.0, 0.0)]))
    wild = share_errors([Estimate(-5.0, np.inf), Estimate(-5.0, 0.1)])
    assert (wild > 0.3).all()
