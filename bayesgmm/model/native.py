"""The compiled density as C functions that nutpie calls without Python: chains run in parallel and nothing waits for the GIL.

nutpie runs a PyMC model through two C functions and a pointer to data. Those it makes for PyMC are compiled anew in every
process; these are the library's own, compiled once and cached on disk. All data travel in one flat array, read by `_read`.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import carray, cfunc, njit, types
from numpy.typing import NDArray
from nutpie.compile_pymc import CompiledPyMCModel

from bayesgmm.model.coordinates import n_coordinates
from bayesgmm.model.density import density_arguments, log_posterior
from bayesgmm.model.priors import ResolvedPriors

Array = NDArray[np.float64]

COORDINATES = "coordinates"

_HEADER = 6
_OK, _WRONG_LENGTH, _NOT_FINITE = 0, -1, 4  # what nutpie expects; above 0 means try elsewhere

_DENSITY_SIGNATURE = types.int64(
    types.uint64,
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.CPointer(types.double),
)
_COPY_SIGNATURE = types.int64(
    types.uint64, types.uint64, types.CPointer(types.double), types.CPointer(types.double), types.CPointer(types.double)
)


def native_model(X: Array, priors: ResolvedPriors) -> CompiledPyMCModel:
    """The log-posterior of the data as a model for nutpie, whose draws are the unconstrained `coordinates`."""
    n_components, n_features = len(priors.concentration), X.shape[1]
    n_dim = n_coordinates(n_components, n_features)
    density, copy = _compiled()
    return CompiledPyMCModel(
        dims={COORDINATES: ("coordinate",)},
        compiled_logp_func=density,
        compiled_expand_func=copy,
        initial_point_func=lambda _seed: np.zeros(n_dim),
        shared_data={},
        shared_var_keys={},
        user_data=_packed(X, priors),
        n_expanded=n_dim,
        shape_info=([COORDINATES], [slice(0, n_dim)], [(n_dim,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=n_dim,
        _shapes={COORDINATES: (n_dim,)},
        _coords={"coordinate": np.arange(n_dim)},
    )


def _packed(X: Array, priors: ResolvedPriors) -> Array:
    concentration, mean_loc, mean_scale, kind, scale_params, lkj_eta, log_constant = density_arguments(priors)
    header = [*X.shape, len(priors.concentration), kind, lkj_eta, log_constant]
    return np.concatenate([header, concentration, mean_loc, mean_scale, np.ravel(scale_params), X.ravel()])


@njit(cache=True)
def _read(data, at, length):
    return data[at : at + length], at + length


@njit(cache=True, error_model="numpy")
def _density_of_packed(u, data, gradient):
    n_samples, n_features, n_components = int(data[0]), int(data[1]), int(data[2])
    concentration, at = _read(data, _HEADER, n_components)
    mean_loc, at = _read(data, at, n_features)
    mean_scale, at = _read(data, at, n_features)
    scale_params, at = _read(data, at, 2 * n_features)
    X, at = _read(data, at, n_samples * n_features)
    return log_posterior(
        u,
        X.reshape(n_samples, n_features),
        np.ones(n_samples),
        concentration,
        mean_loc,
        mean_scale,
        int(data[3]),
        scale_params.reshape(2, n_features),
        data[4],
        data[5],
        gradient,
    )


@njit(cache=True)
def _packed_length(header):
    n_samples, n_features, n_components = int(header[0]), int(header[1]), int(header[2])
    return _HEADER + n_components + 4 * n_features + n_samples * n_features


def _density(dim, u_, gradient_, value_, data_):
    data = carray(data_, (_packed_length(carray(data_, (_HEADER,))),))
    u, gradient = carray(u_, (dim,)), carray(gradient_, (dim,))
    value = _density_of_packed(u, data, gradient)
    carray(value_, (1,))[0] = value
    if not np.isfinite(value) or not np.isfinite(gradient).all():
        return _NOT_FINITE
    return _OK


def _copy(dim, expanded, u_, out_, data_):
    if dim != expanded:
        return _WRONG_LENGTH
    carray(out_, (dim,))[:] = carray(u_, (dim,))
    return _OK


@cache
def _compiled() -> tuple[Any, Any]:
    """The two C functions; compiled on first use, or read from numba's cache."""
    return cfunc(_DENSITY_SIGNATURE, cache=True)(_density), cfunc(_COPY_SIGNATURE, cache=True)(_copy)
