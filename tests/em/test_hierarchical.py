"""The hierarchical start: every number of components from one tree, for rows of any number, rank and weight."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bayesgmm.em.hierarchical import (
    Merge,
    hierarchical_labels,
    merge_tree,
    quantile_groups,
    scaled_principal_components,
)
from bayesgmm.errors import InputError
from bayesgmm.kernels.agglomerate import agglomerate, agglomerate_spheres
from tests.problems import Array, random_data, random_params

Labels = NDArray[np.intp]

LAW = settings(derandomize=True, deadline=None, max_examples=30)
seeds = st.integers(0, 2**32 - 1)


def clustered(seed: int, n_samples: int, n_features: int) -> Array:
    rng = np.random.default_rng(seed)
    return random_data(rng, random_params(rng, 3, n_features), n_samples)[0]


def together(labels: Labels) -> Array:
    """Which rows share a group, whatever the groups are called."""
    return labels[:, None] == labels


def labelled(X: Array, row_weights: Array, n_components: int) -> tuple[Labels, Labels]:
    return hierarchical_labels(merge_tree(X, row_weights, np.random.default_rng(0), agglomerate), n_components)


@LAW
@given(seeds, st.integers(1, 6), st.integers(1, 9))
def test_every_row_has_a_label_and_no_group_is_empty(seed: int, n_features: int, n_components: int) -> None:
    rows, labels = labelled(clustered(seed, 40, n_features), np.ones(40), n_components)
    np.testing.assert_array_equal(rows, np.arange(40))
    assert set(labels.tolist()) == set(range(n_components))


@pytest.mark.parametrize("n_features", [1, 3])
def test_rows_of_weight_zero_are_left_out(n_features: int) -> None:
    X, row_weights = clustered(0, 50, n_features), np.ones(50)
    X[::5] = 1e6
    row_weights[::5] = 0
    counting = np.flatnonzero(row_weights)
    rows, labels = labelled(X, row_weights, 3)
    np.testing.assert_array_equal(rows, counting)
    np.testing.assert_array_equal(labels, labelled(X[counting], np.ones(40), 3)[1])


@LAW
@given(seeds, st.sampled_from((1, 2, 5)))
def test_a_whole_weight_is_that_many_copies(seed: int, n_features: int) -> None:
    rng = np.random.default_rng(seed)
    X, copies = clustered(seed, 30, n_features), rng.integers(1, 5, 30)
    row_of = np.repeat(np.arange(30), copies)
    for n_components in (1, 2, 4, 9):
        _, weighted = labelled(X, copies.astype(float), n_components)
        _, repeated = labelled(X[row_of], np.ones(len(row_of)), n_components)
        np.testing.assert_array_equal(together(weighted[row_of]), together(repeated))


@LAW
@given(seeds, st.sampled_from((2, 3, 6)))
def test_the_unit_of_a_column_and_the_order_of_the_rows_do_not_matter(seed: int, n_features: int) -> None:
    rng = np.random.default_rng(seed)
    X, order = clustered(seed, 60, n_features), rng.permutation(60)
    moved = (X * rng.choice([-1e6, 1e-3, 2.0], n_features) + rng.normal(size=n_features))[order]
    for n_components in (2, 5):
        _, labels = labelled(X, np.ones(60), n_components)
        _, again = labelled(moved, np.ones(60), n_components)
        np.testing.assert_array_equal(together(labels[order]), together(again))


@pytest.mark.parametrize("merge", [agglomerate, agglomerate_spheres])
def test_separated_clusters_are_found_in_a_sample(merge: Merge) -> None:
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.repeat([0, 1, 2], [3000, 2000, 1000]))
    X = rng.normal(size=(6000, 2)) + 40.0 * np.stack([truth == 1, truth == 2], axis=1)
    rows, labels = hierarchical_labels(merge_tree(X, np.ones(6000), rng, merge), 3)
    assert len(rows) == 2000
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(together(labels), together(truth[rows]))


def test_a_sample_counts_rows_by_their_weights() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 2))
    row_weights = rng.uniform(0, 1, 5000)
    row_weights[:1000] = 0
    row_weights[1000] = 1000.0
    tree = merge_tree(X, row_weights, np.random.default_rng(1), agglomerate)
    assert tree.rows.min() >= 1000
    assert tree.weights.sum() == 2000
    drawn = tree.weights[tree.distinct]
    expected = 2000 * row_weights[tree.rows] / row_weights.sum()
    assert np.abs(drawn - expected).max() < 1
    _, labels = hierarchical_labels(tree, 4)
    assert set(labels.tolist()) == {0, 1, 2, 3}


def test_the_same_stream_draws_the_same_sample() -> None:
    X = clustered(0, 2500, 2)
    first, second, other = (merge_tree(X, np.ones(2500), np.random.default_rng(seed), agglomerate) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.merges, second.merges)
    assert not np.array_equal(first.rows, other.rows)


def test_columns_that_repeat_one_another_add_nothing() -> None:
    X = clustered(0, 60, 2)
    doubled = np.column_stack([X, X[:, 0] - 2 * X[:, 1], np.full(60, 0.1)])
    Z = scaled_principal_components(doubled, np.ones(60))
    assert Z.shape == (60, 2)
    assert set(labelled(doubled, np.ones(60), 4)[1].tolist()) == {0, 1, 2, 3}


def test_fewer_rows_than_columns() -> None:
    X = np.random.default_rng(0).normal(size=(6, 20))
    assert scaled_principal_components(X, np.ones(6)).shape == (6, 5)
    assert set(labelled(X, np.ones(6), 3)[1].tolist()) == {0, 1, 2}


def test_scaled_principal_components() -> None:
    rng = np.random.default_rng(0)
    X, row_weights = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4)), rng.uniform(0.5, 2, 50)
    Z = scaled_principal_components(X, row_weights)
    correlations = _correlations(X, row_weights)
    spread = np.sqrt(np.linalg.eigvalsh(correlations)[::-1])
    np.testing.assert_allclose(np.average(Z, axis=0, weights=row_weights), 0, atol=1e-13)
    np.testing.assert_allclose(np.cov(Z.T, aweights=row_weights, bias=True), np.diag(spread), atol=1e-12)


def _correlations(X: Array, row_weights: Array) -> Array:
    covariance = np.cov(X.T, aweights=row_weights, bias=True)
    scales = np.sqrt(np.diag(covariance))
    return np.asarray(covariance / np.outer(scales, scales))


@pytest.mark.parametrize("columns", [1, 3])
def test_a_line_is_cut_at_quantiles(columns: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=90)
    line = merge_tree(x[:, None] * [1.0, -2.0, 0.5][:columns], np.ones(90), np.random.default_rng(0), None)
    rows, labels = hierarchical_labels(line, 3)
    np.testing.assert_array_equal(rows, np.arange(90))
    expected = np.empty(90, dtype=np.intp)
    expected[np.argsort(x)] = np.repeat([0, 1, 2], 30)
    np.testing.assert_array_equal(together(labels), together(expected))


def test_quantiles_use_all_rows() -> None:
    x = np.random.default_rng(0).normal(size=3 * 2000)
    rows, labels = hierarchical_labels(merge_tree(x[:, None], np.ones(len(x)), np.random.default_rng(0), None), 4)
    np.testing.assert_array_equal(rows, np.arange(len(x)))
    np.testing.assert_array_equal(np.bincount(labels), np.full(4, 1500))


def test_more_components_than_distinct_rows() -> None:
    for X in (np.zeros((5, 2)), np.array([[1.0], [2.0], [1.0]])):
        with pytest.raises(InputError, match="distinct values; use fewer components"):
            labelled(X, np.ones(len(X)), 3)


def test_rows_that_are_all_equal_make_one_group() -> None:
    for n_features in (1, 3):
        _, labels = labelled(np.full((5, n_features), 0.1), np.ones(5), 1)
        np.testing.assert_array_equal(labels, np.zeros(5))


@LAW
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.data())
def test_quantile_groups_are_in_order_and_none_is_empty(weights: list[float], data: st.DataObject) -> None:
    n_groups = data.draw(st.integers(1, len(weights)))
    groups = quantile_groups(np.array(weights), n_groups)
    assert groups[0] == 0
    assert groups[-1] == n_groups - 1
    assert set(np.diff(groups).tolist()) <= {0, 1}


def test_a_point_that_weighs_more_than_a_group() -> None:
    np.testing.assert_array_equal(quantile_groups(np.array([8.0, 1.0, 1.0]), 3), [0, 1, 2])
    np.testing.assert_array_equal(quantile_groups(np.array([1.0, 1.0, 8.0, 1.0, 1.0]), 4), [0, 0, 1, 2, 3])
    np.testing.assert_array_equal(quantile_groups(np.ones(7), 3), [0, 0, 1, 1, 1, 2, 2])
