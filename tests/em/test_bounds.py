"""The bound on the ratio of eigenvalues: the best cut, and fits that keep it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.em.bounds import bound_eigenvalues
from bayesgmm.em.fit import fit_em
from bayesgmm.params import MixtureParams
from tests.problems import Array, random_data, random_params

LAW = settings(derandomize=True, deadline=None, max_examples=25)
SEED = st.integers(0, 2**32 - 1)


def problem(seed: int, n_components: int = 3, n_features: int = 3) -> tuple[Array, Array]:
    """Covariances whose eigenvalues span some powers of ten, and counts."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(n_components, n_features, n_features)))[0]
    eigenvalues = 10.0 ** rng.uniform(-3, 2, (n_components, n_features))
    return np.einsum("kij,kj,klj->kil", axes, eigenvalues, axes), rng.uniform(1, 50, n_components)


def cost(covariances: Array, counts: Array, bounded: Array) -> float:
    """-2 times the expected complete-data log-likelihood, without its constant."""
    traces = np.trace(np.linalg.solve(bounded, covariances), axis1=1, axis2=2)
    return float(counts @ (np.linalg.slogdet(bounded)[1] + traces))


def ratio(covariances: Array) -> float:
    eigenvalues = np.linalg.eigvalsh(covariances)
    return float(eigenvalues.max() / eigenvalues.min())


@LAW
@given(SEED, st.floats(1.0, 1e4))
def test_the_threshold_costs_least(seed: int, max_ratio: float) -> None:
    """Against a fine grid of thresholds m, eigenvalues cut to [m, max_ratio m]."""
    covariances, counts = problem(seed)
    bounded = bound_eigenvalues(covariances, counts, max_ratio)
    assert ratio(bounded) <= max_ratio * (1 + 1e-9)
    eigenvalues = np.linalg.eigvalsh(covariances)
    thresholds = np.geomspace(eigenvalues.min() / max_ratio, eigenvalues.max(), 20_000)[:, None, None]
    cut = np.clip(eigenvalues, thresholds, max_ratio * thresholds)
    costs = (counts[:, None] * (np.log(cut) + eigenvalues / cut)).sum(axis=(1, 2))
    least = cost(covariances, counts, bounded)
    assert least <= costs.min() + 1e-9 * abs(costs.min())
    np.testing.assert_allclose(least, costs.min(), rtol=1e-4, atol=1e-2)  # what the grid misses


@LAW
@given(SEED)
def test_axes_stay(seed: int) -> None:
    covariances, counts = problem(seed)
    bounded = bound_eigenvalues(covariances, counts, 5.0)
    products = bounded @ covariances
    np.testing.assert_allclose(products, products.swapaxes(1, 2), atol=1e-9 * np.abs(products).max())


def test_within_the_bound_nothing_changes() -> None:
    covariances, counts = problem(0)
    np.testing.assert_array_equal(bound_eigenvalues(covariances, counts, 1.001 * ratio(covariances)), covariances)


@LAW
@given(SEED, st.floats(-6, 6))
def test_a_common_factor_passes_through(seed: int, exponent: float) -> None:
    covariances, counts = problem(seed)
    factor = 10.0**exponent
    expected = factor * bound_eigenvalues(covariances, counts, 7.0)
    bounded = bound_eigenvalues(factor * covariances, 3.0 * counts, 7.0)
    np.testing.assert_allclose(bounded, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


def test_singular_covariances_become_proper() -> None:
    covariances = np.array([np.diag([1.0, 0.0]), np.zeros((2, 2)), np.diag([4.0, 2.0])])
    bounded = bound_eigenvalues(covariances, np.array([10.0, 2.0, 20.0]), 10.0)
    eigenvalues = np.linalg.eigvalsh(bounded)
    assert eigenvalues.min() > 0
    np.testing.assert_allclose(eigenvalues.max() / eigenvalues.min(), 10.0, rtol=1e-9)


def test_ratio_1_is_the_pooled_mean_variance() -> None:
    covariances, counts = problem(0)
    variance = np.einsum("k,kii->", counts, covariances) / (3 * counts.sum())
    np.testing.assert_allclose(bound_eigenvalues(covariances, counts, 1.0), [variance * np.eye(3)] * 3, rtol=1e-9, atol=1e-12)


def spurious() -> tuple[Array, Array]:
    """Rows of one group, and three of them so close together that a component for them has the highest likelihood."""
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(80, 2)), [2.0, 2.0] + 1e-4 * rng.normal(size=(4, 2))])
    return X * [1.0, 30.0], np.repeat([0, 1], [80, 4])


def standardised(params: MixtureParams, X: Array) -> Array:
    return params.affine(1 / X.std(axis=0), np.zeros(2)).covariances


class TestFit:
    @pytest.mark.parametrize("name", ["VVV", "VVI", "VII"])
    @pytest.mark.parametrize("max_ratio", [1.0, 5.0, 100.0])
    def test_it_keeps_the_bound(self, name: str, max_ratio: float) -> None:
        X, labels = spurious()
        free = fit_em(X, 2, covariance=name, init=labels, tol=1e-6)
        bounded = fit_em(X, 2, covariance=name, init=labels, max_eigenvalue_ratio=max_ratio, tol=1e-6)

        def found(params: MixtureParams) -> float:
            return ratio(params.covariances if name == "VII" else standardised(params, X))

        assert found(free.params) > 1e5
        assert found(bounded.params) <= max_ratio * (1 + 1e-9)
        assert bounded.converged
        assert (np.diff(bounded.trace) >= 0).all()
        assert bounded.log_likelihood < free.log_likelihood
        assert free.spurious
        assert not any("narrower" in sign for sign in bounded.spurious)

    def test_one_column(self) -> None:
        rng = np.random.default_rng(2)
        X, labels = rng.normal(size=(100, 1)) * np.repeat([1.0, 10.0], 50)[:, None], np.repeat([0, 1], 50)
        em = fit_em(X, 2, covariance="V", init=labels, max_eigenvalue_ratio=4.0, tol=1e-6)
        np.testing.assert_allclose(ratio(em.params.covariances), 4.0, rtol=1e-9)

    def test_a_wide_bound_changes_nothing(self) -> None:
        rng = np.random.default_rng(0)
        X, labels = random_data(rng, random_params(rng, 2, 2), 200)
        assert fit_em(X, 2, init=labels, max_eigenvalue_ratio=1e6).runs == fit_em(X, 2, init=labels).runs

    def test_equal_spheres(self) -> None:
        """In columns of one unit the bound 1 makes VVV, VVI and VII the family EII."""
        rng = np.random.default_rng(1)
        X, labels = random_data(rng, random_params(rng, 2, 2), 200)
        X /= X.std(axis=0)
        expected = fit_em(X, 2, covariance="EII", init=labels, tol=1e-9)
        for name in ("VVV", "VVI", "VII"):
            em = fit_em(X, 2, covariance=name, init=labels, max_eigenvalue_ratio=1.0, tol=1e-9)
            np.testing.assert_allclose(em.log_likelihood, expected.log_likelihood, atol=1e-8)
            np.testing.assert_allclose(em.params.covariances, expected.params.covariances, rtol=1e-4, atol=1e-8)

    def test_random_starts_never_lower_the_objective(self) -> None:
        X, _ = spurious()
        em = fit_em(X, 3, max_eigenvalue_ratio=20.0, n_init=8, n_long=8, tol=1e-5, seed=0)
        assert all((np.diff(run.trace) >= 0).all() for run in em.runs)
        assert all(run.converged for run in em.runs)
