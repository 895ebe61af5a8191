"""Claim: from `bg.sample(X, em)` to the DataTree takes at most 4 s in a new process, and 15 s the first time on a machine.

N = 1000, D = 2, K = 3, 4 chains of 1000 draws on two processors, relabelling and log-likelihood included. Each process fits EM
first, which is not in the total. The first time is with an empty NUMBA_CACHE_DIR; Python's own bytecode, which an
installation writes, is there in every process.
Run: uv run python benchmarks/a_posterior_takes_seconds.py
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine, processors, table_head, table_line

ROUNDS = 3
FIRST_LIMIT, LIMIT = 15.0, 4.0

IMPORTS = "import bayesgmm; bayesgmm.fit_em, bayesgmm.sample"

CHILD = """
import time
start = time.perf_counter()
import bayesgmm as bg
from clusters import clusters
X, _ = clusters(1000, 2, 3)
em = bg.fit_em(X, 3, seed=0)
fitted = time.perf_counter()
sample = bg.sample
imported = time.perf_counter()
tree = sample(X, em, draws=1000, chains=4, cores=2, seed=0, progress=False)
done = time.perf_counter()
sampling = tree["sample_stats"].attrs["sampling_time"]
print(fitted - start, imported - fitted, sampling, done - imported - sampling, done - fitted)
"""


def process(code: str, folder: Path, cache: Path) -> list[float]:
    """The figures that a new process prints, and the seconds that it lived."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "PYTHONPATH": str(Path(__file__).parent),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "NUMBA_CACHE_DIR": str(cache),
    }
    start = time.perf_counter()
    child = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    whole = time.perf_counter() - start
    if child.returncode or child.stderr:
        raise SystemExit(f"the process returned {child.returncode} and wrote\n{child.stdout}{child.stderr}")
    return [*map(float, child.stdout.split()), whole]


def show(name: str, figures: list[float], limit: float) -> None:
    print(table_line(name, *(f"{figure:.2f}" for figure in figures), f"{limit:.0f}"), flush=True)


def main() -> None:
    print(describe_machine("bayesgmm", "nutpie", "numba"), end="\n\n")
    parts = (
        "imports of the fit, and EM (s)",
        "imports of `sample`",
        "sampling",
        "rest of `sample`",
        "from `bg.sample` to the tree",
    )
    print(table_head("cache", *parts, "whole process", "limit for `bg.sample`"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process(IMPORTS, folder, folder / "another_cache")  # writes the bytecode
        show("empty", process(CHILD, folder, folder / "cache"), FIRST_LIMIT)
        rounds = [process(CHILD, folder, folder / "cache") for _ in range(ROUNDS)]
        show(f"warm, median of {ROUNDS}", [statistics.median(column) for column in zip(*rounds, strict=True)], LIMIT)


if __name__ == "__main__":
    with processors(2):
        main()
