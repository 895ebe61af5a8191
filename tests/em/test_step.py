"""One EM step: what theorems and symmetry say about it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.em.step import SMALLEST_SCALE, Collapsed, MStep, em_step
from bayesgmm.families import family_named
from bayesgmm.kernels.moments import Moments, compute_moments
from bayesgmm.kernels.reference import responsibilities
from bayesgmm.kernels.rows import rows_of
from bayesgmm.params import MixtureParams
from tests.problems import Array, random_data, random_params

LAW = settings(derandomize=True, deadline=None, max_examples=40)
SIZE = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3))  # seed, K, D
VVV = MStep(family_named("VVV"))


def problem(size: tuple[int, int, int]) -> tuple[Array, MixtureParams, np.random.Generator]:
    """Data from one mixture and another mixture to start from."""
    seed, n_components, n_features = size
    rng = np.random.default_rng(seed)
    X, _ = random_data(rng, random_params(rng, n_components, n_features), 120)
    return X, random_params(rng, n_components, n_features), rng


def next_params(params: MixtureParams, X: Array, row_weights: Array | None = None) -> MixtureParams:
    following, _ = em_step(params, rows_of(X, row_weights), VVV)
    assert isinstance(following, MixtureParams)
    return following


def log_likelihood(params: MixtureParams, X: Array) -> float:
    return compute_moments(rows_of(X), params.weights, params.means, params.scale_trils).log_likelihood


@LAW
@given(SIZE)
def test_the_log_likelihood_never_falls(size: tuple[int, int, int]) -> None:
    X, params, _ = problem(size)
    following, moments = em_step(params, rows_of(X), VVV)
    assert moments.log_likelihood == log_likelihood(params, X)
    if isinstance(following, MixtureParams):
        assert log_likelihood(following, X) >= moments.log_likelihood - 1e-12 * abs(moments.log_likelihood)


@LAW
@given(SIZE)
def test_permuting_the_components_permutes_the_step(size: tuple[int, int, int]) -> None:
    X, params, rng = problem(size)
    order = rng.permutation(params.n_components)
    following, _ = em_step(params, rows_of(X), VVV)
    moved, _ = em_step(params.permuted(order), rows_of(X), VVV)
    if isinstance(following, Collapsed) or isinstance(moved, Collapsed):
        assert type(following) is type(moved)
        return
    expected = following.permuted(order)
    # Only the order of the sum over components differs; a component with few rows has badly conditioned covariances.
    np.testing.assert_allclose(moved.weights, expected.weights, rtol=1e-11)
    np.testing.assert_allclose(moved.means, expected.means, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(moved.covariances, expected.covariances, rtol=1e-9, atol=1e-10)


def test_equal_to_the_textbook() -> None:
    X, params, _ = problem((0, 3, 2))
    gamma = responsibilities(X, params.weights, params.means, params.scale_trils)
    following = next_params(params, X)
    np.testing.assert_allclose(following.weights, gamma.mean(axis=0), rtol=1e-12)
    for k in range(3):
        np.testing.assert_allclose(following.means[k], np.average(X, axis=0, weights=gamma[:, k]), rtol=1e-12)
        covariance = np.cov(X.T, aweights=gamma[:, k], bias=True)
        np.testing.assert_allclose(following.covariances[k], covariance, rtol=1e-11)


def test_integer_row_weights_are_copies() -> None:
    X, params, rng = problem((0, 3, 2))
    copies = rng.integers(0, 3, len(X))
    weighted = next_params(params, X, copies.astype(float))
    repeated = next_params(params, np.repeat(X, copies, axis=0))
    for name in ("weights", "means", "scale_trils"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-12, atol=1e-13)


def test_the_step_leaves_its_arguments_alone() -> None:
    X, params, _ = problem((0, 3, 2))
    X_before, params_before = X.copy(), MixtureParams(params.weights, params.means, params.scale_trils)
    em_step(params, rows_of(X), VVV)
    np.testing.assert_array_equal(X, X_before)
    assert params == params_before


def moments_of(counts: list[float], covariances: Array) -> Moments:
    n = np.array(counts)
    return Moments(0.0, n, np.zeros((len(n), 2)), n[:, None, None] * covariances)


def maximised(counts: list[float], covariances: Array) -> MixtureParams | Collapsed:
    about = MixtureParams(np.full(2, 0.5), np.zeros((2, 2)), np.array([np.eye(2)] * 2))
    return VVV.maximise(VVV.estimates(moments_of(counts, covariances), about))


@pytest.mark.parametrize(
    ("counts", "covariance", "said"),
    [
        ([50.0, 0.0], np.eye(2), "component 1 became empty (it holds 0 rows)"),
        ([50.0, 1e-7], np.eye(2), "component 1 became empty (it holds 1e-07 rows)"),
        ([50.0, 2.0], np.zeros((2, 2)), "component 1 shrank onto a point, line or plane (it holds 2 rows)"),
        ([50.0, 3.0], np.ones((2, 2)), "component 1 shrank onto a point, line or plane (it holds 3 rows)"),
        ([50.0, 3.5], np.diag([1.0, 0.9 * SMALLEST_SCALE**2]), "shrank onto a point, line or plane (it holds 3.5 rows)"),
    ],
)
def test_a_collapse_names_the_component(counts: list[float], covariance: Array, said: str) -> None:
    collapsed = maximised(counts, np.array([np.eye(2), covariance]))
    assert isinstance(collapsed, Collapsed)
    assert collapsed.component == 1
    assert said in str(collapsed)


def test_a_narrow_component_is_no_collapse() -> None:
    narrow = np.diag([1.0, (1.1 * SMALLEST_SCALE) ** 2])
    following = maximised([50.0, 3.0], np.array([np.eye(2), narrow]))
    assert isinstance(following, MixtureParams)
