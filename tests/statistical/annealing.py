"""Evidence by annealing from the atlas: no draws of NUTS, no bridge, no fitted proposal.

Around each mode of the atlas stands a region: Laplace's normal of the components that hold rows, and the exact prior of those that
hold none, q_m. With every order of the components and the regions' weights v_m, q = sum_m v_m mean_order q_m is as symmetric as the
posterior, and

    p(X) = sum_m v_m E_m[p(u, X) / q(u)],   u ~ q_m,

each term of which is the integral of q_m p / q. It is found by annealed importance sampling (Neal 2001, section 2) along
q_m (p / q)^beta, beta from 0 to 1. Orders need no moves: q_m p / q is the share of the posterior that lies nearest to the region m in
the order in which it is written, and every order has the same. The moves are Hamiltonian ones, by the slope of q_m^(1 - beta) p^beta:
leapfrog steps by any slope that depends on the place alone keep volumes and can be reversed, and the acceptance uses the density.
Particles are independent, so that the standard error is that of a mean.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations

import numpy as np
from scipy.special import gammaln, logsumexp

import bayesgmm as bg
from bayesgmm.evidence.atlas import Atlas, MappedMode, atlas_of, map_from
from bayesgmm.evidence.laplace import ascend
from bayesgmm.model.axes import draw_lkj_trils, lkj_log_constant
from bayesgmm.model.structure import structure_of
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams
from bayesgmm.sampling.start import make_atlas

FAMILIES = ("VII", "VVI", "VVV", "EII", "EEI", "EEE")
"""Each parameter belongs to one component or to all alike."""
EMPTY = 0.5
"""A component with fewer rows than this at the mode, where those of the prior are taken off, follows its prior."""
LEAST = 0.02
"""Least weight of a region in q."""
BATCH = 4_000_000
"""Numbers held at once."""
ACCEPT = 0.8


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Which coordinates u (P,) belong to whom: logits, one row of places for each component, and places common to all."""

    target: Target

    def __post_init__(self):
        priors = self.target.priors
        if self.target.structure.family not in FAMILIES or not priors.symmetric:
            raise ValueError(f"{self.target.structure.family}: there is annealing for {FAMILIES} with equal concentrations")

    @cached_property
    def own(self) -> np.ndarray:
        """Places (K, P_c), of means, scales and correlations."""
        return np.hstack([places for places, is_own in self._parts if is_own])

    @cached_property
    def common(self) -> np.ndarray:
        return np.concatenate([np.empty(0, int), *(places.ravel() for places, is_own in self._parts if not is_own)])

    @property
    def _parts(self):
        structure = self.target.structure
        n_weights, n_means, n_scales, _, _, n_axes = structure.sizes
        begins = np.cumsum([n_weights, n_means, n_scales, n_axes])
        places = [np.arange(first, last).reshape(rows, -1) for first, last, rows in
                  zip(begins[:-1], begins[1:], (structure.n_components, structure.scales_shape[0], max(structure.n_axes, 1)), strict=True)]  # fmt: skip
        return list(zip(places, (True, structure.cluster_scales, structure.own_axes and structure.n_axes > 0), strict=True))

    def extended(self, U: np.ndarray) -> np.ndarray:
        """(S, K + K P_c + common): all logits, of sum 0, then the components one after the other, then what is common."""
        size = self.target.structure.n_components
        logits = np.hstack([U[:, : size - 1], -U[:, : size - 1].sum(axis=1, keepdims=True)])
        return np.hstack([logits, U[:, self.own.ravel()], U[:, self.common]])

    def contracted(self, E: np.ndarray) -> np.ndarray:
        """The reverse of `extended`."""
        size = self.target.structure.n_components
        U = np.empty((len(E), self.target.structure.n_coordinates))
        U[:, : size - 1] = E[:, : size - 1] - E[:, :size].mean(axis=1, keepdims=True)
        U[:, self.own.ravel()] = E[:, size : size + self.own.size]
        U[:, self.common] = E[:, size + self.own.size :]
        return U

    def pulled_back(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient (S, P) by u of a function whose gradient by the extended coordinates is given."""
        size = self.target.structure.n_components
        out = np.empty((len(gradient), self.target.structure.n_coordinates))
        out[:, : size - 1] = gradient[:, : size - 1] - gradient[:, size - 1 : size]
        out[:, self.own.ravel()] = gradient[:, size : size + self.own.size]
        out[:, self.common] = gradient[:, size + self.own.size :]
        return out

    def log_prior(self, C: np.ndarray) -> np.ndarray:
        """ln prior (...) of one component's own coordinates (..., P_c), Jacobian included."""
        priors, (means, log_scales, rows) = self.target.priors, self._pieces(C)
        deviation = (means - priors.mean_loc) / priors.mean_scale
        value = (-0.5 * deviation**2 - np.log(priors.mean_scale) - 0.5 * np.log(2 * np.pi)).sum(axis=-1)
        if log_scales is not None:
            value = value + (priors.scale_distribution.logpdf(np.exp(log_scales)) + log_scales).sum(axis=-1)
        if rows is not None:
            n_features = self.target.structure.n_features
            squares = sum(np.log1p((row**2).sum(axis=-1)) for row in rows)
            value = value + lkj_log_constant(priors.lkj_eta, n_features) - (priors.lkj_eta + (n_features - 1) / 2) * squares
        return value

    def draw_prior(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draws (*shape, P_c) of one component's own coordinates."""
        priors, structure = self.target.priors, self.target.structure
        n_features = structure.n_features
        pieces = [priors.mean_loc + priors.mean_scale * rng.standard_normal((*shape, n_features))]
        if structure.cluster_scales:
            pieces.append(np.log(priors.scale_distribution.ppf(rng.random((*shape, structure.scales_shape[1])))))
        if structure.own_axes and structure.n_axes:
            trils = draw_lkj_trils(rng, priors.lkj_eta, n_features, shape)
            lower = np.tril_indices(n_features, -1)
            pieces.append((trils / np.diagonal(trils, axis1=-2, axis2=-1)[..., None])[..., lower[0], lower[1]])
        return np.concatenate(pieces, axis=-1)

    def _pieces(self, C):
        """Means, log scales and rows of correlations; None for those that are common."""
        structure = self.target.structure
        D = structure.n_features
        ends = D + (structure.scales_shape[1] if structure.cluster_scales else 0)
        rows, at = [], ends
        for i in range(1, D if structure.own_axes and structure.n_axes else 0):
            rows.append(C[..., at : at + i])
            at += i
        return C[..., :D], C[..., D:ends] if structure.cluster_scales else None, rows or None


@dataclass(frozen=True, eq=False)
class Region:
    """Laplace's normal N(mode.u, A A') of the first J components, as a posterior of J, and the prior of the K - J others.

    The others' total weight is Beta((K - J) a, N + J a), split by Dirichlet(a): what holds given that they have no rows.
    """

    coordinates: Coordinates
    n_occupied: int
    mapped: MappedMode

    @cached_property
    def _smaller(self) -> Coordinates:
        return Coordinates(with_components(self.coordinates.target, self.n_occupied))

    @cached_property
    def _map(self) -> np.ndarray:
        """(extended size, P_J): from extended coordinates to those of the J components."""
        K, J, width = self.coordinates.target.structure.n_components, self.n_occupied, self.coordinates.own.shape[1]
        n_common = len(self.coordinates.common)
        chosen = np.concatenate([np.arange(J), K + np.arange(J * width), K + K * width + np.arange(n_common)])
        return self._smaller.contracted(np.eye(K + K * width + n_common)[:, chosen])

    @cached_property
    def _whitening(self) -> np.ndarray:
        return np.linalg.inv(self.mapped.mode.metric).T

    @cached_property
    def orders(self) -> np.ndarray:
        """Which components are those with rows, in order, before those without: (K! / (K - J)!, K)."""
        K = self.coordinates.target.structure.n_components
        return np.array([[*chosen, *(k for k in range(K) if k not in chosen)] for chosen in permutations(range(K), self.n_occupied)])

    @cached_property
    def _whitened_orders(self) -> np.ndarray:
        """(extended size, orders, P_J)."""
        K, width, n_common = self.coordinates.target.structure.n_components, self.coordinates.own.shape[1], len(self.coordinates.common)
        out = np.empty((len(self._map), len(self.orders), self._map.shape[1]))
        whitened = self._map @ self._whitening
        for i, order in enumerate(self.orders):
            columns = np.concatenate([order, *(K + width * k + np.arange(width) for k in order), K + K * width + np.arange(n_common)])
            out[columns, i] = whitened
        return out

    @cached_property
    def _log_constant(self) -> float:
        target, J = self.coordinates.target, self.n_occupied
        N, K, a = len(target.X), target.structure.n_components, target.priors.concentration[0]
        normal = -0.5 * self._map.shape[1] * np.log(2 * np.pi) - np.linalg.slogdet(self.mapped.mode.metric)[1]
        return normal + np.log(K / J) + gammaln(N + K * a) - gammaln(N + J * a) - (K - J) * gammaln(a)

    @property
    def log_mass(self) -> float:
        """Laplace's ln of the integral, all orders together."""
        target, J = self.coordinates.target, self.n_occupied
        N, K, a = len(target.X), target.structure.n_components, target.priors.concentration[0]
        lost = gammaln(K * a) + gammaln(N + J * a) - gammaln(J * a) - gammaln(N + K * a)
        return self.mapped.log_mass + lost + gammaln(K + 1) - gammaln(J + 1) - gammaln(K - J + 1)

    def log_density(self, U: np.ndarray, *, all_orders: bool) -> np.ndarray:
        """ln q_m (S, 1), or in every order (S, orders)."""
        target, J = self.coordinates.target, self.n_occupied
        K, n_orders = target.structure.n_components, len(self.orders) if all_orders else 1
        E, maps = self.coordinates.extended(U), self._whitened_orders[:, :n_orders]
        log_weights = E[:, :K] - logsumexp(E[:, :K], axis=1, keepdims=True)
        occupied = np.zeros((n_orders, K))
        np.put_along_axis(occupied, self.orders[:n_orders, :J], 1.0, axis=1)
        z = (E @ maps.reshape(len(maps), -1)).reshape(len(U), n_orders, -1) - self.mapped.mode.u @ self._whitening
        value = self._log_constant - 0.5 * np.einsum("sop,sop->so", z, z)
        if J < K:
            a = target.priors.concentration[0]
            empty = a * log_weights + self.coordinates.log_prior(U[:, self.coordinates.own])
            value += empty @ (1 - occupied).T + (len(target.X) + J * a) * np.log(np.exp(log_weights) @ occupied.T)
        return value

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """(size, P) in the order as written."""
        target, J = self.coordinates.target, self.n_occupied
        N, K, a = len(target.X), target.structure.n_components, target.priors.concentration[0]
        mode = self.mapped.mode
        E = self._smaller.extended(mode.u + rng.standard_normal((size, len(mode.u))) @ mode.metric.T)
        logits, rest, common = np.split(E, [J, J + self._smaller.own.size], axis=1)
        if J < K:
            lost = rng.beta((K - J) * a, N + J * a, size)[:, None]
            split = rng.dirichlet(np.full(K - J, a), size)
            logits = np.hstack([logits - logsumexp(logits, axis=1, keepdims=True) + np.log1p(-lost), np.log(lost * split)])
            rest = np.hstack([rest, self.coordinates.draw_prior(rng, (size, K - J)).reshape(size, -1)])
        return self.coordinates.contracted(np.hstack([logits, rest, common]))

    def gradient(self, U: np.ndarray) -> np.ndarray:
        """Of ln q_m in the order as written, (S, P); the Beta and Dirichlet of empty components included, by differences for their prior."""
        target, J = self.coordinates.target, self.n_occupied
        K, E = target.structure.n_components, self.coordinates.extended(U)
        whitened = self._whitened_orders[:, 0]
        out = -(E @ whitened - self.mapped.mode.u @ self._whitening) @ whitened.T
        if J < K:
            N, a = len(target.X), target.priors.concentration[0]
            weights = np.exp(E[:, :K] - logsumexp(E[:, :K], axis=1, keepdims=True))
            occupied = np.arange(K) < J
            share = weights * occupied / weights[:, :J].sum(axis=1, keepdims=True)
            out[:, :K] += (N + J * a) * (share - weights) + a * (~occupied - (K - J) * weights)
            C = U[:, self.coordinates.own[J:]]
            slope = np.empty_like(C)
            for i in range(C.shape[-1]):
                step = 1e-5 * np.eye(C.shape[-1])[i]
                slope[..., i] = (self.coordinates.log_prior(C + step) - self.coordinates.log_prior(C - step)) / 2e-5
            out[:, K + J * C.shape[-1] : K + K * C.shape[-1]] += slope.reshape(len(U), -1)
        return self.coordinates.pulled_back(out)

    @cached_property
    def metric(self) -> np.ndarray:
        """(P, P): of the moves, from the covariance of draws."""
        draws = self.draw(np.random.default_rng(0), 4000)
        return np.linalg.cholesky(np.cov(draws.T).reshape(draws.shape[1], -1) + 1e-12 * np.diag(draws.var(axis=0)))


@dataclass(frozen=True, eq=False)
class Annealed:
    """ln evidence and its standard error; `shares` (M,) of the regions; particles U (S, P) with ln weights (S,), and their regions."""

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


def with_components(target: Target, n_components: int) -> Target:
    """The same model with fewer components."""
    structure = structure_of(target.structure.family, n_components, target.structure.n_features)
    priors = replace(target.priors, structure=structure, concentration=target.priors.concentration[:n_components])
    return replace(target, priors=priors)


def regions_of(target: Target, atlas: Atlas, rng: np.random.Generator) -> list[Region]:
    """A region for every mode of the atlas, those with empty components as modes of fewer, and for what those have beside."""
    coordinates, concentration, found = Coordinates(target), target.priors.concentration[0], {}
    smaller = [_atlas_of_fewer(target, size, rng) for size in range(1, target.structure.n_components)]
    for mapped in [mapped for each in (atlas, *smaller) for mapped in each.modes]:
        params = mapped.params
        rows = params.weights * (len(target.X) + params.n_components * concentration) - concentration
        occupied = np.flatnonzero(rows > EMPTY)
        if len(occupied) < params.n_components:
            weights = params.weights[occupied] / params.weights[occupied].sum()
            params = MixtureParams(weights, params.means[occupied], params.scale_trils[occupied])
            mapped = map_from(with_components(target, len(occupied)), params, mapped.origin)
        if mapped is not None:
            found.setdefault(len(occupied), []).append(mapped)
    modes = {size: atlas_of(several, symmetric=True).modes for size, several in found.items()}
    return [Region(coordinates, size, mapped) for size, several in modes.items() for mapped in several]


def _atlas_of_fewer(target: Target, n_components: int, rng: np.random.Generator) -> Atlas:
    smaller, seed = with_components(target, n_components), rng.spawn(1)[0]
    try:
        em = bg.fit_em(
            target.X, n_components, covariance=target.structure.family, resolution=target.resolution, seed=seed, progress=False
        )
    except bg.errors.FitError:  # too few rows
        em = None
    return make_atlas(smaller, em, rng)


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
    """ln p(X) by annealing from the modes; temperatures, step sizes and the regions' weights are those of a pilot run, then fixed."""
    regions = sorted(regions_of(target, atlas, rng), key=lambda region: -region.log_mass)[:max_regions]
    log_v = _floored(np.array([region.log_mass for region in regions]))
    pilots = [_pilot(target, regions, log_v, m, rng, n_pilots, n_temperatures, n_steps) for m in range(len(regions))]
    log_v = _floored(log_v + np.array([value for value, _, _ in pilots]))
    counts = np.maximum(32, n_particles * (0.25 / len(regions) + 0.75 * np.exp(log_v))).astype(int)
    particles, log_weights, acceptances = [], [], []
    for m, (_, temperatures, step) in enumerate(pilots):
        U, log_weight, accepted = anneal(target, regions, log_v, m, temperatures, step, rng, counts[m], n_steps)
        particles.append(U)
        log_weights.append(log_weight + log_v[m] - np.log(counts[m]))
        acceptances.append(accepted)
    masses = np.array([logsumexp(several) for several in log_weights])
    log_value = float(logsumexp(masses))
    variance = sum(len(several) * np.var(np.exp(several - log_value), ddof=1) for several in log_weights)
    return Annealed(
        log_value, float(np.sqrt(variance)), np.exp(masses - log_value), regions, np.concatenate(particles),
        np.concatenate(log_weights), np.repeat(np.arange(len(regions)), counts), float(np.mean(acceptances)),
    )  # fmt: skip


def anneal(target, regions, log_v, m, temperatures, step, rng, size, n_steps, on_the_way: Callable | None = None):
    """Particles (size, P) from region m at beta = 1, their ln weights and the mean acceptance of the moves."""
    region = regions[m]
    U = region.draw(rng, size)
    state = _state(target, regions, log_v, region, U)
    log_weights, accepted = np.zeros(size), []
    for before, beta in zip(temperatures[:-1], temperatures[1:], strict=True):
        log_weights += (beta - before) * (state[1] - state[2])
        if on_the_way is not None:
            U, state = on_the_way(U, state, log_weights)
        length = step * rng.uniform(0.7, 1.3)
        U, state, rate = _move(target, regions, log_v, region, beta, U, state, length, n_steps, rng)
        accepted.append(rate)
    return U, log_weights, float(np.mean(accepted))


def log_mixture(regions: list[Region], log_v: np.ndarray, U: np.ndarray) -> np.ndarray:
    """ln q (S,) in all orders of all regions."""
    out = np.full((len(regions), len(U)), -np.inf)
    for m, region in enumerate(regions):
        block = max(1, BATCH // (len(region.orders) * U.shape[1]))
        for first in range(0, len(U), block):
            part = region.log_density(U[first : first + block], all_orders=True)
            out[m, first : first + block] = log_v[m] + logsumexp(part, axis=1) - np.log(part.shape[1])
    return logsumexp(out, axis=0)


def mode_shares(target: Target, atlas: Atlas, annealed: Annealed, rng: np.random.Generator, size: int = 300) -> dict[int | None, float]:
    """Share of the posterior from which each mode of the atlas is reached uphill; None for other modes."""
    metric = np.diag(annealed.resampled(rng, 2000).std(axis=0))
    places = [atlas.place_of(target.mixture_at(ascend(target.log_density, u, metric))) for u in annealed.resampled(rng, size)]
    return {place: places.count(place) / size for place in sorted(set(places), key=str)}


def _state(target, regions, log_v, region, U):
    """ln q_m, ln p, ln q, all (S,), and the gradient of ln p (S, P)."""
    log_p, slopes = np.empty(len(U)), np.empty_like(U)
    for i, u in enumerate(U):
        log_p[i], slopes[i] = target.log_density(u)
    return region.log_density(U, all_orders=False)[:, 0], log_p, log_mixture(regions, log_v, U), slopes


def _move(target, regions, log_v, region, beta, U, state, step, n_steps, rng):
    """One Hamiltonian move of every particle in the metric of the region, leaving q_m (p / q)^beta as it is."""
    momentum = rng.standard_normal(U.shape)
    kinetic = 0.5 * (momentum**2).sum(axis=1)

    def force(U, slopes):
        return ((1 - beta) * region.gradient(U) + beta * slopes) @ region.metric

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        place, speed = U, momentum + 0.5 * step * force(U, state[3])
        for leap in range(n_steps):
            place = place + step * speed @ region.metric.T
            place = np.where(np.isfinite(place), place, U)
            slopes = np.array([target.log_density(u)[1] for u in place])
            speed = speed + (step if leap < n_steps - 1 else 0.5 * step) * force(place, slopes)
        new = _state(target, regions, log_v, region, place)
        gain = _log_annealed(new, beta) - _log_annealed(state, beta) + kinetic - 0.5 * (speed**2).sum(axis=1)
    gain = np.where(np.isfinite(gain), gain, -np.inf)
    taken = np.log(rng.random(len(U))) < gain
    state = tuple(np.where(taken.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in zip(state, new, strict=True))
    return np.where(taken[:, None], place, U), state, float(np.minimum(1, np.exp(np.minimum(gain, 0))).mean())


def _log_annealed(state, beta):
    log_region, log_p, log_q, _ = state
    return log_region + beta * (log_p - log_q)


def _pilot(target, regions, log_v, m, rng, size, n_temperatures, n_steps):
    """ln of the region's integral, temperatures at equal distances (standard deviations of ln p / q), and a step size.

    Particles are resampled at every temperature, each chosen so that ln weights spread by about one half.
    """
    region = regions[m]
    U = region.draw(rng, size)
    state = _state(target, regions, log_v, region, U)
    beta, value, step = 0.0, 0.0, 1.0 / U.shape[1] ** 0.25
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
        U, state = U[chosen], tuple(part[chosen] for part in state)
        for _ in range(2):
            U, state, rate = _move(target, regions, log_v, region, beta, U, state, step * rng.uniform(0.7, 1.3), n_steps, rng)
            step *= np.exp(0.5 * (rate - ACCEPT))
    even = np.interp(np.linspace(0, distances[-1], n_temperatures + 1), distances, betas)
    return value, even, step


def _floored(log_masses: np.ndarray) -> np.ndarray:
    """ln of weights of sum 1, proportional to the masses but for a least weight."""
    shares = np.exp(log_masses - logsumexp(log_masses))
    shares = np.maximum(shares, LEAST)
    return np.log(shares / shares.sum())
