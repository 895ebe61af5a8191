"""Distances between partitions: what they are, their laws, and their expectations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.partitions import losses as module
from bayesgmm.partitions.losses import ExpectedBinder, ExpectedInformation, distances, ordered
from tests.partitions.posteriors import (
    all_partitions,
    drawn_labels,
    expected_binder,
    expected_information,
    random_memberships,
)

LAW = settings(derandomize=True, deadline=None, max_examples=150)
LOSSES = ["vi", "binder"]


@st.composite
def partitions(draw, n=3):
    """Some partitions of the same rows."""
    n_rows = draw(st.integers(1, 12))
    labels = st.lists(st.integers(0, 5), min_size=n_rows, max_size=n_rows)
    return [np.array(draw(labels)) for _ in range(n)]


def distance(a, b, loss):
    return distances(a, b[:, None].astype(np.uint8), loss)[0]


@pytest.mark.parametrize("loss", LOSSES)
@LAW
@given(three=partitions())
def test_metric_laws(loss, three):
    a, b, c = three
    assert distance(a, a, loss) == 0
    assert distance(a, b, loss) == distance(b, a, loss)
    assert distance(a, c, loss) <= distance(a, b, loss) + distance(b, c, loss) + 1e-11
    same = np.array_equal(a[:, None] == a, b[:, None] == b)
    assert (distance(a, b, loss) == 0) == same


@pytest.mark.parametrize("loss", LOSSES)
@LAW
@given(two=partitions(2), data=st.data())
def test_labels_mean_nothing(loss, two, data):
    a, b = two
    names, rows = data.draw(st.permutations(range(6))), data.draw(st.permutations(range(len(a))))
    assert distance(np.array(names)[a], b, loss) == distance(a, b, loss)
    assert distance(a, np.array(names)[b], loss) == distance(a, b, loss)
    assert distance(a[rows], b[rows], loss) == distance(a, b, loss)


@LAW
@given(two=partitions(2))
def test_distances_are_what_they_are_called(two):
    a, b = two
    together_a, together_b = a[:, None] == a, b[:, None] == b
    n_differ = np.triu(together_a != together_b).sum()
    assert distance(a, b, "binder") == pytest.approx(2 * n_differ / len(a) ** 2, abs=1e-11)
    sizes_a, sizes_b, sizes_both = together_a.sum(axis=1), together_b.sum(axis=1), (together_a & together_b).sum(axis=1)
    information = np.log2(sizes_a / sizes_both).mean() + np.log2(sizes_b / sizes_both).mean()  # H(b | a) + H(a | b)
    assert distance(a, b, "vi") == pytest.approx(information, abs=1e-11)


@pytest.mark.parametrize("loss", LOSSES)
def test_blocks_of_draws_do_not_matter(loss, monkeypatch):
    rng = np.random.default_rng(0)
    labels, by_row = rng.integers(0, 4, 30), rng.integers(0, 3, (30, 50)).astype(np.uint8)
    whole = distances(labels, by_row, loss)
    monkeypatch.setattr(module, "BYTES_AT_ONCE", 7 * 12 * 4 * 3)
    np.testing.assert_array_equal(distances(labels, by_row, loss), whole)


def test_known_values():
    """All rows apart against all together: log2 N bits, and (N - 1) / N."""
    apart, together = np.arange(8), np.zeros(8, dtype=int)
    assert distance(apart, together, "vi") == 3.0
    assert distance(apart, together, "binder") == 7 / 8


@pytest.mark.parametrize("seed", range(10))
def test_expected_losses_are_means_over_draws(seed):
    rng = np.random.default_rng(seed)
    by_row = drawn_labels(rng, random_memberships(rng, 6))
    every = all_partitions(6)
    share_together = (by_row[:, None] == by_row).mean(axis=2)
    for loss, objective, slow in (
        ("vi", ExpectedInformation(by_row), expected_information(every, by_row)),
        ("binder", ExpectedBinder(share_together), expected_binder(every, share_together)),
    ):
        expected = [objective.expected(labels) for labels in every]
        np.testing.assert_allclose(expected, [distances(labels, by_row, loss).mean() for labels in every], atol=1e-11)
        np.testing.assert_allclose(expected, slow, atol=1e-11)


def test_ordered_by_size_then_first_row():
    np.testing.assert_array_equal(ordered(np.array([7, 2, 2, 5, 7, 2])), [1, 0, 0, 2, 1, 0])
    np.testing.assert_array_equal(ordered(np.array([3, 3, 1, 1])), [0, 0, 1, 1])
