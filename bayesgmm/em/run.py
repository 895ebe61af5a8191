"""One EM run, from one start to the limit."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em.spurious import unresolved_components
from bayesgmm.em.step import Collapsed, Estimates, MStep
from bayesgmm.errors import InternalError
from bayesgmm.kernels.anderson import extrapolate, from_coordinates, to_coordinates
from bayesgmm.kernels.rows import Rows
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]

MEMORY = 10
"""Past iterates that an extrapolation uses."""

NEAR = 0.1
"""Extrapolation begins when EM is forecast to gain less than this many nats: further away it might choose another optimum."""

WATCHED = 10.0
"""The iterates that extrapolation needs are kept from this many times NEAR on."""

LARGEST_LEAP = 1.5
"""Extrapolated steps may gain at most this many times what EM is forecast to gain yet, for the same reason."""

LARGEST_LEAP_TO_EDGE = 3.0
"""The same where EM takes recorded values for true ones plus an error: a variance may tend to 0 like 1 / t in t iterations, and
half of the gain is forecast."""

NO_CHANGE = 0.01
"""A log-likelihood that may fall is at its limit when an iteration changes it by this part of the tolerance."""


class EMStatus(Enum):
    """How an EM run ended; the text is the advice."""

    CONVERGED = "converged: the log-likelihood is within the tolerance of its limit"
    CLOSED_FORM = "closed form: with known labels the likelihood has one maximum, and this is it"
    MAX_ITER = (
        "stopped at max_iter before the log-likelihood reached its limit: raise max_iter, or raise tol if this precision will do"
    )
    SHORT = "left after a short run, in which other starts came further: raise n_long to run more starts to their limit"
    COLLAPSED = (
        "a component shrank until the likelihood grew without bound, or became empty: "
        "use fewer components, more starts (n_init), a prior, or look for repeated rows"
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
        Log-likelihood (under a prior: plus the log prior density) of the start and after each iteration; never falling, unless a
        floor is put under the covariances.
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
        return self.status in (EMStatus.CONVERGED, EMStatus.CLOSED_FORM)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EMRun):
            return NotImplemented
        names = ("params", "status", "init", "reason")
        return np.array_equal(self.trace, other.trace) and all(getattr(self, n) == getattr(other, n) for n in names)

    __hash__ = None  # type: ignore[assignment]  # compared by value, holds arrays


def increment_ratio(before: float, previous: float, current: float) -> float:
    """The rate a = (l2 - l1) / (l1 - l0) at which the log-likelihood approaches its limit."""
    return (current - previous) / (previous - before)


def estimated_gain(increment: float, rate: float) -> float:
    """How far the log-likelihood still is from its limit, by Aitken's extrapolation of its last increment.

    With linear convergence at the given rate the limit is l1 + (l2 - l1) / (1 - rate) (Böhning et al. 1994, section 2), that is
    rate / (1 - rate) increments away. inf while increments are not shrinking, so that a plateau is not taken for the end.
    """
    return rate / (1.0 - rate) * increment if rate < 1.0 else np.inf


def has_settled(trace: list[float], tol: float) -> bool:
    """Whether a log-likelihood that may fall is at its limit, in whose turning points no increment is mistaken for the last."""
    if len(trace) < 3:
        return False
    first, second = abs(trace[-2] - trace[-3]), abs(trace[-1] - trace[-2])
    if second <= max(NO_CHANGE * tol, np.finfo(float).eps * abs(trace[-1])):
        return True
    return first > 0.0 and estimated_gain(max(first, second), max(second / first, 0.5)) < tol


class _Point(NamedTuple):
    """Parameters with what one E-step at them gives."""

    params: MixtureParams
    log_likelihood: float
    objective: float
    estimates: Estimates


def run_em(
    rows: Rows,
    start: MixtureParams,
    m_step: MStep,
    *,
    tol: float,
    max_iter: int,
    n_threads: int = 1,
    init: str = "given",
    accelerate: bool = True,
) -> EMRun:
    """Iterate EM from `start` until the estimated distance to the limit is below `tol` (total log-likelihood, nats).

    Once the increments shrink, extrapolated steps are tried as well (`accelerate`). An extrapolated point is kept only if the
    objective rises there, and by no more than a few times what EM is forecast to gain yet, so that the optimum is the one that EM
    alone would reach. Convergence is judged on plain EM steps.

    Raises
    ------
    InternalError
        If a plain EM step lowers the objective by more than rounding explains.
    """
    point = _evaluate(rows, start, m_step, n_threads)
    trace = [point.objective]
    leaps = _Leaps(tol, accelerate and m_step.is_monotone, _largest_leap(m_step))
    while len(trace) <= max_iter:
        if leaps.forecast(trace) < tol if m_step.is_monotone else has_settled(trace, tol):
            return _ended(point, trace, EMStatus.CONVERGED, init)
        leap = leaps.propose(point.estimates)
        if leap is not None:
            beyond = _leap(rows, point, leap, m_step, n_threads)
            if leaps.accepts(leap, beyond.objective - point.objective if beyond else -np.inf):
                assert beyond is not None  # for the type checker: accepted, so it is there
                point = beyond
                trace.append(point.objective)
                continue
        params = m_step.maximise(point.estimates, point.params)
        if isinstance(params, Collapsed):
            return EMRun(None, np.nan, np.array(trace), EMStatus.COLLAPSED, init, str(params))
        following = _evaluate(rows, params, m_step, n_threads)
        change = following.objective - point.objective
        if m_step.is_monotone and not change > 0.0:
            _check_only_rounding(point, following, m_step)
            return _ended(point, trace, EMStatus.CONVERGED, init)
        point = following
        trace.append(point.objective)
    reason = "; ".join([f"not converged after {max_iter} iterations", *_unresolved(point, m_step)])
    return _ended(point, trace, EMStatus.MAX_ITER, init, reason)


def _largest_leap(m_step: MStep) -> float:
    return LARGEST_LEAP if m_step.noise is None or m_step.takes_noise_off else LARGEST_LEAP_TO_EDGE


def _unresolved(point: _Point, m_step: MStep) -> tuple[str, ...]:
    return () if m_step.noise is None else unresolved_components(point.params, np.sqrt(12 * m_step.noise))


def _ended(point: _Point, trace: list[float], status: EMStatus, init: str, reason: str = "") -> EMRun:
    return EMRun(point.params, point.log_likelihood, np.array(trace), status, init, reason)


class _Leaps:
    """The extrapolated steps of one run: the recent iterates, and what a leap may gain."""

    def __init__(self, tol: float, active: bool, largest: float) -> None:
        self._tol = tol
        self._active = active
        self._largest = largest
        self._at = np.empty(0)  # coordinates of the present point; none for a start
        self._image = np.empty(0)  # coordinates of the estimates there, that is of the next point if EM steps
        self._points: list[Array] = []
        self._images: list[Array] = []
        self._n_plain = -1  # EM steps since the last leap
        self._rate = 0.0  # last ratio of EM's increments
        self._slowest = 0.0  # largest ratio since the first leap, which hides the slow directions from the last ones
        self._forecast = np.inf  # what EM will gain yet, as last told
        self._allowance = 0.0  # what leaps may gain yet; 0 unless EM is seen to be near its limit

    def forecast(self, trace: list[float]) -> float:
        """What EM will gain yet; inf until two EM steps in a row tell."""
        self._n_plain += 1
        if self._n_plain < 2:
            return np.inf
        self._rate = increment_ratio(*trace[-3:])
        if self._rate < 1.0:
            self._slowest = max(self._slowest, self._rate) if self._slowest else 0.0
        elif trace[-1] - trace[-2] > self._tol:
            self._slowest = 0.0  # EM is leaving a saddle: what was seen there is of no use any more
        self._forecast = estimated_gain(trace[-1] - trace[-2], max(self._slowest, self._rate))
        self._allowance = self._largest * self._forecast if self._forecast < NEAR else 0.0
        return self._forecast

    def propose(self, estimates: Estimates) -> Array | None:
        """Coordinates to leap to from the point with these estimates; None where an EM step is due."""
        if not self._active or self._forecast > WATCHED * NEAR:
            self._points, self._images, self._image = [], [], np.empty(0)
            return None
        self._at, self._image = self._image, to_coordinates(*estimates)
        if self._image.size == 0:
            self._points, self._images = [], []
        elif self._at.size:
            self._points = [*self._points[-MEMORY:], self._at]
            self._images = [*self._images[-MEMORY:], self._image]
        ready = self._allowance > 0.0 and len(self._points) >= 2
        return extrapolate(np.array(self._points), np.array(self._images)) if ready else None

    def accepts(self, leap: Array, gain: float) -> bool:
        """Whether the leap is taken; it gains `gain`."""
        if not 0.0 < gain <= self._allowance:
            self._points, self._images = self._points[-1:], self._images[-1:]
            self._n_plain, self._allowance = 0, 0.0
            return False
        self._image = leap  # the next point is where the leap led
        self._n_plain = -1
        self._slowest = max(self._slowest, self._rate)
        self._allowance = self._allowance - gain if gain >= self._tol else 0.0
        return True


def _evaluate(rows: Rows, params: MixtureParams, m_step: MStep, n_threads: int) -> _Point:
    moments = m_step.moments(rows, params, n_threads=n_threads)
    return _Point(params, moments.log_likelihood, m_step.objective(moments, params), m_step.estimates(moments, params))


def _leap(rows: Rows, point: _Point, coordinates: Array, m_step: MStep, n_threads: int) -> _Point | None:
    """The M-step and E-step from extrapolated coordinates; None where they lead nowhere."""
    estimates = Estimates(*from_coordinates(coordinates, point.estimates.counts.sum(), *point.params.means.shape))
    if not np.isfinite(estimates.scatters).all():
        return None
    params = m_step.maximise(estimates, point.params)
    return None if isinstance(params, Collapsed) else _evaluate(rows, params, m_step, n_threads)


def _check_only_rounding(before: _Point, after: _Point, m_step: MStep) -> None:
    """Raise InternalError if the objective fell by more than rounding, eps N (largest / smallest scale)^2, explains."""
    recorded = m_step.recorded(after.params)
    smallest = np.diagonal(recorded.scale_trils, axis1=1, axis2=2).min()
    ratio = max(recorded.scales.max(), 1.0) / min(smallest, 1.0)
    rounding = np.finfo(float).eps * after.estimates.counts.sum() * ratio**2
    if not after.objective >= before.objective - 1e-9 * max(abs(before.objective), 1.0) - rounding:
        raise InternalError(
            f"the log-likelihood fell from {before.objective:.12g} to {after.objective:.12g} in one EM iteration, which cannot "
            "happen: please report this with the data"
        )
