"""Anderson acceleration: coordinates there and back, and linear problems, which it solves exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.kernels.anderson import extrapolate, from_coordinates, to_coordinates
from tests.problems import Array

LAW = settings(derandomize=True, deadline=None, max_examples=25)
SEED = st.integers(0, 2**32 - 1)


def estimates(rng: np.random.Generator, n_components: int, n_features: int) -> tuple[Array, Array, Array]:
    counts = rng.uniform(1, 50, n_components)
    factors = rng.normal(size=(n_components, n_features, n_features + 2))
    return counts, rng.normal(size=(n_components, n_features)), counts[:, None, None] * factors @ factors.swapaxes(1, 2)


class TestCoordinates:
    @LAW
    @given(SEED, st.integers(1, 5), st.integers(1, 6))
    def test_there_and_back(self, seed: int, n_components: int, n_features: int) -> None:
        counts, means, scatters = estimates(np.random.default_rng(seed), n_components, n_features)
        coordinates = to_coordinates(counts, means, scatters)
        assert coordinates.shape == (n_components * (1 + n_features + n_features * (n_features + 1) // 2),)
        back = from_coordinates(coordinates, counts.sum(), n_components, n_features)
        for actual, expected in zip(back, (counts, means, scatters), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-11)

    def test_what_they_are(self) -> None:
        counts, means, scatters = estimates(np.random.default_rng(0), 2, 2)
        factors = np.linalg.cholesky(scatters / counts[:, None, None])
        expected = [*np.log(counts), *means.ravel()]
        for factor in factors:
            expected += [np.log(factor[0, 0]), factor[1, 0], np.log(factor[1, 1])]
        np.testing.assert_allclose(to_coordinates(counts, means, scatters), expected, rtol=1e-12)

    @LAW
    @given(SEED, st.integers(1, 4), st.integers(1, 4))
    def test_every_vector_stands_for_proper_estimates(self, seed: int, n_components: int, n_features: int) -> None:
        rng = np.random.default_rng(seed)
        size = n_components * (1 + n_features + n_features * (n_features + 1) // 2)
        counts, _, scatters = from_coordinates(rng.normal(size=size), 70.0, n_components, n_features)
        assert (counts > 0).all()
        np.testing.assert_allclose(counts.sum(), 70.0, rtol=1e-14)
        np.testing.assert_array_equal(scatters, scatters.swapaxes(1, 2))
        assert (np.linalg.eigvalsh(scatters) > 0).all()

    def test_a_common_shift_of_the_log_counts_changes_nothing(self) -> None:
        coordinates = to_coordinates(*estimates(np.random.default_rng(0), 3, 2))
        expected = from_coordinates(coordinates, 100.0, 3, 2)
        coordinates[:3] += 5000.0  # no overflow
        for actual, same in zip(from_coordinates(coordinates, 100.0, 3, 2), expected, strict=True):
            np.testing.assert_allclose(actual, same, rtol=1e-11)

    @pytest.mark.parametrize("scatter", [np.zeros((2, 2)), np.ones((2, 2)), np.diag([1.0, -1.0]), np.full((2, 2), np.nan)])
    def test_a_singular_scatter_has_none(self, scatter: Array) -> None:
        counts, means, scatters = estimates(np.random.default_rng(0), 3, 2)
        scatters[1] = scatter
        assert to_coordinates(counts, means, scatters).size == 0

    def test_a_tiny_scatter_has_some(self) -> None:
        counts, means, scatters = estimates(np.random.default_rng(0), 3, 2)
        coordinates = to_coordinates(counts, means, 1e-200 * scatters)
        back = from_coordinates(coordinates, counts.sum(), 3, 2)
        np.testing.assert_allclose(back[2], 1e-200 * scatters, rtol=1e-11)

    def test_an_overflow_is_seen_in_the_scatters(self) -> None:
        coordinates = to_coordinates(*estimates(np.random.default_rng(0), 2, 2))
        coordinates[-1] = 800.0
        assert not np.isfinite(from_coordinates(coordinates, 10.0, 2, 2)[2]).all()


class TestExtrapolate:
    @LAW
    @given(SEED, st.integers(1, 4))
    def test_a_linear_problem_takes_one_point_more_than_coordinates(self, seed: int, n_coordinates: int) -> None:
        """x -> A x + b with the spectrum of a slow EM: eigenvalues between 0 and 1 (Walker and Ni 2011, theorem 2.2)."""
        rng = np.random.default_rng(seed)
        axes = np.linalg.qr(rng.normal(size=(n_coordinates, n_coordinates)))[0]
        matrix, b = (axes * np.linspace(0.2, 0.95, n_coordinates)) @ axes.T, rng.normal(size=n_coordinates)
        limit = np.linalg.solve(np.eye(n_coordinates) - matrix, b)
        points = [np.zeros(n_coordinates)]
        images = [b]
        following = b
        for _ in range(n_coordinates):
            points.append(following)
            images.append(matrix @ following + b)
            following = extrapolate(np.array(points), np.array(images))
        np.testing.assert_allclose(following, limit, rtol=0, atol=1e-6 * np.abs(limit).max())

    def test_two_points_are_the_secant_method(self) -> None:
        points, images = np.array([[0.0], [1.0]]), np.array([[1.0], [1.5]])
        # f = 1 at 0 and 1/2 at 1: zero at 2.
        np.testing.assert_allclose(extrapolate(points, images), [2.0], rtol=1e-11)

    def test_the_least_squares_combination(self) -> None:
        rng = np.random.default_rng(0)
        points, images = rng.normal(size=(2, 4, 9))
        residuals = images - points
        weights = np.linalg.lstsq(np.diff(residuals, axis=0).T, residuals[-1], rcond=None)[0]
        expected = images[-1] - weights @ np.diff(images, axis=0)
        np.testing.assert_allclose(extrapolate(points, images), expected, rtol=1e-9, atol=1e-9)

    def test_points_that_say_nothing_give_the_last_image(self) -> None:
        """No differences at all; with twice the same one the answer is that of one."""
        point, image = np.array([1.0, 2.0]), np.array([1.1, 2.2])
        np.testing.assert_array_equal(extrapolate(np.array([point] * 3), np.array([image] * 3)), image)
        points = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
        images = points * 0.5 + [1.0, 0.0]
        np.testing.assert_allclose(extrapolate(points, images), [2.0, 0.0], atol=1e-9)

    def test_the_arguments_stay(self) -> None:
        rng = np.random.default_rng(0)
        points, images = rng.normal(size=(2, 3, 5))
        before = points.copy(), images.copy()
        extrapolate(points, images)
        np.testing.assert_array_equal((points, images), before)
