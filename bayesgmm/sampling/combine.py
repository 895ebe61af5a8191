"""Chains in every region of the posterior, and one sample of the whole put together from their draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.errors import SamplingError
from bayesgmm.model.target import Target
from bayesgmm.posterior.schema import SAMPLE_DIMS
from bayesgmm.sampling.chains import RawDraws
from bayesgmm.sampling.explore import Exploration, seeds_of, weighed
from bayesgmm.sampling.nuts import FEWEST_DRAWS, NutsSettings
from bayesgmm.sampling.start import ChainStart, chain_starts

Array = NDArray[np.float64]
Places = NDArray[np.intp]
Run = Callable[[Sequence[ChainStart], Sequence[int], NutsSettings], RawDraws]

FEWEST_IN_REGION = 150
"""Draws of each chain in a region, however small its share."""

ENOUGH = 8
"""Draws for each dimension with which a mass is estimated without those made before, whose starts were not in proportion."""

SPARE = 1.2
"""Draws made in a region, relative to those that its share asks for: the share is estimated again from all of them."""


@dataclass(frozen=True, eq=False)
class Whole:
    """Draws of the whole posterior.

    Attributes
    ----------
    raw : RawDraws
    exploration : Exploration
        The regions that the draws are of, with their masses estimated from all their draws.
    region : (chain, draw)
        Which region each draw is of.
    started_in : (chain,)
        The mode that each chain started in, in the largest region.
    """

    raw: RawDraws
    exploration: Exploration
    region: Places
    started_in: tuple[int, ...]


class _Piece(NamedTuple):
    """Chains that were run in a region, and for each the numbers of the draws that are of the region."""

    raw: RawDraws
    inside: list[Places]


def sample_whole(
    target: Target, exploration: Exploration, run: Run, settings: NutsSettings, n_chains: int, rng: np.random.Generator
) -> Whole:
    """Chains in every region whose share is worth a draw; each region has its share of every chain, spread evenly over it.

    After an interruption, of the regions that were reached, with as many draws as keep the shares.
    """
    atlas, locator = exploration.atlas, exploration.locator
    chosen = [i for i, share in enumerate(exploration.shares) if share * settings.draws >= 0.5]
    alone = len(chosen) == 1
    pieces: list[_Piece] = []
    regions = []
    started_in: tuple[int, ...] = ()
    interrupted = False
    for i in chosen:
        region, share = exploration.regions[i], float(exploration.shares[i])
        starts = chain_starts(target, atlas, n_chains, rng, region.modes)
        wanted = settings.draws if alone else min(max(int(SPARE * share * settings.draws) + 1, FEWEST_IN_REGION), settings.draws)
        try:
            raw = run(starts, seeds_of(rng, n_chains), replace(settings, draws=wanted))
        except KeyboardInterrupt:
            if not pieces:
                raise
            interrupted = True
            break
        started_in = started_in or tuple(starts[chain].mode for chain in raw.chains)
        if alone:
            return Whole(raw, replace(exploration, regions=(region,)), np.zeros(raw.u.shape[:2], dtype=np.intp), started_in)
        inside = [np.flatnonzero(np.isin(locator.places(u), region.modes)) for u in raw.u]
        if sum(map(len, inside)):
            made = np.concatenate([u[kept] for u, kept in zip(raw.u, inside, strict=True)])
            enough = len(made) >= ENOUGH * made.shape[1]
            u = made if enough else np.concatenate([region.u, made])
            regions.append(weighed(target, atlas, locator, replace(region, u=u), rng))
            pieces.append(_Piece(raw, inside))
        interrupted = raw.interrupted
        if interrupted:
            break
    if not regions:
        raise SamplingError(
            "no chain stayed near the modes that it started from: sample again with another seed, or other priors"
        )
    order = sorted(range(len(regions)), key=lambda i: -regions[i].evidence.log_value)
    found = replace(exploration, regions=tuple(regions[i] for i in order))
    raw, region_of_draws = _put_together([pieces[i] for i in order], found.shares, settings.draws, interrupted, rng)
    return Whole(raw, found, region_of_draws, started_in[: len(raw.chains)])


def _put_together(
    pieces: Sequence[_Piece], shares: Array, n_draws: int, interrupted: bool, rng: np.random.Generator
) -> tuple[RawDraws, Places]:
    """Draws of all regions in proportion to their shares, and which region each is of."""
    n_chains = min(len(piece.raw.chains) for piece in pieces)
    if interrupted:  # as many as the shortest region allows
        made = [len(piece.raw.u[0]) / share for piece, share in zip(pieces, shares, strict=True)]
        n_draws = max(int(min(n_draws, *made)), FEWEST_DRAWS)
    counts = _whole_numbers(shares, n_draws)
    names = sorted(set.intersection(*(set(map(str, piece.raw.statistics.data_vars)) for piece in pieces)))
    size = pieces[0].raw.u.shape[2]
    u, region = np.empty((n_chains, n_draws, size)), np.empty((n_chains, n_draws), dtype=np.intp)
    statistics: dict[str, list[Array]] = {name: [] for name in names}
    for chain in range(n_chains):
        region[chain] = rng.permutation(np.repeat(np.arange(len(pieces)), counts))
        values = {name: np.empty(n_draws, dtype=pieces[0].raw.statistics[name].dtype) for name in names}
        for i, (piece, count) in enumerate(zip(pieces, counts, strict=True)):
            source = chain if len(piece.inside[chain]) else int(np.argmax([len(kept) for kept in piece.inside]))
            kept = piece.inside[source]
            picked = kept[np.linspace(0, len(kept) - 1, count).round().astype(int)]
            u[chain, region[chain] == i] = piece.raw.u[source, picked]
            for name in names:
                values[name][region[chain] == i] = piece.raw.statistics[name].values[source, picked]
        for name in names:
            statistics[name].append(values[name])
    dataset = xr.Dataset({name: (SAMPLE_DIMS, np.stack(rows)) for name, rows in statistics.items()})
    seconds = sum(piece.raw.seconds for piece in pieces)
    return RawDraws(u, tuple(range(n_chains)), dataset, seconds, interrupted), region


def _whole_numbers(shares: Array, total: int) -> Places:
    """Whole numbers in proportion to shares, of the given sum: each within one of its share (largest remainders)."""
    exact = shares / shares.sum() * total
    out = np.floor(exact).astype(np.intp)
    out[np.argsort(out - exact, kind="stable")[: total - out.sum()]] += 1
    return out
