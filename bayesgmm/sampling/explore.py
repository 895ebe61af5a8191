"""Exploring the modes that matter: short chains from each, the regions between which they travel, and the mass of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from bayesgmm.evidence.atlas import Atlas, place_of_draw
from bayesgmm.evidence.bridge import Estimate
from bayesgmm.evidence.regions import NOWHERE, Locator, locator_of, mass_of, merged_by_traffic
from bayesgmm.model.target import Target
from bayesgmm.sampling.chains import run_own_density
from bayesgmm.sampling.nuts import NutsSettings
from bayesgmm.sampling.start import chain_starts

Array = NDArray[np.float64]
Places = NDArray[np.intp]

MATTERS = 3e-4
"""Smallest estimated share of a mode that chains are started in: one of the galaxies with three components, whose shape Laplace's
approximation misses, has a fifth of the posterior and an estimate of 0.2%."""

PILOT_CHAINS = 2
PILOT_DRAWS = 250
PILOT_TUNE = 200

FEWEST_MET = 50
"""Of a region that short chains met."""

UNRELIABLE = 1.0
"""Standard error of a log mass, in nats, above which draws are no sample of the region, and the modes' own masses are better."""

LOST = 0.5
"""Where more of the draws are far from every mode, as beside modes at scales of 0, modes say nothing, and all is one region."""


@dataclass(frozen=True, eq=False)
class Region:
    """Modes (places in the atlas) between which chains travel, what is known of its mass, and draws u (n, P) of it.

    Or modes with as many components that hold rows, `n_occupied`; the mass is then from `n_made` draws, of which u are resampled.
    """

    modes: tuple[int, ...]
    evidence: Estimate
    u: Array
    n_occupied: int | None = None
    n_made: int = 0


@dataclass(frozen=True, eq=False)
class Exploration:
    """The atlas with modes met on the way, what tells draws apart, and the regions, largest mass first."""

    atlas: Atlas
    locator: Locator
    regions: tuple[Region, ...]

    @property
    def shares(self) -> Array:
        """Share of each region in the mass of all."""
        return shares_of(self.regions)


def shares_of(regions: Sequence[Region]) -> Array:
    """Share of each region in the mass of all."""
    return softmax([region.evidence.log_value for region in regions]) if len(regions) > 1 else np.ones(1)


def explore(target: Target, atlas: Atlas, rng: np.random.Generator, cores: int, progress: bool | None) -> Exploration:
    """Short chains from every mode that matters, and the regions that they show; where one mode matters, that is the region.

    Raises KeyboardInterrupt if the user interrupts: nothing is found yet that could be kept.
    """
    candidates = [place for place, share in enumerate(atlas.shares) if share >= MATTERS]
    size = target.structure.n_coordinates
    if len(candidates) == 1:
        alone = Region((0,), Estimate(atlas.modes[0].log_mass, np.nan), np.zeros((0, size)))
        return Exploration(atlas, locator_of(target, atlas), (alone,))
    settings = NutsSettings(max(PILOT_DRAWS, 3 * size), PILOT_TUNE, cores, 0.9)
    starts = [start for place in candidates for start in chain_starts(target, atlas, PILOT_CHAINS, rng, (place,))]
    raw = run_own_density(target, atlas, starts, seeds_of(rng, len(starts)), settings, progress, "exploring")
    if raw.interrupted:
        raise KeyboardInterrupt
    locator = locator_of(target, atlas)
    strays = [u[-1] for u in raw.u if locator.places(u[-1:])[0] == NOWHERE]
    for u in strays:
        atlas, _ = place_of_draw(target, atlas, u, atlas.modes[0].mode.metric)
    if len(atlas.modes) > len(locator.n_empty):
        locator = locator_of(target, atlas)
    located = [locator.nearest(u) for u in raw.u]
    joined, where = raw.u.reshape(-1, size), np.concatenate([places for places, _ in located])
    if np.mean([far for _, far in located]) > LOST:
        everything = Region(tuple(range(len(atlas.modes))), Estimate(np.nan, np.nan), joined)
        return Exploration(atlas, locator, (everything,))
    groups = merged_by_traffic([np.where(far, NOWHERE, places) for places, far in located], len(atlas.modes))
    found = [(tuple(modes), joined[np.isin(where, modes)]) for modes in groups]
    regions = [Region(modes, Estimate(np.nan, np.nan), u) for modes, u in found if len(u) >= FEWEST_MET]
    if not regions:
        regions = [max((Region(modes, Estimate(np.nan, np.nan), u) for modes, u in found), key=lambda region: len(region.u))]
    if len(regions) > 1:
        regions = [weighed(target, atlas, locator, region, rng) for region in regions]
    return Exploration(atlas, locator, tuple(sorted(regions, key=lambda region: -region.evidence.log_value)))


def weighed(target: Target, atlas: Atlas, locator: Locator, region: Region, rng: np.random.Generator) -> Region:
    """The region with its mass estimated from its draws; by its modes' own estimates where those do not say it well."""
    if len(region.u) >= 4 * region.u.shape[1]:
        leading = atlas.modes[region.modes[0]].params
        evidence = mass_of(target, region.u, leading, rng, lambda u: locator.inside(u, region.modes))
        if evidence.standard_error < UNRELIABLE:
            return replace(region, evidence=evidence)
    masses = [atlas.modes[place].log_mass for place in region.modes]
    return replace(region, evidence=Estimate(float(np.logaddexp.reduce(masses)), np.nan))


def seeds_of(rng: np.random.Generator, n_chains: int) -> list[int]:
    """A seed for each chain."""
    return [int(value) for value in rng.integers(2**31 - 1, size=n_chains)]
