"""Claim: a fit to a million rows needs less than 5% of their memory beyond them.

Each measurement has a process of its own. Two instruments: the growth of the peak resident set from its size just before
(Linux counts pages, whoever asked for them), and tracemalloc (what Python, NumPy and numba ask for).
Run: uv run python benchmarks/a_fit_needs_no_memory_beyond_the_data.py
"""

import os
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import describe_machine, table_head, table_line

from bayesgmm import fit_em
from bayesgmm.em.step import MStep, em_step
from bayesgmm.families import FAMILIES
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.threads import available_threads
from bayesgmm.params import MixtureParams

N_SAMPLES, N_FEATURES, N_COMPONENTS = 1_000_000, 8, 10
ROWS_AT_A_TIME = 1_000
LIMIT = 0.05


def one_iteration(X: np.ndarray) -> None:
    means = X[:N_COMPONENTS].copy()
    params = MixtureParams(np.full(N_COMPONENTS, 1 / N_COMPONENTS), means, np.array([np.eye(X.shape[1])] * N_COMPONENTS))
    em_step(params, rows_of(X), MStep(FAMILIES["VVV"]), n_threads=available_threads())


def fit(X: np.ndarray) -> None:
    fit_em(X, N_COMPONENTS, n_init=3, max_iter=5, seed=0, progress=False)


def fit_from_kmeans(X: np.ndarray) -> None:
    fit_em(X, N_COMPONENTS, init="kmeans", n_init=3, max_iter=5, seed=0, progress=False)


MEASURED: dict[str, Callable[[np.ndarray], None]] = {
    "one EM iteration": one_iteration,
    "fit_em, n_init=3, max_iter=5": fit,
    "the same, init='kmeans'": fit_from_kmeans,
}


def problem(n_samples: int) -> np.ndarray:
    """Unit normals about means with standard deviation 2, made in place: no larger peak than the data."""
    rng = np.random.default_rng(0)
    means = rng.normal(scale=2.0, size=(N_COMPONENTS, N_FEATURES))
    X = np.empty((n_samples, N_FEATURES))
    for first in range(0, n_samples, ROWS_AT_A_TIME):
        rows = X[first : first + ROWS_AT_A_TIME]
        rows[:] = means[rng.integers(N_COMPONENTS, size=len(rows))] + rng.normal(size=rows.shape)
    return X


def resident_growth(function: Callable[[np.ndarray], None], X: np.ndarray) -> int:
    """Bytes from the resident set before to the peak. The process had no higher peak before, or it is counted too."""
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    function(X)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def traced_growth(function: Callable[[np.ndarray], None], X: np.ndarray) -> int:
    tracemalloc.start()
    function(X)
    return tracemalloc.get_traced_memory()[1]


INSTRUMENTS = {"peak resident set": resident_growth, "tracemalloc": traced_growth}


def measure(name: str, instrument: str) -> None:
    """Print the share of the data's size that is needed beyond it; in a process that does nothing else."""
    MEASURED[name](problem(500))  # numba compiles, or reads its cache; libraries start their threads
    X = problem(N_SAMPLES)
    print(INSTRUMENTS[instrument](MEASURED[name], X) / X.nbytes)


def measured_in_a_process(name: str, instrument: str) -> float:
    child = subprocess.run([sys.executable, __file__, name, instrument], stdout=subprocess.PIPE, check=True)
    return float(child.stdout)


def main() -> None:
    print(describe_machine("bayesgmm", "numba", "numpy"))
    size = N_SAMPLES * N_FEATURES * 8 / 1e6
    print(f"N, D, K = {(N_SAMPLES, N_FEATURES, N_COMPONENTS)}: {size:.0f} MB of data; limit {LIMIT:.0%}\n")
    print(table_head("memory beyond the data", *INSTRUMENTS))
    for name in MEASURED:
        shares = [measured_in_a_process(name, instrument) for instrument in INSTRUMENTS]
        print(table_line(name, *(f"{share:.2%}" for share in shares)), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(*sys.argv[1:])
    else:
        main()
