"""Labels and responsibilities that a user gives."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.errors import InputError

Array = NDArray[np.float64]
Labels = NDArray[np.intp]


def given_memberships(init: NDArray[np.generic], n_samples: int, n_components: int) -> Array:
    """A user's labels (N,) or responsibilities (N, K) as responsibilities, checked."""
    if init.ndim == 1:
        labels, codes = label_codes(init, n_samples, "init")
        if len(labels) != n_components:
            raise InputError(f"init: the label vector has {len(labels)} distinct labels, but n_components is {n_components}")
        return np.eye(n_components)[codes]
    if init.shape != (n_samples, n_components):
        raise InputError(f"init: the responsibilities have shape {init.shape}; need {(n_samples, n_components)}")
    try:
        responsibilities = init.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"init: the responsibilities must be numbers; the first row is {init[0].tolist()!r:.80} (give labels as one column)"
        ) from None
    bad = ~(np.isclose(responsibilities.sum(axis=1), 1.0, atol=1e-6) & (responsibilities >= 0).all(axis=1))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"init: row {row} of the responsibilities is {responsibilities[row]}; rows must be non-negative and sum to 1 "
            f"({int(bad.sum())} rows are not)"
        )
    return responsibilities


def label_codes(labels: NDArray[np.generic], n_samples: int, name: str) -> tuple[NDArray[np.generic], Labels]:
    """The distinct labels, sorted, and the index of each row's label; InputError unless every row has one."""
    if labels.shape != (n_samples,):
        raise InputError(f"{name}: labels must have shape ({n_samples},), one for each row; got shape {labels.shape}")
    missing = int(pd.isna(labels).sum())
    if missing:
        raise InputError(f"{name}: the label vector has {missing} missing labels; label every row")
    try:
        distinct, codes = np.unique(labels, return_inverse=True)
    except TypeError:
        kinds = " and ".join(sorted({type(label).__name__ for label in labels}))
        raise InputError(
            f"{name}: the label vector holds {kinds}, which cannot be sorted; make all labels text, or all numbers"
        ) from None
    return distinct, codes.astype(np.intp)
