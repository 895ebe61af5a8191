"""Every long check, those that CI leaves out among them, and the table of when each was last run.

    uv run python -m tests.exhaustive            # what has not passed since the package last changed; Ctrl-C, and go on later
    uv run python -m tests.exhaustive --again    # everything
    uv run python -m tests.exhaustive --table    # docs/validation.md's table, from the results so far

A result is kept as soon as its test ends, in docs/figures/validation-exhaustive.jsonl. pytest's own arguments may follow, such as
-k sparse.
"""

import argparse
import ast
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "figures" / "validation-exhaustive.jsonl"
MARKERS = "statistical or exhaustive"


def package_digest() -> str:
    """A hash of the package's sources, for which a result holds."""
    sources = sorted((ROOT / "bayesgmm").rglob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


def commit() -> str:
    """The commit that is checked out; with "+" where the package or the tests differ from it."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def results() -> list[dict]:
    """All results so far, oldest first."""
    return list(map(json.loads, RESULTS.read_text(encoding="utf-8").splitlines())) if RESULTS.exists() else []


class Recorder:
    """A pytest plugin that leaves out what has passed, and writes each result down when its test ends."""

    def __init__(self, passed: set[str]) -> None:
        self.passed = passed
        self.known = {"package": package_digest(), "commit": commit()}
        self.seconds = 0.0

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        done = [item for item in items if item.nodeid in self.passed]
        items[:] = [item for item in items if item.nodeid not in self.passed]
        config.hook.pytest_deselected(items=done)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Set-up counts: fixtures that several tests share are the first one's."""
        self.seconds = report.duration + (0.0 if report.when == "setup" else self.seconds)
        if report.when == "call" or report.failed:
            row = {
                "test": report.nodeid,
                "result": report.outcome,
                "seconds": round(self.seconds, 1),
                "date": time.strftime("%Y-%m-%d"),
                **self.known,
            }
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def claims() -> dict[str, str]:
    """What each test function proves, by file and name: the first line of its docstring, or else its name in words."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                words = node.name.removeprefix("test_").replace("_", " ")
                found[f"{path.relative_to(ROOT)}::{node.name}"] = (ast.get_docstring(node) or words).splitlines()[0]
    return found


def print_table() -> None:
    """A line for each test function: its cases, what it proves, and the last run of each case taken together."""
    latest = {row["test"]: row for row in results()}
    by_function: dict[str, list[dict]] = {}
    for test, row in latest.items():
        by_function.setdefault(test.split("[")[0], []).append(row)
    known = claims()
    print("| check | proves | cases | seconds | passed | last run | commit |")
    print("|---|---|---|---|---|---|---|")
    for function, rows in sorted(by_function.items()):
        if function not in known:
            continue
        name = function.removeprefix("tests/").removeprefix("statistical/")
        passed = sum(row["result"] == "passed" for row in rows)
        dates, commits = ({row[key] for row in rows} for key in ("date", "commit"))
        print(
            f"| `{name}` | {known[function]} | {len(rows)} | {sum(row['seconds'] for row in rows):.0f} | {passed} of {len(rows)} "
            f"| {', '.join(sorted(dates))} | {', '.join(sorted(commits))} |"
        )
    print(f"\n{len(latest)} checks, {sum(row['seconds'] for row in latest.values()) / 60:.0f} minutes.")


def main(arguments: list[str]) -> int:
    """pytest's exit status; 0 where nothing is left to run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="run what has passed already, too")
    parser.add_argument("--table", action="store_true", help="print the table and run nothing")
    options, others = parser.parse_known_args(arguments)
    if options.table:
        print_table()
        return 0
    digest = package_digest()
    passed = {row["test"] for row in results() if row["result"] == "passed" and row["package"] == digest}
    os.environ.setdefault("BAYESGMM_SBC_FOLDER", str(Path(tempfile.gettempdir(), "bayesgmm-sbc")))
    recorder = Recorder(set() if options.again else passed)
    status = pytest.main(["-m", MARKERS, "-n", "0", "--durations=20", *others], plugins=[recorder])
    return 0 if status == pytest.ExitCode.NO_TESTS_COLLECTED else int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
