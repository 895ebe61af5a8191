"""Starting points: what every method promises, and the M-step from a user's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.em.initialise import STARTS, given_responsibilities, nearest, start_from_labels, start_from_responsibilities
from bayesgmm.em.step import Collapsed
from bayesgmm.families import family_named
from bayesgmm.params import MixtureParams
from tests.problems import Array, random_data, random_params

LAW = settings(derandomize=True, deadline=None, max_examples=20)
every_method = pytest.mark.parametrize("method", STARTS)
VVV = family_named("VVV")


def standardised(seed: int, n_samples: int = 100, n_components: int = 3, n_features: int = 2) -> Array:
    rng = np.random.default_rng(seed)
    X, _ = random_data(rng, random_params(rng, n_components, n_features), n_samples)
    return (X - X.mean(axis=0)) / X.std(axis=0)


@every_method
def test_labels_of_all_rows_and_all_components(method: str) -> None:
    Z = standardised(0)
    labels = STARTS[method](Z, 3, np.ones(len(Z)), np.random.default_rng(0))
    assert labels.shape == (len(Z),)
    assert set(labels.tolist()) == {0, 1, 2}


@every_method
def test_the_same_stream_gives_the_same_labels(method: str) -> None:
    Z = standardised(0)
    first, second = (STARTS[method](Z, 3, np.ones(len(Z)), np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@every_method
def test_separated_clusters_are_found_by_one_of_a_few_starts(method: str) -> None:
    centres = np.array([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    truth = np.repeat([0, 1, 2], 40)
    X = centres[truth] + np.random.default_rng(0).normal(size=(120, 2))
    streams = np.random.default_rng(0).spawn(20)
    partitions = [STARTS[method](X, 3, np.ones(120), stream) for stream in streams]
    together = truth[:, None] == truth
    assert any(np.array_equal(labels[:, None] == labels, together) for labels in partitions)


def test_nearest() -> None:
    X = np.array([[0.0, 0.0], [1.0, 0.0], [0.6, 0.0], [9.0, 9.0]])
    np.testing.assert_array_equal(nearest(X, np.array([[0.0, 0.0], [1.0, 0.0]])), [0, 1, 1, 1])


@LAW
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5))
def test_a_start_from_labels_is_proper_however_few_rows_a_group_has(seed: int, n_components: int, n_features: int) -> None:
    rng = np.random.default_rng(seed)
    Z = standardised(seed, 20, 2, n_features)
    labels = np.minimum(rng.geometric(0.6, 20) - 1, n_components - 1)  # late groups are small or empty
    start = start_from_labels(Z, labels, n_components, np.ones(20))
    assert start.means.shape == (n_components, n_features)
    assert (start.weights > 0).all()
    assert np.linalg.cond(start.covariances).max() < 1e8
    for k in set(labels.tolist()):
        np.testing.assert_allclose(start.means[k], Z[labels == k].mean(axis=0), rtol=1e-12, atol=1e-14)


def test_a_start_from_many_rows_has_their_covariance() -> None:
    Z = standardised(0, 20_000, 2)
    labels = (Z[:, 0] > 0).astype(np.intp)
    start = start_from_labels(Z, labels, 2, np.ones(len(Z)))
    for k in range(2):
        # D + 1 = 3 pseudo-rows among about 10,000.
        np.testing.assert_allclose(start.covariances[k], np.cov(Z[labels == k].T, bias=True), atol=1e-3)


def test_the_start_from_responsibilities_is_the_m_step() -> None:
    Z = standardised(0)
    rng = np.random.default_rng(0)
    gamma, row_weights = rng.dirichlet(np.ones(3), len(Z)), rng.uniform(0, 2, len(Z))
    start = start_from_responsibilities(Z, gamma * row_weights[:, None], VVV)
    assert isinstance(start, MixtureParams)
    np.testing.assert_allclose(start.weights, row_weights @ gamma / row_weights.sum(), rtol=1e-13)
    for k in range(3):
        weights = gamma[:, k] * row_weights
        np.testing.assert_allclose(start.means[k], np.average(Z, axis=0, weights=weights), rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(start.covariances[k], np.cov(Z.T, aweights=weights, bias=True), rtol=1e-11, atol=1e-14)


def test_responsibilities_without_a_proper_m_step() -> None:
    Z = standardised(0)
    start = start_from_responsibilities(Z, np.eye(2)[np.repeat([0, 1], [98, 2])], VVV)
    assert isinstance(start, Collapsed)
    assert start.component == 1


def test_labels_of_any_kind_are_coded_in_sorted_order() -> None:
    for labels in (np.array([5, -1, 5]), np.array(["b", "a", "b"]), np.array([2.5, 0.5, 2.5]), np.array([True, False, True])):
        np.testing.assert_array_equal(given_responsibilities(labels, 3, 2), [[0, 1], [1, 0], [0, 1]])
