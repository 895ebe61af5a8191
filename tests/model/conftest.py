"""No C compiler behind PyTensor's Python linker."""

import pytensor
import pytest


@pytest.fixture(scope="package", autouse=True)
def python_linker():
    """The mode FAST_COMPILE is Python but for graphs inside of ops, which wait for a C compiler; this mode's whole point is not to."""
    with pytensor.config.change_flags(cxx=""):
        yield
