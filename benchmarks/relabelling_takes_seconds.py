"""Claim: `relabel` takes at most 1 s by ECR and 5 s by Stephens' divergence: 4000 draws, 1000 rows, 5 components, two cores.

Components in two dimensions, apart or overlapping, those of every draw in random order; the reference is given. Best of the
rounds. Memory is what Python, NumPy and numba ask for at the peak, beyond draws and data; the memberships of all draws would take
160 MB.
Run: uv run python benchmarks/relabelling_takes_seconds.py
"""

import os
import time
import tracemalloc

import numpy as np
import xarray as xr
from machine import describe_machine, processors, table_head, table_line

from bayesgmm import relabel
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.schema import posterior_dataset

N_CHAINS, N_DRAWS, N_SAMPLES, N_COMPONENTS = 4, 1000, 1000, 5
ROUNDS = 3
LIMITS = {"ecr": 1.0, "ecr_iterative": None, "ecr_iterative_soft": None, "stephens": 5.0, "pra": None, "ordering": None}


def scrambled_tree(separation: float) -> tuple[xr.DataTree, MixtureParams]:
    """Draws about components on a circle, neighbours `separation` standard deviations apart, and the middle of the draws."""
    rng = np.random.default_rng(0)
    angles = 2 * np.pi * np.arange(N_COMPONENTS) / N_COMPONENTS
    means = separation / (2 * np.sin(np.pi / N_COMPONENTS)) * np.column_stack([np.cos(angles), np.sin(angles)])
    middle = MixtureParams(np.full(N_COMPONENTS, 1 / N_COMPONENTS), means, np.array([np.eye(2)] * N_COMPONENTS))
    X = means[rng.integers(N_COMPONENTS, size=N_SAMPLES)] + rng.normal(size=(N_SAMPLES, 2))
    shape = (N_CHAINS, N_DRAWS, N_COMPONENTS)
    weights = rng.dirichlet(np.full(N_COMPONENTS, 40.0), size=shape[:2])
    order = rng.permuted(np.broadcast_to(np.arange(N_COMPONENTS), shape).copy(), axis=2)
    drawn = means[order] + 0.2 * rng.normal(size=(*shape, 2))
    scale_trils = np.exp(0.1 * rng.normal(size=(*shape, 1, 1))) * np.eye(2)
    observed = xr.Dataset({"X": (("obs", "feature"), X)}, coords={"feature": ["a", "b"]})
    posterior = posterior_dataset(weights, drawn, scale_trils, ["a", "b"])
    return xr.DataTree.from_dict({"posterior": posterior, "observed_data": observed}), middle


def seconds(tree: xr.DataTree, method: str, reference: MixtureParams) -> tuple[float, xr.DataTree]:
    argument = {"by": "weights"} if method == "ordering" else {"reference": reference}
    start = time.perf_counter()
    relabelled = relabel(tree, method=method, **argument)
    return time.perf_counter() - start, relabelled


def measure(separation: float, method: str, limit: float | None) -> None:
    tree, reference = scrambled_tree(separation)
    rounds = [seconds(tree, method, reference) for _ in range(ROUNDS)]
    found = rounds[0][1]["relabelling"].attrs
    tracemalloc.start()
    seconds(tree, method, reference)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    took = min(time for time, _ in rounds)
    divergence = f"{found['kullback_leibler']:.1f}"
    print(
        table_line(separation, method, f"{took:.2f}", limit or "", found["n_iterations"], divergence, f"{peak:.0f}"), flush=True
    )


def main() -> None:
    print(describe_machine("bayesgmm", "numba", "numpy", "scipy"))
    print(f"S, N, K = {N_CHAINS * N_DRAWS, N_SAMPLES, N_COMPONENTS}, D = 2; best of {ROUNDS}; at most two cores\n")
    print(table_head("separation (sd)", "method", "seconds", "limit", "iterations", "divergence (nats)", "peak memory (MB)"))
    with processors(min(2, len(os.sched_getaffinity(0)))):
        for separation in (4.0, 2.0):
            for method, limit in LIMITS.items():
                measure(separation, method, limit)


if __name__ == "__main__":
    main()
