"""Arguments that come with the data: counts and row weights."""

import operator

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.errors import InputError
from bayesgmm.params import Array


def check_count(value: object, name: str, *, minimum: int = 1) -> int:
    """The whole number that value is.

    Parameters
    ----------
    value : int or NumPy integer
        Not a bool, not a float such as 2.0, not text.
    name : str
        The argument's name, for the message.
    minimum : int
        The smallest number allowed.

    Raises
    ------
    InputError
        If value is of another type or below minimum.
    """
    expected = f"{name} must be a whole number of at least {minimum}"
    if isinstance(value, bool | np.bool_):
        raise InputError(f"{expected}; got {value!r}, a truth value")
    try:
        count = operator.index(value)  # type: ignore[arg-type]  # refusing what has no __index__ is the point
    except TypeError:
        raise InputError(f"{expected}; got {value!r} of type {type(value).__name__}") from None
    if count < minimum:
        raise InputError(f"{expected}; got {count}")
    return count


def is_number(value: object) -> bool:
    """Whether value is a real number, Python's or NumPy's; a truth value is none."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def check_row_weights(weights: ArrayLike, n_samples: int, *, name: str = "sample_weight") -> Array:
    """Weights of the rows as a C-contiguous float64 array of shape (N,).

    Parameters
    ----------
    weights : (N,) array_like of numbers
        Finite, at least 0, not all 0. A row of weight 2 counts as two equal rows.
    n_samples : int
        Number of rows of the data, N.
    name : str
        The argument's name, for the message.

    Raises
    ------
    InputError
        If the shape is not (N,), or a weight is not a finite number of at least 0, or all are 0.
    """
    try:
        row_weights = np.ascontiguousarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} must hold one number per row, {n_samples} in all; got {weights!r:.80}") from None
    if row_weights.shape != (n_samples,):
        raise InputError(
            f"{name} must hold one number per row, shape ({n_samples},); got shape {row_weights.shape}"
            if np.ndim(weights)
            else f"{name} must hold one number per row, shape ({n_samples},); got the single value {weights!r:.80}"
        )
    for flags, what in ((~np.isfinite(row_weights), "not finite"), (row_weights < 0, "negative")):
        if flags.any():
            first = int(np.flatnonzero(flags)[0])
            raise InputError(
                f"{name} must be finite and at least 0; {np.count_nonzero(flags)} of {n_samples} are {what}, "
                f"the first in row {first} ({row_weights[first]})"
            )
    if not row_weights.any():
        raise InputError(f"{name} is 0 in all {n_samples} rows; at least one row needs a positive weight")
    return row_weights


def check_seed(seed: object, name: str = "seed") -> int | np.random.Generator | None:
    """The seed, if it is a whole number of at least 0, a NumPy Generator, or None; InputError otherwise."""
    return seed if seed is None or isinstance(seed, np.random.Generator) else check_count(seed, name, minimum=0)


def check_probability(value: object, name: str) -> float:
    """The number strictly between 0 and 1 that value is; InputError otherwise."""
    if isinstance(value, bool) or not isinstance(value, float | np.floating) or not 0 < value < 1:
        raise InputError(f"{name} must be a number between 0 and 1; got {value!r}")
    return float(value)
