"""What is imported when: whoever does not use a library does not wait for it."""

import subprocess
import sys

import pytest

HEAVY = ("arviz", "arviz_base", "matplotlib", "nutpie", "pandas", "pymc", "scipy.optimize", "scipy.stats", "sklearn", "xarray")

COMMAND = """
import sys
from bayesgmm.cli import main

expected, *arguments = sys.argv[1:]
try:
    status = main(arguments)
except SystemExit as end:
    status = end.code
assert status == int(expected), status
"""


def imported(code: str, *arguments: str) -> set[str]:
    """The modules that a new process has imported once it has run the code."""
    code = f"{code}\nimport sys\nprint(*sys.modules)"
    child = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(child.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("--help", 0),
        ("fit --help", 0),
        ("--version", 0),
        ("fit", 2),
        ("fit not_there.csv -k 2", 2),
        ("select not_there.csv", 2),
        ("report not_there.nc", 2),
    ],
)
def test_a_command_that_computes_nothing_imports_nothing_for_it(command: str, status: int) -> None:
    modules = imported(COMMAND, str(status), *command.split())
    assert "bayesgmm.cli" in modules
    assert modules.isdisjoint({"numpy", "numba", "rich", *HEAVY})


def test_the_package_imports_nothing_before_it_is_used() -> None:
    assert {module for module in imported("import bayesgmm") if module.startswith("bayesgmm")} == {"bayesgmm"}


def test_em_imports_no_library_that_it_may_not_need() -> None:
    modules = imported("import bayesgmm as bg; bg.fit_em")
    assert "bayesgmm.em.fit" in modules
    assert modules.isdisjoint(HEAVY)


def test_an_array_is_read_without_the_libraries_of_other_tables() -> None:
    modules = imported(
        "import numpy as np\nfrom bayesgmm.data import validate\nvalidate(np.eye(3))\nvalidate([[True, 2.5], [2, 3]])"
    )
    assert modules.isdisjoint({"scipy.sparse", *HEAVY})
