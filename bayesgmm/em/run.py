"""One EM run, from one start to the limit."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em.step import Collapsed, em_step, maximise
from bayesgmm.errors import InternalError
from bayesgmm.families import CovarianceFamily
from bayesgmm.kernels.moments import Moments, compute_moments
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]


class EMStatus(Enum):
    """How an EM run ended; the text is the advice."""

    CONVERGED = "converged: the log-likelihood is within the tolerance of its limit"
    MAX_ITER = (
        "stopped at max_iter before the log-likelihood reached its limit: raise max_iter, or raise tol if this precision will do"
    )
    COLLAPSED = (
        "a component shrank until the likelihood grew without bound, or became empty: "
        "use fewer components, more starts (n_init), or look for repeated rows"
    )
    INTERRUPTED = "interrupted by the user: this is the best of the runs finished by then; fit again for the remaining starts"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, eq=False)
class EMRun:
    """One run of EM.

    Attributes
    ----------
    params : MixtureParams or None
        Where the run ended; None if it collapsed.
    log_likelihood : float
        Total log-likelihood of `params` in nats; NaN if the run collapsed.
    trace : (n_iter + 1,)
        Log-likelihood of the start and after each iteration; strictly increasing.
    status : EMStatus
    init : str
        How it was started.
    reason : str
        What happened, where it did not converge; empty otherwise.
    """

    params: MixtureParams | None
    log_likelihood: float
    trace: Array
    status: EMStatus
    init: str
    reason: str = ""

    @property
    def n_iter(self) -> int:
        return max(len(self.trace) - 1, 0)

    @property
    def converged(self) -> bool:
        return self.status is EMStatus.CONVERGED

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EMRun):
            return NotImplemented
        names = ("params", "status", "init", "reason")
        return np.array_equal(self.trace, other.trace) and all(getattr(self, n) == getattr(other, n) for n in names)

    __hash__ = None  # type: ignore[assignment]  # compared by value, holds arrays


def estimated_gain(before: float, previous: float, current: float) -> float:
    """How far the log-likelihood still is from its limit, by Aitken's extrapolation of three successive values.

    With the rate a = (l2 - l1) / (l1 - l0) of linear convergence the limit is l1 + (l2 - l1) / (1 - a) (Böhning et al. 1994,
    section 2). inf while increments are not shrinking, so that a plateau is not taken for the end.
    """
    rate = (current - previous) / (previous - before)
    return rate / (1.0 - rate) * (current - previous) if rate < 1.0 else np.inf


def run_em(
    X: Array,
    start: MixtureParams,
    family: CovarianceFamily,
    *,
    row_weights: Array | None = None,
    tol: float,
    max_iter: int,
    n_threads: int = 1,
    init: str = "given",
) -> EMRun:
    """Iterate EM from `start` until the estimated distance to the limit is below `tol` (total log-likelihood, nats)."""
    params = start
    following, moments = em_step(params, X, family, row_weights, n_threads=n_threads)
    trace = [moments.log_likelihood]
    status, reason = EMStatus.MAX_ITER, f"not converged after {max_iter} iterations"
    for _ in range(max_iter):
        if isinstance(following, Collapsed):
            return EMRun(None, np.nan, np.array(trace), EMStatus.COLLAPSED, init, str(following))
        moments = compute_moments(X, following.weights, following.means, following.scale_trils, row_weights, n_threads=n_threads)
        if not moments.log_likelihood > trace[-1]:
            _check_only_rounding(trace[-1], moments, following)
            status, reason = EMStatus.CONVERGED, ""
            break
        params = following
        trace.append(moments.log_likelihood)
        if len(trace) >= 3 and estimated_gain(*trace[-3:]) < tol:
            status, reason = EMStatus.CONVERGED, ""
            break
        following = maximise(moments, params.means, family)
    return EMRun(params, trace[-1], np.array(trace), status, init, reason)


def _check_only_rounding(previous: float, moments: Moments, params: MixtureParams) -> None:
    """Raise InternalError if the log-likelihood fell by more than rounding, eps N / (smallest scale)^2, explains."""
    smallest = np.diagonal(params.scale_trils, axis1=1, axis2=2).min()
    rounding = np.finfo(float).eps * moments.counts.sum() / min(smallest, 1.0) ** 2
    if not moments.log_likelihood >= previous - 1e-9 * max(abs(previous), 1.0) - rounding:
        raise InternalError(
            f"the log-likelihood fell from {previous:.12g} to {moments.log_likelihood:.12g} in one EM iteration, which cannot "
            "happen: please report this with the data"
        )
