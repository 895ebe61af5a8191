"""Sparse mixtures, stratum by stratum: by how many components hold rows, since chains seldom go from one number to another."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import ceil
from typing import NamedTuple

import arviz_stats as azs
import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from bayesgmm.em.result import EMResult
from bayesgmm.errors import FitError, SamplingError
from bayesgmm.evidence.atlas import Atlas, MappedMode, atlas_of
from bayesgmm.evidence.bridge import Estimate
from bayesgmm.evidence.chart import Optima, charted, charted_from, fit_whole, make_atlas, optima_of
from bayesgmm.evidence.empty import beside_empty, extensible, log_ratios, uniform_target, with_empty
from bayesgmm.evidence.regions import locator_of, mass_of
from bayesgmm.model.specification import Specification
from bayesgmm.model.target import Target
from bayesgmm.posterior.occupied import MOST_COMPONENTS
from bayesgmm.posterior.regions import UNMEASURED, UNSAMPLED
from bayesgmm.posterior.schema import SAMPLE_DIMS
from bayesgmm.sampling.chains import run_own_density
from bayesgmm.sampling.combine import Piece, Whole, joined_pieces, put_together, sample_whole, whole_numbers
from bayesgmm.sampling.explore import MATTERS, Exploration, Region, explore, shares_of
from bayesgmm.sampling.nuts import FEWEST_DRAWS, NutsSettings

Array = NDArray[np.float64]

SPARSE = 0.5
"""Concentration of the weights below which components are mostly empty or not, and seldom on the way."""

FEWEST_IN_STRATUM = 250
"""Draws of each chain made in a stratum at first, however small its share."""

SPARE = 1.2
"""Draws made in a stratum that has too few, relative to those that it lacks."""

MOST = 4.0
"""Draws made at most in it, relative to those of the whole."""


class Explored(NamedTuple):
    """What is known before sampling a stratum: the posterior of so many components with uniform weights, and its regions."""

    uniform: Target
    exploration: Exploration


class Stratum(NamedTuple):
    """Draws (n, P) of the whole posterior in which so many components hold rows, how many they are worth, and their mass."""

    explored: Explored
    piece: Piece
    effective: float

    @property
    def n_occupied(self) -> int:
        return self.explored.uniform.structure.n_components


def is_sparse(target: Target) -> bool:
    """Whether the prior leaves most components empty, and components that hold no row change nothing for the others.

    With a hierarchical prior an empty component's scales follow those of the others, and its draws are left to NUTS.
    """
    priors = target.priors
    return bool(
        1 < target.structure.n_components <= MOST_COMPONENTS
        and extensible(target)
        and priors.concentration[0] < SPARSE
        and priors.scale_prior != "hierarchical_gamma"
    )


def sample_strata(
    specification: Specification, settings: NutsSettings, n_chains: int, rng: np.random.Generator, progress: bool | None
) -> Whole:
    """The posterior as the sum of its strata, each a region: exactly k of the K components hold rows, k = 1, ..., K.

    The draws of a stratum are those of k components with uniform weights, resampled by what exact sums over allocations say of
    them, with empty components beside them (`log_ratios`, `beside_empty`); its mass is that of the k components times the mean of
    these ratios. Strata that the atlas gives next to nothing are not sampled.
    """
    target = specification.target
    optima = _optima(specification, rng)
    found = charted_from(target, optima) if optima else charted(target, None, rng)
    atlas = atlas_of(found, symmetric=True)
    homes = [
        _n_occupied(target, [mapped for mapped in found if atlas.place_of(mapped.params) == i]) for i in range(len(atlas.modes))
    ]
    numbers = _worthwhile(target, found, settings.draws)
    strata = _run_all(specification, optima, numbers, settings, n_chains, rng, progress)
    return _put_together(target, atlas, homes, strata, {}, settings.draws, n_chains, rng)


def extend_strata(
    specification: Specification,
    exploration: Exploration,
    before: Mapping[int, Piece],
    settings: NutsSettings,
    n_chains: int,
    rng: np.random.Generator,
    progress: bool | None,
) -> Whole:
    """More draws of every stratum that has some, put together with those made before, which are given by number of components.

    settings.draws counts the new draws of each chain; the whole has as many more as it had.
    """
    homes = np.full(len(exploration.atlas.modes), UNSAMPLED)
    numbers: dict[int, int] = {}
    for region, share in zip(exploration.regions, exploration.shares, strict=True):
        if region.n_occupied is not None:
            homes[list(region.modes)] = region.n_occupied
            numbers |= {region.n_occupied: _first_draws(share, settings.draws)} if region.n_occupied in before else {}
    strata = _run_all(specification, _optima(specification, rng), numbers, settings, n_chains, rng, progress)
    n_draws = settings.draws + sum(len(piece.u) for piece in before.values()) // n_chains
    return _put_together(specification.target, exploration.atlas, homes.tolist(), strata, before, n_draws, n_chains, rng)


def _optima(specification: Specification, rng: np.random.Generator) -> Optima:
    return {} if specification.em is None else optima_of(specification.target, specification.em, rng)


def _put_together(
    target: Target,
    atlas: Atlas,
    homes: list[int],
    made: tuple[list[Stratum], bool],
    before: Mapping[int, Piece],
    n_draws: int,
    n_chains: int,
    rng: np.random.Generator,
) -> Whole:
    """The whole from strata, by which modes are at home in which of them; `made` says whether they were interrupted."""
    strata, interrupted = made
    pieces = dict(before)
    for stratum in strata:
        known = [pieces[stratum.n_occupied]] if stratum.n_occupied in pieces else []
        pieces[stratum.n_occupied] = _pooled([*known, stratum.piece])
        if stratum.n_occupied not in homes:
            atlas, homes = atlas.with_mode(_leading(target, stratum)), [*homes, stratum.n_occupied]
    if not pieces:
        if interrupted:
            raise KeyboardInterrupt
        raise SamplingError("no number of components was found that could hold all rows: sample again, or with other priors")
    largest_first = sorted(pieces.items(), key=lambda item: -item[1].region.evidence.log_value)
    numbered = {
        number: piece._replace(region=replace(piece.region, modes=tuple(np.flatnonzero(np.array(homes) == k).tolist())))
        for number, (k, piece) in enumerate(largest_first)
    }
    exploration = Exploration(atlas, locator_of(target, atlas), tuple(piece.region for piece in numbered.values()))
    raw, region_of_draws = put_together(numbered, n_draws, n_chains, interrupted, rng)
    heights = target.log_densities(raw.u.reshape(-1, raw.u.shape[2])).reshape(raw.u.shape[:2])
    raw = replace(raw, statistics=raw.statistics.assign(lp=(SAMPLE_DIMS, heights)))
    return Whole(raw, exploration, region_of_draws, (exploration.regions[0].modes[0],) * n_chains)


def _run_all(
    specification: Specification,
    optima: Optima,
    numbers: Mapping[int, int],
    settings: NutsSettings,
    n_chains: int,
    rng: np.random.Generator,
    progress: bool | None,
) -> tuple[list[Stratum], bool]:
    """The strata of these numbers of components, by so many draws of each chain at first, and whether they were interrupted."""
    target, strata = specification.target, list[Stratum]()
    try:
        for n_occupied, n_draws in numbers.items():
            explored = _explored(specification, optima, n_occupied, settings, rng, progress)
            run = replace(settings, draws=n_draws)
            stratum, interrupted = _sampled(target, explored, run, n_chains, rng, progress)
            strata += [stratum] if stratum is not None else []
            if interrupted:
                return strata, True
        for i, n_more in _lacking(strata, settings.draws, n_chains):
            run = replace(settings, draws=n_more)
            more, interrupted = _sampled(target, strata[i].explored, run, n_chains, rng, progress)
            strata[i] = _both(strata[i], more) if more is not None else strata[i]
            if interrupted:
                return strata, True
    except KeyboardInterrupt:
        return strata, True
    return strata, False


def _n_occupied(target: Target, same: list[MappedMode]) -> int:
    return target.structure.n_components - max(same, key=lambda mapped: mapped.log_mass).n_empty


def _leading(target: Target, stratum: Stratum) -> MappedMode:
    """The leading mode of a stratum of which the atlas has none."""
    mapped = stratum.explored.exploration.atlas.modes[0]
    if stratum.n_occupied < target.structure.n_components:
        mapped = with_empty(target, stratum.explored.uniform, mapped)
    return replace(mapped, log_mass=stratum.piece.region.evidence.log_value)


def _worthwhile(target: Target, found: list[MappedMode], n_draws: int) -> dict[int, int]:
    """Numbers of occupied components, the largest masses first, and how many draws of each chain to make at first.

    Those that modes give a share that matters, or of which there is no mode.
    """
    n_components = target.structure.n_components
    numbers = range(1, n_components + 1)
    masses = np.array([_log_mass(found, n_components - k) for k in numbers])
    shares = softmax(masses)
    wanted = [i for i in np.argsort(-masses, kind="stable") if shares[i] >= MATTERS or masses[i] == -np.inf]
    return {numbers[i]: _first_draws(shares[i] if masses[i] > -np.inf else 1.0, n_draws) for i in wanted}


def _first_draws(share: float, n_draws: int) -> int:
    return int(np.clip(ceil(SPARE * share * n_draws), min(FEWEST_IN_STRATUM, n_draws), n_draws))


def _log_mass(found: list[MappedMode], n_empty: int) -> float:
    masses = [mapped.log_mass for mapped in found if mapped.n_empty == n_empty]
    return float(logsumexp(masses)) if masses else -np.inf


def _explored(
    specification: Specification,
    optima: Optima,
    n_occupied: int,
    settings: NutsSettings,
    rng: np.random.Generator,
    progress: bool | None,
) -> Explored:
    uniform = uniform_target(specification.target, n_occupied)
    if n_occupied in optima:
        found = charted_from(uniform, {size: best for size, best in optima.items() if size <= n_occupied})
        atlas = atlas_of(found, symmetric=True)
    else:
        atlas = make_atlas(uniform, _fit_or_none(specification, n_occupied, rng, progress), rng)
    return Explored(uniform, explore(uniform, atlas, rng, settings.cores, progress))


def _fit_or_none(
    specification: Specification, n_occupied: int, rng: np.random.Generator, progress: bool | None
) -> EMResult | None:
    family, steps = specification.target.structure.family, specification.target.resolution
    try:
        return fit_whole(specification.dataset, n_occupied, covariance=family, resolution=steps, seed=rng, progress=progress)
    except FitError:
        return None


def _sampled(
    target: Target,
    explored: Explored,
    settings: NutsSettings,
    n_chains: int,
    rng: np.random.Generator,
    progress: bool | None,
) -> tuple[Stratum | None, bool]:
    """The stratum by draws of its own chains, None if none of them is of it, and whether they were interrupted."""
    uniform, exploration = explored
    n_occupied = uniform.structure.n_components
    what = f"{n_occupied} component{'s' if n_occupied > 1 else ''}, chain"
    run = partial(run_own_density, uniform, exploration.atlas, progress=progress, what=what)
    whole = sample_whole(uniform, exploration, run, settings, n_chains, rng)
    u = whole.raw.u.reshape(-1, whole.raw.u.shape[2])
    ratios = log_ratios(target, uniform, u)
    if not np.isfinite(ratios).any():
        return None, whole.raw.interrupted
    evidence = _mass(uniform, whole, ratios.reshape(whole.raw.u.shape[:2]), rng)
    weights = softmax(ratios)
    chosen = _systematic(weights, len(u), rng)
    statistics = {str(name): value.values.reshape(-1)[chosen] for name, value in whole.raw.statistics.items()}
    joint = beside_empty(target, uniform, u[chosen], rng)
    region = Region((), evidence, joint, n_occupied)
    piece = Piece(region, joint, statistics, (), whole.raw.seconds)
    return Stratum(explored, piece, float(1 / (weights**2).sum())), whole.raw.interrupted


def _mass(uniform: Target, whole: Whole, ratios: Array, rng: np.random.Generator) -> Estimate:
    """ln of the mass of a stratum: that of each region times the mean ratio (chain, draw) there, added."""
    regions = whole.exploration.regions
    terms = []
    for number, region in enumerate(regions):
        inside = whole.region == number
        if not inside.any():
            continue
        evidence = region.evidence
        if len(regions) == 1:
            size = whole.raw.u.shape[2]
            leading = whole.exploration.atlas.modes[region.modes[0]].params
            evidence = mass_of(uniform, whole.raw.u.reshape(-1, size), leading, rng)
        if not np.isfinite(evidence.standard_error):
            masses = [whole.exploration.atlas.modes[place].log_mass for place in region.modes]
            evidence = Estimate(float(logsumexp(masses)), UNMEASURED)
        there = ratios[inside].reshape(len(ratios), -1)
        highest = there.max()
        if highest == -np.inf:
            continue
        values = np.exp(there - highest)
        moving = np.ptp(values) > 0 and values.shape[1] >= FEWEST_DRAWS
        error = float(azs.mcse(values, method="mean")) / values.mean() if moving else 0.0
        terms.append((evidence.log_value + highest + np.log(values.mean()), np.hypot(evidence.standard_error, error)))
    log_values, errors = np.array(terms).T
    return Estimate(float(logsumexp(log_values)), float(np.linalg.norm(softmax(log_values) * errors)))


def _systematic(weights: Array, n_draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Places of draws, in order, each as often as its weight asks for, to a whole number (Kitagawa 1996, appendix)."""
    ends = np.cumsum(weights)
    points = (np.arange(n_draws) + rng.random()) / n_draws * ends[-1]
    return np.minimum(np.searchsorted(ends, points), len(weights) - 1)


def _lacking(strata: list[Stratum], n_draws: int, n_chains: int) -> list[tuple[int, int]]:
    """Strata that are worth fewer draws than their share asks for, and how many draws of each chain to add."""
    counts = whole_numbers(shares_of([stratum.piece.region for stratum in strata]), n_draws)
    out = []
    for i, (stratum, count) in enumerate(zip(strata, counts, strict=True)):
        lacking = n_chains * count / stratum.effective - 1
        if lacking > 0:
            more = SPARE * lacking * len(stratum.piece.u) / n_chains
            out.append((i, ceil(np.clip(more, FEWEST_DRAWS, MOST * n_draws))))
    return out


def _both(one: Stratum, other: Stratum) -> Stratum:
    return Stratum(one.explored, _pooled([one.piece, other.piece]), one.effective + other.effective)


def _pooled(pieces: list[Piece]) -> Piece:
    """The draws of all, and the mean of their masses, each counted by its draws."""
    out = pieces[0]
    for piece in pieces[1:]:
        parts = np.array([len(out.u), len(piece.u)]) / (len(out.u) + len(piece.u))
        values, errors = np.array([out.region.evidence, piece.region.evidence]).T
        log_value = float(logsumexp(values, b=parts))
        error = float(np.linalg.norm(parts * np.exp(values - log_value) * errors))
        joined = joined_pieces(out, piece)
        region = replace(piece.region, evidence=Estimate(log_value, error), u=joined.u)
        out = joined._replace(region=region)
    return out
