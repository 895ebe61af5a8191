"""numba's disk cache for this package, fresh after any change of its compiled sources.

numba keeps a compiled function until the file it stands in changes; the functions that it calls, compiled into it, may stand in
other files. Here every function of the package is stamped with all sources that hold compiled code. Imported for its effect by
the package's first module with such code. Where none of numba's cache folders can be written, which numba refuses to compile
with, a folder of this process only takes their place.
"""

import hashlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from numba.core.caching import CacheImpl, InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator

PACKAGE = Path(__file__).parents[1]
COMPILED_SOURCES = (
    *sorted((PACKAGE / "kernels").glob("*.py")),
    *sorted((PACKAGE / "families").glob("*.py")),
)
FINGERPRINT = hashlib.sha256(b"".join(source.read_bytes() for source in COMPILED_SOURCES)).hexdigest()


def _fingerprinted(locator: type) -> type:
    """The locator for this package's files only, with the fingerprint of all of them for a stamp."""

    class Fingerprinted(locator):
        @classmethod
        def from_function(cls, py_func, py_file):
            return super().from_function(py_func, py_file) if Path(py_file).is_relative_to(PACKAGE) else None

        def get_source_stamp(self):
            return FINGERPRINT

    return Fingerprinted


@cache
def _temporary_folder() -> TemporaryDirectory[str]:
    """Made at the first call, removed when the process ends."""
    return TemporaryDirectory(prefix="bayesgmm-numba-")


def is_temporary(folder: Path) -> bool:
    """Whether the folder goes with this process."""
    return _temporary_folder.cache_info().currsize > 0 and folder.is_relative_to(_temporary_folder().name)


class _TemporaryCacheLocator(UserWideCacheLocator):
    def get_cache_path(self):
        return str(Path(_temporary_folder().name, Path(self._cache_path).name))


LOCATORS = (UserProvidedCacheLocator, InTreeCacheLocator, UserWideCacheLocator, _TemporaryCacheLocator)
CacheImpl._locator_classes[:0] = [_fingerprinted(locator) for locator in LOCATORS]

ENTRY = {"cache": True, "error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
"""Options of functions that Python calls."""

INTERNAL = {"cache": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of functions that only compiled code calls: without the doors for Python they compile faster."""
