"""Agglomeration against the criterion computed anew for all pairs at every merge, and its laws."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.kernels.agglomerate import OVERALL_ROWS, OWN_ROWS, agglomerate, agglomerate_spheres, labels_of_merges
from tests.problems import Array, random_data, random_params

Criterion = Callable[[list[int]], float]
Merge = Callable[[Array, Array], Array]

LAW = settings(derandomize=True, deadline=None, max_examples=20)
seeds = st.integers(0, 2**32 - 1)
every_kind = pytest.mark.parametrize("merge", [agglomerate, agglomerate_spheres], ids=["full", "spheres"])
dimensions = st.sampled_from((1, 2, 3, 6, 9))


def clustered(rng: np.random.Generator, n_samples: int, n_features: int) -> Array:
    return random_data(rng, random_params(rng, 3, n_features), n_samples)[0]


def partition(labels: Array) -> frozenset[frozenset[int]]:
    """The groups as sets of rows: the same whatever their names."""
    return frozenset(frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels))


def partitions(merges: Array) -> list[frozenset[frozenset[int]]]:
    return [partition(labels_of_merges(merges, k)) for k in range(1, len(merges) + 2)]


def scatter(rows: Array, row_weights: Array) -> Array:
    centred = rows - np.average(rows, axis=0, weights=row_weights)
    return (row_weights[:, None] * centred).T @ centred


def full_criterion(Z: Array, row_weights: Array) -> Criterion:
    """n_k ln |(W_k + r_k I) / n_k|, as the docstring has it."""
    n_features = Z.shape[1]
    overall = np.trace(scatter(Z, row_weights)) / (row_weights.sum() * n_features)

    def term(rows: list[int]) -> float:
        count, own = row_weights[rows].sum(), scatter(Z[rows], row_weights[rows])
        ridge = OWN_ROWS * np.trace(own) / (count * n_features) + OVERALL_ROWS * overall
        return float(count * np.linalg.slogdet((own + ridge * np.eye(n_features)) / count)[1])

    return term


def spherical_criterion(Z: Array, row_weights: Array) -> Criterion:
    """n_k ln((tr(W_k) + tr(W) / (n D)) / n_k)."""
    overall = np.trace(scatter(Z, row_weights)) / (row_weights.sum() * Z.shape[1])

    def term(rows: list[int]) -> float:
        count = row_weights[rows].sum()
        return float(count * np.log((np.trace(scatter(Z[rows], row_weights[rows])) + overall) / count))

    return term


def brute_force(n_samples: int, term: Criterion) -> list[tuple[int, int]]:
    """The best merge of all pairs, each time with the whole criterion computed anew."""
    groups = {i: [i] for i in range(n_samples)}
    merges = []
    for new in range(n_samples, 2 * n_samples - 1):
        after = {
            (low, high): sum(term(rows) for group, rows in groups.items() if group not in (low, high))
            + term(groups[low] + groups[high])
            for low, high in itertools.combinations(sorted(groups), 2)
        }
        low, high = min(after, key=after.__getitem__)
        groups[new] = groups.pop(low) + groups.pop(high)
        merges.append((low, high))
    return merges


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n_samples", "n_features"), [(10, 1), (12, 2), (10, 3), (9, 5), (9, 9), (8, 17)])
@pytest.mark.parametrize(
    ("merge", "criterion"), [(agglomerate, full_criterion), (agglomerate_spheres, spherical_criterion)], ids=["full", "spheres"]
)
def test_every_merge_is_the_best_of_all_pairs(
    merge: Merge, criterion: Callable[[Array, Array], Criterion], n_samples: int, n_features: int, weighted: bool
) -> None:
    rng = np.random.default_rng([n_samples, n_features])
    Z = clustered(rng, n_samples, n_features)
    row_weights = rng.uniform(0.2, 4, n_samples) if weighted else np.ones(n_samples)
    expected = brute_force(n_samples, criterion(Z, row_weights))
    assert [tuple(pair) for pair in merge(Z, row_weights).tolist()] == expected


@pytest.mark.parametrize("n_samples", [1, 2, 3, 17, 33])
def test_the_merges_are_a_tree(n_samples: int) -> None:
    merges = agglomerate(clustered(np.random.default_rng(0), n_samples, 2), np.ones(n_samples))
    assert merges.shape == (n_samples - 1, 2)
    assert (merges[:, 0] < merges[:, 1]).all()
    assert (merges[:, 1] < n_samples + np.arange(n_samples - 1)).all()
    assert sorted(merges.ravel().tolist()) == list(range(2 * n_samples - 2))


@every_kind
@LAW
@given(seeds, dimensions)
def test_labels_of_every_number_of_groups_are_nested(merge: Merge, seed: int, n_features: int) -> None:
    n_samples = 25
    merges = merge(clustered(np.random.default_rng(seed), n_samples, n_features), np.ones(n_samples))
    finer = np.arange(n_samples)
    for n_clusters in range(n_samples, 0, -1):
        labels = labels_of_merges(merges, n_clusters)
        assert set(labels.tolist()) == set(range(n_clusters))
        first = np.unique(labels, return_index=True)[1]
        assert (np.diff(first) > 0).all()
        pairs = set(zip(finer.tolist(), labels.tolist(), strict=True))
        assert len(pairs) == len(set(finer.tolist()))
        finer = labels


@every_kind
@LAW
@given(seeds, dimensions)
def test_the_order_of_the_rows_does_not_matter(merge: Merge, seed: int, n_features: int) -> None:
    rng = np.random.default_rng(seed)
    Z, row_weights = clustered(rng, 40, n_features), rng.integers(1, 4, 40).astype(float)
    order = rng.permutation(40)
    merges, permuted = merge(Z, row_weights), merge(Z[order], row_weights[order])
    for n_clusters in (2, 3, 7, 20):
        assert partition(labels_of_merges(merges, n_clusters)[order]) == partition(labels_of_merges(permuted, n_clusters))


@every_kind
@LAW
@given(seeds, dimensions, st.sampled_from((1e-150, 1e-3, 7.0, 1e150)))
def test_translation_rotation_and_a_common_factor_change_nothing(merge: Merge, seed: int, n_features: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    Z, row_weights = clustered(rng, 40, n_features), np.ones(40)
    rotation, _ = np.linalg.qr(rng.normal(size=(n_features, n_features)))
    moved = factor * (Z @ rotation + rng.normal(scale=10, size=n_features))
    assert partitions(merge(moved, row_weights)) == partitions(merge(Z, row_weights))


@every_kind
@LAW
@given(seeds, dimensions)
def test_a_whole_weight_is_that_many_copies(merge: Merge, seed: int, n_features: int) -> None:
    rng = np.random.default_rng(seed)
    Z, copies = clustered(rng, 25, n_features), rng.integers(1, 5, 25)
    row_of = rng.permutation(np.repeat(np.arange(25), copies))
    weighted, repeated = merge(Z, copies.astype(float)), merge(Z[row_of], np.ones(len(row_of)))
    for n_clusters in range(1, 26):
        expected = labels_of_merges(weighted, n_clusters)[row_of]
        assert partition(labels_of_merges(repeated, n_clusters)) == partition(expected)


def test_equal_rows_are_merged_before_all_others() -> None:
    Z = np.array([[0.0, 1.0], [5.0, 5.0], [0.0, 1.0], [0.0, 1.0 + 1e-9], [5.0, 5.0], [0.0, 1.0]])
    merges = agglomerate(Z, np.ones(6))
    np.testing.assert_array_equal(merges[:3], [[0, 2], [1, 4], [5, 6]])
    assert partition(labels_of_merges(merges, 3)) == partition(np.array([0, 1, 0, 2, 1, 0]))


def test_rows_that_are_all_equal() -> None:
    merges = agglomerate(np.full((4, 3), 0.1), np.ones(4))
    np.testing.assert_array_equal(merges, [[0, 1], [2, 4], [3, 5]])


def test_a_grid_full_of_ties() -> None:
    Z = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), axis=-1).reshape(-1, 2)
    merges = agglomerate(Z, np.ones(36))
    np.testing.assert_array_equal(merges, agglomerate(Z, np.ones(36)))
    assert sorted(merges.ravel().tolist()) == list(range(70))


@every_kind
@pytest.mark.parametrize("n_features", [1, 2, 5, 12])
def test_separated_groups_are_found(merge: Merge, n_features: int) -> None:
    rng = np.random.default_rng(n_features)
    truth = rng.permutation(np.repeat([0, 1], [30, 50]))
    Z = rng.normal(size=(80, n_features)) * np.where(truth, 1.0, 0.3)[:, None] + 30.0 * truth[:, None]
    assert partition(labels_of_merges(merge(Z, np.ones(80)), 2)) == partition(truth)


def test_crossing_groups_of_different_orientation_are_found() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 60)
    Z = rng.normal(size=(120, 2)) * np.where(truth[:, None], [6.0, 0.1], [0.1, 6.0]) + 4.0 * truth[:, None]
    agreement = np.mean(labels_of_merges(agglomerate(Z, np.ones(120)), 2) == truth)
    spherical = np.mean(labels_of_merges(agglomerate_spheres(Z, np.ones(120)), 2) == truth)
    assert max(agreement, 1 - agreement) > 0.9  # the rows near the crossing may go either way
    assert max(spherical, 1 - spherical) < 0.8
