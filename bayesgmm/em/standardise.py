"""The rows as EM sees them: centred and scaled, without a copy of the data."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data import Dataset
from bayesgmm.errors import InputError
from bayesgmm.families import CovarianceFamily
from bayesgmm.kernels.rows import Rows, rows_of

Array = NDArray[np.float64]

CHUNK_ROWS = 4096


def standardised_rows(dataset: Dataset, row_weights: Array | None, family: CovarianceFamily) -> Rows:
    """The rows of the dataset about their mean, in units of each column's standard deviation.

    A family that rescaling single columns would leave is given one unit for all columns, the root mean square of theirs.
    """
    location, scale = column_moments(dataset, row_weights)
    units = scale if family.column_equivariant else np.full_like(scale, common_unit(scale))
    return rows_of(dataset.X, row_weights, location, units)


def common_unit(scale: Array) -> float:
    """The root mean square of the columns' standard deviations (D,)."""
    largest = scale.max()
    return float(largest * np.sqrt(np.mean((scale / largest) ** 2)))


def column_moments(dataset: Dataset, row_weights: Array | None) -> tuple[Array, Array]:
    """Weighted mean and standard deviation of each column, (D,), over the rows of positive weight.

    Raises InputError where a column's values or spread are beyond what double precision can square.
    """
    lowest, highest = np.full(dataset.n_features, np.inf), np.full(dataset.n_features, -np.inf)
    for X, _ in _chunks(dataset.X, row_weights):
        lowest, highest = np.minimum(lowest, X.min(axis=0)), np.maximum(highest, X.max(axis=0))
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        middle = lowest / 2 + highest / 2
        spread = np.maximum(highest - middle, middle - lowest)
        total, sums, squares = 0.0, np.zeros(dataset.n_features), np.zeros(dataset.n_features)
        for X, weights in _chunks(dataset.X, row_weights):
            total += weights.sum()
            sums += weights @ ((X - middle) / spread)
        mean = sums / total
        location = middle + spread * mean
        for X, weights in _chunks(dataset.X, row_weights):
            squares += weights @ ((X - middle) / spread - mean) ** 2
        scale = spread * np.sqrt(squares / total)
        usable = np.isfinite(location) & np.isfinite(scale**2) & np.isfinite(1 / scale**2)
    if not usable.all():
        column = int(np.argmin(usable))
        raise InputError(
            f"column {dataset.columns[column]!r} has values up to {max(abs(lowest[column]), abs(highest[column])):.3g} and a "
            f"spread of {spread[column]:.3g}, beyond what double precision can square: change its unit"
        )
    return location, scale


def _chunks(X: Array, row_weights: Array | None) -> Iterator[tuple[Array, Array]]:
    """The rows that count and their weights, some thousands at a time."""
    for first in range(0, len(X), CHUNK_ROWS):
        rows = X[first : first + CHUNK_ROWS]
        if row_weights is None:
            yield rows, np.ones(len(rows))
            continue
        weights = row_weights[first : first + CHUNK_ROWS]
        counting = weights > 0
        if counting.any():
            yield rows[counting], weights[counting]
