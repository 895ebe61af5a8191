"""Claim: a second process compiles nothing, and one that can write no cache works all the same, without a word.

Each process imports fit_em and fits two components to faithful; it works on a copy of the package in a temporary folder, where
`__pycache__` can be made impossible for any user, root too: a file has its place. Python's own bytecode is kept between
processes.
Run: uv run python benchmarks/a_new_process_compiles_nothing.py
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine, table_head, table_line

import bayesgmm

ROUNDS = 3

CHILD = """
import time
start = time.perf_counter()
from bayesgmm import fit_em, load_faithful
X = load_faithful()
imported = time.perf_counter()
fit_em(X, 2, seed=0)
fitted = time.perf_counter()
fit_em(X, 2, seed=0)
again = time.perf_counter()

import gc
from numba.core.registry import CPUDispatcher
functions = [item for item in gc.get_objects() if isinstance(item, CPUDispatcher) and item.__module__.startswith("bayesgmm")]
compiled = sum(sum(function.stats.cache_misses.values()) for function in functions)
print(imported - start, fitted - imported, again - fitted, compiled)
"""


def copied_package(folder: Path, *, writable: bool) -> Path:
    """A folder to import a copy of the package from; unless it is writable, nothing can be put beside its sources."""
    package = folder / "bayesgmm"
    shutil.copytree(Path(bayesgmm.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    if not writable:
        for room in [package, *(path for path in package.rglob("*") if path.is_dir())]:
            (room / "__pycache__").touch()
    return folder


def process(code: str, package: Path, cache: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """A new Python in a folder where the package lies."""
    left_out = ("PYTHONDONTWRITEBYTECODE", "XDG_CACHE_HOME")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in left_out},
        "PYTHONPATH": str(package),
        "PYTHONPYCACHEPREFIX": str(package.parent / "bytecode"),
        "NUMBA_CACHE_DIR": str(cache),
        "HOME": str(home),
    }
    return subprocess.run([sys.executable, "-c", code], env=environment, cwd=package, capture_output=True, text=True)


def run(name: str, package: Path, cache: Path, home: Path) -> None:
    """Print a line on a new process; stop if it fails or says anything beside its figures."""
    start = time.perf_counter()
    child = process(CHILD, package, cache, home)
    whole = time.perf_counter() - start
    if child.returncode or child.stderr or len(child.stdout.split()) != 4:
        raise SystemExit(f"{name}: the process returned {child.returncode} and wrote\n{child.stdout}{child.stderr}")
    imported, first, second, compiled = map(float, child.stdout.split())
    print(table_line(name, f"{imported:.2f}", f"{first:.2f}", f"{second:.3f}", f"{whole:.2f}", int(compiled)), flush=True)


def main() -> None:
    print(describe_machine("bayesgmm", "numba"), end="\n\n")
    print(table_head("cache", "import (s)", "first fit (s)", "second fit (s)", "whole process (s)", "functions compiled"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package, read_only = (copied_package(folder / place, writable=place == "package") for place in ("package", "read_only"))
        no_folder = folder / "file"
        no_folder.touch()
        process(CHILD, package, folder / "another_cache", folder)  # writes the bytecode
        run("empty", package, folder / "cache", folder)
        for _ in range(ROUNDS):
            run("warm", package, folder / "cache", folder)
        run("NUMBA_CACHE_DIR cannot be written, empty __pycache__", package, no_folder / "cache", folder)
        run("NUMBA_CACHE_DIR cannot be written, warm __pycache__", package, no_folder / "cache", folder)
        run("no folder can be written", read_only, no_folder / "cache", no_folder / "home")


if __name__ == "__main__":
    main()
