"""What annealing starts from: around a mode of the atlas, a normalised density to draw from, in any order of components.

Laplace's normal of the components that hold rows, and the exact prior of those that hold none.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations

import numpy as np
from scipy.special import gammaln, logsumexp

import bayesgmm as bg
from bayesgmm.evidence.atlas import Atlas, MappedMode, atlas_of, map_from
from bayesgmm.evidence.chart import make_atlas
from bayesgmm.model.axes import draw_lkj_trils, lkj_log_constant
from bayesgmm.model.structure import structure_of
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams

FAMILIES = ("VII", "VVI", "VVV", "EII", "EEI", "EEE")
"""Each parameter belongs to one component or to all alike."""
HOPELESS = 15.0
"""Modes whose mass is smaller than the largest by e to this power begin no region."""

EMPTY = 0.5
"""A component with fewer rows than this at the mode, where those of the prior are taken off, follows its prior."""
BATCH = 4_000_000
"""Numbers held at once."""


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
        """Places of means, scales and correlations, a row for each component that has its own; and whether they have."""
        structure = self.target.structure
        n_weights, n_means, n_scales, _, _, n_axes = structure.sizes
        means, scales, axes, _ = np.split(np.arange(n_weights, structure.n_coordinates), np.cumsum([n_means, n_scales, n_axes]))
        own = (True, structure.cluster_scales, structure.own_axes and structure.n_axes > 0)
        pairs = zip((means, scales, axes), own, strict=True)
        return [(places.reshape(structure.n_components if is_own else 1, -1), is_own) for places, is_own in pairs]

    def extended(self, u: np.ndarray) -> np.ndarray:
        """(S, K + K P_c + common): all logits, of sum 0, then the components one after the other, then what is common."""
        size = self.target.structure.n_components
        logits = np.hstack([u[:, : size - 1], -u[:, : size - 1].sum(axis=1, keepdims=True)])
        return np.hstack([logits, u[:, self.own.ravel()], u[:, self.common]])

    def contracted(self, e: np.ndarray) -> np.ndarray:
        """The reverse of `extended`."""
        size = self.target.structure.n_components
        u = np.empty((len(e), self.target.structure.n_coordinates))
        u[:, : size - 1] = e[:, : size - 1] - e[:, :size].mean(axis=1, keepdims=True)
        u[:, self.own.ravel()] = e[:, size : size + self.own.size]
        u[:, self.common] = e[:, size + self.own.size :]
        return u

    def pulled_back(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient (S, P) by u of a function whose gradient by the extended coordinates is given."""
        size = self.target.structure.n_components
        out = np.empty((len(gradient), self.target.structure.n_coordinates))
        out[:, : size - 1] = gradient[:, : size - 1] - gradient[:, size - 1 : size]
        out[:, self.own.ravel()] = gradient[:, size : size + self.own.size]
        out[:, self.common] = gradient[:, size + self.own.size :]
        return out

    def log_prior(self, c: np.ndarray) -> np.ndarray:
        """ln prior (...) of one component's own coordinates (..., P_c), Jacobian included."""
        priors, (means, log_scales, rows) = self.target.priors, self._pieces(c)
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

    def _pieces(self, c):
        """Means, log scales and rows of correlations; None for those that are common."""
        structure = self.target.structure
        D = structure.n_features
        ends = D + (structure.scales_shape[1] if structure.cluster_scales else 0)
        rows, at = [], ends
        for i in range(1, D if structure.own_axes and structure.n_axes else 0):
            rows.append(c[..., at : at + i])
            at += i
        return c[..., :D], c[..., D:ends] if structure.cluster_scales else None, rows or None


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
        K, j, width = self.coordinates.target.structure.n_components, self.n_occupied, self.coordinates.own.shape[1]
        n_common = len(self.coordinates.common)
        chosen = np.concatenate([np.arange(j), K + np.arange(j * width), K + K * width + np.arange(n_common)])
        return self._smaller.contracted(np.eye(K + K * width + n_common)[:, chosen])

    @cached_property
    def _whitening(self) -> np.ndarray:
        return np.linalg.inv(self.mapped.mode.metric).T

    @cached_property
    def orders(self) -> np.ndarray:
        """Which components are those with rows, in order, before those without: (K! / (K - J)!, K)."""
        K = self.coordinates.target.structure.n_components
        return np.array(
            [[*chosen, *(k for k in range(K) if k not in chosen)] for chosen in permutations(range(K), self.n_occupied)]
        )

    @cached_property
    def _whitened_orders(self) -> np.ndarray:
        """(extended size, orders, P_J)."""
        K, width, n_common = (
            self.coordinates.target.structure.n_components,
            self.coordinates.own.shape[1],
            len(self.coordinates.common),
        )
        out = np.empty((len(self._map), len(self.orders), self._map.shape[1]))
        whitened = self._map @ self._whitening
        for i, order in enumerate(self.orders):
            columns = np.concatenate(
                [order, *(K + width * k + np.arange(width) for k in order), K + K * width + np.arange(n_common)]
            )
            out[columns, i] = whitened
        return out

    @cached_property
    def _log_constant(self) -> float:
        target, j = self.coordinates.target, self.n_occupied
        N, K, a = len(target.X), target.structure.n_components, target.priors.concentration[0]
        normal = -0.5 * self._map.shape[1] * np.log(2 * np.pi) - np.linalg.slogdet(self.mapped.mode.metric)[1]
        return normal + np.log(K / j) + gammaln(N + K * a) - gammaln(N + j * a) - (K - j) * gammaln(a)

    @property
    def log_mass(self) -> float:
        """Laplace's ln of the integral, all orders together."""
        target, j = self.coordinates.target, self.n_occupied
        N, K, a = len(target.X), target.structure.n_components, target.priors.concentration[0]
        lost = gammaln(K * a) + gammaln(N + j * a) - gammaln(j * a) - gammaln(N + K * a)
        return self.mapped.log_mass + lost + gammaln(K + 1) - gammaln(j + 1) - gammaln(K - j + 1)

    def log_density(self, u: np.ndarray, *, all_orders: bool) -> np.ndarray:
        """ln q_m (S, 1), or in every order (S, orders)."""
        target, j = self.coordinates.target, self.n_occupied
        K, n_orders = target.structure.n_components, len(self.orders) if all_orders else 1
        e, maps = self.coordinates.extended(u), self._whitened_orders[:, :n_orders]
        log_weights = e[:, :K] - logsumexp(e[:, :K], axis=1, keepdims=True)
        occupied = np.zeros((n_orders, K))
        np.put_along_axis(occupied, self.orders[:n_orders, :j], 1.0, axis=1)
        z = (e @ maps.reshape(len(maps), -1)).reshape(len(u), n_orders, -1) - self.mapped.mode.u @ self._whitening
        value = self._log_constant - 0.5 * np.einsum("sop,sop->so", z, z)
        if j < K:
            a = target.priors.concentration[0]
            empty = a * log_weights + self.coordinates.log_prior(u[:, self.coordinates.own])
            value += empty @ (1 - occupied).T + (len(target.X) + j * a) * np.log(np.exp(log_weights) @ occupied.T)
        return value

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """(size, P) in the order as written."""
        target, j = self.coordinates.target, self.n_occupied
        N, K, a = len(target.X), target.structure.n_components, target.priors.concentration[0]
        mode = self.mapped.mode
        e = self._smaller.extended(mode.u + rng.standard_normal((size, len(mode.u))) @ mode.metric.T)
        logits, rest, common = np.split(e, [j, j + self._smaller.own.size], axis=1)
        if j < K:
            lost = rng.beta((K - j) * a, N + j * a, size)[:, None]
            split = rng.dirichlet(np.full(K - j, a), size)
            logits = np.hstack([logits - logsumexp(logits, axis=1, keepdims=True) + np.log1p(-lost), np.log(lost * split)])
            rest = np.hstack([rest, self.coordinates.draw_prior(rng, (size, K - j)).reshape(size, -1)])
        return self.coordinates.contracted(np.hstack([logits, rest, common]))

    def gradient(self, u: np.ndarray) -> np.ndarray:
        """Of ln q_m in the order as written, (S, P); by differences for the prior of empty components."""
        target, j = self.coordinates.target, self.n_occupied
        K, e = target.structure.n_components, self.coordinates.extended(u)
        whitened = self._whitened_orders[:, 0]
        out = -(e @ whitened - self.mapped.mode.u @ self._whitening) @ whitened.T
        if j < K:
            N, a = len(target.X), target.priors.concentration[0]
            weights = np.exp(e[:, :K] - logsumexp(e[:, :K], axis=1, keepdims=True))
            occupied = np.arange(K) < j
            share = weights * occupied / weights[:, :j].sum(axis=1, keepdims=True)
            out[:, :K] += (N + j * a) * (share - weights) + a * (~occupied - (K - j) * weights)
            c = u[:, self.coordinates.own[j:]]
            slope = np.empty_like(c)
            for i in range(c.shape[-1]):
                step = 1e-5 * np.eye(c.shape[-1])[i]
                slope[..., i] = (self.coordinates.log_prior(c + step) - self.coordinates.log_prior(c - step)) / 2e-5
            out[:, K + j * c.shape[-1] : K + K * c.shape[-1]] += slope.reshape(len(u), -1)
        return self.coordinates.pulled_back(out)

    @cached_property
    def metric(self) -> np.ndarray:
        """(P, P): of the moves, from the covariance of draws."""
        draws = self.draw(np.random.default_rng(0), 4000)
        return np.linalg.cholesky(np.cov(draws.T).reshape(draws.shape[1], -1) + 1e-12 * np.diag(draws.var(axis=0)))


def with_components(target: Target, n_components: int) -> Target:
    """The same model with fewer components."""
    structure = structure_of(target.structure.family, n_components, target.structure.n_features)
    priors = replace(target.priors, structure=structure, concentration=target.priors.concentration[:n_components])
    return replace(target, priors=priors)


def regions_of(target: Target, atlas: Atlas, rng: np.random.Generator) -> list[Region]:
    """A region for every mode of the atlas, those with empty components as modes of fewer, and for what those have beside."""
    coordinates, concentration, found = Coordinates(target), target.priors.concentration[0], {}
    smaller = [_atlas_of_fewer(target, size, rng) for size in range(1, target.structure.n_components)]
    for mapped in [mapped for each in (atlas, *smaller) for mapped in _full_modes(each)]:
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


def _full_modes(atlas: Atlas) -> list[MappedMode]:
    """Modes of an atlas without empty components that are not hopelessly small."""
    full = [mapped for mapped in atlas.modes if not mapped.n_empty]
    largest = max((mapped.log_mass for mapped in full), default=0.0)
    return [mapped for mapped in full if mapped.log_mass > largest - HOPELESS]


def _atlas_of_fewer(target: Target, n_components: int, rng: np.random.Generator) -> Atlas:
    smaller, seed = with_components(target, n_components), rng.spawn(1)[0]
    try:
        em = bg.fit_em(
            target.X, n_components, covariance=target.structure.family, resolution=target.resolution, seed=seed, progress=False
        )
    except bg.errors.FitError:  # too few rows
        em = None
    return make_atlas(smaller, em, rng)


def log_mixture(regions: list[Region], log_v: np.ndarray, u: np.ndarray) -> np.ndarray:
    """ln q (S,) in all orders of all regions."""
    out = np.full((len(regions), len(u)), -np.inf)
    for m, region in enumerate(regions):
        block = max(1, BATCH // (len(region.orders) * u.shape[1]))
        for first in range(0, len(u), block):
            part = region.log_density(u[first : first + block], all_orders=True)
            out[m, first : first + block] = log_v[m] + logsumexp(part, axis=1) - np.log(part.shape[1])
    return logsumexp(out, axis=0)
