"""Claim: one EM iteration with full covariances is faster than scikit-learn's, one thread each, measured in turn in one run.

Run: uv run python benchmarks/em_iteration_is_faster_than_scikit_learn.py
"""

import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
from machine import describe_machine
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from bayesgmm.em.step import em_step
from bayesgmm.families import FAMILIES
from bayesgmm.params import MixtureParams

CASES = [(1_000, 2, 3), (100_000, 2, 3), (100_000, 8, 10), (50_000, 16, 10), (50_000, 32, 10)]
ROUNDS = 5
ITERATIONS = 10


def problem(n_samples: int, n_features: int, n_components: int) -> tuple[np.ndarray, MixtureParams]:
    rng = np.random.default_rng(0)
    means = rng.normal(scale=3.0, size=(n_components, n_features))
    X = means[rng.integers(n_components, size=n_samples)] + rng.normal(size=(n_samples, n_features))
    weights = np.full(n_components, 1 / n_components)
    return X, MixtureParams(weights, means + 0.1, np.array([np.eye(n_features)] * n_components))


def ours(X: np.ndarray, params: MixtureParams) -> None:
    for _ in range(ITERATIONS):
        following, _ = em_step(params, X, FAMILIES["VVV"])
        assert isinstance(following, MixtureParams)
        params = following


def theirs(X: np.ndarray, params: MixtureParams) -> None:
    GaussianMixture(
        params.n_components,
        tol=0.0,
        reg_covar=0.0,
        max_iter=ITERATIONS,
        weights_init=params.weights,
        means_init=params.means,
        precisions_init=params.precisions,
    ).fit(X)


def seconds(function: Callable[[np.ndarray, MixtureParams], None], X: np.ndarray, params: MixtureParams) -> float:
    start = time.perf_counter()
    function(X, params)
    return time.perf_counter() - start


def main() -> None:
    print(describe_machine("bayesgmm", "scikit-learn", "numba", "numpy"))
    print(f"one iteration, median of {ROUNDS} rounds of {ITERATIONS} iterations")
    print(f"{'N, D, K':>18} {'ours (ms)':>12} {'theirs (ms)':>12} {'ratio':>8}")
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(1):
        for case in CASES:
            X, params = problem(*case)
            ours(X, params)
            pairs = [(seconds(ours, X, params), seconds(theirs, X, params)) for _ in range(ROUNDS)]
            mine, other = (1e3 / ITERATIONS * statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(other / mine for mine, other in pairs)
            print(f"{case!s:>18} {mine:12.3f} {other:12.3f} {ratio:8.1f}")


if __name__ == "__main__":
    main()
