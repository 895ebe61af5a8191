"""How long the default tests take in new processes, with empty caches and then with warm ones, and the 20 slowest of each run.

    uv run python -m tests.durations [pytest's arguments]

Empty are the caches of numba, PyTensor, Matplotlib and Python's bytecode, that of the libraries included.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
N_SLOWEST = 20


def seconds_of_tests(report: Path) -> dict[str, float]:
    """Seconds of each test, set-up and tear-down included, from pytest's XML report."""
    cases = ET.parse(report).iter("testcase")
    return {f"{case.get('classname')}::{case.get('name')}": float(case.get("time", 0.0)) for case in cases}


def run(folder: Path, arguments: list[str]) -> tuple[float, str, dict[str, float]]:
    """Wall time, pytest's last line and what failed, and the seconds of each test."""
    caches = {
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor",
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
    }
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env={**environment, **caches}, capture_output=True, text=True)
    wall = time.perf_counter() - start
    if not report.exists():
        raise SystemExit(done.stdout + done.stderr)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return wall, "\n".join([done.stdout.strip().splitlines()[-1], *failed]), seconds_of_tests(report)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        for caches in ("empty caches", "warm caches"):
            wall, outcome, seconds = run(Path(name), sys.argv[1:])
            by_file: dict[str, float] = {}
            for test, time_of_test in seconds.items():
                by_file[test.split("::")[0]] = by_file.get(test.split("::")[0], 0.0) + time_of_test
            print(f"{caches}: {wall:.0f} s; {outcome}\n")
            for kind, found in (("test", seconds), ("file", by_file)):
                print(f"| slowest {kind}s, {caches} | s |\n|---|---|")
                for test in sorted(found, key=found.__getitem__, reverse=True)[:N_SLOWEST]:
                    print(f"| {test} | {found[test]:.1f} |")
                print(flush=True)


if __name__ == "__main__":
    main()
