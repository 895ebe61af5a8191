"""Claim: `assignments` of 100,000 new rows under 4,000 draws of 5 components stays under 500 MB.

The peak resident set of a process that does nothing else, the libraries included (Linux counts pages, whoever asked for them).
All responsibilities at once would be 16 GB.
Run: uv run python benchmarks/new_rows_are_assigned_in_bounded_memory.py
"""

import resource
import subprocess
import sys
import time

import numpy as np
import xarray as xr
from machine import describe_machine, table_head, table_line

from bayesgmm import MixtureParams, assignments, fit_em
from bayesgmm.em.result import sample_mixture
from bayesgmm.posterior.schema import posterior_dataset

N_CHAINS, N_DRAWS, N_COMPONENTS, N_FEATURES = 4, 1_000, 5, 2
N_OLD, N_NEW = 1_000, (10_000, 100_000)
LIMIT_MB = 500


def made_tree(params: MixtureParams, rng: np.random.Generator) -> xr.DataTree:
    """Draws scattered around the mixture, and an EM fit of data from it."""
    shape = (N_CHAINS, N_DRAWS)
    weights = rng.dirichlet(200 * params.weights, size=shape)
    means = params.means + 0.1 * rng.standard_normal((*shape, *params.means.shape))
    scale_trils = np.tile(params.scale_trils, (*shape, 1, 1, 1))
    X, _ = sample_mixture(params, N_OLD, rng)
    em = fit_em(X, N_COMPONENTS, init=params)
    return xr.DataTree.from_dict(
        {
            "posterior": posterior_dataset(weights, means, scale_trils, em.columns),
            "observed_data": xr.Dataset({"X": (("obs", "feature"), X)}),
            "em": em.to_dataset(),
        }
    )


def measure(n_new: int) -> None:
    """Print seconds, processor seconds and the peak in MB; in a process that does nothing else."""
    rng = np.random.default_rng(0)
    means = rng.normal(scale=2.5, size=(N_COMPONENTS, N_FEATURES))
    params = MixtureParams(np.full(N_COMPONENTS, 0.2), means, np.array([np.eye(N_FEATURES)] * N_COMPONENTS))
    tree = made_tree(params, rng)
    X, _ = sample_mixture(params, n_new, rng)
    assignments(tree, X[:10])  # numba compiles, or reads its cache
    start, start_busy = time.perf_counter(), time.process_time()
    assignments(tree, X)
    print(
        time.perf_counter() - start, time.process_time() - start_busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    )


def main() -> None:
    print(describe_machine("bayesgmm", "numba", "numpy"))
    print(f"S = {N_CHAINS * N_DRAWS}, K = {N_COMPONENTS}, D = {N_FEATURES}; limit {LIMIT_MB} MB\n")
    print(table_head("new rows", "seconds", "processor seconds", "peak, MB"))
    for n_new in N_NEW:
        child = subprocess.run([sys.executable, __file__, str(n_new)], stdout=subprocess.PIPE, check=True)
        seconds, busy, megabytes = map(float, child.stdout.split())
        print(table_line(f"{n_new:,}", f"{seconds:.1f}", f"{busy:.1f}", f"{megabytes:.0f}"), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        measure(int(sys.argv[1]))
    else:
        main()
