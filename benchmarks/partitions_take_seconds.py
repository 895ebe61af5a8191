"""Claim: from 2000 draws for 2000 rows to the partition of least expected variation of information in under 30 s on two cores.

Exact over the draws, from the tree on: allocations drawn, similarity matrix for one of the starts, 16 searches, the best
polished.
The draws are independent ones around six components that overlap, as spread as those of a posterior given the memberships.
Run: uv run python benchmarks/partitions_take_seconds.py
"""

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from machine import describe_machine, table_head, table_line

from bayesgmm.posterior.partition import partition
from bayesgmm.posterior.schema import posterior_dataset
from bayesgmm.posterior.similarity import similarity

N_CHAINS, LIMIT = 4, 30.0


def made_tree(n_samples: int, n_draws: int, n_components: int, separation: float) -> xr.DataTree:
    """Unit spheres in two dimensions; their means are normal with standard deviation `separation`."""
    rng = np.random.default_rng(0)
    means = rng.normal(scale=separation, size=(n_components, 2))
    X = means[rng.integers(n_components, size=n_samples)] + rng.normal(size=(n_samples, 2))
    shape, per_component = (N_CHAINS, n_draws // N_CHAINS), n_samples / n_components
    weights = rng.dirichlet(np.full(n_components, per_component), size=shape)
    drawn = means + rng.normal(size=(*shape, n_components, 2)) / np.sqrt(per_component)
    scale_trils = np.eye(2) * np.exp(rng.normal(size=(*shape, n_components, 1, 1)) / np.sqrt(2 * per_component))
    posterior = posterior_dataset(weights, drawn, scale_trils, ["a", "b"])
    return xr.DataTree.from_dict({"posterior": posterior, "observed_data": xr.Dataset({"X": (("obs", "feature"), X)})})


def timed(function: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function(*arguments, **options)
    return time.perf_counter() - start, result


def compare(n_samples: int, n_draws: int, n_components: int, separation: float) -> None:
    tree = made_tree(n_samples, n_draws, n_components, separation)
    matrix, _ = timed(similarity, tree)
    vi, by_information = timed(partition, tree, progress=False)
    binder, by_pairs = timed(partition, tree, loss="binder", progress=False)
    print(
        table_line(
            f"{n_samples}, {n_draws}, {n_components}",
            separation,
            f"{matrix:.1f}",
            f"{vi:.1f}",
            LIMIT if (n_samples, n_draws) == (2000, 2000) else "",
            f"{by_information.expected_loss:.3f} bits, {by_information.n_clusters}",
            f"{binder:.1f}",
            f"{by_pairs.expected_loss:.4f}, {by_pairs.n_clusters}",
        ),
        flush=True,
    )


def main() -> None:
    print(describe_machine("bayesgmm", "numba", "numpy"))
    small = made_tree(20, 20, 2, 2.0)
    first, _ = timed(lambda: [partition(small, loss=loss, progress=False) for loss in ("vi", "binder")])
    print(f"first calls in this process, compiling or reading the cache: {first:.1f} s; {len(os.sched_getaffinity(0))} threads\n")
    print(table_head("N, S, K", "separation", "similarity (s)", "VI (s)", "limit (s)", "found", "Binder (s)", "found"))
    for case in ((2000, 2000, 6, 4.0), (2000, 2000, 6, 2.0), (2000, 2000, 8, 2.0), (500, 4000, 4, 2.0)):
        compare(*case)


if __name__ == "__main__":
    main()
