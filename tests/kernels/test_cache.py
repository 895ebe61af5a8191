"""The disk cache is fresh after a change in any file with compiled code, not only in a function's own."""

import pytest

from bayesgmm.kernels.cache import COMPILED_SOURCES, FINGERPRINT, PACKAGE
from bayesgmm.kernels.moments import add_moments
from bayesgmm.kernels.score import score
from bayesgmm.model.density import log_posterior


@pytest.mark.parametrize("function", [add_moments, score, log_posterior], ids=lambda function: function.__name__)
def test_every_compiled_function_is_stamped_with_all_sources(function):
    locator = function._cache._impl.locator
    assert locator.get_source_stamp() == FINGERPRINT


def test_every_source_with_compiled_code_is_in_the_stamp():
    compiled = {path for path in PACKAGE.rglob("*.py") if "cache=True" in path.read_text() and "numba" in path.read_text()}
    assert compiled - {PACKAGE / "model" / "likelihood.py"} <= set(COMPILED_SOURCES)  # its own file, its callees stamped
