"""A plain Gibbs sampler over allocations, unlike NUTS in everything, and what it says of the evidence.

Allocations given parameters, weights given allocations, each mean given its rows and covariance, and each covariance by
random-walk Metropolis with the mean integrated out; a component without rows is drawn from its prior. Labels are free to switch.
The families are those in which nothing is shared, VII, VVI and VVV. The density of recorded rows has covariance
S_k = Sigma_k + diag(h^2)/12. Three things follow:

- ln p(X | K - 1) - ln p(X | K) = ln P(component K has no rows | X, K) - ln c_K, the prior probability of the same being
  c_K = Gamma(K a) Gamma(N + (K - 1) a) / (Gamma((K - 1) a) Gamma(N + K a)): without it, what is left is the model of K - 1;
- ln p(X) = sum_n ln p(x_n | x_1, ..., x_n-1), each term from a run on the rows before;
- occupied components and co-assignments by counting.

None of it takes a mode, a start or a proposal from EM or from the atlas.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

from bayesgmm.model.target import Target
from tests.statistical.gibbs_kernels import KINDS, allocated, run

FAMILIES = ("VII", "VVI", "VVV")


FEW = 20
"""With fewer rows, runs are longer."""
SETTLE = 200
"""Sweeps of the parameters alone before labels that are given are first drawn anew."""


@dataclass(frozen=True, eq=False)
class GibbsRun:
    """One run on rows X: after every sweep ln P(a given component has no rows | parameters), and how many have rows.

    `log_predictive` (S,) is of the row after X, where there is one, with weights and means integrated out. weights (T, K), means
    (T, K, D), covariances (T, K, D, D) of the true values and labels (T, N) are of every `thin`-th sweep.
    """

    log_empty: np.ndarray
    occupied: np.ndarray
    log_predictive: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    labels: np.ndarray

    @property
    def co_assignment(self) -> np.ndarray:
        """P(z_i = z_j | X), (N, N), from the labels that were kept."""
        return np.array([(labels[:, None] == self.labels).mean(axis=0) for labels in self.labels.T])

    @property
    def occupied_shares(self) -> np.ndarray:
        """P(j components have rows | X), j = 1..K."""
        return np.bincount(self.occupied, minlength=self.weights.shape[1] + 1)[1:] / len(self.occupied)


def gibbs_run(
    target: Target, rng: np.random.Generator, n_sweeps: int, *, tune: int = 500, thin: int = 10, labels=None
) -> GibbsRun:
    """`n_sweeps` sweeps after `tune`, from labels (N,) or from random ones."""
    state = _State(target, labels, rng)
    state.run(len(target.X), tune, tune + 1)
    return state.run(len(target.X), n_sweeps, thin)


def log_evidence_step(target: Target, log_empty: np.ndarray, n_batches: int = 20) -> tuple[float, float]:
    """ln p(X | K) - ln p(X | K - 1) and its standard error, from batches of sweeps (or runs, one a row)."""
    N, K, a = len(target.X), target.structure.n_components, target.priors.concentration[0]
    log_prior = gammaln(K * a) + gammaln(N + (K - 1) * a) - gammaln((K - 1) * a) - gammaln(N + K * a)
    log_mean, error = log_mean_of_batches(log_empty, n_batches)
    return float(log_prior - log_mean), error


def log_mean_of_batches(log_values: np.ndarray, n_batches: int = 20) -> tuple[float, float]:
    """ln of the mean of exp(values) and its standard error from the means of batches."""
    rows = log_values if log_values.ndim == 2 else np.array_split(log_values, n_batches)
    means = np.array([logsumexp(row) - np.log(len(row)) for row in rows])
    log_mean = logsumexp(means) - np.log(len(means))
    return float(log_mean), float(np.exp(means - log_mean).std(ddof=1) / np.sqrt(len(means)))


def sequential_log_evidence(
    target: Target, rng: np.random.Generator, *, n_sweeps: int = 4000, n_orders: int = 8, tune: float = 0.1
) -> tuple[float, float, np.ndarray]:
    """ln p(X) row by row, its standard error between orders of the rows, and the value of each order (n_orders,)."""
    values = np.array([_one_order(target, stream, n_sweeps, int(tune * n_sweeps)) for stream in rng.spawn(n_orders)])
    log_mean = logsumexp(values) - np.log(n_orders)
    return float(log_mean), float(np.exp(values - log_mean).std(ddof=1) / np.sqrt(n_orders)), values


def _one_order(target, rng, n_sweeps, tune):
    order = _far_apart(target.X, rng)
    state = _State(target, None, rng, order)
    total = 0.0
    for n in range(len(order)):
        sweeps = n_sweeps * (1 + FEW // (n + 1))
        state.run(n, tune, tune + 1)
        log_predictive = state.run(n, sweeps, sweeps + 1).log_predictive
        total += logsumexp(log_predictive) - np.log(sweeps)
    return total


def _far_apart(X, rng):
    """An order in which the next row is, more or less, the farthest from those before.

    Then no row is far from all that is known of, where its predictive density would rest on a few rare draws.
    """
    scaled = X / X.std(axis=0)
    order = [int(rng.integers(len(X)))]
    distance = np.full(len(X), np.inf)
    while len(order) < len(X):
        distance = np.minimum(distance, ((scaled - scaled[order[-1]]) ** 2).sum(axis=1))
        distance[order[-1]] = -1.0
        order.append(int(np.argmax((distance + 1e-9) * np.exp(0.5 * rng.standard_normal(len(X))))))
    return np.array(order)


class _State:
    """Labels and parameters, which sweeps change in place."""

    def __init__(self, target, labels, rng, order=None):
        structure, priors = target.structure, target.priors
        if structure.family not in FAMILIES or not priors.symmetric:
            raise ValueError(f"{structure.family}: there is a Gibbs sampler for {FAMILIES} with equal concentrations")
        K, D = structure.n_components, structure.n_features
        X = target.X if order is None else target.X[order]
        self.X, self.rng = np.ascontiguousarray(X), rng
        self.labels = rng.integers(K, size=len(X)) if labels is None else np.array(labels)
        scale_params = np.array([*priors.scale_params.values()][:2])
        self.prior = (
            float(priors.concentration[0]), priors.mean_loc, priors.mean_scale**2, KINDS.index(priors.scale_prior),
            np.broadcast_to(scale_params, (2, scale_params.shape[1])).copy(), priors.lkj_eta, target.resolution**2 / 12,
        )  # fmt: skip
        self.log_scales = np.tile(np.log(priors.scale_distribution.ppf(0.5)), (K, 1))
        self.axes = np.zeros((K, structure.n_pairs if structure.axes == "correlations" else 0))
        self.parameters = np.full(K, 1 / K), np.tile(priors.mean_loc, (K, 1)), np.zeros((K, D, D))
        for _ in range(SETTLE):
            allocated(self.X, len(X), self.labels, *self.parameters, self.log_scales, self.axes, self.prior, rng)

    def run(self, n_rows, n_sweeps, thin):
        K, D, n_kept = len(self.log_scales), self.X.shape[1], n_sweeps // thin
        out = (
            np.empty(n_sweeps), np.empty(n_sweeps, np.int64), np.empty(n_sweeps), np.empty((n_kept, K)), np.empty((n_kept, K, D)),
            np.empty((n_kept, K, D, D)), np.empty((n_kept, n_rows), np.int64),
        )  # fmt: skip
        run(self.X, n_rows, self.labels, *self.parameters, self.log_scales, self.axes, self.prior, self.rng, thin, out)
        return GibbsRun(*out)
