"""The machine that a benchmark ran on, for its first line, and how many of its processors both sides may use."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from threadpoolctl import threadpool_limits


def describe_machine(*packages: str) -> str:
    """Processor, number of cores, Python and package versions, in one line."""
    information = Path("/proc/cpuinfo")
    models = information.read_text().splitlines() if information.exists() else []
    processor = next((line.split(":")[1].strip() for line in models if line.startswith("model name")), platform.processor())
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


@contextmanager
def processors(n: int) -> Iterator[None]:
    """Bind this thread, and those that it starts, to the first n of its processors, and BLAS and OpenMP to n threads (Linux)."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:n])
    try:
        with threadpool_limits(n):
            yield
    finally:
        os.sched_setaffinity(0, allowed)


def table_head(*columns: str) -> str:
    """The first two lines of a Markdown table."""
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def table_line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"
