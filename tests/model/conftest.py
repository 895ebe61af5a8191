"""No C compiler behind PyTensor's Python linker."""

import pytensor
import pytest


@pytest.fixture(scope="package", autouse=True)
def python_linker():
    """FAST_COMPILE is Python but for graphs inside of ops, which would wait for a C compiler."""
    with pytensor.config.change_flags(cxx=""):
        yield
