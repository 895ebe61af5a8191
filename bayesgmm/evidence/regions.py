"""Regions of the posterior between which chains do not travel, and how much of it each holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import arviz_stats as azs
import numpy as np
from numpy.typing import NDArray

from bayesgmm.evidence.atlas import Atlas
from bayesgmm.evidence.bridge import Estimate, bridge, mean_of
from bayesgmm.evidence.normal_scores import scores_of
from bayesgmm.evidence.proposal import Proposal, fit_proposal
from bayesgmm.kernels.draws import classes_of_draws
from bayesgmm.model.coordinates import constrain, covariances
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.permutations import ecr
from bayesgmm.posterior.schema import Draws

Array = NDArray[np.float64]
Places = NDArray[np.intp]
Inside = Callable[[Array], NDArray[np.bool_]]

STEP = 1e-3
"""Of differences along the metric of a mode, in its standard deviations."""

RESIDENT = 0.2
"""Share of its draws in two modes that makes a chain count there."""

FEWEST_TRAVELLERS = 2
"""Chains that travel between two modes, both ways, which make them one region, if they are most of those that count there."""

FEW_ROWS = 4.0
"""A component that holds fewer is taken for nearly empty when draws are told apart."""

FORGETTING = 1.5
"""R-hat of being in a mode, of pilot chains: where it was larger (iris, K = 4: 1.8) shares of merged modes stayed those of where
chains started; where chains mix it is 1.3 at most."""

ANY = -1

NOWHERE = -1

FAR = 60.0
"""Squared distance from a mode, in units of its normal approximation, beyond three times its expectation. Draws of iris and crabs
stay within 135 of 44 and 198 of 83 dimensions; those on the way between modes are 400 to 2000 away."""

PIECES = 8
"""Into which the draws of a region are cut, alternately for the proposal and for the bridge from it."""

PROPOSED = 4000
"""Draws of each proposal."""


@dataclass(frozen=True, eq=False)
class Locator:
    """Tells from which mode of an atlas a draw is.

    That with the largest share times density there, among those with as many (nearly) empty components as the draw has, or among
    all if none has.
    """

    target: Target
    n_empty: Places
    proposals: dict[int, tuple[Places, Proposal]]

    def nearest(self, u: Array) -> tuple[Places, NDArray[np.bool_]]:
        """The place in the atlas (S,) of the mode that each of the draws u (S, P) is from, and whether it is far from it."""
        n_empty = _count_empty(self.target, u)
        out, far = np.empty(len(u), dtype=np.intp), np.empty(len(u), dtype=np.bool_)
        for count in np.unique(n_empty).tolist():
            modes, proposal = self.proposals[count if count in self.proposals else ANY]
            terms = proposal.terms(u[n_empty == count])
            out[n_empty == count], far[n_empty == count] = modes[terms.nearest], terms.distances >= FAR + 3 * u.shape[1]
        return out, far

    def places(self, u: Array) -> Places:
        """The places in the atlas (S,) of draws u (S, P); NOWHERE for those that are far from every mode."""
        places, far = self.nearest(u)
        return np.where(far, NOWHERE, places)

    def inside(self, u: Array, modes: Sequence[int]) -> NDArray[np.bool_]:
        """Whether draws u (S, P) are of the region of these modes, which goes on until another mode is nearer."""
        return np.isin(self.nearest(u)[0], modes)


def locator_of(target: Target, atlas: Atlas) -> Locator:
    """The locator of an atlas."""
    n_empty = _count_empty(target, np.array([mapped.mode.u for mapped in atlas.modes]))
    groups = {ANY: np.arange(len(n_empty)), **{count: np.flatnonzero(n_empty == count) for count in np.unique(n_empty).tolist()}}
    return Locator(target, n_empty, {count: (modes, _proposal_around(target, atlas, modes)) for count, modes in groups.items()})


def _count_empty(target: Target, u: Array) -> Places:
    """How many components of each draw hold fewer than FEW_ROWS rows (S,)."""
    return np.asarray((classes_of_draws(target.X, *recorded(target, u))[1] < FEW_ROWS).sum(axis=1))


def _proposal_around(target: Target, atlas: Atlas, modes: Places) -> Proposal:
    """The modes' normal approximations with their shares."""
    priors, slots = target.priors, np.arange(target.structure.n_components)
    means, trils = [], []
    for mapped in (atlas.modes[place] for place in modes):
        mode, size = mapped.mode, len(mapped.mode.u)
        order = np.argsort(mapped.params.weights, kind="stable") if priors.symmetric else slots
        ends = mode.u + STEP * np.concatenate([np.zeros((1, size)), mode.metric.T, -mode.metric.T])
        v = scores_of(ends, priors, slots).arranged(np.tile(order, (len(ends), 1)))
        tril = np.linalg.qr((v[1 : size + 1] - v[size + 1 :]) / (2 * STEP), mode="r").T
        means.append(v[0])
        trils.append(tril * np.where(np.diagonal(tril) < 0, -1.0, 1.0))
    shares = np.maximum(atlas.shares[modes], np.finfo(np.float64).tiny)
    return Proposal(priors, slots, MixtureParams(shares / shares.sum(), np.array(means), np.array(trils)))


def merged_by_traffic(places: Sequence[Places], n_modes: int) -> list[list[int]]:
    """Groups of modes between which the chains that are there travel freely; each chain a sequence (draw,) of modes.

    Most of the chains of two modes must travel both ways, and forget where they were: R-hat of being in one of the modes is below
    FORGETTING. Groups are joined, those with the most traffic first, unless some of their modes speak against it.
    """
    chains = np.array(places)
    known = np.maximum((chains != NOWHERE).sum(axis=1), 1)
    resident = np.array([(chains == mode).sum(axis=1) >= RESIDENT * known for mode in range(n_modes)])
    passages = np.array([_passages(chain[chain != NOWHERE], n_modes) for chain in chains])
    both_ways = (passages > 0) & (passages > 0).transpose(0, 2, 1)
    there = (resident[:, None] | resident).sum(axis=2)
    travelled = both_ways.sum(axis=0)
    linked = (travelled >= FEWEST_TRAVELLERS) & (2 * travelled > there)
    traffic = passages.sum(axis=0) + passages.sum(axis=0).T
    groups = [[mode] for mode in range(n_modes)]
    for one, other in sorted(np.argwhere(np.triu(linked, 1)).tolist(), key=lambda pair: -traffic[*pair]):
        first, second = (next(group for group in groups if mode in group) for mode in (one, other))
        if first is not second and not any(_apart(chains, resident, i, j) for i in first for j in second):
            groups = [group for group in groups if group is not first and group is not second]
            groups.append(sorted(first + second))
    return sorted(groups)


def _passages(chain: Places, n_modes: int) -> Places:
    """How often a chain goes from each mode to each other (mode, mode)."""
    out = np.zeros((n_modes, n_modes), dtype=np.intp)
    moved = chain[1:] != chain[:-1]
    np.add.at(out, (chain[:-1][moved], chain[1:][moved]), 1)
    return out


def _apart(chains: Places, resident: NDArray[np.bool_], one: int, other: int) -> bool:
    """Whether chains that stayed in one of two modes for long do not forget which."""
    if not (resident[one].any() and resident[other].any()):
        return False
    there = chains[resident[one] | resident[other]]
    series = [(there == mode).astype(float) for mode in (one, other)]
    return any(np.ptp(values) > 0 and not azs.rhat(values, method="split") < FORGETTING for values in series)


def mass_of(target: Target, u: Array, leading: MixtureParams, rng: np.random.Generator, inside: Inside | None = None) -> Estimate:
    """ln of the integral of the posterior density over a region, from draws u (n, P) of it, chain after chain.

    The draws are cut into pieces; those with even numbers are bridged from a proposal fitted to the others, and the other way
    round. `leading` is a mixture of the region, like whose components those of the draws are named at first; `inside` says
    whether points are of the region. NaN with infinite error where too many components could be exchanged for one another.
    """
    size = u.shape[1]
    kept = u[: len(u) - len(u) % PIECES].reshape(PIECES, -1, size)
    orders = orders_like(target, kept.reshape(-1, size), leading).reshape(*kept.shape[:2], -1)
    heights = target.log_densities(kept.reshape(-1, size)).reshape(kept.shape[:2])
    estimates = []
    for half in (slice(0, None, 2), slice(1, None, 2)):
        other = slice(1 - half.start, None, 2)
        proposal = fit_proposal(kept[other].reshape(-1, size), np.concatenate(orders[other]), target.priors, rng)
        log_q = proposal.log_density(kept[half].reshape(-1, size)).reshape(heights[half].shape)
        if np.isnan(log_q).any():
            return Estimate(np.nan, np.inf)
        proposed, possible = proposal.draw(PROPOSED, rng)
        log_p_of_q, log_q_of_q = np.full(PROPOSED, -np.inf), np.zeros(PROPOSED)
        log_p_of_q[possible] = target.log_densities(proposed[possible])
        possible = np.isfinite(log_p_of_q)
        if inside is not None:
            possible[possible] = inside(proposed[possible])
            log_p_of_q[~possible] = -np.inf
        log_q_of_q[possible] = proposal.log_density(proposed[possible])
        if np.isnan(log_q_of_q).any():
            return Estimate(np.nan, np.inf)
        estimates.append(bridge(heights[half], log_q, log_p_of_q, log_q_of_q))
    return mean_of(estimates)


def orders_like(target: Target, u: Array, reference: MixtureParams) -> Places:
    """Orders (S, K) of the components of draws u (S, P) in which they group the rows like a reference.

    As they are, where the prior tells the components apart.
    """
    n_components = target.structure.n_components
    if not target.priors.symmetric:
        return np.tile(np.arange(n_components), (len(u), 1))
    return ecr(target.X, recorded(target, u), reference.recorded(target.resolution)).permutations


def recorded(target: Target, u: Array) -> Draws:
    """The mixtures of recorded values at u (S, P)."""
    parameters = constrain(u, target.structure)
    recorded = covariances(parameters, target.structure) + np.diag(target.resolution**2 / 12)
    return Draws(parameters.weights, parameters.means, np.linalg.cholesky(recorded))
