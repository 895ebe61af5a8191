"""Log-density and responsibilities: against the NumPy twin, against SciPy, and far from every component."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import entropy as scipy_entropy
from scipy.stats import multivariate_normal

from bayesgmm.kernels import reference
from bayesgmm.kernels.density import compute_classification, compute_log_density, compute_responsibilities
from bayesgmm.kernels.rows import rows_of
from tests.kernels.cases import SIZES, arrays_of, case, layouts
from tests.problems import random_params

LAW = settings(derandomize=True, deadline=None, max_examples=30)


@pytest.mark.parametrize(("n_samples", "n_features", "n_components"), SIZES)
def test_equal_to_the_twin(n_samples: int, n_features: int, n_components: int) -> None:
    X, params = case(n_samples, n_features, n_components)
    # Forward substitution on both sides; the condition of the 17-dimensional scale_trils takes 4 of 16 digits.
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if n_features < 17 else {"rtol": 1e-10, "atol": 1e-10}
    density = compute_log_density(X, *arrays_of(params))
    responsibilities = compute_responsibilities(X, *arrays_of(params))
    assert density.shape == (n_samples,)
    assert responsibilities.shape == (n_samples, n_components)
    np.testing.assert_allclose(density, reference.log_density(X, *arrays_of(params)), **tolerance)
    np.testing.assert_allclose(responsibilities, reference.responsibilities(X, *arrays_of(params)), **tolerance)
    np.testing.assert_allclose(responsibilities.sum(axis=1), 1.0, rtol=1e-15 * 4)


@pytest.mark.parametrize("n_features", [1, 2, 5, 17])
@pytest.mark.parametrize("n_components", [1, 3])
def test_equal_to_scipy(n_features: int, n_components: int) -> None:
    X, params = case(200, n_features, n_components, seed=1)
    joint = [
        np.log(weight) + multivariate_normal(mean, covariance).logpdf(X)
        for weight, mean, covariance in zip(params.weights, params.means, params.covariances, strict=True)
    ]
    joint = np.reshape(joint, (n_components, -1))
    # SciPy takes the eigenvectors of the covariance, which costs the square of the condition number of L.
    tolerance = {"rtol": 1e-11, "atol": 1e-11} if n_features < 17 else {"rtol": 1e-7, "atol": 1e-7}
    np.testing.assert_allclose(compute_log_density(X, *arrays_of(params)), logsumexp(joint, axis=0), **tolerance)
    expected = np.exp(joint - logsumexp(joint, axis=0)).T
    np.testing.assert_allclose(compute_responsibilities(X, *arrays_of(params)), expected, **tolerance)


def test_any_memory_layout() -> None:
    X, params = case(300, 2, 3)
    for name, same in layouts(X).items():
        expected = compute_log_density(X, *arrays_of(params))
        np.testing.assert_array_equal(compute_log_density(same, *arrays_of(params)), expected, name)


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_threads_change_no_bit(n_threads: int) -> None:
    X, params = case(40_000, 2, 3)
    for compute in (compute_log_density, compute_responsibilities):
        one = compute(X, *arrays_of(params), n_threads=1)
        np.testing.assert_array_equal(compute(X, *arrays_of(params), n_threads=n_threads), one)


@LAW
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4))
def test_the_order_of_the_components_does_not_matter(seed: int, n_components: int, n_features: int) -> None:
    rng = np.random.default_rng(seed)
    params = random_params(rng, n_components, n_features)
    X = rng.normal(scale=3, size=(20, n_features))
    order = rng.permutation(n_components)
    moved = params.permuted(order)
    # Only the order of the sum over components differs.
    np.testing.assert_allclose(
        compute_log_density(X, *arrays_of(moved)), compute_log_density(X, *arrays_of(params)), rtol=1e-14, atol=1e-14
    )
    np.testing.assert_allclose(
        compute_responsibilities(X, *arrays_of(moved)),
        compute_responsibilities(X, *arrays_of(params))[:, order],
        rtol=1e-14,
    )


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_a_component_of_weight_0_is_not_there(empty: int) -> None:
    X, params = case(200, 2, 3)
    weights = params.weights.copy()
    weights[empty] = 0.0
    rest = np.delete(np.arange(3), empty)
    without = (weights[rest], params.means[rest], params.scale_trils[rest])
    np.testing.assert_array_equal(
        compute_log_density(X, weights, params.means, params.scale_trils), compute_log_density(X, *without)
    )
    responsibilities = compute_responsibilities(X, weights, params.means, params.scale_trils)
    np.testing.assert_array_equal(responsibilities[:, empty], 0.0)
    np.testing.assert_array_equal(responsibilities[:, rest], compute_responsibilities(X, *without))


@pytest.mark.parametrize("distance", [1e2, 1e8, 1e50, 1e150])
def test_far_rows(distance: float) -> None:
    """ln p of unit normals is -distance^2 / 2 where the density itself underflows; the nearest component takes the row."""
    weights, means, trils = np.array([0.2, 0.3, 0.5]), np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]]), np.array([np.eye(2)] * 3)
    X = distance * np.array([[-0.6, -0.8], [1.0, 0.0], [0.0, 1.0]])
    density = compute_log_density(X, weights, means, trils)
    responsibilities = compute_responsibilities(X, weights, means, trils)
    np.testing.assert_allclose(density, reference.log_density(X, weights, means, trils), rtol=1e-15)
    np.testing.assert_allclose(density, -0.5 * distance**2, rtol=10 / distance + 1e-15)
    np.testing.assert_allclose(responsibilities.sum(axis=1), 1.0, rtol=1e-15)
    if distance < 1e8:  # beyond, the components are equally far to 16 digits
        np.testing.assert_allclose(responsibilities, np.eye(3), atol=1e-100)


@pytest.mark.parametrize("far", [1e160, 1e300])
def test_beyond_the_range_of_logarithms(far: float) -> None:
    """-inf, never NaN, also where the distance in scales overflows: 1e300 / 1e-10."""
    weights, means, trils = np.array([0.5, 0.5]), np.zeros((2, 2)), np.array([np.eye(2) * 1e-10, np.eye(2)])
    X = np.array([[far, 0.0], [0.0, far], [-far, far], [1.0, 0.0]])
    density = compute_log_density(X, weights, means, trils)
    np.testing.assert_array_equal(density[:3], -np.inf)
    np.testing.assert_allclose(density[3], -0.5 + np.log(0.5) - np.log(2 * np.pi), rtol=1e-15)
    np.testing.assert_array_equal(compute_responsibilities(X, weights, means, trils), [[0, 0], [0, 0], [0, 0], [0, 1]])


def test_an_offset_of_the_data_costs_no_digit() -> None:
    X, params = case(200, 2, 3)
    offset = 2.0**30
    X = (X + offset) - offset  # both sides see the same rounded rows
    means = (params.means + offset) - offset
    np.testing.assert_array_equal(
        compute_log_density(X + offset, params.weights, means + offset, params.scale_trils),
        compute_log_density(X, params.weights, means, params.scale_trils),
    )


def test_integrates_to_1() -> None:
    _, params = case(1, 1, 3)
    grid = np.linspace(-40, 40, 20_001)[:, None]
    density = np.exp(compute_log_density(grid, *arrays_of(params)))
    # The trapezoidal rule is exact to rounding for smooth functions that vanish at both ends.
    np.testing.assert_allclose(np.trapezoid(density, grid[:, 0]), 1.0, rtol=1e-13)


@pytest.mark.parametrize(("n_samples", "n_features", "n_components"), [(1, 1, 1), (129, 2, 3), (129, 5, 3), (10_000, 2, 3)])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_classification_equals_its_definition(n_samples: int, n_features: int, n_components: int, n_threads: int) -> None:
    X, params = case(n_samples, n_features, n_components)
    gamma = reference.responsibilities(X, *arrays_of(params))
    for row_weights in (None, np.random.default_rng(0).integers(0, 4, n_samples) / 2):
        w = np.ones(n_samples) if row_weights is None else row_weights
        log_likelihood, entropy = compute_classification(rows_of(X, row_weights), *arrays_of(params), n_threads=n_threads)
        np.testing.assert_allclose(log_likelihood, w @ np.log(gamma.max(axis=1)), rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(entropy, w @ scipy_entropy(gamma, axis=1), rtol=1e-11, atol=1e-12)


def test_classification_of_standardised_rows() -> None:
    X, params = case(300, 2, 3)
    location, scale = X.mean(axis=0), X.std(axis=0)
    rows = rows_of(X, None, location, scale)
    assert compute_classification(rows, *arrays_of(params)) == compute_classification(
        rows_of((X - location) / scale), *arrays_of(params)
    )


def test_classification_of_a_row_of_density_0() -> None:
    X, params = case(200, 2, 3)
    with_stray = np.insert(X, 7, 1e200, axis=0)
    log_likelihood, entropy = compute_classification(rows_of(with_stray), *arrays_of(params))
    row_weights = np.arange(201) != 7
    without = compute_classification(rows_of(with_stray, row_weights.astype(float)), *arrays_of(params))
    assert log_likelihood == -np.inf
    assert entropy == without[1]
    np.testing.assert_allclose(without, compute_classification(rows_of(X), *arrays_of(params)), rtol=1e-13)
