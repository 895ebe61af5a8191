"""Claim: what users call is no slower than in another checkout, such as that of the commit before.

The two packages take turns, each case in new processes with warm caches of their own; a process takes the best of a few calls.
The ratio, seconds before to seconds of this checkout, is the median over the rounds.
Run: git worktree add FOLDER COMMIT; uv run python benchmarks/nothing_is_slower_than_before.py FOLDER [PART OF A CASE'S NAME]
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from machine import describe_machine, table_head, table_line

import bayesgmm

ROUNDS = 5
NOISE = 1.1
"""A ratio nearer to 1 than this, up or down, is no difference on a shared machine."""


class Case(NamedTuple):
    """What is timed, after what was set up."""

    name: str
    setup: str
    timed: str
    repeats: int = 3


TREE = """
X, _ = clusters(1000, 2, 5)
em = bg.fit_em(X, 5, seed=0)
tree = bg.sample(X, em, draws=500, seed=0, progress=False)
"""
CASES = (
    *(
        Case(
            f"10 EM iterations, N, D, K = {size}",
            f"X, _ = clusters(*{size}); start = bg.fit_em(X, {size[2]}, init='kmeans', n_init=1, max_iter=1, seed=0).params",
            f"bg.fit_em(X, {size[2]}, init=start, max_iter=10, tol=0, accelerate=False)",
            5,
        )
        for size in ((1000, 2, 3), (100_000, 2, 3), (100_000, 8, 10), (50_000, 32, 10))
    ),
    Case("fit_em, Old Faithful, K = 2", "X = bg.load_faithful()", "bg.fit_em(X, 2, seed=0)", 10),
    Case("fit_em, (100000, 8, 10)", "X, _ = clusters(100_000, 8, 10)", "bg.fit_em(X, 10, n_init=3, tol=0.01, seed=0)", 1),
    Case(
        "hierarchical start, 2000 rows, D = 5",
        "X, _ = clusters(2000, 5, 5)",
        "bg.fit_em(X, 5, init='hierarchical', n_init=1, max_iter=1)",
    ),
    Case("select, Old Faithful", "X = bg.load_faithful()", "bg.select(X, seed=0)", 1),
    Case("select, iris", "X = bg.load_iris().drop(columns='species')", "bg.select(X, seed=0)", 1),
    Case(
        "1000 log-posteriors with gradient, (1000, 2, 3)",
        "from bayesgmm.model.specification import specify; X, _ = clusters(1000, 2, 3); em = bg.fit_em(X, 3, seed=0);"
        "target = specify(X, em, None, None, None).target; u = target.coordinates_of(em.params)",
        "for _ in range(1000): target.log_density(u)",
    ),
    Case(
        "200 log-posteriors with gradient, VVE, (1000, 5, 3)",
        "from bayesgmm.model.specification import specify; X, _ = clusters(1000, 5, 3);"
        "em = bg.fit_em(X, 3, covariance='VVE', seed=0);"
        "target = specify(X, em, None, None, None).target; u = target.coordinates_of(em.params)",
        "for _ in range(200): target.log_density(u)",
    ),
    Case(
        "sample, (1000, 2, 3)",
        "X, _ = clusters(1000, 2, 3); em = bg.fit_em(X, 3, seed=0)",
        "bg.sample(X, em, seed=0, progress=False)",
    ),
    Case("relabel, 4 x 500 draws, K = 5", TREE, "bg.relabel(tree)"),
    Case("relabel by Stephens' divergence", TREE, "bg.relabel(tree, method='stephens')"),
    Case("assignments", TREE, "bg.assignments(tree)"),
    Case("partition", TREE, "bg.partition(tree)", 1),
    Case("compare", TREE, "bg.compare(em, tree)", 1),
    Case("log_evidence, iris, K = 3, with sample", "X = bg.load_iris().drop(columns='species'); em = bg.fit_em(X, 3, seed=0)",
         "bg.log_evidence(bg.sample(X, em, seed=0, progress=False), seed=0)", 1),
)  # fmt: skip

CHILD = """
import time
import warnings
warnings.simplefilter("ignore")
from clusters import clusters
import bayesgmm as bg
{setup}
def call():
    {timed}
call()
times = []
for _ in range({repeats}):
    start = time.perf_counter()
    call()
    times.append(time.perf_counter() - start)
print(min(times))
"""


def seconds(case: Case, package: Path, caches: Path) -> float:
    """The least time of a call in a new process."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    own = {"PYTHONPATH": os.pathsep.join([str(package), str(Path(__file__).parent)]), "NUMBA_CACHE_DIR": str(caches)}
    code = CHILD.format(**case._asdict())
    child = subprocess.run([sys.executable, "-c", code], env={**environment, **own}, cwd=caches, capture_output=True, text=True)
    if child.returncode:
        raise SystemExit(f"{case.name} in {package}:\n{child.stderr}")
    return float(child.stdout)


def main() -> None:
    here, before = Path(bayesgmm.__file__).parents[1], Path(sys.argv[1]).resolve()
    print(describe_machine("bayesgmm", "numba"), end="\n\n")
    print(table_head("case", "this (s)", "before (s)", "before / this", "slower"))
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        for case in CASES:
            if len(sys.argv) > 2 and sys.argv[2] not in case.name:
                continue
            pairs = [(seconds(case, here, Path(ours)), seconds(case, before, Path(theirs))) for _ in range(ROUNDS)]
            ratio = statistics.median(other / own for own, other in pairs)
            own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(
                table_line(case.name, f"{own:.4g}", f"{other:.4g}", f"{ratio:.2f}", "yes" if ratio < 1 / NOISE else ""),
                flush=True,
            )


if __name__ == "__main__":
    main()
