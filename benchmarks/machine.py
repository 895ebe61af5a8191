"""The machine that a benchmark ran on, for its first line."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def describe_machine(*packages: str) -> str:
    """Processor, number of cores, Python and package versions, in one line."""
    information = Path("/proc/cpuinfo")
    models = information.read_text().splitlines() if information.exists() else []
    processor = next((line.split(":")[1].strip() for line in models if line.startswith("model name")), platform.processor())
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
