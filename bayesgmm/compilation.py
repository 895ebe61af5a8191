"""Compilation at the first use on a machine, side by side in two processes.

numba compiles one function after the other, in whatever threads. Where nothing is on disk yet, a second Python process and this
one take turns at what an analysis needs, each the next part that is ready; both keep it in numba's cache, from where the other
one and later processes read it. What is not listed here is compiled when it is called, as numba does.
"""

import atexit
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from threading import Condition, Thread
from typing import Any

import llvmlite.binding
import numba
import numpy as np

from bayesgmm.kernels.agglomerate import agglomerate
from bayesgmm.kernels.anderson import extrapolate, from_coordinates, to_coordinates
from bayesgmm.kernels.c_functions import density_and_copy
from bayesgmm.kernels.cache import FINGERPRINT, PACKAGE, is_temporary
from bayesgmm.kernels.density import compute_log_density, fill_densities
from bayesgmm.kernels.estimates import centre, factorise, weights_of
from bayesgmm.kernels.log_posterior import Hyperparameters, Layout, add_priors, fill_mixture
from bayesgmm.kernels.moments import compute_moments
from bayesgmm.kernels.orders import log_sum_over_orders
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.tally import add_draw, add_matches
from bayesgmm.progress import progress_bars

Part = Callable[[], object]
"""A module's function that compiles functions for the types that an analysis passes, as a rule by calling them."""
Parts = tuple[Part, ...]

TIMEOUT = 300.0
"""Seconds that the other process may take for its last part, a hundred times what it takes; then it is left to the call."""


class _Queue:
    """Parts to be compiled, in their order, for two takers: each part begins when those that it is built on are done."""

    def __init__(self, parts: Parts) -> None:
        self.n_parts = len(parts)
        self._waiting = list(parts)
        self._begun: set[Part] = set()
        self._changed = Condition()

    @property
    def n_done(self) -> int:
        return self.n_parts - len(self._waiting) - len(self._begun)

    def take(self) -> Part | None:
        """The next part, as soon as there is one that can begin; None where none is left."""
        with self._changed:
            while self._waiting:
                unfinished = self._begun.union(self._waiting)
                for part in self._waiting:
                    if unfinished.isdisjoint(BUILT_ON.get(part, ())):
                        self._waiting.remove(part)
                        self._begun.add(part)
                        return part
                self._changed.wait()
            return None

    def finish(self, part: Part, *, compiled: bool) -> None:
        """The part is done; without `compiled`, it is left to the call that needs it."""
        if compiled:
            with suppress(OSError):  # stamps only save time
                _stamp(part).touch()
        with self._changed:
            self._begun.discard(part)
            self._changed.notify_all()


class _Compilation:
    """Parts that are being compiled: by another process from the start on, and by this one while it waits for the end."""

    def __init__(self, parts: Parts) -> None:
        self._queue = _Queue(parts)
        self._process = _start_process() if len(parts) > 1 else None
        self._feeder = Thread(target=self._feed, daemon=True)
        self._feeder.start()
        atexit.register(self.end)

    def _feed(self) -> None:
        """Give the other process one part after the other, for as long as it compiles them."""
        process, compiled = self._process, True
        while process is not None and compiled and (part := self._queue.take()) is not None:
            compiled = _compile_in(process, part)
            self._queue.finish(part, compiled=compiled)

    def finish(self, progress: bool | None) -> None:
        with progress_bars(progress) as bars:
            task = bars.add_task("Compiling, once on this machine", total=self._queue.n_parts, note="")
            try:
                while (part := self._queue.take()) is not None:
                    compiled = False
                    try:
                        part()
                        compiled = True
                    finally:
                        self._queue.finish(part, compiled=compiled)
                    bars.update(task, completed=self._queue.n_done)
                self._feeder.join(TIMEOUT)
            finally:
                self.end()

    def end(self) -> None:
        """End the other process, at the latest when this one ends."""
        atexit.unregister(self.end)
        if self._process is not None:
            self._process.kill()
            self._feeder.join()
            self._process.communicate()


def compile_side_by_side(parts: Parts, progress: bool | None) -> None:
    """Compile what was not compiled before, in two processes; or wait for the end, where `start_compilation` began it."""
    compilation = start_compilation(parts)
    if compilation is not None:
        _finish(compilation, progress)


@cache
def start_compilation(parts: Parts) -> _Compilation | None:
    """Have another process begin to compile what was not compiled before, and return; None where there is nothing to do."""
    if numba.config.DISABLE_JIT or is_temporary(_cache_folder()):
        return None
    new = tuple(part for part in parts if not _stamp(part).exists())
    return _Compilation(new) if new else None


@cache
def _finish(compilation: _Compilation, progress: bool | None) -> None:
    compilation.finish(progress)


def _start_process() -> subprocess.Popen[bytes] | None:
    """A Python process that compiles the parts that it reads the names of; None where none can be started."""
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _compile_in(process: subprocess.Popen[bytes], part: Part) -> bool:
    """Whether the process compiled the part."""
    if process.stdin is None or process.stdout is None:
        return False
    try:
        process.stdin.write(f"{part.__module__}:{part.__qualname__}\n".encode())
        process.stdin.flush()
        return process.stdout.readline() == DONE
    except (OSError, ValueError):  # it has ended
        return False


DONE = b"done\n"


def _compile_as_told() -> None:
    """What the other process does: it compiles what it reads the names of, and says so, until there are no more."""
    for line in sys.stdin:
        resolve_name(line.strip())()
        sys.stdout.buffer.write(DONE)
        sys.stdout.buffer.flush()


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


LAYOUT = Layout(*[1] * len(Layout._fields))
HYPERPARAMETERS = Hyperparameters(
    np.zeros(1), np.zeros(1), np.zeros(1), np.zeros((1, 1)), np.zeros(1), np.zeros((1, 3)), np.zeros((1, 1, 1)), np.zeros(1)
)


def compile_mixture_of_coordinates() -> None:
    """The first half of the log-posterior: from coordinates to a mixture."""
    one, two, three = np.zeros(1), np.zeros((1, 1)), np.zeros((1, 1, 1))
    _compile(fill_mixture, one, LAYOUT, HYPERPARAMETERS, one, two, two, three, three, three, two, three)


def compile_priors() -> None:
    """The second half: priors, Jacobians, and the gradient by the coordinates."""
    one, two, three = np.zeros(1), np.zeros((1, 1)), np.zeros((1, 1, 1))
    _compile(add_priors, one, LAYOUT, HYPERPARAMETERS, one, two, two, three, three, two, three, one, two, three, one)


def _compile(function: Any, *arguments: object) -> None:
    """Compile a function that Python must not call."""
    function.compile(tuple(map(numba.typeof, arguments)))


def compile_density() -> None:
    """The log-posterior and its gradient as C functions."""
    density_and_copy()


BUILT_ON: dict[Part, Parts] = {
    compile_densities: (compile_moments,),
    compile_density: (compile_moments, compile_mixture_of_coordinates, compile_priors),
}
"""Parts that others are built on: begun before these are done, they would compile them once more."""

EM: Parts = (compile_moments, compile_clustering, compile_acceleration, compile_densities, compile_estimates)
"""What EM needs. The longest parts come first."""

POSTERIOR: Parts = (
    compile_moments,
    compile_priors,
    compile_mixture_of_coordinates,
    compile_density,
    *EM[1:],
    compile_bridge,
    compile_relabelling,
)
"""What EM and the posterior need."""


if __name__ == "__main__":
    _compile_as_told()
