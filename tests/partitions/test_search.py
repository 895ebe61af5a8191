"""The search finds what enumeration finds, and stays within its bounds."""

import numpy as np
import pytest

from bayesgmm.partitions import losses as module
from bayesgmm.partitions.losses import ExpectedBinder, ExpectedInformation, distances, ordered
from bayesgmm.partitions.search import best_cut, best_drawn, find_partition
from tests.partitions.posteriors import all_partitions, drawn_labels, random_memberships, share_of_optima, similarity_by_loop

UNPLACED = -1


@pytest.mark.slow
def test_the_optimum_is_found():
    shares = share_of_optima(n_posteriors=60, largest=7, seed=5)
    assert min(shares.values()) >= 0.99, shares


def both_losses(rng, n):
    memberships = random_memberships(rng, n)
    by_row, similarity = drawn_labels(rng, memberships), similarity_by_loop(memberships)
    return by_row, similarity, (ExpectedInformation(by_row), ExpectedBinder(similarity))


@pytest.mark.parametrize("seed", range(5))
def test_most_clusters_are_kept_to(seed):
    """With a bound the best partition within it is found."""
    rng = np.random.default_rng(seed)
    by_row, similarity, losses = both_losses(rng, 6)
    allowed = [labels for labels in all_partitions(6) if labels.max() < 2]
    for loss in losses:
        starts = [*best_drawn(loss, by_row, 2), *best_cut(loss, similarity, 2), *[np.full(6, UNPLACED)] * 8]
        assert all(start.max() < 2 for start in starts)
        found = find_partition(loss, starts, 2, np.random.default_rng(0))
        assert loss.expected(found) == pytest.approx(min(map(loss.expected, allowed)), abs=1e-11)


@pytest.mark.parametrize("n_first", [250, 1])
@pytest.mark.parametrize("seed", range(3))
def test_no_move_and_no_merge_improves(seed, n_first, monkeypatch):
    """Whether all draws are descended on at once, or a few of them first."""
    monkeypatch.setattr(module, "N_FIRST", n_first)
    rng = np.random.default_rng(seed)
    _, _, losses = both_losses(rng, 15)
    for loss in losses:
        start = rng.integers(-1, 6, 15)
        labels = loss.descend(start, rng.permutation(15), 15)
        best = loss.expected(labels)
        for i in range(15):
            for c in range(int(labels.max()) + 2):
                assert loss.expected(np.where(np.arange(15) == i, c, labels)) > best - 1e-9
        for a in np.unique(labels):
            for b in np.unique(labels):
                assert loss.expected(np.where(labels == b, a, labels)) > best - 1e-9
        again = loss.descend(labels, rng.permutation(15), 15)
        np.testing.assert_array_equal(again, labels)


def test_starts_are_left_as_they_are():
    rng = np.random.default_rng(0)
    _, _, losses = both_losses(rng, 8)
    for loss in losses:
        start = np.full(8, UNPLACED)
        loss.descend(start, np.arange(8), 8)
        assert (start == UNPLACED).all()


def test_candidates_are_the_best_of_their_kind():
    rng = np.random.default_rng(3)
    by_row, similarity, losses = both_losses(rng, 7)
    for loss in losses:
        drawn = best_drawn(loss, by_row, 7)
        every = {tuple(ordered(by_row[:, s])) for s in range(by_row.shape[1])}
        best = sorted(loss.expected(np.array(labels)) for labels in every)[:3]
        assert len({tuple(labels) for labels in drawn}) == len(best)
        np.testing.assert_allclose([loss.expected(labels) for labels in drawn], best, rtol=1e-12)
        (cut,) = best_cut(loss, similarity, 7)
        assert loss.expected(cut) <= min(loss.expected(np.zeros(7, dtype=int)), loss.expected(np.arange(7))) + 1e-12
    assert best_drawn(losses[0], np.arange(3, dtype=np.uint8)[:, None], 2) == []


@pytest.mark.parametrize("name", ["vi", "binder"])
def test_draws_that_all_agree_are_the_answer(name):
    truth = np.array([0, 0, 1, 2, 1, 0, 0])
    by_row = np.stack([np.roll([0, 1, 2], s)[truth] for s in range(20)], axis=1).astype(np.uint8)
    loss = ExpectedInformation(by_row) if name == "vi" else ExpectedBinder((truth[:, None] == truth).astype(float))
    found = find_partition(loss, [np.full(7, UNPLACED)], 7, np.random.default_rng(0))
    np.testing.assert_array_equal(found, truth)
    assert loss.expected(found) == 0
    np.testing.assert_array_equal(distances(found, by_row, name), 0)


def test_one_row():
    for loss in (ExpectedInformation(np.zeros((1, 3), dtype=np.uint8)), ExpectedBinder(np.ones((1, 1)))):
        np.testing.assert_array_equal(find_partition(loss, [np.array([UNPLACED])], 1, np.random.default_rng(0)), [0])
    assert best_cut(loss, np.ones((1, 1)), 1) == []
