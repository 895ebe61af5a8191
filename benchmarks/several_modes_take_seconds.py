"""Claim: posteriors of several modes take seconds on two cores.

The atlas of iris, K = 3, under 1 s, of crabs, K = 4, under 3 s; the whole for iris, K = 3 (EM, atlas, exploration, chains in
every region, evidence), under 15 s; p(K | X) of the galaxies for K = 1 to 7 under 60 s. Full covariances, default priors, 4
chains of 1000 draws. Compiled code is warm: everything is run once before.
Run: uv run python benchmarks/several_modes_take_seconds.py
"""

import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from machine import describe_machine, table_head, table_line

import bayesgmm as bg
from bayesgmm.errors import SamplingWarning
from bayesgmm.evidence.chart import make_atlas
from bayesgmm.model.specification import specify

CRABS = Path(__file__).parents[1] / "tests" / "reference" / "crabs.csv"
REPEATS = 3


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def atlas(X: np.ndarray, n_components: int) -> Callable[[], object]:
    """The work of one atlas, EM's own fit done before."""
    em = bg.fit_em(X, n_components, seed=0)
    return partial(lambda target: make_atlas(target, em, np.random.default_rng(0)), specify(X, em, None, None, None).target)


def whole(X: np.ndarray, n_components: int) -> None:
    """From the data to the posterior of all regions and its evidence."""
    bg.log_evidence(bg.sample(X, bg.fit_em(X, n_components, seed=0), seed=0), seed=0)


def main() -> None:
    warnings.simplefilter("ignore", SamplingWarning)
    iris, galaxies, crabs = (
        frame.select_dtypes("number").to_numpy() for frame in (bg.load_iris(), bg.load_galaxies(), pd.read_csv(CRABS))
    )
    work: dict[str, tuple[float, int, Callable[[], object]]] = {
        "atlas of iris, K = 3": (1.0, REPEATS, atlas(iris, 3)),
        "atlas of crabs, K = 4": (3.0, REPEATS, atlas(crabs, 4)),
        "the whole for iris, K = 3": (15.0, REPEATS, partial(whole, iris, 3)),
        "p(K | X) of galaxies, K = 1 to 7": (60.0, 1, partial(bg.n_components_posterior, galaxies, range(1, 8), seed=0)),
    }
    print(describe_machine("numpy", "nutpie"))
    print(table_head("what", "least (s)", "most (s)", "claim (s)"))
    for what, (claim, repeats, run) in work.items():
        run()
        taken = [seconds(run) for _ in range(repeats)]
        print(table_line(what, f"{min(taken):.2f}", f"{max(taken):.2f}", f"{claim:g}"), flush=True)


if __name__ == "__main__":
    main()
