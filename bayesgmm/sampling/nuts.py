"""NUTS by nutpie: every chain its own sampler with its own start, progress and interruption at this edge."""

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import nutpie
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.errors import SamplingError
from bayesgmm.progress import progress_bars

Array = NDArray[np.float64]

POLL_SECONDS = 0.02
FEWEST_DRAWS = 4  # of a chain: R-hat splits it in two


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
    models: Sequence[Any], seeds: Sequence[int], settings: NutsSettings, show_progress: bool | None, names: Sequence[str]
) -> tuple[dict[int, xr.DataTree], bool]:
    """The trace of each chain by its number, in order, and whether the user interrupted. `names` are for the progress shown.

    After an interruption the traces hold the draws made by then; chains with less than half the draws of the longest are left
    out, because all are cut to one length. Raises KeyboardInterrupt if no chain had made a few draws, and SamplingError if a
    chain could not start or run.
    """
    total = settings.tune + settings.draws
    traces: dict[int, xr.DataTree] = {}
    running: dict[int, Any] = {}
    waiting = list(range(len(models)))
    with progress_bars(show_progress) as bars:
        tasks = [bars.add_task(name, total=total, note="") for name in names]

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
                for chain in list(running):
                    if _is_finished(running[chain]):
                        traces[chain] = running.pop(chain).wait()
                        bars.update(tasks[chain], completed=total)
        except KeyboardInterrupt:
            return _after_interruption(traces, running), True
        except RuntimeError as error:
            for sampler in running.values():
                _stopped(sampler)
            raise SamplingError(
                f"chain {chain} could not be sampled: {str(error).splitlines()[0].rstrip('.')}. "
                "Try other starts (another seed) or other priors."
            ) from error
    return {chain: traces[chain] for chain in sorted(traces)}, False


def _after_interruption(traces: dict[int, xr.DataTree], running: dict[int, Any]) -> dict[int, xr.DataTree]:
    """The traces that are long enough, those of stopped chains among them; KeyboardInterrupt where none is."""
    traces = traces | {chain: _stopped(sampler) for chain, sampler in running.items()}
    lengths = {chain: trace["posterior"].sizes.get("draw", 0) for chain, trace in traces.items()}
    longest = max(lengths.values(), default=0)
    if longest < FEWEST_DRAWS:
        raise KeyboardInterrupt
    return {chain: traces[chain] for chain in sorted(traces) if lengths[chain] >= max(longest / 2, FEWEST_DRAWS)}


def _stopped(sampler: Any) -> xr.DataTree:
    """The draws of a running sampler, which is stopped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # ArviZ takes a chain without draws for swapped dimensions
        return sampler.abort()


def _is_finished(sampler: Any) -> bool:
    try:
        return bool(sampler.is_finished)
    except TimeoutError:  # the sampler's thread was busy: ask again later
        return False
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of nutpie's is no Exception
        raise RuntimeError(str(error)) from error


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


def joined(traces: Iterable[xr.DataTree], name: str) -> xr.Dataset:
    """Group `name` of all chains, cut to the shortest (they differ only after an interruption)."""
    datasets = [trace[name].to_dataset() for trace in traces]
    shortest = min(dataset.sizes["draw"] for dataset in datasets)
    pieces = [dataset.isel(draw=slice(shortest)).assign_coords(chain=[c]) for c, dataset in enumerate(datasets)]
    return xr.concat(pieces, dim="chain", join="override")
