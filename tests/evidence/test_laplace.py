"""find_mode against functions whose modes, shapes and integrals are known."""

import numpy as np
import pytest
from scipy import stats

from bayesgmm.evidence.laplace import WIDEST, ascend, find_mode


def gaussian(mean, covariance, log_mass=0.0):
    precision = np.linalg.inv(covariance)
    top = log_mass - 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
    return lambda u: (float(top - 0.5 * (u - mean) @ precision @ (u - mean)), -precision @ (u - mean))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_gaussian_is_its_own_approximation(size):
    rng = np.random.default_rng(1)
    root = np.tril(rng.normal(size=(size, size))) + 2 * np.eye(size)
    units = 10.0 ** rng.integers(-2, 3, size)
    mean, covariance = rng.normal(size=size) * units, root @ root.T * np.outer(units, units)
    start = mean + 3 * units * rng.normal(size=size)
    mode = find_mode(gaussian(mean, covariance, 7.5), start, units * 3)
    scales = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(mode.u / scales, mean / scales, atol=1e-3)
    np.testing.assert_allclose(
        mode.metric @ mode.metric.T / np.outer(scales, scales), covariance / np.outer(scales, scales), atol=1e-8
    )
    assert mode.n_guarded == 0
    assert mode.log_mass == pytest.approx(7.5, abs=1e-5)


def test_laplace_of_a_gamma_is_stirling():
    """The logarithm of a Gamma(a) variable: ln Gamma(a) is approximated by a ln a - a - ln(a) / 2 + ln(2 pi) / 2."""
    shape = 20.0
    mode = find_mode(lambda u: (float(shape * u[0] - np.exp(u[0])), shape - np.exp(u)), np.array([0.0]), np.array([0.3]))
    assert mode.u[0] == pytest.approx(np.log(shape), abs=1e-3)
    assert mode.log_mass == pytest.approx(shape * np.log(shape) - shape - 0.5 * np.log(shape) + 0.5 * np.log(2 * np.pi), abs=1e-5)


def test_the_mode_is_found_from_where_the_density_is_convex():
    """In the tails of Student's t the Hessian has the wrong sign."""
    nu = 3.0

    def log_density(u):
        return float(stats.t(nu).logpdf(u).sum()), -(nu + 1) * u / (nu + u**2)

    mode = find_mode(log_density, np.array([4.0, -6.0]), np.ones(2))
    np.testing.assert_allclose(mode.u, 0.0, atol=2e-3)
    assert mode.n_guarded == 0
    np.testing.assert_allclose(mode.metric @ mode.metric.T, nu / (nu + 1) * np.eye(2), atol=1e-4)


def test_flat_directions_have_a_bounded_width():
    def ridge(u):
        return -0.5 * float(u[0] ** 2), np.array([-u[0], 0.0])

    mode = find_mode(ridge, np.array([1.0, 5.0]), np.array([1.0, 0.2]))
    assert mode.n_guarded == 1
    covariance = mode.metric @ mode.metric.T
    np.testing.assert_allclose(covariance, np.diag([1.0, (WIDEST * 0.2) ** 2]), atol=1e-6)
    assert mode.u == pytest.approx([0.0, 5.0], abs=1e-3)


def test_a_saddle_is_left_for_a_mode():
    """exp(-(x^2 - 1)^2 - y^2 / 2) from near its saddle at x = 0."""

    def log_density(u):
        x, y = u
        return -((x**2 - 1) ** 2) - 0.5 * y**2, np.array([-4 * x * (x**2 - 1), -y])

    mode = find_mode(log_density, np.array([0.05, 0.5]), np.ones(2))
    np.testing.assert_allclose(mode.u, [1.0, 0.0], atol=1e-3)
    np.testing.assert_allclose(mode.metric @ mode.metric.T, np.diag([1 / 8, 1.0]), rtol=1e-2, atol=1e-8)
    assert mode.n_guarded == 0


def test_starts_where_the_density_is_not_finite():
    def half_line(u):
        return (float(np.log(u[0]) - u[0]), 1 / u - 1) if u[0] > 0 else (-np.inf, np.full(1, np.nan))

    for start in (-1.0, 0.0):
        assert find_mode(half_line, np.array([start]), np.ones(1)) is None
    mode = find_mode(half_line, np.array([5.0]), np.ones(1))  # steps may leave the support on the way
    assert mode.u[0] == pytest.approx(1.0, abs=1e-2)


def test_ascend_never_goes_down():
    rng = np.random.default_rng(2)

    def rosenbrock(u):
        x, y = u
        return -((1 - x) ** 2) - 100 * (y - x**2) ** 2, np.array([2 * (1 - x) + 400 * x * (y - x**2), -200 * (y - x**2)])

    for start in rng.normal(size=(5, 2)):
        top = ascend(rosenbrock, start, 0.1 * np.eye(2))
        assert rosenbrock(top)[0] >= rosenbrock(start)[0]
        np.testing.assert_allclose(top, 1.0, atol=0.05)
