"""Chains in every region of the posterior, and one sample of the whole put together from their draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import NamedTuple

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

SPARE = 1.2
"""Draws made in a region, relative to those that its share asks for: the share is estimated again from all of them."""

ROUNDS = 3
"""Of drawing more in regions whose share turned out to be larger than their draws are enough for."""


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
    """A region, the chains that were run in it, the modes they started in, and which draws (chain, draw) are of the region."""

    region: Region
    raw: RawDraws
    started_in: tuple[int, ...]
    inside: NDArray[np.bool_]


def sample_whole(
    target: Target, exploration: Exploration, run: Run, settings: NutsSettings, n_chains: int, rng: np.random.Generator
) -> Whole:
    """Chains in every region whose share is worth a draw; each region has its share of every chain, spread evenly over it.

    After an interruption, of the regions that were reached, with as many draws as keep the shares.
    """
    chosen = [i for i, share in enumerate(exploration.shares) if share * settings.draws >= 0.5]

    def run_in(region: Region, n_draws: int) -> _Piece:
        starts = chain_starts(target, exploration.atlas, n_chains, rng, region.modes)
        raw = run(starts, seeds_of(rng, n_chains), replace(settings, draws=n_draws))
        inside = np.ones(raw.u.shape[:2], dtype=np.bool_)
        if len(chosen) > 1:
            inside = np.stack([exploration.locator.inside(u, region.modes) for u in raw.u])
        return _Piece(region, raw, tuple(starts[chain].mode for chain in raw.chains), inside)

    if len(chosen) == 1:
        alone = run_in(exploration.regions[chosen[0]], settings.draws)
        whole = replace(exploration, regions=(alone.region,))
        return Whole(alone.raw, whole, np.zeros(alone.inside.shape, dtype=np.intp), alone.started_in)
    shares = exploration.shares
    wanted = {i: min(max(int(SPARE * shares[i] * settings.draws) + 1, FEWEST_IN_REGION), settings.draws) for i in chosen}
    pieces, interrupted = _run_in_all(target, exploration, run_in, wanted, settings.draws, rng)
    if not pieces:
        raise SamplingError(
            "no chain stayed near the modes that it started from: sample again with another seed, or other priors"
        )
    ordered = sorted(pieces, key=lambda piece: -piece.region.evidence.log_value)
    found = replace(exploration, regions=tuple(piece.region for piece in ordered))
    raw, region_of_draws = _put_together(ordered, settings.draws, interrupted, rng)
    return Whole(raw, found, region_of_draws, pieces[0].started_in[: len(raw.chains)])


def _run_in_all(
    target: Target,
    exploration: Exploration,
    run_in: Callable[[Region, int], _Piece],
    wanted: dict[int, int],
    n_draws: int,
    rng: np.random.Generator,
) -> tuple[list[_Piece], bool]:
    """So many draws as are wanted of each region, more where its share asks for more, and whether that was interrupted."""
    pieces: dict[int, _Piece] = {}
    for _ in range(ROUNDS):
        for i, number in wanted.items():
            try:
                made = run_in(exploration.regions[i], number)
            except KeyboardInterrupt:
                if pieces:
                    return list(pieces.values()), True
                raise
            piece = _joined(pieces[i], made) if i in pieces else made
            if piece.inside.any():
                pieces[i] = _weighed(target, exploration, piece, rng)
            if made.raw.interrupted:
                return list(pieces.values()), True
        wanted = _missing(pieces, n_draws) if pieces else {}
    return list(pieces.values()), False


def _weighed(target: Target, exploration: Exploration, piece: _Piece, rng: np.random.Generator) -> _Piece:
    """The piece with the mass of its region estimated from its draws, and from those that explored it where they are few."""
    u = piece.raw.u[piece.inside]
    if len(u) < ENOUGH * u.shape[1]:
        u = np.concatenate([piece.region.u, u])
    region = weighed(target, exploration.atlas, exploration.locator, replace(piece.region, u=u), rng)
    return piece._replace(region=region)


def _missing(pieces: dict[int, _Piece], n_draws: int) -> dict[int, int]:
    """How many more draws of each chain the regions need that have fewer than their share asks for."""
    shares = shares_of([piece.region for piece in pieces.values()])
    counts = _whole_numbers(shares, n_draws)
    lacking = [count - piece.inside.sum() / len(piece.inside) for count, piece in zip(counts, pieces.values(), strict=True)]
    return {i: max(ceil(SPARE * draws), FEWEST_IN_REGION) for i, draws in zip(pieces, lacking, strict=True) if draws > 0}


def _joined(before: _Piece, more: _Piece) -> _Piece:
    """The draws of both, chain by chain, and the region as explored; those before alone if a chain is missing from the others."""
    if more.raw.chains != before.raw.chains:
        return before._replace(region=more.region)
    one, other = before.raw, more.raw
    names = [str(name) for name in one.statistics.data_vars if name in other.statistics]
    raw = RawDraws(
        np.concatenate([one.u, other.u], axis=1),
        one.chains,
        xr.Dataset({name: (SAMPLE_DIMS, np.hstack([one.statistics[name], other.statistics[name]])) for name in names}),
        one.seconds + other.seconds,
        other.interrupted,
    )
    return _Piece(more.region, raw, before.started_in, np.hstack([before.inside, more.inside]))


def _put_together(pieces: Sequence[_Piece], n_draws: int, interrupted: bool, rng: np.random.Generator) -> tuple[RawDraws, Places]:
    """Draws of all regions in proportion to their shares, and which region each is of.

    Those of one region are dealt out in the order in which they were made, chain after chain, evenly thinned.
    """
    shares = shares_of([piece.region for piece in pieces])
    n_chains = min(len(piece.inside) for piece in pieces)
    if interrupted:  # as many as the shortest region allows
        made = [piece.inside.sum() / (n_chains * share) for piece, share in zip(pieces, shares, strict=True)]
        n_draws = max(int(min(n_draws, *made)), FEWEST_DRAWS)
    counts = _whole_numbers(shares, n_draws)
    names = sorted(set.intersection(*(set(map(str, piece.raw.statistics.data_vars)) for piece in pieces)))
    region = np.stack([rng.permutation(np.repeat(np.arange(len(pieces)), counts)) for _ in range(n_chains)])
    u = np.empty((n_chains, n_draws, pieces[0].raw.u.shape[2]))
    statistics = {name: np.empty(region.shape, dtype=pieces[0].raw.statistics[name].dtype) for name in names}
    for i, (piece, count) in enumerate(zip(pieces, counts, strict=True)):
        picked = np.linspace(0, piece.inside.sum() - 1, n_chains * count).round().astype(int)
        u[region == i] = piece.raw.u[piece.inside][picked]
        for name in names:
            statistics[name][region == i] = piece.raw.statistics[name].values[piece.inside][picked]
    dataset = xr.Dataset({name: (SAMPLE_DIMS, values) for name, values in statistics.items()})
    seconds = sum(piece.raw.seconds for piece in pieces)
    return RawDraws(u, tuple(range(n_chains)), dataset, seconds, interrupted), region


def _whole_numbers(shares: Array, total: int) -> Places:
    """Whole numbers in proportion to shares, of the given sum: each within one of its share (largest remainders)."""
    exact = shares / shares.sum() * total
    out = np.floor(exact).astype(np.intp)
    out[np.argsort(out - exact, kind="stable")[: total - out.sum()]] += 1
    return out
