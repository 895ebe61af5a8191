"""The step to which each column was recorded: detected from tied values, or given."""

from typing import Any

import numpy as np

from bayesgmm.data.arguments import is_number
from bayesgmm.data.dataset import Dataset, quote
from bayesgmm.errors import InputError
from bayesgmm.params import Array

OFF_GRID = 1e-3
"""Values may lie this share of a step off the grid."""

DIGITS = 12
"""Significant digits of a column's largest absolute value that count; smaller differences are noise of the arithmetic."""


def detect_resolution(X: Array) -> Array:
    """The step of the grid that each column was rounded to, (D,), in its units; 0 for a column without tied values.

    It is the smallest gap between distinct values of a column in which values tie, without the noise of the arithmetic: values
    that agree to DIGITS digits of the column's largest absolute value are one value, and the gap is rounded to those digits, so
    that 0.3 - 0.2 and 0.1 + 0.2 lie on the grid of 0.1. Truly continuous values do not tie, or where they do (copied rows, a
    cut-off value) the others lie on no grid: 0. So do rounded values that were transformed afterwards, to logarithms say. A
    coarse grid on which some values were recorded more finely is given the finer step. Give the resolution yourself where you
    know better.

    Parameters
    ----------
    X : (N, D)
        Finite.
    """
    return np.array([_step(column) for column in X.T])


def _step(column: Array) -> float:
    gaps = np.diff(np.sort(column))
    largest = float(np.abs(column).max())
    apart = gaps > 10.0**-DIGITS * largest
    if apart.all() or not apart.any():
        return 0.0
    unit = 10.0 ** (np.ceil(np.log10(largest)) - DIGITS)
    decimals = round(-np.log10(unit))
    gap = float(gaps[apart].min())
    gap = round(gap, decimals) or gap
    steps = (column - column.min()) / gap
    return gap if np.abs(steps - np.round(steps)).max() <= OFF_GRID + largest * 10.0**-DIGITS / gap else 0.0


def check_resolution(resolution: Any, dataset: Dataset) -> Array:
    """The resolution of each column of the dataset, (D,), in its units.

    Parameters
    ----------
    resolution : None, float or (D,) array_like
        None: as `detect_resolution` finds it. One number: of all columns. 0: exact values.
    dataset : Dataset

    Raises
    ------
    InputError
        If it is not one number, or one for each column, finite and at least 0.
    """
    if resolution is None:
        return detect_resolution(dataset.X)
    n_features = dataset.n_features
    expected = f"resolution must be None (detected), one number, or one for each of the {n_features} columns"
    try:
        steps = np.array(resolution, dtype=np.float64) if _holds_numbers(resolution) else None
    except (TypeError, ValueError):
        steps = None
    if steps is None or steps.shape not in ((), (n_features,)):
        found = f"{resolution!r:.80}" if steps is None else f"an array of shape {steps.shape}"
        raise InputError(f"{expected}; got {found}")
    steps = np.broadcast_to(steps, (n_features,)).copy()
    wrong = ~(np.isfinite(steps) & (steps >= 0))
    if wrong.any():
        d = int(np.argmax(wrong))
        raise InputError(
            f"resolution of column {quote(dataset.columns[d])} is {steps[d]}: it is the step that values were rounded to, in the "
            "column's unit, so it must be finite and at least 0 (0 for exact values)"
        )
    return steps


def _holds_numbers(resolution: Any) -> bool:
    """Whether it is a number or an array of them; text and truth values are none."""
    return is_number(resolution) or np.asarray(resolution).dtype.kind in "iuf"
