"""Claim: `select` is at least as good as mclust's default grid in nearly every cell, and about as fast from one start.

Every cell (family, number of components) where both have a fit is compared by BIC, with 0.05 allowed for mclust's tolerance; the
data sets come with R and mclust. Seconds are taken side by side in this run, each in its own way: mclust in one thread.
Needs Rscript with mclust; says so and stops where there is none.

Run: uv run python benchmarks/selection_is_no_worse_than_mclust.py
"""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from machine import describe_machine

from bayesgmm import Selection, select

SCRIPT = Path(__file__).parent / "mclust_grid.R"
DATA = ("faithful", "iris", "banknote", "thyroid", "diabetes")
ALLOWED = 0.05
N_INIT = 12


def in_r(*arguments: str) -> str:
    return subprocess.run(["Rscript", str(SCRIPT), *arguments], check=True, capture_output=True, text=True).stdout


def timed(X: pd.DataFrame, **options: object) -> tuple[float, Selection]:
    start = time.perf_counter()
    selection = select(X, seed=1, progress=False, **options)
    return time.perf_counter() - start, selection


def worse_cells(selection: Selection, theirs: pd.DataFrame) -> list[str]:
    """Cells where our BIC is above the negative of mclust's by more than ALLOWED."""
    cells = []
    for name in theirs.columns:
        for size, value in theirs[name].dropna().items():
            fit = selection.fits.get((name, int(size)))
            if fit is not None and fit.bic > -value + ALLOWED:
                cells.append(f"{name},{size} by {fit.bic + value:.2f}")
    return cells


def main() -> None:
    if shutil.which("Rscript") is None:
        print("skipped: there is no Rscript here (and mclust with it)")
        return
    print(describe_machine("bayesgmm", "numba", "numpy"), "| mclust", in_version())
    print(
        f"{'data':>10} {'mclust (s)':>11} {'one start (s)':>14} {'default (s)':>12} {'better':>7} worse cells, best of {N_INIT}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in DATA:
            data, grid = Path(folder) / f"{name}.csv", Path(folder) / f"{name}.bic.csv"
            in_r("data", name, str(data))
            X = pd.read_csv(data)
            seconds = float(in_r(str(data), str(grid)))
            theirs = pd.read_csv(grid, index_col=0)
            timed(X, n_components=[1, 2, 3], init="hierarchical_spheres", n_init=1)
            single, _ = timed(X, init="hierarchical_spheres" if X.shape[1] > 1 else "quantiles", n_init=1)
            default, _ = timed(X)
            _, thorough = timed(X, n_init=N_INIT, n_long=N_INIT)
            better = np.sum(
                [
                    thorough.fits[family, int(size)].bic < -value - ALLOWED
                    for family in theirs.columns
                    for size, value in theirs[family].dropna().items()
                    if (family, int(size)) in thorough.fits
                ]
            )
            worse = worse_cells(thorough, theirs)
            print(
                f"{name:>10} {seconds:11.2f} {single:14.2f} {default:12.2f} {better:7d} {'; '.join(worse) or 'none'}", flush=True
            )


def in_version() -> str:
    return subprocess.run(
        ["Rscript", "-e", "cat(as.character(packageVersion('mclust')))"], check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    main()
