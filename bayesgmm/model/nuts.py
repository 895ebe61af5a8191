"""NUTS by nutpie: every chain its own sampler with its own start, progress and interruption at this edge."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import nutpie
import xarray as xr
from numpy.typing import NDArray
from nutpie.compiled_pyfunc import from_pyfunc

from bayesgmm.model.density import density_arguments, log_posterior
from bayesgmm.model.priors import ResolvedPriors
from bayesgmm.progress import progress_bars

Array = NDArray[np.float64]

COORDINATES = "coordinates"
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class NutsSettings:
    """Draws and tuning draws per chain, chains at a time, target acceptance rate."""

    draws: int
    tune: int
    cores: int
    target_accept: float


def own_density(X: Array, priors: ResolvedPriors, n_coordinates: int) -> Any:
    """The library's own log-posterior as a model for nutpie; nothing is compiled that numba has not cached on disk."""
    row_weights = np.ones(len(X))
    arguments = density_arguments(priors)
    # compiled here, or loaded from numba's cache, before any sampler's thread asks for it
    log_posterior(np.zeros(n_coordinates), X, row_weights, *arguments, np.empty(n_coordinates))

    def make_log_density() -> Callable[[Array], tuple[float, Array]]:
        def log_density(u: Array) -> tuple[float, Array]:
            gradient = np.empty(n_coordinates)
            return log_posterior(u, X, row_weights, *arguments, gradient), gradient

        return log_density

    def make_expand(*_: int) -> Callable[[Array], dict[str, Array]]:
        return lambda u: {COORDINATES: np.array(u)}

    return from_pyfunc(
        ndim=n_coordinates,
        make_logp_fn=make_log_density,
        make_expand_fn=make_expand,
        expanded_dtypes=[np.dtype("float64")],
        expanded_shapes=[(n_coordinates,)],
        expanded_names=[COORDINATES],
    )


def started_at(model: Any, start: Array) -> Any:
    """The nutpie model with a start of its own, exactly there."""
    field = "initial_point_func" if hasattr(model, "initial_point_func") else "_make_initial_points"
    return replace(model, **{field: lambda _seed: start})


def run_chains(
    models: Sequence[Any], seeds: Sequence[int], settings: NutsSettings, show_progress: bool | None
) -> tuple[list[xr.DataTree], bool]:
    """The trace of each chain, in order, and whether the user interrupted.

    After an interruption the traces hold the draws made by then; chains that had not finished tuning are left out. Raises
    KeyboardInterrupt if no chain had.
    """
    total = settings.tune + settings.draws
    traces: dict[int, xr.DataTree] = {}
    running: dict[int, Any] = {}
    waiting = list(range(len(models)))
    with progress_bars(show_progress) as bars:
        tasks = [bars.add_task(f"chain {c}", total=total, note="") for c in waiting]

        def reporter(chain: int) -> Callable[[Any], None]:
            def report(states: Any) -> None:
                (state,) = states
                divergences = f"{state.divergences} divergences" if state.divergences else ""
                bars.update(tasks[chain], completed=state.finished_draws, note="tuning" if state.tuning else divergences)

            return report

        try:
            while waiting or running:
                while waiting and len(running) < settings.cores:
                    chain = waiting.pop(0)
                    running[chain] = _start(models[chain], seeds[chain], settings, reporter(chain))
                time.sleep(POLL_SECONDS)
                for chain in [chain for chain, sampler in running.items() if _is_finished(sampler)]:
                    traces[chain] = running.pop(chain).wait()
                    bars.update(tasks[chain], completed=total)
        except KeyboardInterrupt:
            traces |= {chain: sampler.abort() for chain, sampler in running.items()}
            usable = [traces[chain] for chain in sorted(traces) if traces[chain]["posterior"].sizes.get("draw", 0) > 1]
            if not usable:
                raise
            return usable, True
    return [traces[chain] for chain in sorted(traces)], False


def _is_finished(sampler: Any) -> bool:
    try:
        return bool(sampler.is_finished)
    except TimeoutError:  # the sampler's thread was busy: ask again later
        return False


def _start(model: Any, seed: int, settings: NutsSettings, report: Callable[[Any], None]) -> Any:
    return nutpie.sample(
        model,
        draws=settings.draws,
        tune=settings.tune,
        chains=1,
        cores=1,
        seed=seed,
        target_accept=settings.target_accept,
        save_warmup=False,
        progress_bar=False,
        progress_callback=report,
        blocking=False,
    )


def joined(traces: Sequence[xr.DataTree], name: str) -> xr.Dataset:
    """Group `name` of all chains, cut to the shortest (they differ only after an interruption)."""
    datasets = [trace[name].to_dataset() for trace in traces]
    shortest = min(dataset.sizes["draw"] for dataset in datasets)
    pieces = [dataset.isel(draw=slice(shortest)).assign_coords(chain=[c]) for c, dataset in enumerate(datasets)]
    return xr.concat(pieces, dim="chain", join="override")
