"""Credible balls: how far from its point estimate the posterior of the partition reaches."""

from dataclasses import dataclass

import numpy as np

from bayesgmm.partitions.losses import Array, DrawnLabels, Labels, drawn_sizes, ordered


@dataclass(frozen=True, eq=False)
class CredibleBall:
    """The smallest ball around the point estimate that holds at least `prob` of the drawn partitions, and its bounds.

    As in section 4 of Wade and Ghahramani (2018, Bayesian Anal. 13, 559-626), with the drawn partitions for the posterior. Each
    bound is an array (m, N): the m distinct partitions that meet its definition, labels ordered by size.

    Attributes
    ----------
    prob : float
        As asked for.
    radius : float
        In the units of the loss.
    level : float
        Share of the drawn partitions in the ball, at least `prob`.
    horizontal : (m, N)
        Those in the ball that are farthest from the estimate.
    upper_vertical : (m, N)
        Of those with the fewest clusters in the ball, the farthest.
    lower_vertical : (m, N)
        Of those with the most clusters in the ball, the farthest.
    upper_distance, lower_distance : float
        Distance of the vertical bounds from the estimate; that of the horizontal one is the radius.
    """

    prob: float
    radius: float
    level: float
    horizontal: Labels
    upper_vertical: Labels
    lower_vertical: Labels
    upper_distance: float
    lower_distance: float

    @property
    def n_clusters(self) -> tuple[int, int]:
        """Fewest and most clusters of the drawn partitions in the ball."""
        return int(self.upper_vertical.max()) + 1, int(self.lower_vertical.max()) + 1


def credible_ball(by_row: DrawnLabels, distances: Array, prob: float) -> CredibleBall:
    """The ball of drawn partitions (N, S) at the given distances (S,) from the estimate; prob between 0 and 1."""
    n_draws = len(distances)
    n_needed = int(np.searchsorted(np.arange(1, n_draws + 1) / n_draws, prob)) + 1
    radius = np.sort(distances)[n_needed - 1]
    inside = np.flatnonzero(distances <= radius)
    n_clusters = (drawn_sizes(by_row) > 0).sum(axis=1)[inside]

    def farthest(among: Labels) -> tuple[Labels, float]:
        largest = distances[among].max()
        partitions = [ordered(by_row[:, s]) for s in among[distances[among] == largest]]
        return np.unique(partitions, axis=0), float(largest)

    horizontal, _ = farthest(inside)
    upper, upper_distance = farthest(inside[n_clusters == n_clusters.min()])
    lower, lower_distance = farthest(inside[n_clusters == n_clusters.max()])
    level = len(inside) / n_draws
    return CredibleBall(prob, float(radius), level, horizontal, upper, lower, upper_distance, lower_distance)


def entry_level(distances: Array, distance: float) -> float:
    """Share of drawn partitions nearer to the estimate than `distance`: what is so far off is in ball(prob) if prob is larger."""
    return int((distances < distance).sum()) / len(distances)
