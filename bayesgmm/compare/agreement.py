"""Partitions against labels that were known beforehand."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score


def label_agreement(known: NDArray[np.generic], partitions: Mapping[str, NDArray[np.intp]]) -> pd.DataFrame:
    """One row per method: adjusted Rand index, and rows outside the best one-to-one matching of clusters to labels."""
    rows = []
    for method, labels in partitions.items():
        counts = pd.crosstab(known, labels).to_numpy()
        matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
        rows.append(
            {
                "method": method,
                "adjusted_rand": float(adjusted_rand_score(known, labels)),
                "n_misplaced": int(counts.sum() - matched),
            }
        )
    return pd.DataFrame(rows)
