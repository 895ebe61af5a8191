"""Which order the components of each draw get: what every relabelling method minimises, over flat arrays of draws."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import entr

from bayesgmm.kernels.density import compute_responsibilities
from bayesgmm.kernels.tally import Tally, add_matches, add_products, tally_of_draws
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.schema import Draws

Array = NDArray[np.float64]
Labels = NDArray[np.intp]
Permutations = NDArray[np.intp]
Choose = Callable[[int, Array], Permutations]
"""From the number of a draw and its responsibilities (N, K), its permutation (K,)."""

MAX_ITERATIONS = 100

PILOT_DRAWS = 100
PILOT_STARTS = 10
"""An iterative method looks for a second start among so many fixed points over so many of the draws."""

DISAGREEMENT = "share of rows, over the draws, whose most probable component is not the pivot's"
DIVERGENCE = "Kullback-Leibler divergence of the draws' memberships from their mean, summed over rows and draws, in nats"
DISTANCE = "squared distance of the standardised parameters from the reference's, mean over the draws"


class Labelling(NamedTuple):
    """Permutations (S, K), cluster k of draw s being the raw draw's component permutations[s, k], and what they reach.

    `objective` says what was minimised, `objective_value` where it ended; None where nothing was. `kullback_leibler` is
    Stephens' objective of these permutations, whatever the method.
    """

    permutations: Permutations
    objective: str | None
    objective_value: float | None
    kullback_leibler: float
    n_iterations: int
    converged: bool


class Descent(NamedTuple):
    """An iterative method: its objective, the value of a tally (smaller is better), and how the next permutations are chosen."""

    objective: str
    value: Callable[[Tally], float]
    following: Callable[[Tally], Choose]


def ecr(X: Array, draws: Draws, reference: MixtureParams) -> Labelling:
    """As many rows as possible with the reference's hard labels (Papastamoulis and Iliopoulos 2010)."""
    pivot = hard_labels(X, reference)
    tally = tally_of_draws(X, *draws, nearest_to_pivot(pivot))
    return Labelling(tally.permutations, DISAGREEMENT, disagreement(tally, pivot), kullback_leibler(tally), 1, converged=True)


def ecr_iterative(X: Array, draws: Draws, reference: MixtureParams) -> Labelling:
    """ECR whose pivot is each row's most frequent label in the relabelled draws (Papastamoulis 2016, iterative version 1)."""
    return descend(X, draws, reference, MODAL_PIVOT)


def ecr_iterative_soft(X: Array, draws: Draws, reference: MixtureParams) -> Labelling:
    """ECR whose pivot is each row's most probable component by its mean memberships (iterative version 2)."""
    return descend(X, draws, reference, MEAN_PIVOT)


def stephens(X: Array, draws: Draws, reference: MixtureParams) -> Labelling:
    """Memberships as near as possible to their mean over the draws, in Kullback-Leibler divergence (Stephens 2000, section 4)."""
    return descend(X, draws, reference, MEAN_MEMBERSHIPS)


def pra(X: Array, draws: Draws, reference: MixtureParams) -> Labelling:
    """Parameters as near as possible to the reference's, in units of the data's spread (Marin, Mengersen and Robert 2005).

    Their largest inner product is the smallest distance: a permutation changes no norm.
    """
    permutations, distance = nearest_parameters(*standardised(X, draws, reference))
    tally = tally_of_draws(X, *draws, in_order(permutations))
    return Labelling(permutations, DISTANCE, distance, kullback_leibler(tally), 1, converged=True)


def as_given(X: Array, draws: Draws, permutations: Permutations) -> Labelling:
    """The given permutations, with the divergence they have."""
    tally = tally_of_draws(X, *draws, in_order(permutations))
    return Labelling(permutations, None, None, kullback_leibler(tally), 1, converged=True)


def descend(X: Array, draws: Draws, reference: MixtureParams, descent: Descent) -> Labelling:
    """The better of two fixed points, from the reference's ECR permutations and from a pilot's, in the reference's order."""
    pivot = hard_labels(X, reference)
    tally, n_iterations, converged = iterate(X, draws, tally_of_draws(X, *draws, nearest_to_pivot(pivot)), descent)
    other = tally_of_draws(X, *draws, descent.following(pilot(X, draws, reference, descent)))
    if not same_up_to_names(tally.permutations, other.permutations):
        found = iterate(X, draws, other, descent)
        if descent.value(found[0]) < descent.value(tally):
            tally, n_iterations, converged = found
    permutations = tally.permutations[:, named_like(pivot, tally)]
    return Labelling(permutations, descent.objective, descent.value(tally), kullback_leibler(tally), n_iterations, converged)


def pilot(X: Array, draws: Draws, reference: MixtureParams, descent: Descent) -> Tally:
    """The best fixed point over at most PILOT_DRAWS draws, from the reference's PRA permutations and from single draws."""
    some = evenly_spaced(draws, PILOT_DRAWS)
    near, _ = nearest_parameters(*standardised(X, some, reference))
    as_it_is = in_order(np.arange(draws.weights.shape[1])[None])
    alone = [Draws(*(array[None] for array in draw)) for draw in zip(*evenly_spaced(some, PILOT_STARTS), strict=True)]
    starts = [in_order(near), *(descent.following(tally_of_draws(X, *draw, as_it_is)) for draw in alone)]
    return min((iterate(X, some, tally_of_draws(X, *some, start), descent)[0] for start in starts), key=descent.value)


def evenly_spaced(draws: Draws, most: int) -> Draws:
    """So many of the draws, or all of them if they are fewer."""
    chosen = np.linspace(0, len(draws.weights) - 1, min(len(draws.weights), most)).round().astype(int)
    return Draws(*(array[chosen] for array in draws))


def same_up_to_names(first: Permutations, second: Permutations) -> bool:
    """Whether one permutation of all draws' clusters turns the first permutations (S, K) into the second."""
    names = np.take_along_axis(first.argsort(axis=1), second, axis=1)
    return bool((names == names[0]).all())


def iterate(X: Array, draws: Draws, tally: Tally, descent: Descent) -> tuple[Tally, int, bool]:
    """The tally at the fixed point reached from here, the passes over the draws it took, and whether it is one."""
    for iteration in range(1, MAX_ITERATIONS + 1):
        before, tally = tally, tally_of_draws(X, *draws, descent.following(tally))
        if np.array_equal(tally.permutations, before.permutations):
            return tally, iteration, True
    return tally, MAX_ITERATIONS, False


def in_order(permutations: Permutations) -> Choose:
    """The permutations (S, K) as they are."""
    return lambda s, _: permutations[s]


def nearest_to_pivot(labels: Labels) -> Choose:
    """The order in which most rows have the label that the pivot (N,) gives them; of several, that of the larger memberships."""

    def choose(_: int, gamma: Array) -> Permutations:
        matches = np.zeros((gamma.shape[1], gamma.shape[1]))
        add_matches(gamma, labels, matches)
        return linear_sum_assignment(matches, maximize=True)[1]

    return choose


def nearest_to_mean(tally: Tally) -> Choose:
    """The order that maximises sum_nk gamma_n,permutation[k] ln q_nk, with q the tally's mean memberships."""
    log_means = np.log(np.maximum(tally.memberships / len(tally.permutations), np.finfo(np.float64).tiny))

    def choose(_: int, gamma: Array) -> Permutations:
        gains = np.zeros((gamma.shape[1], gamma.shape[1]))
        add_products(gamma, log_means, gains)
        return linear_sum_assignment(gains, maximize=True)[1]

    return choose


def nearest_parameters(vectors: Array, reference: Array) -> tuple[Permutations, float]:
    """Permutations that bring vectors (S, K, F) nearest to the reference's (K, F), and the mean squared distance left."""
    n_draws, n_components, n_values = vectors.shape
    squares = cdist(reference, vectors.reshape(-1, n_values), "sqeuclidean").reshape(n_components, n_draws, n_components)
    permutations = np.array([linear_sum_assignment(squares[:, s])[1] for s in range(n_draws)])
    reached = np.take_along_axis(squares, permutations.T[:, :, None], axis=2)
    return permutations, float(reached.sum()) / n_draws


def standardised(X: Array, draws: Draws, reference: MixtureParams) -> tuple[Array, Array]:
    """Weights, means / sd and covariances / (sd sd') of draws (S, K, 1 + D + D^2) and reference, sd the columns' deviations."""
    sizes = np.abs(X).max(axis=0)
    sizes[sizes == 0] = 1.0
    spread = sizes * (X / sizes).std(axis=0)  # no square overflows
    spread[spread == 0] = 1.0

    def vectors(weights: Array, means: Array, scale_trils: Array) -> Array:
        factors = scale_trils / spread[:, None]
        covariances = (factors @ factors.swapaxes(-1, -2)).reshape(*weights.shape, -1)
        return np.concatenate([weights[..., None], means / spread, covariances], axis=-1)

    return vectors(*draws), vectors(reference.weights, reference.means, reference.scale_trils)


def named_like(labels: Labels, tally: Tally) -> Permutations:
    """The order (K,) of the tally's clusters in which they hold most of the rows with these labels."""
    n_components = tally.memberships.shape[1]
    shared = np.zeros((n_components, n_components))
    np.add.at(shared, labels, tally.memberships)
    return linear_sum_assignment(shared, maximize=True)[1]


def hard_labels(X: Array, params: MixtureParams) -> Labels:
    """The most probable component of every row (N,)."""
    return compute_responsibilities(X, params.weights, params.means, params.scale_trils).argmax(axis=1)


def disagreement(tally: Tally, labels: Labels) -> float:
    """Share of rows, over all draws, whose most probable component is another than `labels` (N,) says."""
    agreeing = np.take_along_axis(tally.votes, labels[:, None], axis=1).sum()
    return 1.0 - float(agreeing) / (len(tally.permutations) * len(labels))


def kullback_leibler(tally: Tally) -> float:
    """sum_s sum_nk gamma_nk ln(gamma_nk / q_nk) with q the mean of gamma over the draws, in nats (Stephens 2000, equation 6).

    As S sum_n H(q_n) - sum_s sum_n H(gamma_n): the permutations enter the first term only.
    """
    n_draws = len(tally.permutations)
    return max(n_draws * float(entr(tally.memberships / n_draws).sum()) - tally.entropy, 0.0)


def modal_labels(tally: Tally) -> Labels:
    """Each row's most frequent label."""
    return tally.votes.argmax(axis=1)


def mean_labels(tally: Tally) -> Labels:
    """Each row's most probable component by its mean membership."""
    return tally.memberships.argmax(axis=1)


MODAL_PIVOT = Descent(
    DISAGREEMENT,
    lambda tally: disagreement(tally, modal_labels(tally)),
    lambda tally: nearest_to_pivot(modal_labels(tally)),
)
MEAN_PIVOT = Descent(
    DISAGREEMENT,
    lambda tally: disagreement(tally, mean_labels(tally)),
    lambda tally: nearest_to_pivot(mean_labels(tally)),
)
MEAN_MEMBERSHIPS = Descent(DIVERGENCE, kullback_leibler, nearest_to_mean)
