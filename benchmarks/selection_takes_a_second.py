"""Claim: `select` over 14 families and 1 to 9 components, from one hierarchical start, takes about a second on small data.

That is mclust's own grid and its kind of start. Limits: 0.7 s on faithful, 1 s on data of banknote's size, 4 s on (2000, 5); and
the default, five starts of several kinds, at most five times as long. mclust's times come from another machine and another run,
with one thread and its own, looser tolerance: they stand beside ours as a scale, no ratio is taken.
Run: uv run python benchmarks/selection_takes_a_second.py
"""

import os
import statistics
import time
from collections.abc import Callable

import numpy as np
from machine import describe_machine, processors, table_head, table_line

from bayesgmm import select
from bayesgmm.datasets import load_faithful, load_iris

ROUNDS = 3


def simulated(n_samples: int, n_features: int, n_components: int) -> np.ndarray:
    """Components that overlap, each with a covariance of its own; means are normal with standard deviation 2."""
    rng = np.random.default_rng(0)
    means = rng.normal(scale=2.0, size=(n_components, n_features))
    factors = np.eye(n_features) + 0.3 * rng.normal(size=(n_components, n_features, n_features))
    labels = rng.integers(n_components, size=n_samples)
    return means[labels] + np.einsum("nij,nj->ni", factors[labels], rng.normal(size=(n_samples, n_features)))


CASES: list[tuple[str, np.ndarray, float | None, float]] = [
    ("faithful", load_faithful().to_numpy(), 0.7, 0.66),
    ("iris", load_iris().drop(columns="species").to_numpy(), None, 0.52),
    ("simulated, of banknote's size", simulated(200, 6, 2), 1.0, 0.81),
    ("simulated, of thyroid's size", simulated(215, 5, 3), None, 1.05),
    ("simulated", simulated(2000, 5, 4), 4.0, 6.8),
]
"""Name, data, limit in seconds of the single start, seconds of mclust 6.0 elsewhere (for the real banknote and thyroid)."""


def single_start(X: np.ndarray) -> None:
    select(X, init="hierarchical_spheres", n_init=1, progress=False)


def default(X: np.ndarray) -> None:
    select(X, seed=0, progress=False)


def seconds(function: Callable[[np.ndarray], None], X: np.ndarray) -> float:
    start = time.perf_counter()
    function(X)
    return time.perf_counter() - start


def single_thread(X: np.ndarray) -> None:
    with processors(1):
        single_start(X)


def compare(name: str, X: np.ndarray, limit: float | None, mclust: float) -> None:
    """Print medians of each, and the median of the ratios round by round."""
    rounds = np.array([[seconds(function, X) for function in (single_thread, single_start, default)] for _ in range(ROUNDS)]).T
    print(
        table_line(
            name,
            X.shape,
            f"{statistics.median(rounds[0]):.2f}",
            f"{statistics.median(rounds[1]):.2f}",
            "" if limit is None else limit,
            f"{statistics.median(rounds[2]):.2f}",
            f"{statistics.median(rounds[2] / rounds[1]):.1f}",
            mclust,
        ),
        flush=True,
    )


def main() -> None:
    print(describe_machine("bayesgmm", "numba", "numpy"))
    X = CASES[0][1]
    first = [seconds(function, X) for function in (single_start, default)]
    print(f"first calls in this process, compiling or reading the cache: {first[0]:.1f} s, then the default {first[1]:.1f} s")
    print(f"medians of {ROUNDS} rounds; {len(os.sched_getaffinity(0))} threads unless one is named; tol 1e-4 nats, the default\n")
    print(
        table_head(
            "data",
            "N, D",
            "single start, one thread (s)",
            "single start (s)",
            "limit (s)",
            "default (s)",
            "default / single",
            "mclust, elsewhere (s)",
        )
    )
    for case in CASES:
        compare(*case)


if __name__ == "__main__":
    main()
