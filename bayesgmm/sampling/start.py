"""Where chains start: in the basins of the posterior's modes, in turn by their share of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.evidence.atlas import Atlas, MappedMode
from bayesgmm.evidence.laplace import ascend
from bayesgmm.model.target import Target

Array = NDArray[np.float64]

MAX_HALVINGS = 6


@dataclass(frozen=True, eq=False)
class ChainStart:
    """The place in the atlas of the mode that a chain starts near, and its first coordinates u (P,)."""

    mode: int
    u: Array


def chain_starts(
    target: Target, atlas: Atlas, n_chains: int, rng: np.random.Generator, modes: Sequence[int] | None = None
) -> list[ChainStart]:
    """One start per chain; of the chains, each mode (of some, if given) has as many as its share of the posterior, rounded."""
    among = np.arange(len(atlas.modes)) if modes is None else np.asarray(modes)
    ends = np.cumsum(atlas.shares[among])
    places = among[np.searchsorted(ends, (np.arange(n_chains) + 0.5) / n_chains * ends[-1])]
    return [
        ChainStart(int(place), _near(target, atlas.modes[place], stream))
        for place, stream in zip(places, rng.spawn(n_chains), strict=True)
    ]


def _near(target: Target, mapped: MappedMode, rng: np.random.Generator) -> Array:
    """A draw from Laplace's normal approximation; halfway to the mode, again and again, while uphill from it is another mode.

    Where components are empty, uphill is some small component always: there half the way to the place, once.
    """
    mode = mapped.mode
    offset = mode.metric @ rng.standard_normal(len(mode.u))
    if mapped.n_empty and np.isfinite(target.log_density(mode.u + offset / 2)[0]):
        return mode.u + offset / 2
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
