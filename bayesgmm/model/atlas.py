"""The modes of the posterior that EM's optima lead to, and how much of the posterior each holds by Laplace's estimate."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from bayesgmm.em.modes import same_optimum
from bayesgmm.model.laplace import PosteriorMode, ascend, find_mode
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]

EQUAL = 0.05
"""Components that differ by less, relative to their weight and scales, are equal: empty ones, which follow the prior."""


@dataclass(frozen=True, eq=False)
class MappedMode:
    """A mode of the posterior as a mixture, and how it was found."""

    mode: PosteriorMode
    params: MixtureParams
    origin: str

    @property
    def log_mass(self) -> float:
        """Laplace's ln of the mass of the mode over K! copies of it; fewer are distinct where components are equal."""
        return self.mode.log_mass - sum(lgamma(size + 1) for size in _sizes_of_equals(self.params))


@dataclass(frozen=True)
class Atlas:
    """Distinct modes modulo the order of the components, largest mass first."""

    modes: tuple[MappedMode, ...]

    @property
    def shares(self) -> Array:
        """Share of each mode in the mass of all that were found, by Laplace's estimate; each stands for its K! copies."""
        return softmax([mapped.log_mass for mapped in self.modes])

    def place_of(self, params: MixtureParams) -> int | None:
        """Which mode this mixture is, up to the order of its components; None if none of them."""
        return next((i for i, mapped in enumerate(self.modes) if same_optimum(params, mapped.params)), None)


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


def atlas_of(found: Sequence[MappedMode]) -> Atlas:
    """The distinct ones among the modes that were found."""
    atlas = Atlas(())
    for mapped in sorted(found, key=lambda mapped: -mapped.mode.log_density):
        if atlas.place_of(mapped.params) is None:
            atlas = Atlas((*atlas.modes, mapped))
    return Atlas(tuple(sorted(atlas.modes, key=lambda mapped: -mapped.log_mass)))


def map_from(target: Target, params: MixtureParams, origin: str) -> MappedMode | None:
    """The mode that is reached from these parameters; None where the density is not finite there."""
    mode = find_mode(target.log_density, target.coordinates_of(params), target.rough_scales(params))
    return None if mode is None else MappedMode(mode, target.mixture_at(mode.u), origin)


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
    return (atlas, place) if place is not None else (Atlas((*atlas.modes, mapped)), len(atlas.modes))
