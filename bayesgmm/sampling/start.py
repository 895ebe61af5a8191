"""Where chains start: in the basins of the posterior's modes, in turn by their share of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data import Dataset, validate
from bayesgmm.em.fit import fit_em
from bayesgmm.em.initialise import STARTS, start_from_memberships, start_sample
from bayesgmm.em.result import EMResult
from bayesgmm.em.standardise import column_moments
from bayesgmm.em.step import MStep
from bayesgmm.errors import FitError, SamplingError
from bayesgmm.evidence.atlas import Atlas, MappedMode, atlas_of, map_from
from bayesgmm.evidence.laplace import ascend
from bayesgmm.families import family_named
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]

MAX_MODES = 12
"""EM optima that are followed to a mode of the posterior."""

N_PARTITIONS = 8
"""Random partitions of the data that are followed where there is no EM fit."""

RANGE = 200.0
"""Starts whose log posterior is lower than the best one's by more are not followed: for large data that is most."""

SMALLER_STARTS = 4
"""EM starts for each smaller number of components."""

MAX_ORDERS = 24
"""Orders of the components that are tried where the prior tells them apart: all, up to four components."""

MAX_HALVINGS = 6


@dataclass(frozen=True, eq=False)
class ChainStart:
    """The place in the atlas of the mode that a chain starts near, and its first coordinates u (P,)."""

    mode: int
    u: Array


def fit_whole(X: Any, n_components: int, **settings: Any) -> EMResult:
    """`fit_em`, where Ctrl-C ends what the fit is for, and not the fit alone."""
    em = fit_em(X, n_components, **settings)
    if em.interrupted:
        raise KeyboardInterrupt
    return em


def make_atlas(target: Target, em: EMResult | None, rng: np.random.Generator) -> Atlas:
    """The modes beside the EM optima, and beside those of fewer components with the others empty; or beside random partitions.

    The latter where there is no EM fit. SamplingError if there is no mode.
    """
    candidates = list(_partitions(target, rng)) if em is None else [*_optima(em), *_with_empty_components(target, em, rng)]
    heights = [target.log_density(target.coordinates_of(params))[0] for params, _ in candidates]
    best = max((height for height in heights if np.isfinite(height)), default=-np.inf)
    worthwhile = [candidate for candidate, height in zip(candidates, heights, strict=True) if height >= best - RANGE]
    ordered = [(order, origin) for params, origin in worthwhile for order in _orders(target, params)]
    found = [mapped for params, origin in ordered if (mapped := map_from(target, params, origin)) is not None]
    if not found:
        raise SamplingError(
            "the posterior density is not finite at any EM optimum or partition of the data: look for columns that are "
            "nearly constant, and for priors far from the data"
        )
    return atlas_of(found, symmetric=target.priors.symmetric)


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


def _optima(em: EMResult) -> Iterator[tuple[MixtureParams, str]]:
    if not em.modes:
        yield em.params, "EM's best, unfinished"
    for i, mode in enumerate(em.modes[:MAX_MODES]):
        yield mode.params, f"EM optimum {i}"


def _with_empty_components(target: Target, em: EMResult, rng: np.random.Generator) -> Iterator[tuple[MixtureParams, str]]:
    """The best EM fit of each smaller number of components, with components added where the prior wants them."""
    structure, priors = target.structure, target.priors
    for n_occupied in range(structure.n_components - 1, 0, -1):
        try:
            fit = fit_whole(
                target.X,
                n_occupied,
                covariance=em.covariance,
                n_init=SMALLER_STARTS,
                resolution=em.resolution,
                seed=rng.spawn(1)[0],
                progress=False,
            )
        except FitError:
            continue
        params, n_empty = fit.params, structure.n_components - n_occupied
        rows = np.concatenate([len(target.X) * params.weights, priors.concentration[n_occupied:]])
        widest = int(params.weights.argmax())
        yield (
            MixtureParams(
                rows / rows.sum(),
                np.concatenate([params.means, np.tile(priors.mean_loc, (n_empty, 1))]),
                np.concatenate([params.scale_trils, np.tile(params.scale_trils[widest], (n_empty, 1, 1))]),
            ),
            f"EM with {n_occupied} of {structure.n_components} components, the others empty",
        )


def _partitions(target: Target, rng: np.random.Generator) -> Iterator[tuple[MixtureParams, str]]:
    dataset: Dataset = validate(target.X)
    location, scale = column_moments(dataset, None)
    sample = start_sample(dataset, None, rng)
    for i in range(N_PARTITIONS):
        memberships = STARTS["k-means++"](sample, target.structure.n_components, rng)
        start = start_from_memberships(sample.scaled, memberships, MStep(family_named("EII")))
        if isinstance(start, MixtureParams):
            yield start.affine(scale, location), f"random partition {i}"


def chain_starts(target: Target, atlas: Atlas, n_chains: int, rng: np.random.Generator) -> list[ChainStart]:
    """One start per chain; of the chains, each mode has as many as its share of the posterior, rounded."""
    ends = np.cumsum(atlas.shares)
    places = np.searchsorted(ends, (np.arange(n_chains) + 0.5) / n_chains * ends[-1])
    return [
        ChainStart(int(place), _near(target, atlas.modes[place], stream))
        for place, stream in zip(places, rng.spawn(n_chains), strict=True)
    ]


def _near(target: Target, mapped: MappedMode, rng: np.random.Generator) -> Array:
    """A draw from Laplace's normal approximation; halfway to the mode, again and again, while uphill from it is another mode."""
    mode = mapped.mode
    offset = mode.metric @ rng.standard_normal(len(mode.u))
    for _ in range(MAX_HALVINGS):
        u = mode.u + offset
        if np.isfinite(target.log_density(u)[0]):
            home = Atlas((mapped,), target.priors.symmetric).place_of(
                target.mixture_at(ascend(target.log_density, u, mode.metric))
            )
            if home is not None:
                return u
        offset = offset / 2
    return mode.u + offset  # not the mode itself, where NUTS finds no slope to start with
