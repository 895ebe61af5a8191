"""Value and gradient by Fisher's identity: against complex steps through a formula of its own, and finite differences."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bayesgmm.kernels.moments import compute_moments
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.score import score_of_trils
from tests.kernels.cases import arrays_of, case
from tests.problems import Array

Complex = NDArray[np.complex128]
SIZES = [(1, 1, 1), (50, 1, 3), (130, 2, 1), (300, 2, 3), (130, 5, 3), (40, 7, 2)]


def row_weights_of(n_samples: int) -> Array:
    """Fractions and some zeros."""
    return np.random.default_rng(n_samples).integers(0, 5, n_samples) / 3 + (n_samples == 1)


def complex_log_likelihood(X: Array, weights: Complex, means: Complex, scale_trils: Complex, row_weights: Array) -> complex:
    """sum_n w_n ln sum_k pi_k N(x_n), analytic in the parameters: no absolute value, no maximum of complex numbers."""
    joint = np.empty((len(X), len(weights)), dtype=complex)
    for k, (weight, mean, tril) in enumerate(zip(weights, means, scale_trils, strict=True)):
        whitened = np.linalg.solve(tril, (X - mean).T)
        constant = np.log(weight) - np.log(np.diag(tril)).sum() - 0.5 * len(mean) * np.log(2 * np.pi)
        joint[:, k] = constant - 0.5 * (whitened**2).sum(axis=0)
    top = joint.real.max(axis=1)
    return row_weights @ (top + np.log(np.exp(joint - top[:, None]).sum(axis=1)))


def every_free_entry(params: tuple[Array, Array, Array]) -> list[tuple[int, tuple[int, ...]]]:
    """(which array, index) of all weights, means and entries on or below the diagonals."""
    places = [(i, index) for i, array in enumerate(params) for index in np.ndindex(array.shape)]
    return [(i, index) for i, index in places if i < 2 or index[2] <= index[1]]


def slopes(params: tuple[Array, Array, Array], slope: Callable[[int, tuple[int, ...]], float]) -> list[Array]:
    gradients = [np.zeros_like(array) for array in params]
    for i, index in every_free_entry(params):
        gradients[i][index] = slope(i, index)
    return gradients


@pytest.mark.parametrize(("n_samples", "n_features", "n_components"), SIZES)
def test_gradient_equals_complex_steps(n_samples: int, n_features: int, n_components: int) -> None:
    X, mixture = case(n_samples, n_features, n_components)
    params, row_weights = arrays_of(mixture), row_weights_of(n_samples)
    value, *gradients = score_of_trils(X, *params, row_weights)

    def slope(i: int, index: tuple[int, ...]) -> float:
        stepped = [array.astype(complex) for array in params]
        stepped[i][index] += 1e-100j  # no difference is taken, so that the step may be as small as it likes
        return complex_log_likelihood(X, *stepped, row_weights).imag / 1e-100

    expected = slopes(params, slope)
    real = [array.astype(complex) for array in params]
    np.testing.assert_allclose(value, complex_log_likelihood(X, *real, row_weights).real, rtol=1e-12)
    for gradient, exact in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, exact, rtol=1e-9, atol=1e-10 * max(np.abs(exact).max(), 1.0))


def test_gradient_equals_finite_differences_of_its_value() -> None:
    X, mixture = case(300, 2, 3)
    params, row_weights = arrays_of(mixture), row_weights_of(300)
    _, *gradients = score_of_trils(X, *params, row_weights)

    def slope(i: int, index: tuple[int, ...]) -> float:
        ends = []
        for step in (-1e-5, 1e-5):
            stepped = [array.copy() for array in params]
            stepped[i][index] += step
            ends.append(score_of_trils(X, *stepped, row_weights)[0])
        return (ends[1] - ends[0]) / 2e-5

    for gradient, measured in zip(gradients, slopes(params, slope), strict=True):
        np.testing.assert_allclose(gradient, measured, rtol=1e-5, atol=1e-5)


def test_value_is_the_log_likelihood_of_the_moments() -> None:
    X, mixture = case(300, 2, 3)
    row_weights = row_weights_of(300)
    value, d_weights, _, d_scale_trils = score_of_trils(X, *arrays_of(mixture), row_weights)
    moments = compute_moments(rows_of(X, row_weights), *arrays_of(mixture))
    assert value == moments.log_likelihood
    np.testing.assert_allclose(mixture.weights @ d_weights, row_weights.sum(), rtol=1e-13)  # sum_k pi_k d/d pi_k = sum_n w_n
    assert not np.triu(d_scale_trils, 1).any()


def test_the_score_has_mean_0_under_its_own_mixture() -> None:
    """E[d ln p / d theta] = 0; the standard error of the mean comes from the per-row scores of a batch."""
    X, mixture = case(40_000, 2, 3, seed=3)
    params = arrays_of(mixture)
    batches = [score_of_trils(rows, *params, np.ones(len(rows)))[2:] for rows in np.split(X, 40)]
    for per_batch in zip(*batches, strict=True):
        stacked = np.array(per_batch)
        standard_error = stacked.std(axis=0, ddof=1) / np.sqrt(40)
        assert (np.abs(stacked.mean(axis=0)) <= 5 * standard_error).all()
