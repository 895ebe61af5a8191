"""Sparse mixtures, stratum by stratum: by how many components hold rows, since chains seldom go from one number to another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import NamedTuple

import arviz_stats as azs
import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from bayesgmm.errors import SamplingError
from bayesgmm.evidence.atlas import Atlas, MappedMode, atlas_of
from bayesgmm.evidence.bridge import Estimate
from bayesgmm.evidence.chart import Optima, charted, charted_from, fit_or_none, make_atlas, optima_of
from bayesgmm.evidence.empty import beside_empty, extensible, log_ratios, looser_target, with_empty
from bayesgmm.evidence.regions import locator_of, mass_of
from bayesgmm.model.specification import Specification
from bayesgmm.model.target import Target
from bayesgmm.posterior.regions import UNMEASURED
from bayesgmm.posterior.schema import SAMPLE_DIMS
from bayesgmm.sampling.chains import run_own_density
from bayesgmm.sampling.combine import Piece, Whole, joined_pieces, put_together, sample_whole, whole_numbers
from bayesgmm.sampling.explore import MATTERS, Exploration, Region, explore, shares_of
from bayesgmm.sampling.nuts import FEWEST_DRAWS, NutsSettings

Array = NDArray[np.float64]

SPARSE = 0.5
"""Concentration of the weights below which components are mostly empty or not, and seldom on the way."""

MOST_OCCUPIED = 12
"""Components for which the sums over all sets of them are quick."""

HOPELESS = 20.0
"""Nats below the best stratum at which one is not looked at: estimates from modes are off by several where components overlap."""

FEWEST_IN_STRATUM = 250
"""Draws of each chain made in a stratum at first, however small its share."""

SPARE = 1.2
"""Draws made in a stratum, relative to those that its share asks for; draws that are resampled are worth fewer."""

FEWEST_MORE, MOST = 50, 4.0
"""Draws of each chain added to a stratum that has too few, and at most, relative to those of the whole."""

ROUNDS = 2
"""Of adding draws where they are worth fewer than the share asks for."""

NOTABLE = 0.1
"""Part of a stratum's mass, or of the draws that it needs, which is not to be without a measure."""


class Explored(NamedTuple):
    """What is known before sampling a stratum: the posterior of so many components under a looser prior, and its regions."""

    looser: Target
    exploration: Exploration


class Stratum(NamedTuple):
    """Draws of the whole posterior in which so many components hold rows, and the mass of these.

    How many draws were `made` for it, and how many independent ones those of the piece are worth.
    """

    explored: Explored | None
    piece: Piece
    made: int
    effective: float


@dataclass(frozen=True, eq=False)
class Job:
    """What is sampled, EM's optima of each number of components (none where every start collapsed), and how to sample."""

    specification: Specification
    optima: Optima
    settings: NutsSettings
    n_chains: int
    progress: bool | None

    @property
    def target(self) -> Target:
        return self.specification.target


def is_sparse(target: Target) -> bool:
    """Whether the prior leaves most components empty, and components that hold no row change nothing for the others.

    With a hierarchical prior an empty component's scales follow those of the others, and its draws are left to NUTS.
    """
    priors = target.priors
    return bool(
        1 < target.structure.n_components <= MOST_OCCUPIED
        and extensible(target)
        and priors.concentration[0] < SPARSE
        and priors.scale_prior != "hierarchical_gamma"
    )


def sample_strata(
    specification: Specification, settings: NutsSettings, n_chains: int, rng: np.random.Generator, progress: bool | None
) -> Whole:
    """The posterior as the sum of its strata, each a region: exactly k of the K components hold rows, k = 1, ..., K.

    The draws of a stratum are those of k components under a looser prior of their weights, resampled by what exact sums over
    allocations say of them, with empty components beside them (`log_ratios`, `beside_empty`); its mass is that of the k
    components times the mean of these ratios. From the best one by the atlas strata are sampled on either side, until one has
    less than 0.03%, which is left out.
    """
    job = _job(specification, settings, n_chains, rng, progress)
    found = charted_from(job.target, job.optima) if job.optima else charted(job.target, None, rng)
    atlas = atlas_of(found, symmetric=True)
    homes = [_n_occupied(job.target, mapped, found) for mapped in atlas.modes]
    return _whole(job, atlas, homes, found, {}, settings.draws, rng)


def extend_strata(
    specification: Specification,
    exploration: Exploration,
    before: Mapping[int, tuple[Piece, int]],
    settings: NutsSettings,
    n_chains: int,
    rng: np.random.Generator,
    progress: bool | None,
) -> Whole:
    """More draws of the strata that matter, put together with those made before.

    These are given, and how many draws were made for each, by number of components; settings.draws counts the new draws of
    each chain, and the whole has as many more as it had. Strata that were not reached before are, now.
    """
    job = _job(specification, settings, n_chains, rng, progress)
    modes = exploration.atlas.modes
    homes = [job.target.structure.n_components - mapped.n_empty for mapped in modes]
    for region in exploration.regions:
        for place in region.modes:
            homes[place] = region.n_occupied or homes[place]
    known = {k: Stratum(None, piece, made, float(len(piece.u))) for k, (piece, made) in before.items()}
    n_draws = settings.draws + sum(len(piece.u) for piece, _ in before.values()) // n_chains
    return _whole(job, exploration.atlas, homes, list(modes), known, n_draws, rng)


def _job(
    specification: Specification, settings: NutsSettings, n_chains: int, rng: np.random.Generator, progress: bool | None
) -> Job:
    optima = {} if specification.em is None else optima_of(specification.target, specification.em, rng)
    return Job(specification, optima, settings, n_chains, progress)


def _whole(
    job: Job,
    atlas: Atlas,
    homes: list[int],
    found: list[MappedMode],
    before: Mapping[int, Stratum],
    n_draws: int,
    rng: np.random.Generator,
) -> Whole:
    """The whole, of n_draws in each chain, from strata; `homes` says to which of them each mode belongs."""
    target = job.target
    reached, interrupted = _run_all(job, _estimates(job, found), before, n_draws, rng)
    strata = _that_matter(reached)
    if not any(len(stratum.piece.u) for stratum in strata.values()):
        if interrupted:
            raise KeyboardInterrupt
        raise SamplingError("no number of components was found that could hold all rows: sample again, or with other priors")
    for k, stratum in strata.items():
        if k not in homes and stratum.explored is not None:
            atlas, homes = atlas.with_mode(_leading(target, k, stratum)), [*homes, k]
    order = sorted(strata, key=lambda k: -strata[k].piece.region.evidence.log_value)
    pieces = [_at_home(strata[k], _places(homes, k)) for k in order]
    exploration = Exploration(atlas, locator_of(target, atlas), tuple(piece.region for piece in pieces))
    numbered = {number: piece for number, piece in enumerate(pieces) if len(piece.u)}
    raw, region_of_draws = put_together(numbered, n_draws, job.n_chains, interrupted, rng)
    heights = target.log_densities(raw.u.reshape(-1, raw.u.shape[2])).reshape(raw.u.shape[:2])
    raw = replace(raw, statistics=raw.statistics.assign(lp=(SAMPLE_DIMS, heights)))
    return Whole(raw, exploration, region_of_draws, (exploration.regions[0].modes[0],) * job.n_chains)


def _that_matter(strata: dict[int, Stratum]) -> dict[int, Stratum]:
    """Those with a share of the mass of all that is worth telling."""
    if not strata:
        return strata
    shares = shares_of([stratum.piece.region for stratum in strata.values()])
    return {k: stratum for (k, stratum), share in zip(strata.items(), shares, strict=True) if share >= MATTERS}


def _at_home(stratum: Stratum, modes: tuple[int, ...]) -> Piece:
    """The stratum's draws, its region with its modes."""
    return stratum.piece._replace(region=replace(stratum.piece.region, modes=modes, n_made=stratum.made))


def _places(homes: list[int], k: int) -> tuple[int, ...]:
    return tuple(place for place, home in enumerate(homes) if home == k)


def _run_all(
    job: Job, estimates: Mapping[int, float], before: Mapping[int, Stratum], n_draws: int, rng: np.random.Generator
) -> tuple[dict[int, Stratum], bool]:
    """The strata by number of components, and whether sampling was interrupted: those that were reached are kept."""
    strata = dict(before)
    masses = {k: stratum.piece.region.evidence.log_value for k, stratum in before.items()}
    try:
        for k, n_more in _tasks(job, estimates, strata, masses, n_draws):
            explored = strata[k].explored if k in strata else None
            made, interrupted = _sampled(job, explored or _explored(job, k, rng), n_more, rng)
            if made is not None:
                strata[k] = _pooled(strata[k], made) if k in strata else made
            masses[k] = strata[k].piece.region.evidence.log_value if k in strata else -np.inf
            if interrupted:
                return strata, True
    except KeyboardInterrupt:
        return strata, True
    return strata, False


def _tasks(
    job: Job, estimates: Mapping[int, float], strata: Mapping[int, Stratum], masses: Mapping[int, float], n_draws: int
) -> Iterator[tuple[int, int]]:
    """Numbers of components and of draws to make next, by what is known of the strata when asked."""
    wanted, most = job.settings.draws, max(estimates.values(), default=0.0)
    if masses:
        shares = softmax(list(masses.values())).tolist()
        yield from [(k, _first_draws(share, wanted)) for k, share in zip(masses, shares, strict=True) if share >= MATTERS]
    while (beside := _next(job, estimates, masses)) is not None:
        yield beside, _first_draws(float(np.exp(min(estimates.get(beside, most) - most, 0.0))), wanted)
    for _ in range(ROUNDS):
        for k, n_more in _lacking(strata, n_draws, job.n_chains).items():
            yield k, min(n_more, ceil(MOST * wanted))


def _estimates(job: Job, found: list[MappedMode]) -> dict[int, float]:
    """ln mass of each stratum of which there are modes, as these say; -inf where EM gave fewer components up as hopeless."""
    n_components, out = job.target.structure.n_components, dict[int, float]()
    for k in range(1, n_components + 1):
        modes = atlas_of([mapped for mapped in found if n_components - mapped.n_empty == k], symmetric=True).modes
        if modes:
            out[k] = float(logsumexp([mapped.log_mass for mapped in modes]))
        elif job.optima and k < min(job.optima):
            out[k] = -np.inf
    return out


def _next(job: Job, estimates: Mapping[int, float], masses: Mapping[int, float]) -> int | None:
    """The stratum to sample next: the best by its estimate, then one beside those that are known while these are not small."""
    n_components = job.target.structure.n_components
    if not masses:
        return max(estimates, key=lambda k: estimates[k]) if estimates else n_components
    total, highest = float(logsumexp(list(masses.values()))), max(estimates.values(), default=0.0)
    for end, beside in ((max(masses), max(masses) + 1), (min(masses), min(masses) - 1)):
        matters = masses[end] == max(masses.values()) or masses[end] - total > np.log(MATTERS)
        if 1 <= beside <= n_components and matters and estimates.get(beside, highest) > highest - HOPELESS:
            return beside
    return None


def _first_draws(share: float, n_draws: int) -> int:
    """Draws of each chain for a stratum with this share of a whole of n_draws."""
    return max(ceil(SPARE * share * n_draws), min(FEWEST_IN_STRATUM, n_draws))


def _lacking(strata: Mapping[int, Stratum], n_draws: int, n_chains: int) -> dict[int, int]:
    """Strata whose draws are worth fewer than their share asks for, and how many draws of each chain to add."""
    counts = whole_numbers(shares_of([stratum.piece.region for stratum in strata.values()]), n_draws)
    out = {}
    for (k, stratum), count in zip(strata.items(), counts, strict=True):
        lacking = n_chains * count / max(stratum.effective, 1.0) - 1
        if lacking > NOTABLE:
            out[k] = max(ceil(SPARE * lacking * len(stratum.piece.u) / n_chains), FEWEST_MORE)
    return out


def _n_occupied(target: Target, mode: MappedMode, found: list[MappedMode]) -> int:
    """The number of components that hold rows in a mode: as in the heaviest of those that are the same."""
    alone = Atlas((mode,), symmetric=True)
    same = [mode, *(mapped for mapped in found if alone.place_of(mapped.params) is not None)]
    return target.structure.n_components - max(same[::-1], key=lambda mapped: mapped.log_mass).n_empty


def _leading(target: Target, n_occupied: int, stratum: Stratum) -> MappedMode:
    """The leading mode of a stratum of which the atlas has none."""
    assert stratum.explored is not None
    mapped = stratum.explored.exploration.atlas.modes[0]
    if n_occupied < target.structure.n_components:
        mapped = with_empty(target, stratum.explored.looser, mapped)
    mode = replace(mapped.mode, log_density=target.log_density(mapped.mode.u)[0])
    return replace(mapped, mode=mode, log_mass=stratum.piece.region.evidence.log_value)


def _explored(job: Job, n_occupied: int, rng: np.random.Generator) -> Explored:
    looser = looser_target(job.target, n_occupied)
    if n_occupied in job.optima:
        found = charted_from(looser, {size: best for size, best in job.optima.items() if size <= n_occupied})
        atlas = atlas_of(found, symmetric=True)
    else:
        settings = {"covariance": job.target.structure.family, "resolution": job.target.resolution, "progress": job.progress}
        em = fit_or_none(job.specification.dataset, n_occupied, seed=rng, **settings)
        atlas = make_atlas(looser, em, rng)
    return Explored(looser, explore(looser, atlas, rng, job.settings.cores, job.progress))


def _sampled(job: Job, explored: Explored, n_draws: int, rng: np.random.Generator) -> tuple[Stratum | None, bool]:
    """The stratum by so many draws of each chain, None if none of them is of it, and whether they were interrupted."""
    looser, exploration = explored
    n_occupied = looser.structure.n_components
    what = f"{n_occupied} component{'s' if n_occupied > 1 else ''}, chain"
    run = partial(run_own_density, looser, exploration.atlas, progress=job.progress, what=what)
    whole = sample_whole(looser, exploration, run, replace(job.settings, draws=n_draws), job.n_chains, rng)
    u = whole.raw.u.reshape(-1, whole.raw.u.shape[2])
    ratios = log_ratios(job.target, looser, u)
    if not np.isfinite(ratios).any():
        return None, whole.raw.interrupted
    evidence = _mass(job.target, looser, whole, ratios.reshape(whole.raw.u.shape[:2]), rng)
    weights = softmax(ratios)
    chosen = _systematic(weights, len(u), rng)
    statistics = {str(name): value.values.reshape(-1)[chosen] for name, value in whole.raw.statistics.items()}
    joint = beside_empty(job.target, looser, u[chosen], rng)
    piece = Piece(Region((), evidence, joint, n_occupied), joint, statistics, (), whole.raw.seconds)
    return Stratum(explored, piece, len(u), float(1 / (weights**2).sum())), whole.raw.interrupted


def _mass(target: Target, looser: Target, whole: Whole, ratios: Array, rng: np.random.Generator) -> Estimate:
    """ln of the mass of a stratum: that of each region times the mean ratio (chain, draw) there, added.

    NaN is the standard error where a notable part could not be measured.
    """
    regions, modes = whole.exploration.regions, whole.exploration.atlas.modes
    terms = []
    for number, region in enumerate(regions):
        evidence, inside = region.evidence, whole.region == number
        there = ratios[inside].reshape(len(ratios), -1) if inside.any() else log_ratios(target, looser, region.u)[None]
        if not there.size or there.max() == -np.inf:
            continue
        u = whole.raw.u.reshape(-1, whole.raw.u.shape[2])
        if len(regions) == 1:
            enough = len(u) >= 4 * u.shape[1]
            evidence = mass_of(looser, u, modes[region.modes[0]].params, rng) if enough else Estimate(np.nan, np.inf)
        if not np.isfinite(evidence.standard_error):
            evidence = Estimate(float(logsumexp([modes[place].log_mass for place in region.modes])), np.nan)
        values = np.exp(there - there.max())
        log_mean = float(there.max() + np.log(values.mean()))
        terms.append((evidence.log_value + log_mean, np.hypot(evidence.standard_error, _error(values) / values.mean())))
    log_values, errors = np.array(terms).T
    return Estimate(float(logsumexp(log_values)), _error_of_sum(softmax(log_values), errors))


def _error(values: Array) -> float:
    """Standard error of the mean of (chain, draw) values."""
    if np.ptp(values) == 0:
        return 0.0
    if values.shape[1] < FEWEST_DRAWS:
        return float(values.std() / np.sqrt(values.size))
    return float(azs.mcse(values, method="mean"))


def _error_of_sum(shares: Array, errors: Array) -> float:
    """Of the ln of a sum, whose terms have these shares and errors of their ln; NaN if notable ones could not be measured."""
    unknown = np.isnan(errors)
    if shares[unknown].sum() > NOTABLE:
        return np.nan
    return float(np.linalg.norm(shares * np.where(unknown, UNMEASURED, errors)))


def _systematic(weights: Array, n_draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Places of draws, in order, each as often as its weight asks for, to a whole number (Kitagawa 1996, appendix)."""
    ends = np.cumsum(weights)
    points = (np.arange(n_draws) + rng.random()) / n_draws * ends[-1]
    return np.minimum(np.searchsorted(ends, points), len(weights) - 1)


def _pooled(one: Stratum, other: Stratum) -> Stratum:
    """The draws of both, and the mean of their masses, each counted by the draws that were made for it."""
    parts = np.array([one.made, other.made]) / (one.made + other.made)
    values, errors = np.array([one.piece.region.evidence, other.piece.region.evidence]).T
    log_value = float(logsumexp(values, b=parts))
    evidence = Estimate(log_value, _error_of_sum(parts * np.exp(values - log_value), errors))
    piece = joined_pieces(one.piece, other.piece) if len(one.piece.u) else other.piece
    piece = piece._replace(region=replace(other.piece.region, evidence=evidence, u=piece.u))
    return Stratum(other.explored, piece, one.made + other.made, one.effective + other.effective)
