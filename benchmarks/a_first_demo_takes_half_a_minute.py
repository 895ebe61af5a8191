"""Claim: `bayesgmm demo` takes at most 35 s where nothing is compiled yet, and 8 s after that, each in a new process.

Empty are all caches that the first run on a machine finds empty: numba's, PyTensor's, Matplotlib's, and Python's own bytecode,
that of the libraries included. With `--package FOLDER`, another checkout's folder, both packages take turns in one run, under the
same interpreter.
Run: uv run python benchmarks/a_first_demo_takes_half_a_minute.py [--package FOLDER]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine, table_head, table_line

import bayesgmm

ROUNDS = 2
WARM_ROUNDS = 3
FIRST_LIMIT, LIMIT = 35, 8


def demo(package: Path, folder: Path) -> float:
    """Seconds of a demo in a new process, with the caches of the folder."""
    caches = {
        "PYTHONPATH": str(package),
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor",
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
    }
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "bayesgmm", "demo", "--out", str(folder)]
    start = time.perf_counter()
    subprocess.run(command, env={**environment, **caches}, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", type=Path, help="another checkout, measured side by side")
    other = parser.parse_args().package
    packages = {"this": Path(bayesgmm.__file__).parents[1], **({} if other is None else {"other": other.resolve()})}
    print(describe_machine("bayesgmm", "pymc", "nutpie", "numba"), end="\n\n")
    print(table_head("round", "package", f"empty caches (s), limit {FIRST_LIMIT}", f"warm (s), limit {LIMIT}", "functions kept"))
    for i in range(ROUNDS):
        for name, package in packages.items():
            with tempfile.TemporaryDirectory() as folder:
                first = demo(package, Path(folder))
                warm = statistics.median(demo(package, Path(folder)) for _ in range(WARM_ROUNDS))
                kept = len(list(Path(folder, "numba").rglob("*.nbc")))
            print(table_line(i, name, f"{first:.1f}", f"{warm:.1f}", kept), flush=True)


if __name__ == "__main__":
    main()
