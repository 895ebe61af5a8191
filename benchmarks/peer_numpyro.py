"""The same mixture in NumPyro, which is in an optional group: `uv run --group numpyro ...`."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr
from numpy.typing import NDArray
from numpyro.infer import MCMC, NUTS, init_to_value
from numpyro.infer.util import initialize_model

from bayesgmm.model.priors import ResolvedPriors

Array = NDArray[np.float64]
Model = Callable[[], None]


class Run(NamedTuple):
    """Draws, seconds of compilation, seconds of all the rest, and mean gradients per draw after the warm-up."""

    posterior: xr.Dataset
    compilation: float
    sampling: float
    gradients: float


def prepare(chains: int) -> None:
    """Double precision, and a device for each chain; to be called before anything else of JAX."""
    numpyro.enable_x64()
    numpyro.set_platform("cpu")
    numpyro.set_host_device_count(chains)


def mixture_in_numpyro(X: Array, priors: ResolvedPriors) -> Model:
    shape = n_components, n_features = priors.structure.n_components, priors.structure.n_features
    scale_prior = dist.InverseGamma(priors.scale_params["alpha"], priors.scale_params["beta"])

    def model() -> None:
        weights = numpyro.sample("weights", dist.Dirichlet(priors.concentration))
        means = numpyro.sample("means", dist.Normal(priors.mean_loc, priors.mean_scale).expand(shape).to_event(2))
        scales = numpyro.sample("scales", scale_prior.expand(shape).to_event(2))
        correlations = dist.LKJCholesky(n_features, priors.lkj_eta).expand([n_components]).to_event(1)
        scale_trils = scales[..., None] * numpyro.sample("correlation_trils", correlations)
        components = dist.MultivariateNormal(means, scale_tril=scale_trils)
        numpyro.sample("X", dist.MixtureSameFamily(dist.Categorical(weights), components), obs=X)

    return model


def run_numpyro(model: Model, values: dict[str, Array], tune: int, draws: int, chains: int, seed: int) -> Run:
    """NUTS with its defaults, all chains at once, each started at these values."""
    compiling: list[tuple[float, float]] = []

    def note(event: str, seconds: float, **_: object) -> None:
        if event.startswith("/jax/core/compile/"):
            compiling.append((time.perf_counter() - seconds, time.perf_counter()))

    jax.monitoring.register_event_duration_secs_listener(note)
    kernel = NUTS(model, init_strategy=_at(values))
    mcmc = MCMC(kernel, num_warmup=tune, num_samples=draws, num_chains=chains, chain_method="parallel", progress_bar=False)
    start = time.perf_counter()
    mcmc.run(jax.random.key(seed), extra_fields=("num_steps",))
    samples = {name: np.asarray(value) for name, value in mcmc.get_samples(group_by_chain=True).items()}
    whole = time.perf_counter() - start
    jax.monitoring.clear_event_listeners()
    posterior = xr.Dataset(
        {name: (("chain", "draw", *(f"{name}_{i}" for i in range(v.ndim - 2))), v) for name, v in samples.items()}
    )
    compilation = _covered(compiling)
    return Run(posterior, compilation, whole - compilation, float(np.mean(mcmc.get_extra_fields()["num_steps"])))


def _at(values: dict[str, Array]) -> Callable[..., object]:
    """The start, in arrays of JAX: NumPyro's transforms take no others within a compilation."""
    return init_to_value(values={name: jnp.asarray(value) for name, value in values.items()})


def _covered(intervals: list[tuple[float, float]]) -> float:
    """Length of the union of intervals: JAX reports what is compiled within a compilation too."""
    total, reached = 0.0, -np.inf
    for start, stop in sorted(intervals):
        total += max(0.0, stop - max(start, reached))
        reached = max(reached, stop)
    return total


def gradient_in_numpyro(model: Model, values: dict[str, Array]) -> Callable[[], object]:
    """One log-density with gradient in NumPyro's unconstrained coordinates."""
    initial = initialize_model(jax.random.key(0), model, init_strategy=_at(values))
    function, point = jax.jit(jax.value_and_grad(initial.potential_fn)), initial.param_info.z
    return lambda: jax.block_until_ready(function(point))
