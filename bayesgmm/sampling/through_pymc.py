"""The same posterior through the PyMC model of `build_model`: by nutpie, or by PyMC's own NUTS."""

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import nutpie
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.model.build import assemble
from bayesgmm.model.coordinates import Parameters, constrain, unconstrain
from bayesgmm.model.specification import Specification
from bayesgmm.model.structure import Structure
from bayesgmm.progress import progress_wanted
from bayesgmm.sampling.chains import RawDraws, Run, in_schema
from bayesgmm.sampling.nuts import NutsSettings, joined, run_chains, started_at
from bayesgmm.sampling.start import ChainStart

Array = NDArray[np.float64]


def by_nutpie(specification: Specification, progress: bool | None) -> Run:
    """What draws by nutpie, which compiles the model once for it."""
    model, structure = assemble(specification), specification.target.structure
    compiled = nutpie.compile_pymc_model(model, var_names=[variable.name for variable in model.free_RVs])

    def run(starts: Sequence[ChainStart], seeds: Sequence[int], settings: NutsSettings) -> RawDraws:
        models = [started_at(compiled, _flat_start(model, start, structure)) for start in starts]
        began = time.perf_counter()
        names = [f"chain {i}, mode {start.mode}" for i, start in enumerate(starts)]
        traces, interrupted = run_chains(models, seeds, settings, progress, names)
        seconds = time.perf_counter() - began
        u = unconstrain(_parameters(joined(traces.values(), "posterior"), structure), structure)
        return RawDraws(u, tuple(traces), in_schema(joined(traces.values(), "sample_stats")), seconds, interrupted)

    return run


def by_pymc(specification: Specification, progress: bool | None) -> Run:
    """What draws by PyMC's NUTS."""
    return partial(_run_pymc, assemble(specification), specification.target.structure, progress)


def _run_pymc(
    model: pm.Model,
    structure: Structure,
    progress: bool | None,
    starts: Sequence[ChainStart],
    seeds: Sequence[int],
    settings: NutsSettings,
) -> RawDraws:
    """Draws by PyMC, which ends at Ctrl-C without a word: fewer draws or chains than asked for say so."""
    began = time.perf_counter()
    with model:
        trace = pm.sample(
            draws=settings.draws,
            tune=settings.tune,
            chains=len(starts),
            cores=min(settings.cores, len(starts)),
            initvals=[_start_values(model, start, structure) for start in starts],
            init="adapt_diag",
            nuts_sampler="pymc",
            target_accept=settings.target_accept,
            random_seed=list(seeds),
            progressbar=progress_wanted(progress),
            compute_convergence_checks=False,
        )
    seconds = time.perf_counter() - began
    posterior = trace["posterior"].to_dataset()
    chains = tuple(int(chain) for chain in posterior["chain"].values)
    interrupted = posterior.sizes["draw"] < settings.draws or len(chains) < len(starts)
    u = unconstrain(_parameters(posterior, structure), structure)
    return RawDraws(u, chains, in_schema(trace["sample_stats"].to_dataset()), seconds, interrupted)


SAMPLERS = {"nutpie": by_nutpie, "pymc": by_pymc}


def values_of(model: pm.Model, parameters: Parameters) -> dict[str, Array]:
    """The values of the model's free variables at parameters without a batch."""
    values = parameters._asdict()
    return {
        variable.name: values[variable.name].reshape([int(size) for size in variable.shape.eval()]) for variable in model.free_RVs
    }


def _start_values(model: pm.Model, start: ChainStart, structure: Structure) -> dict[str, Array]:
    return values_of(model, constrain(start.u, structure))


def _flat_start(model: pm.Model, start: ChainStart, structure: Structure) -> Array:
    """The start in PyMC's unconstrained coordinates, in the order of its free variables."""
    values = _start_values(model, start, structure)
    pieces = []
    for variable in model.free_RVs:
        transform = model.rvs_to_transforms[variable]
        value = np.asarray(values[variable.name])
        if transform is not None:
            value = transform.forward(pt.as_tensor(value), *variable.owner.inputs).eval(mode="FAST_COMPILE")
        pieces.append(np.ravel(value))
    return np.concatenate(pieces)


def _parameters(posterior: xr.Dataset, structure: Structure) -> Parameters:
    """The free variables of PyMC's draws, with the axes that it leaves out where there is one entry only."""
    batch = (posterior.sizes["chain"], posterior.sizes["draw"])
    n_components, n_features = structure.n_components, structure.n_features
    shapes = {
        "weights": (n_components,),
        "means": (n_components, n_features),
        "scales": structure.scales_shape,
        "log_volumes": (n_components,),
        "log_shapes": (n_components, n_features),
        "correlation_trils": (structure.n_axes, n_features, n_features),
        "rotations": (structure.n_axes, structure.n_pairs),
    }
    return Parameters(
        **{
            name: posterior[name].values.reshape(*batch, *shape) if name in posterior else np.zeros((*batch, 0))
            for name, shape in shapes.items()
        }
    )
