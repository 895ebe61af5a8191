"""Charting: from data and EM to the atlas of the posterior's modes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bayesgmm.data import Dataset, validate
from bayesgmm.em.fit import fit_em
from bayesgmm.em.initialise import STARTS, start_from_memberships, start_sample
from bayesgmm.em.modes import EMMode, same_mode
from bayesgmm.em.result import EMResult
from bayesgmm.em.standardise import column_moments
from bayesgmm.em.step import MStep
from bayesgmm.errors import FitError, SamplingError
from bayesgmm.evidence.atlas import Atlas, MappedMode, atlas_of, map_from
from bayesgmm.evidence.empty import extensible, smaller_target, with_empty
from bayesgmm.evidence.laplace import guessed_log_mass
from bayesgmm.families import family_named
from bayesgmm.model.structure import structure_of
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]

MAX_MODES = 10
"""EM optima that are followed to a mode of the posterior: those that promise the largest masses."""

N_PARTITIONS = 24
"""Random partitions of the data that are followed where there is no EM fit."""

RANGE = 100.0
"""Starts whose log posterior is lower than the best one's by more are not followed: for large data that is most."""

HOPELESS = 200.0
"""Nats by which the likelihood of fewer components may be lower, beyond what they save in parameters, until they are given up."""

WORTHWHILE = 30.0
"""Starts whose guessed log mass is lower than the largest by more are not followed."""

MORE_STARTS = {"random": 60, "k-means++": 30}
"""EM starts for K and each smaller number, by kind: random partitions end in overlapping components, k-means in separate ones.
The mode of crabs with two components that has nearly all of the posterior is reached from one in ten of the former and hardly any
of the latter; one of the galaxies with three, which has a fifth of it, from a quarter of the latter alone."""

ITERATIONS = 400
"""Of each of these starts; one that needs more is on a flat ridge, whose end is not worth waiting for."""

LARGE = 20_000
"""Rows times components times parameters of a covariance, above which fewer of these are made: modes are far apart in mass."""

SMALLER_STARTS = 4
"""EM starts of its usual kinds for each smaller number of components."""

SMALLER_MODES = 3
"""Optima of each smaller number of components that are followed."""

MAX_ORDERS = 24
"""Orders of the components that are tried where the prior tells them apart: all, up to four components."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """Parameters to climb from, how they were found, and by how many EM starts."""

    params: MixtureParams
    origin: str
    n_starts: int = 0


Optima = dict[int, list[Candidate]]
"""EM's optima by number of components, best first."""


def fit_whole(X: Any, n_components: int, **settings: Any) -> EMResult:
    """`fit_em`, where Ctrl-C ends what the fit is for, and not the fit alone."""
    em = fit_em(X, n_components, **settings)
    if em.interrupted:
        raise KeyboardInterrupt
    return em


def fit_or_none(X: Any, n_components: int, **settings: Any) -> EMResult | None:
    """`fit_whole`; None where every start collapsed."""
    try:
        return fit_whole(X, n_components, **settings)
    except FitError:
        return None


def make_atlas(target: Target, em: EMResult | None, rng: np.random.Generator) -> Atlas:
    """The distinct modes among those that are charted; SamplingError if there is none."""
    return atlas_of(charted(target, em, rng), symmetric=target.priors.symmetric)


def charted(target: Target, em: EMResult | None, rng: np.random.Generator) -> list[MappedMode]:
    """The modes beside EM's optima, and those of fewer components with the others empty; or those beside random partitions.

    The latter where there is no EM fit. The same mode may be there more than once. SamplingError if there is none.
    """
    return charted_from(target, list(_partitions(target, rng)) if em is None else optima_of(target, em, rng))


def optima_of(target: Target, em: EMResult, rng: np.random.Generator) -> Optima:
    """EM's optima of K components, and of each smaller number that is worth it, largest number first."""
    with threadpool_limits(1):  # matrices are small, and threads of the linear algebra wait for one another
        return {target.structure.n_components: _optima(target, em, rng), **dict(_smaller_optima(target, em, rng))}


def charted_from(target: Target, known: Optima | list[Candidate]) -> list[MappedMode]:
    """`charted`, from optima of K components and fewer, or from mixtures of K components."""
    with threadpool_limits(1):
        if not isinstance(known, dict):
            found = _climbed(target, known)
        elif extensible(target):
            found = [*_climbed(target, _of_all(target, known)), *_with_others_empty(target, known)]
        else:
            found = _climbed(target, [*_of_all(target, known), *_with_small_components(target, known)])
    if not found:
        raise SamplingError(
            "the posterior density is not finite at any EM optimum or partition of the data: look for columns that are "
            "nearly constant, and for priors far from the data"
        )
    return found


def _of_all(target: Target, optima: Optima) -> list[Candidate]:
    return optima.get(target.structure.n_components, [])


def _of_fewer(target: Target, optima: Optima) -> Iterator[tuple[int, list[Candidate]]]:
    return ((size, found) for size, found in optima.items() if size < target.structure.n_components)


def _climbed(target: Target, candidates: list[Candidate], most: int = MAX_MODES) -> list[MappedMode]:
    """The modes uphill from those candidates, in each order that the prior tells apart, which promise the largest masses."""
    ordered = [replace(candidate, params=order) for candidate in candidates for order in _orders(target, candidate.params)]
    guesses = np.full(len(ordered), -np.inf)
    coordinates = [target.coordinates_of(candidate.params) for candidate in ordered]
    heights = np.array([target.log_density(u)[0] for u in coordinates])
    for i in np.flatnonzero(heights >= heights[np.isfinite(heights)].max(initial=-np.inf) - RANGE):
        guesses[i] = guessed_log_mass(target.log_density, coordinates[i], target.rough_scales(ordered[i].params))
    promising = [
        i for i in np.argsort(-guesses, kind="stable") if guesses[i] >= guesses.max() - WORTHWHILE and guesses[i] > -np.inf
    ]
    n_orders = len(ordered) // max(len(candidates), 1)
    climbed = [map_from(target, ordered[i].params, ordered[i].origin, ordered[i].n_starts) for i in promising[: most * n_orders]]
    return [mapped for mapped in climbed if mapped is not None]


def _orders(target: Target, params: MixtureParams) -> list[MixtureParams]:
    """The mixture, in every order of its components that the prior tells apart; of more than MAX_ORDERS the likeliest one."""
    concentration = target.priors.concentration
    if target.priors.symmetric:
        return [params]
    if factorial(len(concentration)) <= MAX_ORDERS:
        return [params.permuted(np.array(order)) for order in permutations(range(len(concentration)))]
    order = np.empty(len(concentration), dtype=np.intp)
    order[np.argsort(concentration)] = np.argsort(params.weights)
    return [params.permuted(order)]


def _optima(target: Target, em: EMResult, rng: np.random.Generator) -> list[Candidate]:
    """The fit's own optima, and those of more starts."""
    found = [(mode, f"EM optimum {i}") for i, mode in enumerate(em.modes)]
    unfinished = [] if em.modes else [Candidate(em.params, "EM's best, unfinished")]
    return [*unfinished, *_with_more_starts(found, target, em, target.structure.n_components, rng)]


def _smaller_optima(target: Target, em: EMResult, rng: np.random.Generator) -> Iterator[tuple[int, list[Candidate]]]:
    """Optima of each smaller number of components that is worth it, largest number first."""
    for n_occupied in range(target.structure.n_components - 1, 0, -1):
        modes = _modes_of(target, em, n_occupied, rng, n_init=SMALLER_STARTS)
        if modes and _hopeless(target, em, modes[0], n_occupied):
            return
        if found := _with_more_starts([(mode, "EM") for mode in modes], target, em, n_occupied, rng):
            yield n_occupied, found


def _with_more_starts(
    found: list[tuple[EMMode, str]], target: Target, em: EMResult, n_components: int, rng: np.random.Generator
) -> list[Candidate]:
    """Optima and their origins, and those of starts of other kinds, best first; starts that end in one are counted together."""
    size = len(target.X) * n_components * target.structure.n_features**2
    for kind, most in MORE_STARTS.items() if n_components > 1 else ():
        n_init = int(most * min(LARGE / size, 1.0))
        settings = {"init": kind, "n_init": n_init, "n_long": n_init, "max_iter": ITERATIONS}
        for mode in _modes_of(target, em, n_components, rng, **settings) if n_init else ():
            place = next((i for i, (known, _) in enumerate(found) if same_mode(mode, known, np.array(em.resolution))), None)
            if place is None:
                found = [*found, (mode, f"EM from {kind} starts")]
            else:
                known, origin = found[place]
                found = [*found[:place], (replace(known, n_runs=known.n_runs + mode.n_runs), origin), *found[place + 1 :]]
    best_first = sorted(found, key=lambda one: -one[0].log_likelihood)
    return [Candidate(mode.params, origin, mode.n_runs) for mode, origin in best_first]


def _modes_of(target: Target, em: EMResult, n_components: int, rng: np.random.Generator, **settings: Any) -> tuple[EMMode, ...]:
    """Optima of EM with these settings; none where every start collapsed."""
    fit = fit_or_none(
        target.X,
        n_components,
        covariance=em.covariance,
        resolution=em.resolution,
        seed=rng.spawn(1)[0],
        progress=False,
        **settings,
    )
    return () if fit is None else fit.modes


def _with_others_empty(target: Target, known: Optima) -> Iterator[MappedMode]:
    """The best modes of each smaller number of components, as places of this posterior."""
    for _, optima in _of_fewer(target, known):
        smaller = smaller_target(target, optima[0].params)
        for mapped in atlas_of(_climbed(smaller, optima, SMALLER_MODES), symmetric=True).modes:
            yield with_empty(target, smaller, mapped)


def _hopeless(target: Target, em: EMResult, best: EMMode, n_components: int) -> bool:
    """Whether so few components, and fewer still, fit so badly that no prior makes up for it: as with most large data.

    What a parameter more costs in evidence is about ln(N) / 2; here it is allowed twice that.
    """
    structure = target.structure
    size = structure_of(structure.family, n_components, structure.n_features).n_coordinates
    allowed = HOPELESS + (structure.n_coordinates - size) * np.log(len(target.X))
    return best.log_likelihood < em.log_likelihood - allowed


def _with_small_components(target: Target, known: Optima) -> Iterator[Candidate]:
    """The best EM fits of each smaller number of components, with small components added where the prior wants them."""
    structure, priors = target.structure, target.priors
    for n_occupied, optima in _of_fewer(target, known):
        for optimum in optima[:SMALLER_MODES]:
            params, n_empty = optimum.params, structure.n_components - n_occupied
            rows = np.concatenate([len(target.X) * params.weights, priors.concentration[n_occupied:]])
            widest = int(params.weights.argmax())
            whole = MixtureParams(
                rows / rows.sum(),
                np.concatenate([params.means, np.tile(priors.mean_loc, (n_empty, 1))]),
                np.concatenate([params.scale_trils, np.tile(params.scale_trils[widest], (n_empty, 1, 1))]),
            )
            origin = f"EM with {n_occupied} of {structure.n_components} components, the others empty"
            yield replace(optimum, params=whole, origin=origin)


def _partitions(target: Target, rng: np.random.Generator) -> Iterator[Candidate]:
    dataset: Dataset = validate(target.X)
    location, scale = column_moments(dataset, None)
    sample = start_sample(dataset, None, rng)
    for i in range(N_PARTITIONS):
        kind = "random" if i % 2 else "k-means++"
        memberships = STARTS[kind](sample, target.structure.n_components, rng)
        start = start_from_memberships(sample.scaled, memberships, MStep(family_named("EII")))
        if isinstance(start, MixtureParams):
            yield Candidate(start.affine(scale, location), f"random partition {i}")
