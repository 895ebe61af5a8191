"""The disk cache is fresh after a change in any file with compiled code, not only in a function's own."""

import tempfile
from pathlib import Path

import pytest
from numba.core.caching import FunctionCache

from bayesgmm.kernels.cache import COMPILED_SOURCES, FINGERPRINT, PACKAGE, _temporary_folder
from bayesgmm.kernels.log_posterior import fill_mixture
from bayesgmm.kernels.moments import add_moments
from bayesgmm.kernels.score import score_of_trils


@pytest.mark.parametrize("function", [add_moments, score_of_trils, fill_mixture], ids=lambda function: function.__name__)
def test_every_compiled_function_is_stamped_with_all_sources(function):
    locator = function._cache._impl.locator
    assert locator.get_source_stamp() == FINGERPRINT


def test_every_source_with_compiled_code_is_in_the_stamp():
    compiled = {path for path in PACKAGE.rglob("*.py") if "@njit(" in path.read_text() or "cfunc(" in path.read_text()}
    assert compiled - {PACKAGE / "model" / "likelihood.py"} <= set(COMPILED_SOURCES)  # its own file, its callees stamped


def test_where_no_cache_folder_can_be_written_a_temporary_one_takes_its_place(monkeypatch):
    temporary = Path(_temporary_folder().name)
    may_write = tempfile.TemporaryFile

    def refuse_elsewhere(**options):
        if not Path(options["dir"]).is_relative_to(temporary):
            raise PermissionError(options["dir"])
        return may_write(**options)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse_elsewhere)
    locator = FunctionCache(add_moments.py_func)._impl.locator
    assert Path(locator.get_cache_path()).parent == temporary
    assert locator.get_source_stamp() == FINGERPRINT
