"""Tiny mixture problems whose posterior is known: means in closed form, covariances by quadrature, all allocations summed.

No sampler and no kernel of the package takes part, only the numbers of the priors and the densities of scales. The n rows of one
component, its recorded covariance S = Sigma + diag(h^2)/12 given and its mean integrated over N(m, T), have density

    (2 pi)^(-(n-1)D/2) |S|^(-(n-1)/2) n^(-D/2) exp(-tr(S^-1 W)/2) N(mean of the rows; m, T + S/n),   W = their scatter

which is averaged over a grid of Sigma: inside, subset by subset, where each component has its own Sigma; outermost, over the sum
of all allocations, where they share one. The weights leave a Dirichlet-multinomial. One more row y has density Z(X, y) / Z(X).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from scipy.special import betaln, gammaln, logsumexp

import bayesgmm as bg

OWN, SHARED = ("VII", "VVI", "VVV"), ("EII", "EEI")
SCALE_PRIORS = ("inverse_gamma", "half_normal", "half_student_t", "log_normal")
STEPS = {1: 0.02, 2: 0.07, 3: 0.12}
"""Step, in stretched coordinates, of a grid of so many dimensions; the change under refinement is from 1.5 times as much."""
SMALLEST = {1: 1e-12, 2: 1e-8, 3: 1e-6}
"""Prior mass cut off below and above a scale."""
BLOCK = 4_000_000
"""Numbers held at once."""


@dataclass(frozen=True)
class ExactProblem:
    """Data X (N, D), K, priors, rounding step per column (D,), family, and points (P, D) at which to predict.

    The families are VII, VVI, VVV and, with one covariance for all components, EII and EEI. In one column VVV is V, and EII is E.
    """

    X: np.ndarray
    n_components: int
    priors: bg.Priors
    resolution: np.ndarray
    covariance: str = "VVV"
    points: np.ndarray = field(default_factory=lambda: np.empty((0, 1)))

    def __post_init__(self):
        if self.covariance not in OWN + SHARED:
            raise ValueError(f"covariance is {self.covariance!r}; exact posteriors exist for {', '.join(OWN + SHARED)}")
        if self.X.shape[1] > 2 or np.shape(self.resolution) != (self.X.shape[1],):
            raise ValueError(
                f"X is {self.X.shape} and resolution {np.shape(self.resolution)}; one or two columns, a step for each"
            )


@dataclass(frozen=True)
class ExactPosterior:
    """What is known: each quantity, and by how much it changed when the grid was refined.

    `occupied[j]` is the probability that j + 1 components hold rows; `predictive` (P,) the density of one more recorded row at
    the problem's points.
    """

    log_evidence: float
    co_assignment: np.ndarray
    occupied: np.ndarray
    predictive: np.ndarray
    change: dict[str, float]


def solve(problem: ExactProblem) -> ExactPosterior:
    """The exact posterior, up to `change`, the largest change of each quantity under refinement (relative for the predictive)."""
    coarse, fine = (_quantities(problem, factor) for factor in (1.5, 1.0))
    scale = {name: np.maximum(fine[name], 1e-300) if name == "predictive" else 1.0 for name in fine}
    change = {name: float(np.max(abs(fine[name] - coarse[name]) / scale[name], initial=0.0)) for name in fine}
    return ExactPosterior(**fine, change=change)


def random_problem(rng, *, covariance="VVV", n_features=None, n_components=None, scale_prior=None, rounded=None, n_samples=None):
    """A problem drawn at random; what is given is kept.

    Half of them have two groups well apart, a third a sparse concentration; rounded data have the step as resolution. The columns
    have units of their own, the priors with them, except in the spherical families.
    """
    n_features = n_features or int(rng.integers(1, 3))
    n_components = n_components or int(rng.integers(2, 4))
    scale_prior = scale_prior or str(rng.choice(SCALE_PRIORS))
    rounded = bool(rng.random() < 0.5) if rounded is None else rounded
    n_samples = n_samples or int(rng.integers(6, 9))
    one_unit = covariance in ("EII", "VII")
    unit = np.exp(rng.uniform(-1, 1, 1 if one_unit else n_features)) * np.ones(n_features)
    scale_unit = unit[0] if one_unit else unit
    loc = rng.uniform(-2, 2, n_features)
    groups = rng.random(n_samples) < 0.5 if rng.random() < 0.5 else np.zeros(n_samples)
    mixing = np.linalg.cholesky(0.5 + 0.5 * np.eye(n_features))
    X = rng.normal(size=(n_samples, n_features)) @ mixing.T + np.outer(groups, rng.uniform(3, 5, n_features))
    step = np.where(rounded, rng.choice([0.25, 0.5, 1.0], n_features), 0.0)
    X = np.where(step > 0, np.round(X / np.where(step > 0, step, 1)) * step, X)
    parameters = {
        "inverse_gamma": {"alpha": 2.0, "beta": scale_unit * rng.uniform(0.5, 2)},
        "half_normal": {"sigma": scale_unit * rng.uniform(1, 2)},
        "half_student_t": {"nu": 4.0, "sigma": scale_unit * rng.uniform(1, 2)},
        "log_normal": {"mu": np.log(scale_unit) + rng.uniform(-0.7, 0.3), "sigma": rng.uniform(0.5, 1)},
    }
    priors = bg.Priors(
        concentration=float(rng.choice([0.4, 1.0, 2.0])),
        mean_loc=loc + unit * X.mean(axis=0),
        mean_scale=unit * rng.uniform(2, 5),
        scale_prior=scale_prior,
        scale_params=parameters[scale_prior],
        lkj_eta=float(rng.choice([1.5, 2.0, 3.0])),
    )
    points = np.vstack([X.mean(axis=0), X[0] + 0.3, X.max(axis=0) + 1])
    return ExactProblem(loc + unit * X, n_components, priors, unit * step, covariance, loc + unit * points)


def _quantities(problem: ExactProblem, factor: float) -> dict[str, np.ndarray]:
    log_joint = _log_joint(problem, problem.X, factor)
    log_evidence = logsumexp(log_joint)
    probability = np.exp(log_joint - log_evidence)
    member = _membership(problem.n_components, len(problem.X))
    occupied = member.any(axis=2).sum(axis=1)
    more = [logsumexp(_log_joint(problem, np.vstack([problem.X, point]), factor)) for point in problem.points]
    return {
        "log_evidence": log_evidence,
        "co_assignment": np.einsum("a,akn,akm->nm", probability, member, member, optimize=True),
        "occupied": np.bincount(occupied, probability, minlength=problem.n_components + 1)[1:],
        "predictive": np.exp(np.array(more) - log_evidence),
    }


def _membership(n_components: int, n_samples: int) -> np.ndarray:
    """Every allocation as ones and zeros, (K^N, K, N)."""
    labels = np.array(list(product(range(n_components), repeat=n_samples)), dtype=np.int8)
    return (labels[:, None, :] == np.arange(n_components)[:, None]).astype(float)


def _log_joint(problem: ExactProblem, X: np.ndarray, factor: float) -> np.ndarray:
    """ln p(X, allocation) of every allocation, (K^N,)."""
    priors = problem.priors.resolved(problem.X, problem.n_components, problem.covariance)
    member = _membership(problem.n_components, len(X))
    counts, subsets = member.sum(axis=2), (member @ 2 ** np.arange(len(X))).astype(np.intp)
    alpha = priors.concentration
    log_prior = gammaln(alpha.sum()) - gammaln(alpha.sum() + len(X)) + (gammaln(alpha + counts) - gammaln(alpha)).sum(axis=1)
    log_rows = np.full(len(member), -np.inf)
    for log_weights, log_marginals in _subset_log_marginals(problem, priors, X, factor):
        for block in np.array_split(np.arange(len(log_weights)), max(1, len(log_weights) * len(member) // BLOCK)):
            table = log_marginals[block]
            terms = sum(table[:, subsets[:, k]] for k in range(problem.n_components)) + log_weights[block, None]
            log_rows = np.logaddexp(log_rows, logsumexp(terms, axis=0))
    return log_prior + log_rows


def _subset_log_marginals(problem: ExactProblem, priors, X: np.ndarray, factor: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Log weights (Q,) and ln p(rows of a subset | node) (Q, 2^N), subset b holding row n where bit n of b is set.

    A family with a covariance per component has one node, weight 1: its grid is summed here.
    """
    covariances, log_weights = _grid(problem, priors, factor)
    recorded = covariances + np.diag(problem.resolution**2) / 12
    masks = (np.arange(2 ** len(X))[:, None] >> np.arange(len(X))) & 1
    if problem.covariance in SHARED:
        for nodes in np.array_split(np.arange(len(log_weights)), max(1, len(log_weights) * len(masks) // BLOCK)):
            table = np.zeros((len(nodes), len(masks)))
            for chosen, values in _given_covariance(X, masks, priors, recorded[nodes]):
                table[:, chosen] = values
            yield log_weights[nodes], table
    else:
        table = np.zeros((1, len(masks)))
        for chosen, values in _given_covariance(X, masks, priors, recorded):
            values += log_weights[:, None]
            peak = values.max(axis=0)
            values -= peak
            table[0, chosen] = peak + np.log(np.exp(values, out=values).sum(axis=0))
        yield np.zeros(1), table


def _given_covariance(X, masks, priors, recorded) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of subsets of one size, and ln p(rows | recorded covariance) (Q, indices) with the mean integrated out."""
    n_features = X.shape[1]
    sizes = masks.sum(axis=1)
    precision, log_determinant = np.linalg.inv(recorded), np.linalg.slogdet(2 * np.pi * recorded)[1]
    for n in range(1, len(X) + 1):
        spread = np.diag(priors.mean_scale**2) + recorded / n
        constant = -0.5 * ((n - 1) * log_determinant + np.linalg.slogdet(2 * np.pi * spread)[1] + n_features * np.log(n))
        factors = np.hstack([constant[:, None], *(-0.5 * m.reshape(len(m), -1) for m in (precision, np.linalg.inv(spread)))])
        of_size = np.flatnonzero(sizes == n)
        for chosen in np.array_split(of_size, max(1, len(recorded) * len(of_size) // BLOCK)):
            mask = masks[chosen]
            centre = mask @ X / n
            deviation = mask[..., None] * (X - centre[:, None])
            scatter = np.einsum("sni,snj->sij", deviation, deviation)
            offset = centre - priors.mean_loc
            outer = offset[:, :, None] * offset[:, None, :]
            yield chosen, factors @ np.hstack([np.ones((len(chosen), 1)), *(m.reshape(len(m), -1) for m in (scatter, outer))]).T


def _grid(problem: ExactProblem, priors, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Covariances (Q, D, D) and the logarithms of their prior weights (Q,), which sum to 1 up to quadrature.

    Trapezoid sums in stretched logarithms of the scales and, with ρ = tanh(u), in u: all integrands vanish smoothly at both ends.
    """
    n_features = problem.X.shape[1]
    dimensions = 1 if n_features == 1 or problem.covariance in ("EII", "VII") else 3 if problem.covariance == "VVV" else 2
    step, smallest = factor * STEPS[dimensions], SMALLEST[dimensions]
    log_scales, log_weights = _log_scale_nodes(priors, step, smallest)
    if dimensions == 1:
        return np.exp(2 * log_scales[0])[:, None, None] * np.eye(n_features), log_weights[0]
    correlation, log_weight = np.zeros(1), np.zeros(1)
    if dimensions == 3:
        eta = priors.lkj_eta
        reach = np.log(2) - np.log(smallest) / (2 * eta)
        u = np.linspace(-reach, reach, 1 + 2 * int(np.ceil(reach / (1.7 * step))))
        correlation = np.tanh(u)
        log_weight = -betaln(eta, eta) - (2 * eta - 1) * np.log(2) - 2 * eta * np.log(np.cosh(u)) + np.log(u[1] - u[0])
    t1, t2, rho = (a.ravel() for a in np.meshgrid(*log_scales, correlation, indexing="ij"))
    weights = sum(a.ravel() for a in np.meshgrid(*log_weights, log_weight, indexing="ij"))
    keep = weights > np.log(smallest) - 18  # corners that no likelihood brings back
    t1, t2, rho, weights = t1[keep], t2[keep], rho[keep], weights[keep]
    cross = rho * np.exp(t1 + t2)
    return np.stack([np.exp(2 * t1), cross, cross, np.exp(2 * t2)], axis=1).reshape(-1, 2, 2), weights


def _log_scale_nodes(priors, step: float, smallest: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Per column: nodes ln s and their log prior weights. ln s = centre + sinh(z), close together where the data speak."""
    low, centre, high = (np.log(priors.scale_distribution.ppf(q)) for q in (1e-5, 0.2, 1 - smallest))
    if priors.scale_prior.startswith("half"):  # positive at 0, so that quantiles are proportional to q there
        low = low + np.log(smallest / 1e-5)
    else:
        low = np.log(priors.scale_distribution.ppf(smallest))
    nodes, log_weights = [], []
    for d in range(len(centre)):
        first, last = np.arcsinh(low[d] - centre[d]), np.arcsinh(high[d] - centre[d])
        z = np.linspace(first, last, 1 + int(np.ceil((last - first) / step)))
        t = centre[d] + np.sinh(z)
        density = priors.scale_distribution.logpdf(np.exp(t)[:, None] * np.ones(len(centre)))[:, d]
        nodes.append(t)
        log_weights.append(density + t + np.log(np.cosh(z)) + np.log(z[1] - z[0]))
    return nodes, log_weights
