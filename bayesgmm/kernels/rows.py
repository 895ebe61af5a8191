"""Rows of a data matrix as EM sees them: standardised and weighted, without a copy of the matrix."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Rows(NamedTuple):
    """The rows (X - location) / scale, each with its weight; nothing of the size of X is copied.

    The kernels standardise a block of rows at a time. Made by `rows_of`; nobody writes to these arrays, whatever their flags say.
    """

    X: Array
    """(N, D) float64, C-contiguous."""
    location: Array
    """(D,)"""
    scale: Array
    """(D,), positive."""
    weights: Array
    """(N,), or (0,) where every row counts once."""


def rows_of(X: Array, row_weights: Array | None = None, location: Array | None = None, scale: Array | None = None) -> Rows:
    """Rows of X (N, D); weights 1, location 0 and scale 1 if not given. X is copied only if it is not C-contiguous float64."""
    n_features = X.shape[1]
    return Rows(
        plain(X),
        plain(np.zeros(n_features) if location is None else location),
        plain(np.ones(n_features) if scale is None else scale),
        plain(np.empty(0) if row_weights is None else row_weights),
    )


class _Same:
    """The memory of an array, said to be writable."""

    def __init__(self, array: Array):
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.__array_interface__["data"][0], False)}


def plain(array: Array) -> Array:
    """The array, or a view of it, as C-contiguous float64 of numba's type for writable arrays; a copy where it is not one.

    Read-only arrays are another type to numba, for which it would compile everything again. The kernels write to none of these.
    """
    array = np.ascontiguousarray(array, dtype=np.float64)
    return array if array.flags.writeable else np.asarray(_Same(array))
