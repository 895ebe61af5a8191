"""NUTS by nutpie: every chain its own sampler with its own start, progress and interruption at this edge."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import nutpie
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.progress import progress_bars

Array = NDArray[np.float64]

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class NutsSettings:
    """Draws and tuning draws per chain, chains at a time, target acceptance rate."""

    draws: int
    tune: int
    cores: int
    target_accept: float


def started_at(model: Any, start: Array) -> Any:
    """The nutpie model with a start of its own, exactly there."""
    return replace(model, initial_point_func=lambda _seed: start)


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
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # ArviZ takes a chain without draws for swapped dimensions
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
