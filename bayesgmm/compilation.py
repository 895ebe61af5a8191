"""Compilation at the first use on a machine, side by side in two processes.

numba compiles one function after the other, in whatever threads. Where nothing is on disk yet, a second Python process compiles
one half of what an analysis needs while this one compiles the other half; both keep it in numba's cache, from where later
processes read it. What is not listed here is compiled when it is called, as numba does.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from pkgutil import resolve_name

import llvmlite.binding
import numba
import numpy as np

from bayesgmm.kernels.agglomerate import agglomerate
from bayesgmm.kernels.anderson import extrapolate, from_coordinates, to_coordinates
from bayesgmm.kernels.cache import FINGERPRINT, PACKAGE, is_temporary
from bayesgmm.kernels.density import compute_log_density, fill_densities
from bayesgmm.kernels.estimates import centre, factorise, weights_of
from bayesgmm.kernels.moments import compute_moments
from bayesgmm.kernels.orders import log_sum_over_orders
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.tally import add_draw, add_matches
from bayesgmm.progress import progress_bars

Part = Callable[[], object]
"""A module's function that calls compiled functions as an analysis does, on a problem of no size."""
Parts = tuple[Part, ...]

TIMEOUT = 300.0
"""Seconds that the other process may take, ten times what it takes; then its part is compiled here."""


@cache
def compile_side_by_side(here: Parts, beside: Parts, progress: bool | None) -> None:
    """Compile what was not compiled before: the parts of `here` in this process, those of `beside` in another."""
    if numba.config.DISABLE_JIT or is_temporary(_cache_folder()):
        return
    here, beside = (tuple(part for part in parts if not _is_compiled(part)) for parts in (here, beside))
    if not (here or beside):
        return
    with progress_bars(progress) as bars:
        task = bars.add_task("Compiling, once on this machine", total=len(here) + len(beside), note="")
        other = _process(beside) if here and beside else None
        try:
            for part in here if other else (*here, *beside):
                part()
                _put_stamps(part)
                bars.update(task, advance=1)
            if other is not None and _ends_well(other):
                _put_stamps(*beside)
        finally:
            if other is not None:
                other.kill()
                other.wait()


def _process(parts: Parts) -> subprocess.Popen[bytes] | None:
    """A Python process that compiles the parts; None where none can be started."""
    names = [f"{part.__module__}:{part.__qualname__}" for part in parts]
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, *names],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _ends_well(process: subprocess.Popen[bytes]) -> bool:
    try:
        return process.wait(TIMEOUT) == 0
    except subprocess.TimeoutExpired:
        return False


def _put_stamps(*parts: Part) -> None:
    with suppress(OSError):  # they only save time
        for part in parts:
            _stamp(part).touch()


def _is_compiled(part: Part) -> bool:
    return _stamp(part).exists()


def _stamp(part: Part) -> Path:
    """A file that says that the part was compiled from these sources by this numba for this processor."""
    version = f"{FINGERPRINT} {numba.__version__} {llvmlite.binding.get_host_cpu_name()}"
    return _cache_folder() / f"{part.__name__}-{hashlib.sha256(version.encode()).hexdigest()[:16]}.compiled"


def _cache_folder() -> Path:
    """Where numba keeps what it compiles of bayesgmm/kernels."""
    return Path(fill_densities.stats.cache_path)


X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
WEIGHTS, MEANS, SCALE_TRILS = np.ones(1), np.zeros((1, 2)), np.eye(2)[None]


def compile_moments() -> None:
    """The E-step."""
    compute_moments(rows_of(X), WEIGHTS, MEANS, SCALE_TRILS)


def compile_densities() -> None:
    """Log-densities and responsibilities."""
    compute_log_density(X, WEIGHTS, MEANS, SCALE_TRILS)


def compile_estimates() -> None:
    """What surrounds the M-step of every family."""
    centre(WEIGHTS.copy(), MEANS.copy(), SCALE_TRILS.copy(), MEANS.copy())
    weights_of(WEIGHTS.copy(), 0.0)
    factorise(SCALE_TRILS.copy(), 0.0)


def compile_acceleration() -> None:
    """Anderson's acceleration."""
    coordinates = to_coordinates(WEIGHTS.copy(), MEANS.copy(), SCALE_TRILS.copy())
    from_coordinates(coordinates, 1.0, 1, 2)
    points = np.array([coordinates, coordinates])
    extrapolate(points, points + 1.0)


def compile_clustering() -> None:
    """Hierarchical starts."""
    agglomerate(X, np.ones(len(X)))


def compile_relabelling() -> None:
    """The matching of draws with a pivot, and their allocations."""
    gamma, labels = np.ones((3, 1)), np.zeros(3, dtype=np.intp)
    add_matches(gamma, labels, np.zeros((1, 1)))
    add_draw(gamma, np.zeros(1, dtype=np.intp), np.zeros((3, 1)), np.zeros((3, 1), dtype=np.int64))


def compile_bridge() -> None:
    """The proposal of the bridge, summed over the orders of components."""
    one = np.zeros(1)
    log_sum_over_orders(
        np.zeros((1, 1)),
        np.zeros((1, 1, 1, 1)),
        np.zeros((1, 1, 1)),
        one,
        np.zeros((1, 2)),
        np.eye(2)[None],
        1,
        np.zeros(1),
        np.zeros((1, 1), dtype=np.intp),
        np.zeros(1, dtype=np.intp),
        np.zeros(1),
        np.zeros(1, dtype=np.bool_),
    )


EM_HERE: Parts = (compile_moments, compile_densities)
EM_BESIDE: Parts = (compile_clustering, compile_acceleration, compile_estimates)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        resolve_name(name)()
