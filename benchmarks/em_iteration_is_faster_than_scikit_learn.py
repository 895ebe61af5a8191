"""Claim: one EM iteration with full covariances is several times faster than scikit-learn's, one thread each, measured in turn.

Beside it: what a second thread gives, and pomegranate where it is installed.
Rows that have no part in a component cost less than others, so that the last cases have components that overlap.
Run: uv run python benchmarks/em_iteration_is_faster_than_scikit_learn.py
"""

import statistics
import threading
import time
import warnings
from collections.abc import Callable

import numpy as np
from machine import describe_machine
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from bayesgmm.em.step import MStep, em_step
from bayesgmm.families import FAMILIES
from bayesgmm.kernels.rows import rows_of
from bayesgmm.params import MixtureParams

try:
    import torch
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel
except ImportError:
    torch = None

SEPARATED, OVERLAPPING = 3.0, 0.5
CASES = [
    (1_000, 2, 3, SEPARATED),
    (100_000, 2, 3, SEPARATED),
    (100_000, 8, 10, SEPARATED),
    (50_000, 16, 10, SEPARATED),
    (50_000, 32, 10, SEPARATED),
    (10_000, 64, 10, SEPARATED),
    (100_000, 8, 10, OVERLAPPING),
    (50_000, 32, 10, OVERLAPPING),
]
POMEGRANATE_CASES = CASES[1:3]
ROUNDS = 5
ITERATIONS = 10

type Fit = Callable[[np.ndarray, MixtureParams], None]


def problem(n_samples: int, n_features: int, n_components: int, spread: float) -> tuple[np.ndarray, MixtureParams]:
    """Unit normals about means that are normal with standard deviation `spread`, and a start beside the truth."""
    rng = np.random.default_rng(0)
    means = rng.normal(scale=spread, size=(n_components, n_features))
    X = means[rng.integers(n_components, size=n_samples)] + rng.normal(size=(n_samples, n_features))
    weights = np.full(n_components, 1 / n_components)
    return X, MixtureParams(weights, means + 0.1, np.array([np.eye(n_features)] * n_components))


def ours(n_threads: int) -> Fit:
    def fit(X: np.ndarray, params: MixtureParams) -> None:
        rows, m_step = rows_of(X), MStep(FAMILIES["VVV"])
        for _ in range(ITERATIONS):
            following, _ = em_step(params, rows, m_step, n_threads=n_threads)
            assert isinstance(following, MixtureParams)
            params = following

    return fit


def scikit_learn(X: np.ndarray, params: MixtureParams) -> None:
    GaussianMixture(
        params.n_components,
        tol=0.0,
        reg_covar=0.0,
        max_iter=ITERATIONS,
        weights_init=params.weights,
        means_init=params.means,
        precisions_init=params.precisions,
    ).fit(X)


def pomegranate(X: np.ndarray, params: MixtureParams) -> None:
    components = [
        Normal(torch.tensor(mean), torch.tensor(covariance))
        for mean, covariance in zip(params.means, params.covariances, strict=True)
    ]
    GeneralMixtureModel(components, priors=torch.tensor(params.weights), tol=-np.inf, max_iter=ITERATIONS).fit(torch.tensor(X))


def at_once(fit: Fit) -> Fit:
    """The same twice, side by side and independent of one another: what two of this machine's cores can do at best."""

    def both(X: np.ndarray, params: MixtureParams) -> None:
        threads = [threading.Thread(target=fit, args=(X, params)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return both


def milliseconds(fit: Fit, X: np.ndarray, params: MixtureParams) -> float:
    """Of one iteration."""
    start = time.perf_counter()
    fit(X, params)
    return 1e3 / ITERATIONS * (time.perf_counter() - start)


def compare(case: tuple[int, int, int, float], other: Fit, name: str) -> None:
    """Print medians of `ours` and of the other, and medians of the ratios round by round."""
    X, params = problem(*case)
    one, two = ours(1), ours(2)
    one(X, params)  # numba compiles, or reads its cache
    rounds = np.array([[milliseconds(fit, X, params) for fit in (one, two, at_once(one), other)] for _ in range(ROUNDS)]).T
    ratio = statistics.median(rounds[3] / rounds[0])
    gain, machine = statistics.median(rounds[0] / rounds[1]), statistics.median(2 * rounds[0] / rounds[2])
    print(
        f"{case!s:>24} {statistics.median(rounds[0]):11.3f} {name:>13} {statistics.median(rounds[3]):11.3f} "
        f"{ratio:8.1f} {gain:12.2f} {machine:8.2f}"
    )


def main() -> None:
    print(describe_machine("bayesgmm", "scikit-learn", "numba", "numpy"))
    print(f"one iteration, median of {ROUNDS} rounds of {ITERATIONS} iterations; spread: of the means, in scales of a component")
    titles = f"{'theirs':>13} {'theirs (ms)':>11} {'ratio':>8} {'two threads':>12} {'machine':>8}"
    print(f"{'N, D, K, spread':>24} {'ours (ms)':>11} {titles}")
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(1):
        for case in CASES:
            compare(case, scikit_learn, "scikit-learn")
        if torch is None:
            print("pomegranate is not installed: skipped")
            return
        torch.set_num_threads(1)
        for case in POMEGRANATE_CASES:
            compare(case, pomegranate, "pomegranate")


if __name__ == "__main__":
    main()
