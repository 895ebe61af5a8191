"""Bridge sampling: the integral of a density from its draws and those of a normalised one."""

from collections.abc import Sequence
from typing import NamedTuple

import arviz_stats as azs
import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayesgmm.posterior.regions import UNMEASURED

Array = NDArray[np.float64]

MAX_ITERATIONS = 1000
TOLERANCE = 1e-10

LARGEST_ERROR = 0.7
"""Beyond it so few terms make up a mean that their spread, which is never much above 1, says nothing of its error."""


class Estimate(NamedTuple):
    """A natural logarithm and its standard error, in nats."""

    log_value: float
    standard_error: float


def bridge(log_p: Array, log_q: Array, log_p_of_q: Array, log_q_of_q: Array) -> Estimate:
    r"""ln of the integral of p, from draws of p and of q.

    Parameters
    ----------
    log_p, log_q : (chain, draw)
        Unnormalised ln p and normalised ln q of draws of p; draws of a chain may be correlated.
    log_p_of_q, log_q_of_q : (n,)
        The same for independent draws of q; ln p may be -inf.

    Returns
    -------
    Estimate
        -inf with infinite error where no draw of q is where p is positive. The error is infinite too where p and q hardly
        overlap: the value may then be off by any number.

    Notes
    -----
    The estimator of Meng and Wong (1996, section 4) with the optimal bridge, 1 / (s_1 p / z + s_2 q), where the share s_1 counts
    draws of p by their effective number. Its error by the delta method (Fruehwirth-Schnatter 2004, section 3; the draws of p by
    their effective number for the mean that is taken).
    """
    ratio, ratio_of_q = log_p - log_q, log_p_of_q - log_q_of_q
    if not np.isfinite(ratio_of_q).any():
        return Estimate(-np.inf, np.inf)
    effective = _effective(ratio)
    log_s1, log_s2 = np.log(effective / (effective + len(log_q_of_q))), np.log(len(log_q_of_q) / (effective + len(log_q_of_q)))
    value = float(np.median(ratio))
    for _ in range(MAX_ITERATIONS):
        above = ratio_of_q - np.logaddexp(log_s1 + ratio_of_q, log_s2 + value)
        below = -np.logaddexp(log_s1 + ratio, log_s2 + value)
        new = float(logsumexp(above) - np.log(above.size) - logsumexp(below) + np.log(below.size))
        if abs(new - value) < TOLERANCE:
            break
        value = new
    above, below = np.exp(above - above.max()), np.exp(below - below.max())
    variance = above.var() / above.mean() ** 2 / above.size + below.var() / below.mean() ** 2 / _effective(below)
    error = float(np.sqrt(variance))
    return Estimate(value, error if error < LARGEST_ERROR else np.inf)


def mean_of(estimates: list[Estimate]) -> Estimate:
    """The mean of independent estimates, with the error of their differences where that is larger than their own.

    NaN with infinite error where one of them could not be made.
    """
    values, errors = np.array(estimates).T
    if not (np.isfinite(values).all() and np.isfinite(errors).all()):
        return Estimate(np.nan, np.inf)
    own, seen = (errors**2).sum() / len(values) ** 2, values.var(ddof=1) / len(values)
    return Estimate(float(values.mean()), float(np.sqrt(max(own, seen))))


def share_errors(estimates: Sequence[Estimate]) -> Array:
    """Standard errors of the shares of masses in their sum, by the delta method; one half, the largest that there is, at most."""
    values, errors = np.array(estimates).T
    if not np.isfinite(values).all():
        return np.full(len(values), 0.5)
    shares = np.exp(values - np.logaddexp.reduce(values))
    jacobian = np.diag(shares) - np.outer(shares, shares)
    return np.minimum(np.sqrt((jacobian**2) @ np.nan_to_num(errors, nan=UNMEASURED, posinf=1e6) ** 2), 0.5)


def _effective(values: Array) -> float:
    """Effective number of draws (chain, draw) for their mean."""
    if np.ptp(values) == 0 or values.shape[1] < 4:
        return float(values.size)
    return float(min(azs.ess(values, method="mean"), values.size))
