"""The modes of the posterior that EM's optima lead to, and how much of the posterior each holds by Laplace's estimate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import lgamma

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from bayesgmm.em.modes import same_components, same_optimum
from bayesgmm.evidence.laplace import PosteriorMode, ascend, find_mode
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]

EQUAL = 0.05
"""Components that differ by less, relative to their weight and scales, are equal: empty ones, which follow the prior."""


@dataclass(frozen=True, eq=False)
class MappedMode:
    """A mode of the posterior as a mixture, and how it was found.

    Attributes
    ----------
    mode : PosteriorMode
    params : MixtureParams
    origin : str
        Where the climb to it began.
    log_mass : float
        Estimated ln of the mass of the mode and of its exact copies together: Laplace's, or, where components are empty, that of
        the same mode among fewer components times what empty ones multiply it by.
    n_starts : int
        EM starts that ended there.
    n_empty : int
        Components added to an optimum of fewer, which follow the prior: the place then need not be a local maximum.
    """

    mode: PosteriorMode
    params: MixtureParams
    origin: str
    log_mass: float
    n_starts: int = 0
    n_empty: int = 0


@dataclass(frozen=True)
class Atlas:
    """Distinct modes, largest mass first; where the prior is `symmetric`, modulo the order of the components."""

    modes: tuple[MappedMode, ...]
    symmetric: bool

    @property
    def shares(self) -> Array:
        """Share of each mode in the mass of all that were found, as estimated."""
        return softmax([mapped.log_mass for mapped in self.modes])

    def place_of(self, params: MixtureParams) -> int | None:
        """Which mode this mixture is; None if none of them."""
        same = same_optimum if self.symmetric else same_components
        return next((i for i, mapped in enumerate(self.modes) if same(params, mapped.params)), None)

    def with_mode(self, mapped: MappedMode) -> "Atlas":
        """With one more mode, at the end."""
        return replace(self, modes=(*self.modes, mapped))


def _sizes_of_equals(params: MixtureParams) -> list[int]:
    """How many components there are of each kind, taking those for equal whose parameters agree to a few per cent."""
    kinds: list[list[int]] = []
    for k in range(params.n_components):
        home = next((kind for kind in kinds if _equal(params, k, kind[0])), None)
        if home is None:
            kinds.append([k])
        else:
            home.append(k)
    return [len(kind) for kind in kinds]


def _equal(params: MixtureParams, k: int, other: int) -> bool:
    scale = params.scales[other]
    return bool(
        np.isclose(params.weights[k], params.weights[other], rtol=EQUAL, atol=0)
        and (np.abs(params.means[k] - params.means[other]) < EQUAL * scale).all()
        and (np.abs(params.covariances[k] - params.covariances[other]) < EQUAL * np.outer(scale, scale)).all()
    )


def atlas_of(found: Sequence[MappedMode], *, symmetric: bool) -> Atlas:
    """The distinct ones among the modes that were found; equal ones count their starts together and keep the larger mass."""
    atlas = Atlas((), symmetric)
    for mapped in sorted(found, key=lambda mapped: -round(mapped.mode.log_density, 3)):
        place = atlas.place_of(mapped.params)
        if place is None:
            atlas = atlas.with_mode(mapped)
            continue
        known = atlas.modes[place]
        larger = max(known, mapped, key=lambda one: one.log_mass)
        merged = replace(known, log_mass=larger.log_mass, origin=larger.origin, n_starts=known.n_starts + mapped.n_starts)
        atlas = replace(atlas, modes=(*atlas.modes[:place], merged, *atlas.modes[place + 1 :]))
    return replace(atlas, modes=tuple(sorted(atlas.modes, key=lambda mapped: -mapped.log_mass)))


def log_copies(target: Target, params: MixtureParams) -> float:
    """ln of how many points of the coordinates are this mixture: orders of the components and copies of rotations."""
    orders = lgamma(params.n_components + 1) - sum(lgamma(size + 1) for size in _sizes_of_equals(params))
    return target.structure.log_rotation_copies + (orders if target.priors.symmetric else 0.0)


def map_from(target: Target, params: MixtureParams, origin: str, n_starts: int = 0) -> MappedMode | None:
    """The mode that is reached from these parameters; None where the density is not finite there."""
    mode = find_mode(target.log_density, target.coordinates_of(params), target.rough_scales(params))
    if mode is None:
        return None
    top = target.mixture_at(mode.u)
    return MappedMode(mode, top, origin, mode.log_mass + log_copies(target, top), n_starts)


def place_of_draw(target: Target, atlas: Atlas, u: Array, metric: Array) -> tuple[Atlas, int | None]:
    """The atlas, with a new mode if one was found, and the place in it of the mode uphill from a draw u (P,)."""
    top = ascend(target.log_density, u, metric)
    place = atlas.place_of(target.mixture_at(top))
    if place is not None:
        return atlas, place
    mapped = map_from(target, target.mixture_at(top), "met while sampling")
    if mapped is None:
        return atlas, None
    place = atlas.place_of(mapped.params)
    return (atlas, place) if place is not None else (atlas.with_mode(mapped), len(atlas.modes))
