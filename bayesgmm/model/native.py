"""The compiled density as C functions that nutpie calls without Python: chains run in parallel and nothing waits for the GIL.

nutpie runs a PyMC model through two C functions and a pointer to data. Those it makes for PyMC are compiled anew in every
process; these are the library's own, compiled once and cached on disk. All data travel in one flat array that
`_packed` writes and `_density` reads.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import carray, cfunc, types
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
    """Header, concentration (K), mean_loc, mean_scale, scale_params (D, D, 2 D), row weights (N), X (N D), end to end."""
    concentration, mean_loc, mean_scale, kind, scale_params, lkj_eta, log_constant = density_arguments(priors)
    header = [*X.shape, len(priors.concentration), kind, lkj_eta, log_constant]
    return np.concatenate([header, concentration, mean_loc, mean_scale, np.ravel(scale_params), np.ones(len(X)), X.ravel()])


def _density(dim, u_, gradient_, value_, data_):
    header = carray(data_, (_HEADER,))
    n_samples, n_features, n_components = int(header[0]), int(header[1]), int(header[2])
    at_rows = _HEADER + n_components + 4 * n_features
    data = carray(data_, (at_rows + n_samples * (1 + n_features),))
    at_loc = _HEADER + n_components
    gradient = carray(gradient_, (dim,))
    value = log_posterior(
        carray(u_, (dim,)),
        data[at_rows + n_samples :].reshape(n_samples, n_features),
        data[at_rows : at_rows + n_samples],
        data[_HEADER:at_loc],
        data[at_loc : at_loc + n_features],
        data[at_loc + n_features : at_loc + 2 * n_features],
        int(header[3]),
        data[at_loc + 2 * n_features : at_rows].reshape(2, n_features),
        header[4],
        header[5],
        gradient,
    )
    carray(value_, (1,))[0] = value
    for i in range(dim):
        if not np.isfinite(gradient[i]):
            return _NOT_FINITE
    return _OK if np.isfinite(value) else _NOT_FINITE


def _copy(dim, expanded, u_, out_, data_):
    if dim != expanded:
        return _WRONG_LENGTH
    u, out = carray(u_, (dim,)), carray(out_, (dim,))
    for i in range(dim):
        out[i] = u[i]
    return _OK


@cache
def _compiled() -> tuple[Any, Any]:
    """The two C functions; compiled on first use, or read from numba's cache."""
    return cfunc(_DENSITY_SIGNATURE, cache=True)(_density), cfunc(_COPY_SIGNATURE, cache=True)(_copy)
