"""Problems with two well separated modes whose masses are known: eight rows in four clumps at the corners of a rectangle, K = 2.

Left against right and top against bottom are two groupings; a path from one to the other leads through groupings that hold next
to nothing. All 2^8 allocations are summed (`exact`), so that the mass of each grouping, with all that is nearer to it than to the
other, is known.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

import bayesgmm as bg
from tests.statistical import exact
from tests.statistical.exact import ExactPosterior, ExactProblem, solve

FAMILIES = ("left and right", "top and bottom", "neither")
MOST_NEITHER = 1e-3
LEAST_SHARE = 0.1
MAX_TRIALS = 50


@dataclass(frozen=True, eq=False)
class Separated:
    """The problem, its exact posterior, and the exact shares (3,) of the FAMILIES; `family` (2^N,) of every allocation."""

    problem: ExactProblem
    known: ExactPosterior
    shares: np.ndarray
    family: np.ndarray

    def shares_given(self, responsibilities: np.ndarray) -> np.ndarray:
        """P(family | draw), (S, 3), of responsibilities (S, N, 2) given each draw; their mean estimates `shares`."""
        member = exact._membership(2, len(self.problem.X))
        with np.errstate(divide="ignore"):
            log_r = np.log(responsibilities)
        first, second = np.maximum(log_r, -1e4).transpose(2, 0, 1)
        probability = np.exp(first @ member[:, 0].T + second @ member[:, 1].T)
        return probability @ np.eye(3)[self.family]


def separated_problem(rng: np.random.Generator, covariance: str = "VVI") -> Separated:
    """Drawn until both groupings hold LEAST_SHARE or more, and what is between them at most MOST_NEITHER."""
    for _ in range(MAX_TRIALS):
        problem = _four_clumps(rng, covariance)
        family = family_of_allocations(problem.X)
        log_joint = exact._log_joint(problem, problem.X, 1.5)
        shares = _shares(log_joint, family)
        if shares[2] <= MOST_NEITHER and shares[:2].min() >= LEAST_SHARE:
            return Separated(problem, solve(problem), _shares(exact._log_joint(problem, problem.X, 1.0), family), family)
    raise RuntimeError(f"no problem with two separated modes in {MAX_TRIALS} trials")


def family_of_allocations(X: np.ndarray) -> np.ndarray:
    """Which of FAMILIES each allocation of exact's order is nearer to, by how many rows it places as the grouping does."""
    sides = np.where(X.mean(axis=0) < X, 1, -1)
    member = exact._membership(2, len(X))
    agreement = abs((member[:, 0] - member[:, 1]) @ sides)
    return np.where(agreement[:, 0] > agreement[:, 1], 0, np.where(agreement[:, 0] < agreement[:, 1], 1, 2))


def _shares(log_joint: np.ndarray, family: np.ndarray) -> np.ndarray:
    return np.bincount(family, np.exp(log_joint - logsumexp(log_joint)), minlength=3)


def _four_clumps(rng, covariance):
    """Half the distances between clumps are 2.5 to 4.5 of their standard deviations; columns have units of their own."""
    corners = np.repeat([[-1, -1], [-1, 1], [1, -1], [1, 1]], 2, axis=0)
    unit = np.exp(rng.uniform(-1, 1, 1 if covariance == "VII" else 2)) * np.ones(2)
    spread = rng.uniform(0.15, 0.25)
    reach = spread * rng.uniform(8, 14) * np.exp(rng.uniform(-0.1, 0.1, 2))
    loc = rng.uniform(-2, 2, 2)
    X = corners * reach + spread * rng.normal(size=(8, 2))
    priors = bg.Priors(
        concentration=float(rng.choice([1.0, 2.0])),
        mean_loc=loc,
        mean_scale=unit * rng.uniform(2, 4),
        scale_prior="inverse_gamma",
        scale_params={"alpha": 2.0, "beta": unit[0] * 0.5 if covariance == "VII" else unit * 0.5},
    )
    return ExactProblem(loc + unit * X, 2, priors, np.zeros(2), covariance)
