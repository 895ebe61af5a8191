"""Chains in every region of the posterior, and one sample of the whole put together from their draws."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.errors import SamplingError
from bayesgmm.model.target import Target
from bayesgmm.posterior.schema import SAMPLE_DIMS
from bayesgmm.sampling.chains import RawDraws, Run
from bayesgmm.sampling.explore import Exploration, Region, seeds_of, shares_of, weighed
from bayesgmm.sampling.nuts import FEWEST_DRAWS, NutsSettings
from bayesgmm.sampling.start import chain_starts

Array = NDArray[np.float64]
Places = NDArray[np.intp]

FEWEST_IN_REGION = 150
"""Draws of each chain in a region, however small its share."""

ENOUGH = 8
"""Draws for each dimension with which a mass is estimated without those made before, whose starts were not in proportion."""

SPARE, MOST = 1.2, 1.05
"""Draws made in a region, relative to those that its share asks for, and at most, relative to those of the whole: shares are
estimated again from all draws, and some draws leave their region."""

ROUNDS = 3
"""Of drawing in regions that have fewer draws than their share asks for."""


@dataclass(frozen=True, eq=False)
class Whole:
    """Draws of the whole posterior.

    Attributes
    ----------
    raw : RawDraws
    exploration : Exploration
        Every region, its mass estimated from all its draws; those too small for a draw, or not reached, as they were explored.
    region : (chain, draw)
        Which region each draw is of.
    started_in : (chain,)
        The mode that each chain started in, in the largest region with draws.
    """

    raw: RawDraws
    exploration: Exploration
    region: Places
    started_in: tuple[int, ...]


class Piece(NamedTuple):
    """Draws of a region: coordinates u (n, P) and statistics (n,), chain after chain; and the mode each chain started in."""

    region: Region
    u: Array
    statistics: dict[str, NDArray[Any]]
    started_in: tuple[int, ...]
    seconds: float


Pieces = dict[int, Piece]
"""By the place of their region in the exploration."""


def sample_whole(
    target: Target,
    exploration: Exploration,
    run: Run,
    settings: NutsSettings,
    n_chains: int,
    rng: np.random.Generator,
    before: Mapping[int, Piece] | None = None,
) -> Whole:
    """Chains in every region whose share is worth a draw; each region has its share of every chain, spread evenly over it.

    The draws of regions that were made `before` are put together with the others: settings.draws counts both. After an
    interruption, of the regions that were reached, with as many draws as keep the shares.
    """
    if len(exploration.regions) == 1:
        starts = chain_starts(target, exploration.atlas, n_chains, rng, exploration.regions[0].modes)
        raw = run(starts, seeds_of(rng, n_chains), settings)
        started_in = tuple(starts[chain].mode for chain in raw.chains)
        return Whole(raw, exploration, np.zeros(raw.u.shape[:2], dtype=np.intp), started_in)

    def run_in(region: Region, n_draws: int) -> tuple[Piece, bool]:
        starts = chain_starts(target, exploration.atlas, n_chains, rng, region.modes)
        raw = run(starts, seeds_of(rng, n_chains), replace(settings, draws=n_draws))
        inside = np.stack([exploration.locator.inside(u, region.modes) for u in raw.u])
        statistics = {str(name): value.values[inside] for name, value in raw.statistics.items()}
        return Piece(region, raw.u[inside], statistics, tuple(start.mode for start in starts), raw.seconds), raw.interrupted

    pieces, interrupted = _run_in_all(target, exploration, run_in, before or {}, settings.draws, n_chains, rng)
    if not pieces:
        if interrupted:
            raise KeyboardInterrupt
        raise SamplingError("no chain stayed in the region that it started in: sample again with another seed, or other priors")
    regions = _as_known(exploration, pieces)
    order = sorted(range(len(regions)), key=lambda i: -regions[i].evidence.log_value)
    found = replace(exploration, regions=tuple(regions[i] for i in order))
    numbered = {number: pieces[i] for number, i in enumerate(order) if i in pieces}
    raw, region_of_draws = put_together(numbered, settings.draws, n_chains, interrupted, rng)
    return Whole(raw, found, region_of_draws, next(iter(numbered.values())).started_in)


def _run_in_all(
    target: Target,
    exploration: Exploration,
    run_in: Callable[[Region, int], tuple[Piece, bool]],
    before: Mapping[int, Piece],
    n_draws: int,
    n_chains: int,
    rng: np.random.Generator,
) -> tuple[Pieces, bool]:
    """The draws of each region, as many as its share asks for, and whether making them was interrupted."""
    pieces = dict(before)
    for _ in range(ROUNDS):
        for i, number in _wanted(exploration, pieces, n_draws, n_chains).items():
            try:
                made, interrupted = run_in(exploration.regions[i], number)
                piece = joined_pieces(pieces[i], made) if i in pieces else made
                if len(piece.u):
                    pieces[i] = piece  # should Ctrl-C come while it is weighed
                    pieces[i] = _weighed(target, exploration, piece, rng)
            except KeyboardInterrupt:
                interrupted = True
            if interrupted:
                return pieces, True
    return pieces, False


def _as_known(exploration: Exploration, pieces: Pieces) -> list[Region]:
    """Every region as its draws say, or as it was explored."""
    return [pieces[i].region if i in pieces else region for i, region in enumerate(exploration.regions)]


def _wanted(exploration: Exploration, pieces: Pieces, n_draws: int, n_chains: int) -> dict[int, int]:
    """How many draws of each chain to make in regions that have fewer than their share asks for."""
    out = {}
    for i, count in enumerate(whole_numbers(shares_of(_as_known(exploration, pieces)), n_draws)):
        known = len(pieces[i].u) / n_chains if i in pieces else 0.0
        if known < count:
            most = min(ceil(SPARE * (count - known)), ceil(MOST * n_draws))
            out[i] = max(most, min(FEWEST_IN_REGION, n_draws) - int(known))
    return out


def _weighed(target: Target, exploration: Exploration, piece: Piece, rng: np.random.Generator) -> Piece:
    """The piece with the mass of its region estimated from its draws, and from those that explored it where they are few."""
    u = piece.u
    if len(u) < ENOUGH * u.shape[1]:
        u = np.concatenate([piece.region.u, u])
    region = weighed(target, exploration.atlas, exploration.locator, replace(piece.region, u=u), rng)
    return piece._replace(region=region)


def joined_pieces(before: Piece, more: Piece) -> Piece:
    """The draws of both, and the region as explored."""
    statistics = {
        name: np.concatenate([values, more.statistics[name]])
        for name, values in before.statistics.items()
        if name in more.statistics
    }
    return Piece(more.region, np.concatenate([before.u, more.u]), statistics, before.started_in, before.seconds + more.seconds)


def put_together(
    pieces: Pieces, n_draws: int, n_chains: int, interrupted: bool, rng: np.random.Generator
) -> tuple[RawDraws, Places]:
    """Draws of regions, by their number, in proportion to their shares, and which region each is of.

    Those of one region are dealt out in the order in which they were made, chain after chain, evenly thinned; some are there
    more than once where they are too few (`sampling_problems` says so).
    """
    shares = shares_of([piece.region for piece in pieces.values()])
    if interrupted:  # as many as the shortest region allows
        made = [len(piece.u) / (n_chains * share) for piece, share in zip(pieces.values(), shares, strict=True)]
        n_draws = max(int(min(n_draws, *made)), FEWEST_DRAWS)
    counts = whole_numbers(shares, n_draws)
    region = np.stack([rng.permutation(np.repeat(list(pieces), counts)) for _ in range(n_chains)])
    names = sorted(set.intersection(*(set(piece.statistics) for piece in pieces.values())))
    first = next(iter(pieces.values()))
    u = np.empty((n_chains, n_draws, first.u.shape[1]))
    statistics = {name: np.empty(region.shape, dtype=first.statistics[name].dtype) for name in names}
    for (number, piece), count in zip(pieces.items(), counts, strict=True):
        picked = np.linspace(0, len(piece.u) - 1, n_chains * count).round().astype(int)
        u[region == number] = piece.u[picked]
        for name in names:
            statistics[name][region == number] = piece.statistics[name][picked]
    dataset = xr.Dataset({name: (SAMPLE_DIMS, values) for name, values in statistics.items()})
    seconds = sum(piece.seconds for piece in pieces.values())
    return RawDraws(u, tuple(range(n_chains)), dataset, seconds, interrupted), region


def whole_numbers(shares: Array, total: int) -> Places:
    """Whole numbers in proportion to shares, of the given sum: each within one of its share (largest remainders)."""
    exact = shares / shares.sum() * total
    out = np.floor(exact).astype(np.intp)
    out[np.argsort(out - exact, kind="stable")[: total - out.sum()]] += 1
    return out
