"""Priors on correlation matrices and rotations: constants, densities and draws against what is known exactly."""

import numpy as np
import pytest
from scipy import integrate, stats

from bayesgmm.model.axes import (
    cayley,
    cayley_log_constant,
    cayley_log_density,
    draw_cayley,
    draw_lkj_trils,
    inverse_cayley,
    lkj_log_constant,
    lkj_log_density,
)

LEVEL = 1e-4  # of each Kolmogorov-Smirnov test; seeds are fixed


def trils_of(correlations):
    """Cholesky factors (..., 3, 3) of correlations (..., 3), in the order 1-0, 2-0, 2-1, and which are correlations at all."""
    matrices = np.broadcast_to(np.eye(3), (*correlations.shape[:-1], 3, 3)).copy()
    rows, columns = np.tril_indices(3, -1)
    matrices[..., rows, columns] = matrices[..., columns, rows] = correlations
    valid = np.linalg.eigvalsh(matrices)[..., 0] > 0
    return np.linalg.cholesky(matrices[valid]), valid


@pytest.mark.parametrize("eta", [0.7, 1.0, 2.0, 5.0])
def test_lkj_constant_in_two_columns_is_that_of_a_beta(eta):
    """A single correlation is Beta(eta, eta) on (-1, 1); for eta = 1 its density is 1/2."""
    correlation = 0.3
    tril = np.array([[1.0, 0.0], [correlation, np.sqrt(1 - correlation**2)]])
    expected = stats.beta(eta, eta, loc=-1, scale=2).logpdf(correlation)
    assert lkj_log_density(tril, eta) == pytest.approx(expected, rel=1e-12)
    assert np.exp(lkj_log_constant(1.0, 2)) == pytest.approx(0.5, rel=1e-14)


def test_lkj_constant_in_three_columns():
    """The correlation matrices of three columns have the volume pi^2 / 2 (Rousseeuw and Molenberghs 1994)."""
    assert np.exp(-lkj_log_constant(1.0, 3)) == pytest.approx(np.pi**2 / 2, rel=1e-12)


@pytest.mark.parametrize("eta", [1.0, 2.5])
def test_lkj_density_integrates_to_one(eta):
    """By uniform draws of the three correlations: density of the factor over |d correlations / d lower triangle| = A_11."""
    correlations = np.random.default_rng(1).uniform(-1, 1, size=(200_000, 3))
    trils, valid = trils_of(correlations)
    density = np.zeros(len(correlations))
    density[valid] = 8 * np.exp(lkj_log_density(trils, eta)) / trils[:, 1, 1]
    assert abs(density.mean() - 1) < 4 * density.std() / np.sqrt(len(density))


def test_lkj_density_is_a_power_of_the_determinant():
    """ln p(R) = ln c + (eta - 1) ln|R| of the correlations, less the Jacobian of the factor, prod A_ii^(D - 1 - i)."""
    trils = draw_lkj_trils(np.random.default_rng(2), 1.5, 4, (6,))
    log_diagonal = np.log(np.diagonal(trils, axis1=1, axis2=2))
    jacobian = (log_diagonal * (3 - np.arange(4))).sum(axis=1)
    for eta in (0.5, 1.0, 3.0):
        expected = lkj_log_constant(eta, 4) + (eta - 1) * np.linalg.slogdet(trils @ trils.swapaxes(1, 2))[1] + jacobian
        np.testing.assert_allclose(lkj_log_density(trils, eta), expected, rtol=1e-11)


@pytest.mark.parametrize(("eta", "n_features"), [(1.0, 2), (2.0, 3), (0.7, 4)])
def test_lkj_draws_have_beta_marginals(eta, n_features):
    """Every correlation is Beta(eta - 1 + D/2, the same) on (-1, 1) (Lewandowski, Kurowicka and Joe 2009)."""
    trils = draw_lkj_trils(np.random.default_rng(3), eta, n_features, (4000,))
    correlations = trils @ trils.swapaxes(1, 2)
    np.testing.assert_allclose(np.diagonal(correlations, axis1=1, axis2=2), 1.0, rtol=1e-13)
    shape = eta - 1 + n_features / 2
    for i, j in zip(*np.tril_indices(n_features, -1), strict=True):
        assert stats.kstest(correlations[:, i, j], stats.beta(shape, shape, loc=-1, scale=2).cdf).pvalue > LEVEL


def test_lkj_draws_have_the_determinant_of_the_density():
    """|R| of LKJ(eta) is a product of independent Beta(eta + (D - 1 - i)/2, i/2), i = 1 to D - 1."""
    rng = np.random.default_rng(4)
    trils = draw_lkj_trils(rng, 2.0, 3, (4000,))
    expected = rng.beta(2.5, 0.5, size=4000) * rng.beta(2.0, 1.0, size=4000)
    assert stats.ks_2samp(np.linalg.det(trils) ** 2, expected).pvalue > LEVEL


@pytest.mark.parametrize("n_features", [1, 2, 3, 5])
def test_cayley_is_a_rotation_and_has_an_inverse(n_features):
    s = np.random.default_rng(5).normal(scale=2.0, size=(7, n_features * (n_features - 1) // 2))
    rotations = cayley(s, n_features)
    np.testing.assert_allclose(rotations @ rotations.swapaxes(1, 2), np.tile(np.eye(n_features), (7, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0, rtol=1e-12)
    np.testing.assert_allclose(inverse_cayley(rotations), s, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(cayley(np.zeros_like(s), n_features)[0], np.eye(n_features))


def test_in_two_columns_a_uniform_angle_is_a_cauchy_tangent():
    """S is minus or plus the tangent of half the angle."""
    s = np.linspace(-5, 5, 11)[:, None]
    np.testing.assert_allclose(cayley_log_density(s, 2), stats.cauchy().logpdf(s[:, 0]), rtol=1e-12)
    rotations = cayley(s, 2)
    angles = np.arctan2(rotations[:, 1, 0], rotations[:, 0, 0])
    np.testing.assert_allclose(np.abs(s[:, 0]), np.tan(np.abs(angles) / 2), rtol=1e-12, atol=1e-15)


def test_in_three_columns_the_density_integrates_to_one():
    """det(I + S) = 1 + r^2 there, with r the length of s: an integral over r."""
    total, _ = integrate.quad(lambda r: 4 * np.pi * r**2 * np.exp(cayley_log_density(np.array([r, 0.0, 0.0]), 3)), 0, np.inf)
    assert total == pytest.approx(1.0, rel=1e-9)


def test_in_four_columns_the_density_integrates_to_one():
    """By importance sampling from a Student t with 1 degree of freedom."""
    proposal = stats.multivariate_t(np.zeros(6), np.eye(6) * 0.5, df=1, seed=np.random.default_rng(6))
    s = proposal.rvs(size=100_000)
    ratio = np.exp(cayley_log_density(s, 4) - proposal.logpdf(s))
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(ratio))
    assert ratio.std() < 5


def test_one_column_has_one_rotation():
    assert cayley_log_constant(1) == pytest.approx(0.0, abs=1e-12)
    assert cayley_log_density(np.zeros((3, 0)), 1).tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    assert draw_cayley(np.random.default_rng(7), 1, (3, 2)).shape == (3, 2, 0)


@pytest.mark.parametrize("n_features", [2, 3, 4])
def test_draws_are_uniform_rotations(n_features):
    """Each entry q of a uniform rotation is that of a point of the sphere: q^2 ~ Beta(1/2, (D - 1)/2), with either sign."""
    s = draw_cayley(np.random.default_rng(8), n_features, (4000,))
    rotations = cayley(s, n_features)
    expected = stats.beta(0.5, (n_features - 1) / 2)
    for i, j in np.ndindex(n_features, n_features):
        entries = rotations[:, i, j]
        assert stats.kstest(entries**2, expected.cdf).pvalue > LEVEL
        assert abs((entries > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(len(entries))


def test_angles_of_uniform_rotations_of_space():
    """The angle t of a uniform rotation has the distribution (t - sin t) / pi on (0, pi)."""
    rotations = cayley(draw_cayley(np.random.default_rng(9), 3, (4000,)), 3)
    angles = np.arccos(np.clip((np.trace(rotations, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert stats.kstest(angles, lambda t: (t - np.sin(t)) / np.pi).pvalue > LEVEL


def test_draws_follow_the_density():
    """Draws in four columns: the mean of the density ratio to another one is 1."""
    s = draw_cayley(np.random.default_rng(10), 4, (50_000,))
    ratio = np.exp(stats.multivariate_normal(np.zeros(6), np.eye(6) * 0.1).logpdf(s) - cayley_log_density(s, 4))
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(ratio))
    assert ratio.std() < 20
