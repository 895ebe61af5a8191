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
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
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


class Collected:
    """A pytest plugin that remembers which tests there are."""

    def __init__(self) -> None:
        self.tests: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.tests = [item.nodeid for item in session.items]


def claim_of(file: str) -> str:
    """What the tests of a file prove: the first line of its docstring."""
    return (ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8"))) or "").splitlines()[0]


def print_table() -> None:
    """A line for each test function: what it proves, its cases, and the last run of those that have passed or failed."""
    collected = Collected()
    with redirect_stdout(io.StringIO()):
        pytest.main(["-m", MARKERS, "-n", "0", "-q", "--collect-only"], plugins=[collected])
    latest = {row["test"]: row for row in results()}
    by_function: dict[str, list[str]] = {}
    for test in collected.tests:
        by_function.setdefault(test.split("[")[0], []).append(test)
    print("| check | what its file proves | cases | passed | seconds | last run | commit |")
    print("|---|---|---|---|---|---|---|")
    for function, tests in by_function.items():
        rows = [latest[test] for test in tests if test in latest]
        passed = sum(row["result"] == "passed" for row in rows)
        dates, commits = (", ".join(sorted({row[key] for row in rows})) for key in ("date", "commit"))
        file, name = function.split("::")
        seconds = sum(row["seconds"] for row in rows)
        print(f"| `{name}` | {claim_of(file)} | {len(tests)} | {passed} | {seconds:.0f} | {dates} | {commits} |")
    rows = [latest[test] for test in collected.tests if test in latest]
    print(f"\n{len(collected.tests)} checks; {len(rows)} run, in {sum(row['seconds'] for row in rows) / 60:.0f} minutes.")


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
