"""A mode of the posterior, its shape, and Laplace's estimate of the evidence around it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]
LogDensity = Callable[[Array], tuple[float, Array]]

STEP = 1e-3
"""Of the central differences of the gradient, in units of a rough posterior standard deviation."""

WIDEST = 10.0
"""No direction is taken for wider than this many of the rough standard deviations along it."""

MAX_HESSIANS = 3

ASIDE = 0.05
"""The step off a saddle, in units of the width given to the directions in which it does not fall."""

NEAR = 0.3
"""The Hessian found this many standard deviations from the mode does for the mode."""

LARGEST_GAIN = 20.0
"""That one Newton step is trusted with, in nats."""

MAX_ITERATIONS = 200
GRADIENT_TOLERANCE = 1e-4
"""In whitened coordinates: so many posterior standard deviations from the mode, if the metric is right."""


@dataclass(frozen=True, eq=False)
class PosteriorMode:
    """A local maximum of a log-density over unconstrained coordinates.

    Attributes
    ----------
    u : (P,)
    log_density : float
    metric : (P, P)
        A with A A' = (-H)^-1, H being the Hessian; directions in which H is not negative enough are given a bounded width.
    n_guarded : int
        How many directions those are.
    log_mass : float
        Laplace's ln of the integral of the density around the mode: log_density + P/2 ln(2 pi) + ln|det A|.
    """

    u: Array
    log_density: float
    metric: Array
    n_guarded: int

    @property
    def log_mass(self) -> float:
        return self.log_density + 0.5 * len(self.u) * float(np.log(2 * np.pi)) + float(np.linalg.slogdet(self.metric)[1])


def find_mode(log_density: LogDensity, u: Array, rough_scales: Array) -> PosteriorMode | None:
    """The mode that is reached from u (P,); None where the density is not finite there.

    BFGS in coordinates whitened by the Hessian at u; if that led far, once more from there; where the Hessian is not negative
    definite (at a saddle, for example with two components equal), also from a step aside. rough_scales (P,) are posterior
    standard deviations to within an order of magnitude or two.
    """
    value, _ = log_density(u)
    if not np.isfinite(value):
        return None
    metric, flat = _metric(log_density, u, rough_scales)
    for _ in range(MAX_HESSIANS - 1):
        top = max((ascend(log_density, start, metric) for start in _starts(u, metric, flat)), key=lambda u: log_density(u)[0])
        moved = np.abs(np.linalg.solve(metric, top - u)).max()
        u = top
        if not flat.any() and moved < NEAR:
            break
        metric, flat = _metric(log_density, u, rough_scales)
    return PosteriorMode(u, log_density(u)[0], metric, int(flat.sum()))


def guessed_log_mass(log_density: LogDensity, u: Array, rough_scales: Array) -> float:
    """Laplace's estimate for the mode that one Newton step from u (P,) leads to; -inf where the density is not finite there."""
    value, gradient = log_density(u)
    if not np.isfinite(value):
        return -np.inf
    metric, _ = _metric(log_density, u, rough_scales)
    gain = 0.5 * float(((gradient @ metric) ** 2).sum())
    guess = PosteriorMode(u, value + min(gain, LARGEST_GAIN), metric, 0)
    return guess.log_mass


def _starts(u: Array, metric: Array, flat: NDArray[np.bool_]) -> list[Array]:
    """u, and where there are directions along which the density does not fall, a step along them: BFGS may sit on a saddle."""
    return [u, u + ASIDE * metric[:, flat].sum(axis=1)] if flat.any() else [u]


def ascend(log_density: LogDensity, u: Array, metric: Array) -> Array:
    """Where BFGS ends uphill from u (P,), in the coordinates z of u + metric z."""

    def negative(z: Array) -> tuple[float, Array]:
        value, gradient = log_density(u + metric @ z)
        return (-value, -(gradient @ metric)) if np.isfinite(value) else (np.inf, np.zeros(len(z)))

    options = {"maxiter": MAX_ITERATIONS, "gtol": GRADIENT_TOLERANCE}
    return u + metric @ minimize(negative, np.zeros(len(u)), jac=True, method="BFGS", options=options).x


def _metric(log_density: LogDensity, u: Array, rough_scales: Array) -> tuple[Array, NDArray[np.bool_]]:
    """A with A A' = (-H)^-1 at u, and which of its columns are given a width that H does not give."""
    size = len(u)
    hessian = np.empty((size, size))
    for i in range(size):
        step = np.zeros(size)
        step[i] = STEP * rough_scales[i]
        hessian[i] = (log_density(u + step)[1] - log_density(u - step)[1]) / (2 * STEP) * rough_scales
    precision, directions = np.linalg.eigh(-(hessian + hessian.T) / 2)
    flat = ~(precision > WIDEST**-2)
    precision = np.where(flat, np.maximum(np.abs(precision), WIDEST**-2), precision)
    return rough_scales[:, None] * directions / np.sqrt(precision), flat
