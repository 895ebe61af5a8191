"""From moments to means, scatters and Cholesky factors, against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.kernels.estimates import centre, factorise
from tests.problems import Array

LAW = settings(derandomize=True, deadline=None, max_examples=25)
SIZES = (st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 7))


def covariances(rng: np.random.Generator, n_components: int, n_features: int) -> Array:
    factors = rng.normal(size=(n_components, n_features, n_features + 2))
    return factors @ factors.swapaxes(1, 2)


class TestCentre:
    @LAW
    @given(*SIZES)
    def test_equal_to_numpy(self, seed: int, n_components: int, n_features: int) -> None:
        rng = np.random.default_rng(seed)
        X, weights = rng.normal(size=(40, n_features)), rng.uniform(0.1, 1, (40, n_components))
        about = rng.normal(size=(n_components, n_features))
        deviations = X[:, None, :] - about
        sums = np.einsum("nk,nki->ki", weights, deviations)
        scatters = np.einsum("nk,nki,nkj->kij", weights, deviations, deviations)
        means, centred = centre(weights.sum(axis=0), sums, scatters, about)
        for k in range(n_components):
            mean = np.average(X, axis=0, weights=weights[:, k])
            np.testing.assert_allclose(means[k], mean, rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(centred[k], (weights[:, k, None] * (X - mean)).T @ (X - mean), rtol=1e-11, atol=1e-11)
        np.testing.assert_array_equal(centred, centred.swapaxes(1, 2))

    def test_moments_about_the_mean_stay(self) -> None:
        rng = np.random.default_rng(0)
        scatters, about = covariances(rng, 3, 2), rng.normal(size=(3, 2))
        means, centred = centre(np.array([2.0, 5.0, 7.0]), np.zeros((3, 2)), scatters, about)
        np.testing.assert_array_equal(means, about)
        np.testing.assert_array_equal(centred, scatters)

    def test_a_component_without_rows_is_nan(self) -> None:
        means, centred = centre(np.array([2.0, 0.0]), np.zeros((2, 2)), np.zeros((2, 2, 2)), np.ones((2, 2)))
        assert np.isnan(means[1]).all()
        assert np.isnan(centred[1]).all()
        assert np.isfinite(means[0]).all()


class TestFactorise:
    @LAW
    @given(*SIZES)
    def test_equal_to_numpy(self, seed: int, n_components: int, n_features: int) -> None:
        matrices = covariances(np.random.default_rng(seed), n_components, n_features)
        scale_trils, component = factorise(matrices, 1e-7)
        assert component == -1
        np.testing.assert_allclose(scale_trils, np.linalg.cholesky(matrices), rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(np.triu(scale_trils, 1), 0.0)

    @pytest.mark.parametrize("component", [0, 1, 2])
    @pytest.mark.parametrize("matrix", [np.zeros((2, 2)), np.ones((2, 2)), np.array([[1.0, 2.0], [2.0, 1.0]]), -np.eye(2)])
    def test_a_matrix_that_is_not_positive_definite(self, component: int, matrix: Array) -> None:
        matrices = covariances(np.random.default_rng(0), 3, 2)
        matrices[component] = matrix
        assert factorise(matrices, 1e-7)[1] == component

    def test_the_first_of_several(self) -> None:
        matrices = covariances(np.random.default_rng(0), 4, 2)
        matrices[[1, 3]] = 0.0
        assert factorise(matrices, 1e-7)[1] == 1

    @pytest.mark.parametrize("where", [(0, 0), (1, 0), (1, 1)])
    def test_nan(self, where: tuple[int, int]) -> None:
        matrices = covariances(np.random.default_rng(0), 3, 2)
        matrices[1, *where] = matrices[1, *where[::-1]] = np.nan
        assert factorise(matrices, 1e-7)[1] == 1

    @pytest.mark.parametrize(("scale", "component"), [(1.01e-7, -1), (0.99e-7, 1)])
    def test_the_smallest_scale(self, scale: float, component: int) -> None:
        """It is that of a direction given the columns before, here at right angles to a correlation."""
        tril = np.array([[1.0, 0.0], [0.5, scale]])
        narrow = np.diag([0.3, scale**2])
        assert factorise(np.array([np.eye(2), narrow]), 1e-7)[1] == component
        assert factorise(np.array([np.eye(2), tril @ tril.T]), 1e-5)[1] == 1

    @pytest.mark.parametrize(("widest", "component"), [(0.5, -1), (5.0, -1), (20.0, 0)])
    def test_in_units_of_the_component_where_it_is_wide(self, widest: float, component: int) -> None:
        """The rounding of a pivot is that of the largest diagonal element, whatever the column that has it."""
        for diagonal in ([widest**2, 1e-12], [1e-12, widest**2]):
            assert factorise(np.diag(diagonal)[None], 1e-7)[1] == component

    def test_the_argument_stays(self) -> None:
        matrices = covariances(np.random.default_rng(0), 3, 2)
        before = matrices.copy()
        factorise(matrices, 1e-7)
        np.testing.assert_array_equal(matrices, before)
