"""Claim: the command line answers in half of a second where there is nothing to compute, and `bayesgmm.fit_em` is there in 1.5 s.

Each case is a new process with warm bytecode; the rounds take all cases in turn, after one that does not count. With --package
FOLDER the package in another checkout is measured beside, in the same rounds and by the same interpreter.
Run: uv run python benchmarks/imports_take_a_second.py [--package FOLDER]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from machine import describe_machine, table_head, table_line

import bayesgmm

ROUNDS = 7
HERE = Path(bayesgmm.__file__).parents[1]


class Case(NamedTuple):
    """What Python is to run, the exit status it must have, and the seconds it may take, where that is claimed."""

    name: str
    arguments: tuple[str, ...]
    status: int = 0
    limit: float | None = None


def name_case(name: str, limit: float | None = None) -> Case:
    code = f"import bayesgmm as bg; bg.{name}"
    return Case(f"`{code}`", ("-c", code), limit=limit)


CASES = (
    Case("`bayesgmm --help`", ("-m", "bayesgmm", "--help"), limit=0.5),
    Case("`bayesgmm --version`", ("-m", "bayesgmm", "--version"), limit=0.5),
    Case("`bayesgmm fit not_there.csv -k 2`", ("-m", "bayesgmm", "fit", "not_there.csv", "-k", "2"), status=2, limit=0.5),
    Case("`bayesgmm report not_there.nc`", ("-m", "bayesgmm", "report", "not_there.nc"), status=2, limit=0.5),
    name_case("fit_em", limit=1.5),
    name_case("sample"),
    name_case("write_report"),
)


def seconds(case: Case, package: Path, folder: str) -> float:
    """Wall time of the case in a new process with the package of one checkout, in a folder without files."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, *case.arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - start
    if process.returncode != case.status:
        raise SystemExit(f"{case.name} with the package in {package} returned {process.returncode}:\n{process.stderr}")
    return wall


def measured(packages: list[Path]) -> list[list[list[float]]]:
    """Seconds of each case in each round with each package."""
    with tempfile.TemporaryDirectory() as folder:
        rounds = [
            [[seconds(case, package, folder) for package in packages] for case in CASES]
            for _ in range(ROUNDS + 1)  # the first writes the bytecode
        ]
    return [[found[place] for found in rounds[1:]] for place in range(len(CASES))]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--package", type=Path, metavar="FOLDER", help="another checkout, to measure beside this one")
    other = parser.parse_args().package
    print(describe_machine("bayesgmm", "numba"), end="\n\n")
    packages = [HERE, *([] if other is None else [other.resolve()])]
    columns = ["case", "limit (s)", "median (s)", "least (s)"]
    print(table_head(*columns, *([] if other is None else ["there, median (s)", "there, least (s)", "ratio"])))
    for case, rounds in zip(CASES, measured(packages), strict=True):
        by_package = list(zip(*rounds, strict=True))
        figures = [f"{take(found):.2f}" for found in by_package for take in (median, min)]
        ratio = [] if other is None else [f"{median(there / here for here, there in rounds):.1f}"]
        print(table_line(case.name, "" if case.limit is None else case.limit, *figures, *ratio))


if __name__ == "__main__":
    main()
