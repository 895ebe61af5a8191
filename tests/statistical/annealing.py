"""Evidence by annealing from the atlas: no draws of NUTS, no bridge, no fitted proposal.

Around each mode of the atlas stands a region q_m (`regions`). With every order of the components and the regions' weights v_m,
q = sum_m v_m mean_order q_m is as symmetric as the posterior, and

    p(X) = sum_m v_m E_m[p(u, X) / q(u)],   u ~ q_m,

each term of which is the integral of q_m p / q. It is found by annealed importance sampling (Neal 2001, section 2) along
q_m (p / q)^beta, beta from 0 to 1. Orders need no moves: q_m p / q is the share of the posterior that lies nearest to region m in
the order in which it is written, and every order has the same. The moves are Hamiltonian ones, by the slope of
q_m^(1 - beta) p^beta: leapfrog steps by any slope that depends on the place alone keep volumes and can be reversed, and the
acceptance uses the density. Particles are independent, so that the standard error is that of a mean. Where few particles carry
the weight (`relative_ess` below a tenth or so) it is too small.

It finds what the moves reach from the regions. For the galaxies with three components it is 0.17 too low, with 1200 particles as
with 500: an eighth of the posterior has a wide, light component in place of one of the clusters, which no region is near to.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import logsumexp

from bayesgmm.evidence.atlas import Atlas
from bayesgmm.evidence.regions import locator_of
from bayesgmm.model.target import Target
from tests.statistical.regions import Region, log_mixture, regions_of

LEAST = 0.05
"""Least weight of a region in q."""
N_RESAMPLED = 4000
"""Draws that shares are counted in."""
ACCEPT = 0.8
SMALL_MOVES = 0.2
"""Share of the moves with a fifth of the step, for particles in places where the usual one is always refused."""


@dataclass(frozen=True, eq=False)
class Annealed:
    """ln evidence, its standard error, `shares` (M,) of the regions, particles (S, P), their ln weights (S,) and regions (S,)."""

    log_value: float
    standard_error: float
    shares: np.ndarray
    regions: list[Region]
    particles: np.ndarray
    log_weights: np.ndarray
    home: np.ndarray
    acceptance: float

    @property
    def relative_ess(self) -> float:
        """Effective share of the particles, (sum W)^2 / sum W^2 / S."""
        return float(np.exp(2 * logsumexp(self.log_weights) - logsumexp(2 * self.log_weights)) / len(self.log_weights))

    def resampled(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draws (size, P) of the posterior, by systematic resampling."""
        ends = np.cumsum(np.exp(self.log_weights - logsumexp(self.log_weights)))
        return self.particles[np.searchsorted(ends / ends[-1], (np.arange(size) + rng.random()) / size)]


def annealed_log_evidence(
    target: Target,
    atlas: Atlas,
    rng: np.random.Generator,
    *,
    n_particles: int = 1000,
    n_temperatures: int = 50,
    n_steps: int = 6,
    n_pilots: int = 48,
    max_regions: int = 8,
) -> Annealed:
    """ln p(X) by annealing from the modes; a pilot run fixes temperatures, step sizes and the regions' weights."""
    regions = sorted(regions_of(target, atlas, rng), key=lambda region: -region.log_mass)[:max_regions]
    log_v = _floored(np.array([region.log_mass for region in regions]))
    pilots = [_pilot(target, regions, log_v, m, rng, n_pilots, n_temperatures, n_steps) for m in range(len(regions))]
    log_v = _floored(log_v + np.array([value for value, _, _ in pilots]))
    counts = np.maximum(32, n_particles * (0.5 / len(regions) + 0.5 * np.exp(log_v))).astype(int)
    particles, log_weights, acceptances = [], [], []
    for m, (_, temperatures, step) in enumerate(pilots):
        u, log_weight, accepted = anneal(target, regions, log_v, m, temperatures, step, rng, counts[m], n_steps)
        particles.append(u)
        log_weights.append(log_weight + log_v[m] - np.log(counts[m]))
        acceptances.append(accepted)
    masses = np.array([logsumexp(several) for several in log_weights])
    log_value = float(logsumexp(masses))
    variance = sum(len(several) * np.var(np.exp(several - log_value), ddof=1) for several in log_weights)
    return Annealed(
        log_value, float(np.sqrt(variance)), np.exp(masses - log_value), regions, np.concatenate(particles),
        np.concatenate(log_weights), np.repeat(np.arange(len(regions)), counts), float(np.mean(acceptances)),
    )  # fmt: skip


def anneal(target, regions, log_v, m, temperatures, step, rng, size, n_steps):
    """Particles (size, P) from region m at beta = 1, their ln weights and the mean acceptance of the moves."""
    region = regions[m]
    u = region.draw(rng, size)
    state = _state(target, regions, log_v, region, u)
    log_weights, accepted = np.zeros(size), []
    for before, beta in pairwise(temperatures):
        log_weights += (beta - before) * (state[1] - state[2])
        u, state, rate = _move(target, regions, log_v, region, beta, u, state, step, n_steps, rng)
        accepted.append(rate)
    return u, log_weights, float(np.mean(accepted))


def mode_shares(target: Target, atlas: Atlas, annealed: Annealed, rng: np.random.Generator) -> np.ndarray:
    """Share of the posterior (M,) that is nearest to each mode of the atlas."""
    places, _ = locator_of(target, atlas).nearest(annealed.resampled(rng, N_RESAMPLED))
    return np.bincount(places, minlength=len(atlas.modes)) / N_RESAMPLED


def _state(target, regions, log_v, region, u):
    """ln q_m, ln p, ln q, all (S,), and the gradient of ln p (S, P)."""
    log_p, slopes = np.empty(len(u)), np.empty_like(u)
    for i, one in enumerate(u):
        log_p[i], slopes[i] = target.log_density(one)
    return region.log_density(u, all_orders=False)[:, 0], log_p, log_mixture(regions, log_v, u), slopes


def _move(target, regions, log_v, region, beta, u, state, step, n_steps, rng):
    """One Hamiltonian move of every particle in the metric of the region, leaving q_m (p / q)^beta as it is."""
    momentum = rng.standard_normal(u.shape)
    step = step * rng.uniform(0.7, 1.3, (len(u), 1)) * np.where(rng.random((len(u), 1)) < SMALL_MOVES, 0.2, 1.0)
    kinetic = 0.5 * (momentum**2).sum(axis=1)

    def force(u, slopes):
        return ((1 - beta) * region.gradient(u) + beta * slopes) @ region.metric

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        place, speed = u, momentum + 0.5 * step * force(u, state[3])
        for leap in range(n_steps):
            place = place + step * speed @ region.metric.T
            place = np.where(np.isfinite(place), place, u)
            slopes = np.array([target.log_density(one)[1] for one in place])
            speed = speed + (step if leap < n_steps - 1 else 0.5 * step) * force(place, slopes)
        new = _state(target, regions, log_v, region, place)
        gain = _log_annealed(new, beta) - _log_annealed(state, beta) + kinetic - 0.5 * (speed**2).sum(axis=1)
    gain = np.where(np.isfinite(gain), gain, -np.inf)
    taken = np.log(rng.random(len(u))) < gain
    state = tuple(np.where(taken.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in zip(state, new, strict=True))
    return np.where(taken[:, None], place, u), state, float(np.minimum(1, np.exp(np.minimum(gain, 0))).mean())


def _log_annealed(state, beta):
    log_region, log_p, log_q, _ = state
    return log_region + beta * (log_p - log_q)


def _pilot(target, regions, log_v, m, rng, size, n_temperatures, n_steps):
    """ln of the region's integral, temperatures at equal distances (standard deviations of ln p / q), and a step size.

    Particles are resampled at every temperature, each chosen so that ln weights spread by about one half.
    """
    region = regions[m]
    u = region.draw(rng, size)
    state = _state(target, regions, log_v, region, u)
    beta, value, step = 0.0, 0.0, 1.0 / u.shape[1] ** 0.25
    betas, distances = [0.0], [0.0]
    while beta < 1:
        ratio = state[1] - state[2]
        spread = max(np.diff(np.percentile(ratio, [16, 84]))[0] / 2, 0.5 * ratio.std(), 1e-9)
        width = min(0.5 / spread, 1 - beta)
        log_weights = width * ratio
        value += logsumexp(log_weights) - np.log(size)
        beta = 1.0 if beta + width > 1 - 1e-9 else beta + width
        betas.append(beta)
        distances.append(distances[-1] + width * spread + 1e-3)
        chosen = rng.choice(size, size, p=np.exp(log_weights - logsumexp(log_weights)))
        u, state = u[chosen], tuple(part[chosen] for part in state)
        for _ in range(2):
            u, state, rate = _move(target, regions, log_v, region, beta, u, state, step, n_steps, rng)
            step *= np.exp(0.5 * (rate - ACCEPT))
    even = np.interp(np.linspace(0, distances[-1], n_temperatures + 1), distances, betas)
    return value, even, step


def _floored(log_masses: np.ndarray) -> np.ndarray:
    """ln of weights of sum 1, proportional to the masses but for a least weight."""
    shares = np.exp(log_masses - logsumexp(log_masses))
    shares = np.maximum(shares, LEAST)
    return np.log(shares / shares.sum())
