"""The library's own compiled density as a model for nutpie."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from nutpie.compile_pymc import CompiledPyMCModel

from bayesgmm.kernels.c_functions import density_and_copy, pack
from bayesgmm.model.density import density_arguments
from bayesgmm.model.priors import ResolvedPriors

Array = NDArray[np.float64]

COORDINATES = "coordinates"


class Place(NamedTuple):
    """Where and in which metric a chain works: u = origin (P,) + metric (P, P) z; and the z (P,) at which it starts."""

    origin: Array
    metric: Array
    start: Array


def native_model(X: Array, priors: ResolvedPriors, resolution: Array, place: Place) -> CompiledPyMCModel:
    """The log-posterior as a model for nutpie, whose draws are z in u = place.origin + place.metric z."""
    n_dim = priors.structure.n_coordinates
    density, copy = density_and_copy()
    return CompiledPyMCModel(
        dims={COORDINATES: ("coordinate",)},
        compiled_logp_func=density,
        compiled_expand_func=copy,
        initial_point_func=lambda _seed: place.start,
        shared_data={},
        shared_var_keys={},
        user_data=pack(X, *density_arguments(priors, resolution), place.origin, place.metric),
        n_expanded=n_dim,
        shape_info=([COORDINATES], [slice(0, n_dim)], [(n_dim,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=n_dim,
        _shapes={COORDINATES: (n_dim,)},
        _coords={"coordinate": np.arange(n_dim)},
    )
