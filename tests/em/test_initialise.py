"""Starting points: what every method promises, and the M-step from a user's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.data import validate
from bayesgmm.em.initialise import (
    AUTO_CYCLE,
    AUTO_FIRST,
    SAMPLE_ROWS,
    STARTS,
    StartSample,
    given_parameters,
    nearest,
    start_from_memberships,
    start_from_rows,
    start_sample,
    starting_memberships,
)
from bayesgmm.em.labels import given_memberships
from bayesgmm.em.step import Collapsed, MStep
from bayesgmm.errors import InputError
from bayesgmm.families import FAMILIES, ONE_COLUMN, family_named
from bayesgmm.kernels.rows import rows_of
from bayesgmm.params import MixtureParams
from tests.problems import Array, random_data, random_params

LAW = settings(derandomize=True, deadline=None, max_examples=20)
every_method = pytest.mark.parametrize("method", STARTS)
VVV = MStep(family_named("VVV"))


def standardised(seed: int, n_samples: int = 100, n_components: int = 3, n_features: int = 2) -> Array:
    rng = np.random.default_rng(seed)
    X, _ = random_data(rng, random_params(rng, n_components, n_features), n_samples)
    return (X - X.mean(axis=0)) / X.std(axis=0)


def sample_of(X: Array, row_weights: Array | None = None) -> StartSample:
    return start_sample(validate(X), row_weights, np.random.default_rng(0))


@every_method
def test_every_row_and_every_component_has_a_share(method: str) -> None:
    memberships = STARTS[method](sample_of(standardised(0)), 3, np.random.default_rng(0))
    assert memberships.shape == (100, 3)
    np.testing.assert_allclose(memberships.sum(axis=1), 1.0)
    assert (memberships.sum(axis=0) > 0).all()


@every_method
def test_the_same_stream_gives_the_same_start(method: str) -> None:
    sample = sample_of(standardised(0))
    first, second = (STARTS[method](sample, 3, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("method", [name for name in STARTS if name != "random"])
def test_separated_clusters_are_found_by_one_of_a_few_starts(method: str) -> None:
    centres = np.array([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    truth = np.repeat([0, 1, 2], 40)
    sample = sample_of(centres[truth] + np.random.default_rng(0).normal(size=(120, 2)))
    partitions = [STARTS[method](sample, 3, stream).argmax(axis=1) for stream in np.random.default_rng(0).spawn(20)]
    together = truth[:, None] == truth
    assert any(np.array_equal(labels[:, None] == labels, together) for labels in partitions)


@every_method
def test_one_column_will_do(method: str) -> None:
    sample = sample_of(standardised(0, n_features=1))
    start = start_from_memberships(sample.scaled, STARTS[method](sample, 3, np.random.default_rng(0)), VVV)
    assert isinstance(start, MixtureParams)


def test_unscaled_starts_see_the_units_of_the_columns() -> None:
    """Two groups in the column of small numbers: only scaling lets k-means see them."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 100)
    X = np.column_stack([0.01 * (10 * truth + rng.normal(size=200)), 1000 * rng.normal(size=200)])
    together = truth[:, None] == truth
    labels = {
        name: STARTS[name](sample_of(X), 2, np.random.default_rng(0)).argmax(axis=1) for name in ("kmeans", "kmeans_unscaled")
    }
    assert np.mean((labels["kmeans"][:, None] == labels["kmeans"]) == together) > 0.95
    assert np.mean((labels["kmeans_unscaled"][:, None] == labels["kmeans_unscaled"]) == together) < 0.6


def test_a_large_data_set_is_sampled_among_the_rows_that_count() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3 * SAMPLE_ROWS, 2))
    row_weights = np.where(X[:, 0] > 0, 2.0, 0.0)
    sample = sample_of(X, row_weights)
    assert sample.scaled.shape == (SAMPLE_ROWS, 2)
    assert not sample.is_whole
    np.testing.assert_array_equal(sample.weights, 2.0)
    location = np.average(X, axis=0, weights=row_weights)
    assert (sample.scaled[:, 0] > -location[0] / X[X[:, 0] > 0, 0].std() - 1e-12).all()
    assert sample_of(X[:500]).is_whole
    np.testing.assert_array_equal(sample_of(X).scaled, sample_of(X, np.ones(len(X))).scaled)


def test_auto_begins_with_the_hierarchical_starts() -> None:
    starts = starting_memberships("auto", 9, sample_of(standardised(0)), 3, np.random.default_rng(0))
    assert [name for name, _ in starts] == [*AUTO_FIRST, *AUTO_CYCLE, AUTO_CYCLE[0]]


def test_nearest() -> None:
    X = np.array([[0.0, 0.0], [1.0, 0.0], [0.6, 0.0], [9.0, 9.0]])
    np.testing.assert_array_equal(nearest(X, np.array([[0.0, 0.0], [1.0, 0.0]])), [0, 1, 1, 1])


@LAW
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5))
def test_a_start_from_labels_is_proper_however_few_rows_a_group_has(seed: int, n_components: int, n_features: int) -> None:
    rng = np.random.default_rng(seed)
    Z = standardised(seed, 20, 2, n_features)
    labels = np.minimum(rng.geometric(0.6, 20) - 1, n_components - 1)  # late groups are small or empty
    start = start_from_memberships(Z, np.eye(n_components)[labels], VVV)
    assert isinstance(start, MixtureParams)
    assert start.means.shape == (n_components, n_features)
    assert (start.weights > 0).all()
    assert np.linalg.cond(start.covariances).max() < 1e8
    for k in set(labels.tolist()):
        np.testing.assert_allclose(start.means[k], Z[labels == k].mean(axis=0), rtol=1e-12, atol=1e-14)


def test_a_start_from_many_rows_has_their_covariance() -> None:
    Z = standardised(0, 20_000, 2)
    labels = (Z[:, 0] > 0).astype(np.intp)
    start = start_from_memberships(Z, np.eye(2)[labels], VVV)
    assert isinstance(start, MixtureParams)
    for k in range(2):
        # D + 1 = 3 pseudo-rows among about 10,000.
        np.testing.assert_allclose(start.covariances[k], np.cov(Z[labels == k].T, bias=True), atol=1e-3)


def test_the_start_from_responsibilities_is_the_m_step() -> None:
    X = 3.0 * standardised(0) + 100.0
    rng = np.random.default_rng(0)
    gamma, row_weights = rng.dirichlet(np.ones(3), len(X)), rng.uniform(0, 2, len(X))
    location, scale = np.array([100.0, 99.0]), np.array([3.0, 2.0])
    start = start_from_rows(rows_of(X, row_weights, location, scale), gamma, VVV)
    assert isinstance(start, MixtureParams)
    Z = (X - location) / scale
    np.testing.assert_allclose(start.weights, row_weights @ gamma / row_weights.sum(), rtol=1e-13)
    for k in range(3):
        weights = gamma[:, k] * row_weights
        np.testing.assert_allclose(start.means[k], np.average(Z, axis=0, weights=weights), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(start.covariances[k], np.cov(Z.T, aweights=weights, bias=True), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ONE_COLUMN])
def test_given_parameters_are_brought_into_the_family(name: str) -> None:
    m_step = MStep(family_named(name))
    rows = rows_of(standardised(0), location=np.array([1.0, 2.0]), scale=np.full(2, 3.0))
    params = random_params(np.random.default_rng(0), 3, 2)
    there = given_parameters(params, 3, rows, m_step)
    assert isinstance(there, MixtureParams)
    in_data_units = there.affine(rows.scale, rows.location)
    np.testing.assert_allclose(in_data_units.means, params.means)
    np.testing.assert_allclose(in_data_units.weights, params.weights)
    again = given_parameters(in_data_units, 3, rows, m_step)  # now of the family: nothing changes
    assert isinstance(again, MixtureParams)
    np.testing.assert_allclose(again.covariances, there.covariances, rtol=1e-9)
    if name == "VVV":
        np.testing.assert_allclose(in_data_units.covariances, params.covariances, rtol=1e-12)


def test_given_parameters_of_another_shape() -> None:
    with pytest.raises(InputError, match=r"means of shape \(2, 2\); n_components and the data need \(3, 2\)"):
        given_parameters(random_params(np.random.default_rng(0), 2, 2), 3, rows_of(standardised(0)), VVV)


def test_responsibilities_without_a_proper_m_step() -> None:
    Z = standardised(0)
    start = start_from_rows(rows_of(Z), np.eye(2)[np.repeat([0, 1], [98, 2])], VVV)
    assert isinstance(start, Collapsed)
    assert start.component == 1


def test_labels_of_any_kind_are_coded_in_sorted_order() -> None:
    for labels in (np.array([5, -1, 5]), np.array(["b", "a", "b"]), np.array([2.5, 0.5, 2.5]), np.array([True, False, True])):
        np.testing.assert_array_equal(given_memberships(labels, 3, 2), [[0, 1], [1, 0], [0, 1]])
