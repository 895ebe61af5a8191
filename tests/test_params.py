"""MixtureParams: what it refuses at birth, and the laws of what can be done with it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.errors import InputError
from bayesgmm.kernels.density import compute_log_density
from bayesgmm.params import MixtureParams
from tests.problems import Array, random_data, random_params

LAW = settings(derandomize=True, deadline=None, max_examples=40)
SHAPES = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5))  # seed, K, D


def params_of(shape: tuple[int, int, int]) -> MixtureParams:
    seed, n_components, n_features = shape
    return random_params(np.random.default_rng(seed), n_components, n_features)


def two() -> MixtureParams:
    trils = [[[1.0, 0.0], [0.5, 2.0]], [[3.0, 0.0], [0.0, 1.0]]]
    return MixtureParams(np.array([0.25, 0.75]), np.array([[0.0, 1.0], [2.0, 3.0]]), np.array(trils))


def message_of(weights: Any, means: Any, scale_trils: Any) -> str:
    with pytest.raises(InputError) as caught:
        MixtureParams(weights, means, scale_trils)
    return str(caught.value)


class TestBirth:
    def test_means_that_do_not_fit_the_rest(self) -> None:
        said = message_of(np.full(2, 0.5), np.zeros((3, 2)), np.array([np.eye(3)] * 2))
        expected = "means are (3, 2), so weights must be (3,) and scale_trils (3, 2, 2); got (2,) and (2, 3, 3)"
        assert said == f"MixtureParams: {expected}"

    @pytest.mark.parametrize("means", [np.zeros(2), np.zeros((2, 1, 1)), np.zeros((0, 2)), np.zeros((2, 0))])
    def test_means_that_are_no_matrix(self, means: Array) -> None:
        said = message_of(np.full(2, 0.5), means, np.ones((2, 1, 1)))
        assert said == f"MixtureParams: means must be a non-empty (K, D) array; got shape {means.shape}"

    @pytest.mark.parametrize(
        ("name", "where", "value", "said"),
        [
            ("weights", (1,), np.nan, "weights[1] is nan; all values must be finite"),
            ("means", (1, 0), np.inf, "means[1, 0] is inf; all values must be finite"),
            ("scale_trils", (0, 1, 0), -np.inf, "scale_trils[0, 1, 0] is -inf; all values must be finite"),
            ("weights", (0,), -0.25, "weights[0] is -0.25; weights cannot be negative"),
            ("weights", (1,), 0.5, "the weights sum to 0.75; they must sum to 1"),
            ("scale_trils", (1, 1, 1), 0.0, "scale_trils[1, 1, 1] is 0; Cholesky factors have positive diagonals"),
            ("scale_trils", (0, 0, 0), -2.0, "scale_trils[0, 0, 0] is -2; Cholesky factors have positive diagonals"),
            ("scale_trils", (1, 0, 1), 0.5, "scale_trils[1, 0, 1] is 0.5; Cholesky factors are lower triangular"),
        ],
    )
    def test_a_bad_value(self, name: str, where: tuple[int, ...], value: float, said: str) -> None:
        arrays = {n: getattr(two(), n).copy() for n in ("weights", "means", "scale_trils")}
        arrays[name][where] = value
        assert message_of(**arrays) == f"MixtureParams: {said}"

    def test_a_weight_may_be_0(self) -> None:
        assert MixtureParams(np.array([0.0, 1.0]), two().means, two().scale_trils).weights[0] == 0.0

    def test_weights_are_divided_by_their_sum(self) -> None:
        params = MixtureParams(np.array([0.25, 0.75]) * (1 + 5e-9), two().means, two().scale_trils)
        assert abs(params.weights.sum() - 1.0) <= 2 * np.finfo(float).eps

    def test_lists_and_integers_will_do(self) -> None:
        params = MixtureParams([1], [[2, 3]], [[[1, 0], [0, 4]]])  # type: ignore[arg-type]
        assert (params.n_components, params.n_features) == (1, 2)
        assert params.means.dtype == params.scale_trils.dtype == np.float64


class TestCurrency:
    def test_arrays_are_read_only_copies(self) -> None:
        means = np.array([[0.0, 1.0], [2.0, 3.0]])
        params = MixtureParams(two().weights, means, two().scale_trils)
        means[0, 0] = 99.0
        assert params.means[0, 0] == 0.0
        for name in ("weights", "means", "scale_trils"):
            with pytest.raises(ValueError, match="read-only"):
                getattr(params, name)[0] = 1.0

    def test_equality_is_by_value(self) -> None:
        assert two() == two()
        assert two() != two().permuted([1, 0])
        assert two() != "two"
        with pytest.raises(TypeError, match="unhashable"):
            hash(two())

    @LAW
    @given(SHAPES)
    def test_a_copy_is_equal_to_the_last_bit(self, shape: tuple[int, int, int]) -> None:
        params = params_of(shape)
        assert MixtureParams(params.weights, params.means, params.scale_trils) == params

    def test_the_numbers_of_one_mixture(self) -> None:
        np.testing.assert_allclose(two().covariances[0], [[1.0, 0.5], [0.5, 4.25]], rtol=1e-15)
        np.testing.assert_allclose(two().scales, [[1.0, np.sqrt(4.25)], [3.0, 1.0]], rtol=1e-15)
        np.testing.assert_allclose(two().correlations[0, 0, 1], 0.5 / np.sqrt(4.25), rtol=1e-15)

    @LAW
    @given(SHAPES)
    def test_second_moments_agree_with_each_other(self, shape: tuple[int, int, int]) -> None:
        params = params_of(shape)
        identities = np.broadcast_to(np.eye(params.n_features), params.covariances.shape)
        # The scale_trils of random_params have condition numbers up to about 1e2, their covariances the square of that.
        np.testing.assert_allclose(params.covariances @ params.precisions, identities, atol=1e-9)
        np.testing.assert_allclose(params.precision_trils.swapaxes(1, 2) @ params.scale_trils, identities, atol=1e-11)
        rebuilt = params.correlations * params.scales[:, :, None] * params.scales[:, None, :]
        np.testing.assert_allclose(rebuilt, params.covariances, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(np.diagonal(params.correlations, axis1=1, axis2=2), 1.0, rtol=1e-14)
        assert not np.tril(params.precision_trils, -1).any()


class TestFromCovariances:
    @LAW
    @given(SHAPES)
    def test_reverses_covariances(self, shape: tuple[int, int, int]) -> None:
        params = params_of(shape)
        again = MixtureParams.from_covariances(params.weights, params.means, params.covariances)
        # Cholesky of L L' loses up to the condition number of the covariance, about 1e4, times 1e-16.
        np.testing.assert_allclose(again.scale_trils, params.scale_trils, rtol=1e-10, atol=1e-11)

    @pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
    def test_rounding_is_no_asymmetry(self, scale: float) -> None:
        covariance = scale * np.array([[1.0, 1e-20], [2e-20, 4.0]])
        params = MixtureParams.from_covariances([1.0], np.zeros((1, 2)), covariance[None])
        np.testing.assert_allclose(params.scales, np.sqrt(scale) * np.array([[1.0, 2.0]]), rtol=1e-15)

    @pytest.mark.parametrize(
        ("covariances", "said"),
        [
            (np.eye(2), r"covariances must be a \(K, D, D\) array; got shape \(2, 2\)"),
            (np.ones((1, 2, 3)), r"covariances must be a \(K, D, D\) array; got shape \(1, 2, 3\)"),
            ([np.eye(2), [[1, np.nan], [0, 1]]], r"covariances\[1, 0, 1\] is nan; all values must be finite"),
            ([np.eye(2), [[1.0, 0.5], [0.4, 1.0]]], "the covariance of component 1 is not symmetric"),
            ([[[1, 2], [2, 1]], np.eye(2)], r"component 0 is not positive definite \(smallest eigenvalue -1\)"),
            ([np.eye(3)] * 2, r"means are \(2, 2\), so .* scale_trils \(2, 2, 2\); got \(2,\) and \(2, 3, 3\)"),
        ],
    )
    def test_refusals(self, covariances: Any, said: str) -> None:
        with pytest.raises(InputError, match=said):
            MixtureParams.from_covariances([0.5, 0.5], np.zeros((2, 2)), covariances)


class TestPermuted:
    @LAW
    @given(SHAPES, st.randoms(use_true_random=False))
    def test_round_trip_and_composition(self, shape: tuple[int, int, int], random: Any) -> None:
        params = params_of(shape)
        first = random.sample(range(params.n_components), params.n_components)
        second = random.sample(range(params.n_components), params.n_components)
        assert params.permuted(first).permuted(np.argsort(first)) == params
        assert params.permuted(first).permuted(second) == params.permuted(np.array(first)[second])

    def test_component_k_is_the_old_order_k(self) -> None:
        params = params_of((0, 3, 2))
        moved = params.permuted([2, 0, 1])
        np.testing.assert_array_equal(moved.means[0], params.means[2])
        np.testing.assert_array_equal(moved.weights[1], params.weights[0])
        np.testing.assert_array_equal(moved.scale_trils[2], params.scale_trils[1])

    @pytest.mark.parametrize("order", [[0], [0, 0], [0, 2], [1, 0, 2], [1.0, 0.0], [[1, 0]], [True, False]])
    def test_refusals(self, order: Any) -> None:
        with pytest.raises(InputError, match=r"order must be a permutation of 0, \.\.\., 1; got \["):
            two().permuted(order)


class TestRecorded:
    def test_rounding_is_added_to_the_variances(self) -> None:
        recorded = two().recorded(np.array([0.6, 3.0]))
        np.testing.assert_allclose(
            recorded.covariances - two().covariances, np.diag([0.03, 0.75]) * np.ones((2, 1, 1)), rtol=1e-12, atol=1e-15
        )
        np.testing.assert_array_equal(recorded.weights, two().weights)
        np.testing.assert_array_equal(recorded.means, two().means)

    def test_exact_values_leave_it_as_it_is(self) -> None:
        params = two()
        assert params.recorded(np.zeros(2)) is params

    def test_units_go_through(self) -> None:
        scale, resolution = np.array([1e120, 1e-120]), np.array([0.0, 2.0])
        moved = two().affine(scale, np.zeros(2)).recorded(resolution * scale)
        expected = two().recorded(resolution).affine(scale, np.zeros(2))
        np.testing.assert_allclose(moved.scale_trils, expected.scale_trils, rtol=1e-12)

    def test_a_point_becomes_as_wide_as_the_rounding(self) -> None:
        narrow = MixtureParams([1.0], np.zeros((1, 2)), 1e-150 * np.eye(2)[None])
        np.testing.assert_allclose(narrow.recorded(np.array([6.0, 3.0])).scales, [[3**0.5, 0.75**0.5]])


class TestAffine:
    @LAW
    @given(SHAPES)
    def test_density_of_the_transformed(self, shape: tuple[int, int, int]) -> None:
        rng = np.random.default_rng(shape[0])
        params = params_of(shape)
        X, _ = random_data(rng, params, 5)
        scale, shift = 10.0 ** rng.uniform(-3, 3, params.n_features), rng.normal(size=params.n_features)
        moved = params.affine(scale, shift)
        before = compute_log_density(X, params.weights, params.means, params.scale_trils)
        after = compute_log_density(X * scale + shift, moved.weights, moved.means, moved.scale_trils)
        # The shift is up to 1e3 of the smallest scales: of 16 digits 3 are lost in X, and conditioning takes another 2.
        np.testing.assert_allclose(after, before - np.log(scale).sum(), rtol=1e-9, atol=1e-9)

    def test_means_and_covariances(self) -> None:
        scale, shift = np.array([2.0, 0.5]), np.array([-1.0, 4.0])
        moved = two().affine(scale, shift)
        np.testing.assert_allclose(moved.means, two().means * scale + shift, rtol=1e-15)
        np.testing.assert_allclose(moved.covariances, two().covariances * np.outer(scale, scale), rtol=1e-15)
        assert moved.affine(1 / scale, -shift / scale) == two()

    def test_a_negative_scale_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"scale_trils\[0, 1, 1\] is -4"):
            two().affine(np.array([1.0, -2.0]), np.zeros(2))
