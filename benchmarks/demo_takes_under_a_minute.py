"""Claim: `bayesgmm demo` takes under 60 s with empty compilation caches and under 30 s with warm ones, each in a new process.

Run: uv run python benchmarks/demo_takes_under_a_minute.py
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine


def main() -> None:
    print(describe_machine("bayesgmm", "pymc", "nutpie", "numba"))
    with tempfile.TemporaryDirectory() as folder:
        caches = {
            "NUMBA_CACHE_DIR": str(Path(folder, "numba")),
            "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor",
            "MPLCONFIGDIR": str(Path(folder, "matplotlib")),
            "PYTHONPYCACHEPREFIX": str(Path(folder, "bytecode")),
        }
        for name, limit in (("empty caches", 60), ("warm caches", 30), ("warm caches", 30)):
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "bayesgmm", "demo", "--out", folder],
                env={**os.environ, **caches},
                stdout=subprocess.DEVNULL,
                check=True,
            )
            print(f"{name}: {time.perf_counter() - start:.1f} s (limit {limit} s)", flush=True)


if __name__ == "__main__":
    main()
