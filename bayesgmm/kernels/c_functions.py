"""The log-posterior as C functions that nutpie calls without Python: chains run in parallel and nothing waits for the GIL.

nutpie runs a PyMC model through two C functions and a pointer to data. Those it makes for PyMC are compiled anew in every
process; these are the library's own, compiled once and cached on disk. All data travel in one flat array that `pack` writes and
`_density` reads.
"""

from ctypes import CFUNCTYPE, c_int64, c_uint64, c_void_p
from functools import cache
from typing import Any

import numpy as np
from numba import carray, cfunc, types
from numpy.typing import NDArray

from bayesgmm.kernels.log_posterior import Hyperparameters, Layout, log_posterior

Array = NDArray[np.float64]

_LAYOUT = len(Layout._fields)
_ARRAYS = len(Hyperparameters._fields) + 4
_HEADER = 1 + _LAYOUT + _ARRAYS + 1
_BY_ADDRESS = CFUNCTYPE(c_int64, c_uint64, *[c_void_p] * 4)  # pointers that know their type take longer to make than the density
_OK, _WRONG_LENGTH, _NOT_FINITE = 0, -1, 4  # what nutpie expects; above 0 means try elsewhere

_DENSITY_SIGNATURE = types.int64(types.uint64, *[types.CPointer(types.double)] * 4)
_COPY_SIGNATURE = types.int64(types.uint64, types.uint64, *[types.CPointer(types.double)] * 3)


def pack(X: Array, layout: Layout, hyper: Hyperparameters, origin: Array, metric: Array) -> Array:
    """N, the layout, where each array begins and the last one ends, and the arrays, end to end.

    X (N, D); the density is one of z, where u = origin (P,) + metric (P, P) z.
    """
    arrays = [np.ravel(array) for array in (*hyper, origin, metric, np.ones(len(X)), X)]
    begins = _HEADER + np.cumsum([0, *map(len, arrays)])
    return np.concatenate([[len(X)], layout, begins, *arrays])


def log_density_of(packed: Array, z: Array) -> tuple[float, Array]:
    """The log-posterior of `pack`ed data and its gradient by z (P,); -inf, with a gradient of no meaning, where not finite."""
    z = np.ascontiguousarray(z, dtype=np.float64)
    gradient, value = np.empty(len(z)), np.empty(1)
    status = _by_address()(len(z), *(array.ctypes.data for array in (z, gradient, value, packed)))
    return float(value[0]) if status == _OK else -np.inf, gradient


def _density(dim, z_, gradient_, value_, data_):
    header = carray(data_, (_HEADER,))
    n_samples = int(header[0])
    layout = Layout(
        int(header[1]),
        int(header[2]),
        int(header[3]),
        int(header[4]),
        int(header[5]),
        int(header[6]),
        int(header[7]),
        int(header[8]),
        int(header[9]),
        int(header[10]),
    )
    n_features = layout.n_features
    begins = np.empty(_ARRAYS + 1, np.int64)
    for i in range(_ARRAYS + 1):
        begins[i] = int(header[1 + _LAYOUT + i])
    data = carray(data_, (begins[_ARRAYS],))
    hyper = Hyperparameters(
        data[begins[0] : begins[1]],
        data[begins[1] : begins[2]],
        data[begins[2] : begins[3]],
        data[begins[3] : begins[4]].reshape(3, layout.scale_columns),
        data[begins[4] : begins[5]],
        data[begins[5] : begins[6]].reshape((begins[6] - begins[5]) // 3, 3),
        data[begins[6] : begins[7]].reshape((begins[7] - begins[6]) // n_features**2, n_features, n_features),
        data[begins[7] : begins[8]],
    )
    origin, metric = data[begins[8] : begins[9]], data[begins[9] : begins[10]].reshape(dim, dim)
    X = data[begins[11] : begins[12]].reshape(n_samples, n_features)
    z, gradient = carray(z_, (dim,)), carray(gradient_, (dim,))
    u, slope = np.empty(dim), np.empty(dim)
    for i in range(dim):
        u[i] = origin[i]
        gradient[i] = 0.0
        for j in range(dim):
            u[i] += metric[i, j] * z[j]
    value = log_posterior(u, X, data[begins[10] : begins[11]], layout, hyper, slope)
    carray(value_, (1,))[0] = value
    for i in range(dim):
        if not np.isfinite(slope[i]):
            return _NOT_FINITE
        for j in range(dim):
            gradient[j] += metric[i, j] * slope[i]
    return _OK if np.isfinite(value) else _NOT_FINITE


def _copy(dim, expanded, u_, out_, data_):
    if dim != expanded:
        return _WRONG_LENGTH
    u, out = carray(u_, (dim,)), carray(out_, (dim,))
    for i in range(dim):
        out[i] = u[i]
    return _OK


@cache
def density_and_copy() -> tuple[Any, Any]:
    """The two C functions; compiled on first use, or read from numba's cache."""
    density = cfunc(_DENSITY_SIGNATURE, cache=True, error_model="numpy")(_density)  # an exception would leave the value unset
    return density, cfunc(_COPY_SIGNATURE, cache=True)(_copy)


@cache
def _by_address() -> Any:
    """The density, for arrays by the addresses of their values."""
    return _BY_ADDRESS(density_and_copy()[0].address)
