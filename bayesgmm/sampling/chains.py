"""Chains on the library's own density: each in the coordinates of its mode, and which modes its draws are in."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.evidence.atlas import Atlas, place_of_draw
from bayesgmm.evidence.regions import NOWHERE, Locator
from bayesgmm.model.native import COORDINATES, Place
from bayesgmm.model.target import Target
from bayesgmm.posterior.schema import SAMPLE_DIMS
from bayesgmm.sampling.nuts import NutsSettings, joined, run_chains
from bayesgmm.sampling.start import ChainStart

Array = NDArray[np.float64]

CHECKS = 20
"""Draws of each chain whose mode is looked for, evenly spaced from the middle of the chain to its end."""


STATISTICS = {
    "diverging": "diverging",
    "energy": "energy",
    "logp": "lp",
    "lp": "lp",
    "depth": "tree_depth",
    "tree_depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "reached_max_treedepth": "reached_max_treedepth",
    "n_steps": "n_steps",
    "mean_tree_accept": "acceptance_rate",
    "acceptance_rate": "acceptance_rate",
    "step_size": "step_size",
}
"""What each sampler calls its statistics, and what ArviZ's schema calls them."""


@dataclass(frozen=True, eq=False)
class RawDraws:
    """Coordinates u (chain, draw, P) as sampled, the number of each chain, the sampler's statistics, and how it ended.

    After an interruption, chains may be missing. The statistics, (chain, draw), have ArviZ's names.
    """

    u: Array
    chains: tuple[int, ...]
    statistics: xr.Dataset
    seconds: float
    interrupted: bool


Run = Callable[[Sequence[ChainStart], Sequence[int], NutsSettings], RawDraws]
"""What makes draws of chains with these starts and seeds."""


def in_schema(statistics: xr.Dataset) -> xr.Dataset:
    """A sampler's statistics (chain, draw), those that ArviZ's schema has, under its names."""
    kept = {STATISTICS[name]: statistics[name] for name in STATISTICS if name in statistics}
    return xr.Dataset({name: (SAMPLE_DIMS, value.transpose(*SAMPLE_DIMS).values) for name, value in kept.items()})


@dataclass(frozen=True, eq=False)
class Visits:
    """The atlas with modes met while sampling, and the place in it (chain, check) of the mode of some draws; -1: none found."""

    atlas: Atlas
    draws: NDArray[np.intp]
    places: NDArray[np.intp]


def run_own_density(
    target: Target,
    atlas: Atlas,
    starts: Sequence[ChainStart],
    seeds: Sequence[int],
    settings: NutsSettings,
    progress: bool | None,
    what: str = "chain",
) -> RawDraws:
    """Draws of each chain, in coordinates whitened by the Hessian at the mode that it starts near."""
    modes = [atlas.modes[start.mode].mode for start in starts]
    places = [
        Place(mode.u, mode.metric, np.linalg.solve(mode.metric, start.u - mode.u))
        for mode, start in zip(modes, starts, strict=True)
    ]
    models = [target.native_model(place) for place in places]
    names = [f"{what} {i}, mode {start.mode}" for i, start in enumerate(starts)]
    began = time.perf_counter()
    traces, interrupted = run_chains(models, seeds, settings, progress, names)
    seconds = time.perf_counter() - began
    z = joined(traces.values(), "posterior")[COORDINATES].values
    u = np.stack([places[chain].origin + draws @ places[chain].metric.T for chain, draws in zip(traces, z, strict=True)])
    return RawDraws(u, tuple(traces), in_schema(joined(traces.values(), "sample_stats")), seconds, interrupted)


def visits_of(target: Target, atlas: Atlas, locator: Locator, u: Array) -> Visits:
    """Which modes some draws of each chain are in; those uphill from draws that are far from every mode known are added."""
    n_chains, n_draws = u.shape[:2]
    draws = np.unique(np.linspace(n_draws // 2, n_draws - 1, CHECKS).round().astype(int))
    places = np.stack([locator.places(chain[draws]) for chain in u])
    for chain in range(n_chains):
        strays = np.flatnonzero(places[chain] == NOWHERE)
        if strays.size:
            last = strays[-1]
            atlas, place = place_of_draw(target, atlas, u[chain, draws[last]], atlas.modes[0].mode.metric)
            places[chain, strays] = NOWHERE if place is None else place
    return Visits(atlas, draws, places)
