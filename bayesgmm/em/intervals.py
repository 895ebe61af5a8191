"""Intervals for scalar parameters, on scales on which they stay inside their bounds, and the table that holds them."""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from bayesgmm.em.resampling import Replicates

Array = NDArray[np.float64]


class Quantities(NamedTuple):
    """Weights (..., K), means and scales (..., K, D), covariances and correlations (..., K, D, D): values, or their errors."""

    weights: Array
    means: Array
    scales: Array
    covariances: Array
    correlations: Array


def quantities_of(weights: Array, means: Array, covariances: Array) -> Quantities:
    """With the scales and correlations that belong to the covariances."""
    scales = np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))
    correlations = covariances / scales[..., :, None] / scales[..., None, :]
    return Quantities(weights, means, scales, covariances, correlations)


def normal_interval(kind: str, estimate: float, error: float, ci_prob: float) -> tuple[float, float]:
    """Normal interval for a mean; on the log scale for a standard deviation, logit for a weight, atanh for a correlation."""
    reach = float(ndtri((1 + ci_prob) / 2)) * error
    if error == 0:
        return estimate, estimate
    ends = np.array([-reach, reach])
    if kind == "weights":
        ends = expit(logit(estimate) + ends / (estimate * (1 - estimate)))
    elif kind == "scales":
        ends = estimate * np.exp(ends / estimate)
    elif kind == "correlations":
        ends = np.tanh(np.arctanh(estimate) + ends / (1 - estimate**2))
    else:
        ends = estimate + ends
    return float(ends[0]), float(ends[1])


def interval_table(
    estimates: Quantities, errors: Quantities, columns: tuple[str, ...], ci_prob: float, replicates: Replicates | None
) -> pd.DataFrame:
    """Estimate, standard_error, lower and upper of every free scalar parameter, indexed by its label.

    Equal-tailed percentiles of `replicates`, or normal intervals where that is None.
    """
    draws = None if replicates is None else quantities_of(replicates.weights, replicates.means, replicates.covariances)
    rows = []
    for label, kind, place in _scalars(estimates, columns):
        estimate, error = float(getattr(estimates, kind)[place]), float(getattr(errors, kind)[place])
        if draws is None:
            lower, upper = normal_interval(kind, estimate, error, ci_prob)
        else:
            lower, upper = np.quantile(getattr(draws, kind)[(slice(None), *place)], [(1 - ci_prob) / 2, (1 + ci_prob) / 2])
        rows.append({"parameter": label, "estimate": estimate, "standard_error": error, "lower": lower, "upper": upper})
    return pd.DataFrame(rows).set_index("parameter")


def _scalars(estimates: Quantities, columns: tuple[str, ...]) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Label, kind and place of weights, means, standard deviations, and correlations above the diagonal."""
    clusters = range(len(estimates.weights))
    for k in clusters:
        yield f"weights[{k}]", "weights", (k,)
    for kind in ("means", "scales"):
        for k in clusters:
            for d, column in enumerate(columns):
                yield f"{kind}[{k}, {column}]", kind, (k, d)
    for k in clusters:
        for (i, first), (j, second) in combinations(enumerate(columns), 2):
            yield f"correlations[{k}, {first}, {second}]", "correlations", (k, i, j)
