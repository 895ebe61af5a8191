"""Proposals: normalised, label-symmetric densities near the posterior that can be drawn from."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from math import lgamma
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from bayesgmm.em.fit import fit_em
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.errors import FitError
from bayesgmm.evidence.normal_scores import Orders, coordinates_of, scores_of
from bayesgmm.kernels.orders import log_sum_over_orders
from bayesgmm.kernels.rows import plain
from bayesgmm.kernels.threads import available_threads
from bayesgmm.model.priors import ResolvedPriors
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]

DRAWS_PER_COMPONENT = 10
"""Draws of each dimension for a Gaussian of the proposal."""

MOST_COMPONENTS = 12

MOST_DRAWS = 2000
"""That a proposal is fitted to, evenly spaced."""

SHRINKAGES = np.array([1e-4, 0.03, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0])
"""Of a covariance towards that of independent components; never 0, as that of a chain that hardly moved is singular."""

MAX_ITERATIONS = 100

FEW_STEPS = 2000
"""Of the search for the likeliest order of one point in one Gaussian: all orders of up to six components."""

MOST_STEPS = 20_000
"""Of the search for all orders that count."""

COMPLETE = 0.999
"""Share of the points whose sums must be complete; the others lose less than they have."""

SAMPLED = 32
"""Points that tell whether sums take too long."""

ROUNDS = 3
"""Of fitting and naming the components of the draws anew."""


class Terms(NamedTuple):
    """The density of points and the largest term of its sum.

    ln q (S,) and, of that term, the order of the components in the slots (S, K), the Gaussian (S,) and the squared distance
    from it (S,); whether the sum is complete (S,).
    """

    log_density: Array
    orders: Orders
    nearest: NDArray[np.intp]
    distances: Array
    complete: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Proposal:
    """A Gaussian mixture in normal scores, the same in every order of the components where the prior is.

    `slots` says which component of a labelled draw each slot of the scores holds.
    """

    priors: ResolvedPriors
    slots: Orders
    gaussians: MixtureParams

    def log_density(self, u: Array) -> Array:
        """ln q(u) (S,) of points u (S, P); all NaN where so many components could be exchanged that sums take too long."""
        sample = u[:: max(len(u) // SAMPLED, 1)]
        if not self.terms(sample, MOST_STEPS).complete.all():
            return np.full(len(u), np.nan)
        terms = self.terms(u, MOST_STEPS)
        return terms.log_density if terms.complete.mean() > COMPLETE else np.full(len(u), np.nan)

    def draw(self, n_draws: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
        """Points u (S, P) in one labelling, and whether they are in the support of the posterior."""
        gaussians = self.gaussians
        which = rng.choice(gaussians.n_components, n_draws, p=gaussians.weights)
        z = rng.standard_normal((n_draws, gaussians.n_features))
        v = gaussians.means[which] + (gaussians.scale_trils[which] @ z[:, :, None])[:, :, 0]
        return coordinates_of(v, self.priors, self.slots)

    def terms(self, u: Array, most_steps: int = FEW_STEPS) -> Terms:
        """The density of points u (S, P), and the largest terms of its sum over orders and Gaussians, each searched so far."""
        scores = scores_of(u, self.priors, self.slots)
        structure, gaussians = self.priors.structure, self.gaussians
        n_points, n_components = len(u), structure.n_components
        bonus = scores.bonus
        if not self.priors.symmetric:  # one order only
            bonus = np.full_like(bonus, -np.inf)
            bonus[:, np.arange(n_components), self.slots] = scores.bonus[:, np.arange(n_components), self.slots]
        out = Terms(
            np.empty(n_points),
            np.zeros((n_points, n_components), dtype=np.intp),
            np.empty(n_points, dtype=np.intp),
            np.empty(n_points),
            np.empty(n_points, dtype=np.bool_),
        )
        mixture = [plain(array) for array in (np.log(gaussians.weights), gaussians.means, gaussians.scale_trils)]

        def fill(part: slice) -> None:
            log_sum_over_orders(
                *(array[part] for array in (scores.shared, scores.blocks, bonus)),
                *mixture,
                most_steps,
                *(array[part] for array in out),
            )

        ends = np.linspace(0, n_points, available_threads() + 1).astype(int)
        with ThreadPoolExecutor(available_threads()) as pool:
            list(pool.map(fill, [slice(*pair) for pair in pairwise(ends)]))
        copies = structure.log_rotation_copies + (lgamma(n_components + 1) if self.priors.symmetric else 0.0)
        return out._replace(log_density=out.log_density + scores.log_jacobian - copies)


def fit_proposal(u: Array, orders: Orders, priors: ResolvedPriors, rng: np.random.Generator) -> Proposal:
    """A proposal fitted to draws u (S, P) whose components are in the given orders (S, K) more or less alike.

    By EM, which names the components of each draw as they are most probable in turn with fitting.
    """
    chosen = np.linspace(0, len(u) - 1, min(len(u), MOST_DRAWS)).round().astype(int)
    u, orders = u[chosen], orders[chosen]
    n_draws, size = u.shape
    weights = np.take_along_axis(_weights(u, priors), orders, axis=1)
    slots = np.argsort(weights.mean(axis=0), kind="stable")  # the last slot's weight is what the others leave: the largest one
    n_gaussians = int(np.clip(n_draws // (DRAWS_PER_COMPONENT * size), 1, MOST_COMPONENTS))
    scores = scores_of(u, priors, slots)
    slotted = orders[:, slots]
    for _ in range(ROUNDS):
        v = scores.arranged(slotted)
        proposal = Proposal(priors, slots, _gaussians(v, n_gaussians, scores.groups, rng))
        if not priors.symmetric:
            return proposal
        again = proposal.terms(u).orders
        if (again == slotted).mean() > 0.99:
            return proposal
        slotted = again
    return proposal


def _weights(u: Array, priors: ResolvedPriors) -> Array:
    logits = u[:, : priors.structure.n_components - 1]
    logits = np.concatenate([logits, -logits.sum(axis=1, keepdims=True)], axis=1)
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


def _gaussians(v: Array, n_gaussians: int, groups: Sequence[slice], rng: np.random.Generator) -> MixtureParams:
    """A mixture of so many Gaussians for points v (S, P), or of half as many where one of them gets no points, and so on."""
    while n_gaussians > 1:
        try:
            return _several(v, n_gaussians, rng)
        except FitError:
            n_gaussians //= 2
    return _one(v, groups)


def _one(v: Array, groups: Sequence[slice]) -> MixtureParams:
    """The Gaussian of points v (S, P): of their covariance, drawn to that of independent groups of columns.

    By as much as makes half of the points most probable given the other half, in units in which each group's own covariance is
    the identity. The error of a covariance of P columns from S draws costs P^2 / (4 S) nats of overlap, and components are
    nearly independent when P is large.
    """
    centre, tril = v.mean(axis=0), np.zeros((v.shape[1], v.shape[1]))
    for group in groups:
        tril[group, group] = np.linalg.cholesky(_covariance(v[:, group]))
    white = solve_triangular(tril, (v - centre).T, lower=True).T
    shrinkage = _best_shrinkage(white)
    covariance = (1 - shrinkage) * white.T @ white / len(white) + shrinkage * np.eye(v.shape[1])
    return MixtureParams(np.ones(1), centre[None], (tril @ np.linalg.cholesky(covariance))[None])


def _best_shrinkage(white: Array) -> float:
    """Of the second moments of one half of points (S, P) to the identity, best for the density of the other; both ways round."""
    halves = np.array_split(white, 2)
    costs = np.zeros(len(SHRINKAGES))
    for known, other in (halves, halves[::-1]):
        values, vectors = np.linalg.eigh(known.T @ known / len(known))
        variances = (1 - SHRINKAGES[:, None]) * values + SHRINKAGES[:, None]
        costs += (np.log(variances) + ((other @ vectors) ** 2).mean(axis=0) / variances).sum(axis=1)
    return float(SHRINKAGES[costs.argmin()])


def _covariance(v: Array) -> Array:
    return np.atleast_2d(np.cov(v.T)) + 1e-12 * np.diag(v.var(axis=0) + 1e-300)


def _several(v: Array, n_gaussians: int, rng: np.random.Generator) -> MixtureParams:
    """A Gaussian mixture for points v (S, P), with covariances drawn to that of all points where draws are few."""
    size = v.shape[1]
    centre, tril = v.mean(axis=0), np.linalg.cholesky(_covariance(v))
    white = solve_triangular(tril, (v - centre).T, lower=True).T
    pseudo_rows = float(size)
    prior = ConjugatePrior(
        degrees_of_freedom=size + 2 + pseudo_rows, scale=0.5 * pseudo_rows * n_gaussians ** (-2 / size) * np.eye(size)
    )
    fit = fit_em(
        white,
        n_gaussians,
        init="k-means++",
        n_init=1,
        tol=1e-3,
        max_iter=MAX_ITERATIONS,
        prior=prior,
        seed=rng,
        progress=False,
    )
    params = fit.params
    return MixtureParams(params.weights, centre + params.means @ tril.T, tril @ params.scale_trils)
