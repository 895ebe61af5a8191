"""Credible balls: their definition, their bounds, and the level at which a partition enters."""

from itertools import pairwise

import numpy as np
import pytest

from bayesgmm.partitions.ball import credible_ball, entry_level
from bayesgmm.partitions.losses import distances, ordered

PROBS = [0.01, 0.25, 0.5, 0.7, 0.95, 0.99]


def drawn(seed, n_draws=200):
    """Draws around one partition of 10 rows, and the distances from it."""
    rng = np.random.default_rng(seed)
    centre = rng.integers(0, 3, 10)
    by_row = np.where(rng.random((10, n_draws)) < 0.15, rng.integers(0, 5, (10, n_draws)), centre[:, None]).astype(np.uint8)
    return centre, by_row


def number_of_clusters(labels):
    return len(np.unique(labels))


@pytest.mark.parametrize("loss", ["vi", "binder"])
@pytest.mark.parametrize("prob", PROBS)
def test_the_ball_is_the_smallest_that_holds_prob(loss, prob):
    centre, by_row = drawn(1)
    d = distances(centre, by_row, loss)
    ball = credible_ball(by_row, d, prob)
    assert ball.level == (d <= ball.radius).mean() >= prob
    assert (d < ball.radius).mean() < prob
    assert ball.radius in d


@pytest.mark.parametrize("loss", ["vi", "binder"])
@pytest.mark.parametrize("prob", PROBS)
def test_bounds_are_their_definitions(loss, prob):
    centre, by_row = drawn(2)
    d = distances(centre, by_row, loss)
    ball = credible_ball(by_row, d, prob)
    inside = np.flatnonzero(d <= ball.radius)
    n_clusters = np.array([number_of_clusters(by_row[:, s]) for s in inside])
    assert ball.n_clusters == (n_clusters.min(), n_clusters.max())
    for bounds, distance, among in (
        (ball.horizontal, ball.radius, inside),
        (ball.upper_vertical, ball.upper_distance, inside[n_clusters == n_clusters.min()]),
        (ball.lower_vertical, ball.lower_distance, inside[n_clusters == n_clusters.max()]),
    ):
        assert distance == d[among].max()
        wanted = {tuple(ordered(by_row[:, s])) for s in among if d[s] == distance}
        assert wanted == {tuple(labels) for labels in bounds}
        assert len(wanted) == len(bounds)


def test_balls_are_nested_in_prob():
    centre, by_row = drawn(3)
    d = distances(centre, by_row, "vi")
    balls = [credible_ball(by_row, d, prob) for prob in PROBS]
    for smaller, larger in pairwise(balls):
        assert smaller.radius <= larger.radius
        assert smaller.level <= larger.level
        assert larger.n_clusters[0] <= smaller.n_clusters[0] <= smaller.n_clusters[1] <= larger.n_clusters[1]


def test_a_partition_is_in_the_ball_exactly_above_its_level():
    centre, by_row = drawn(4, n_draws=60)
    d = distances(centre, by_row, "vi")
    for prob in [0.001, 0.333, 0.95, 0.999, *(np.arange(1, 60) / 60)]:
        radius = credible_ball(by_row, d, prob).radius
        for distance in [0.0, *np.unique(d), 10.0]:
            assert (distance <= radius) == (prob > entry_level(d, distance))
    assert entry_level(d, 0.0) == 0
    assert entry_level(d, 10.0) == 1


def test_draws_that_all_agree_make_a_ball_of_one_partition():
    by_row = np.array([[0, 1], [0, 1], [1, 0]], dtype=np.uint8)
    ball = credible_ball(by_row, distances(np.array([0, 0, 1]), by_row, "vi"), 0.95)
    assert (ball.radius, ball.level) == (0, 1)
    for bounds in (ball.horizontal, ball.upper_vertical, ball.lower_vertical):
        np.testing.assert_array_equal(bounds, [[0, 0, 1]])
