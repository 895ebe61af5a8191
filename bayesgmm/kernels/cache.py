"""numba's disk cache for this package, fresh after any change of its compiled sources.

numba keeps a compiled function until the file it stands in changes; the functions that it calls, compiled into it, may stand in
other files. Here every function of the package is stamped with all sources that hold compiled code. Imported for its effect by
the package's first module with such code; where the cache cannot be written, numba compiles in memory, as ever.
"""

import hashlib
from pathlib import Path

from numba.core.caching import CacheImpl, InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator

PACKAGE = Path(__file__).parents[1]
COMPILED_SOURCES = (
    *sorted((PACKAGE / "kernels").glob("*.py")),
    *sorted((PACKAGE / "families").glob("*.py")),
    PACKAGE / "model" / "density.py",
    PACKAGE / "model" / "native.py",
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


CacheImpl._locator_classes[:0] = [
    _fingerprinted(locator) for locator in (UserProvidedCacheLocator, InTreeCacheLocator, UserWideCacheLocator)
]

INTERNAL = {"cache": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of functions that only compiled code calls: without the doors for Python they compile faster."""
