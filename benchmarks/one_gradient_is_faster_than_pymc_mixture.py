"""Claim: one log-posterior with gradient of our PyMC model is faster than that of `pm.Mixture` with the same priors.

Both are compiled by PyMC with numba; the library's own compiled density, which `sample` uses by default, stands beside them.
Run: uv run python benchmarks/one_gradient_is_faster_than_pymc_mixture.py
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import pymc as pm
from machine import describe_machine

from bayesgmm.data import validate
from bayesgmm.model.build import CorrelationTransform, assemble
from bayesgmm.model.coordinates import n_coordinates
from bayesgmm.model.density import density_arguments, log_posterior
from bayesgmm.model.priors import Priors, ResolvedPriors

CASES = [(272, 2, 2), (1_000, 2, 3)]
ROUNDS = 7


def pymc_mixture(X: np.ndarray, priors: ResolvedPriors) -> pm.Model:
    n_components, n_features = len(priors.concentration), X.shape[1]
    with pm.Model() as model:
        weights = pm.Dirichlet("weights", priors.concentration)
        means = pm.Normal("means", priors.mean_loc, priors.mean_scale, shape=(n_components, n_features))
        scales = pm.InverseGamma("scales", **priors.scale_params, shape=(n_components, n_features))
        correlation_trils = pm.LKJCorr(
            "correlation_trils",
            n=n_features,
            eta=priors.lkj_eta,
            size=(n_components,),
            default_transform=CorrelationTransform(n_features),
        )
        scale_trils = scales[:, :, None] * correlation_trils
        components = [pm.MvNormal.dist(means[k], chol=scale_trils[k]) for k in range(n_components)]
        pm.Mixture("X", weights, components, observed=X)
    return model


def compiled(model: pm.Model) -> Callable[[], object]:
    function = model.logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values({})
    point = pm.blocking.DictToArrayBijection.map(model.initial_point())
    return lambda: function(point)


def own_density(X: np.ndarray, priors: ResolvedPriors) -> Callable[[], object]:
    u = np.zeros(n_coordinates(len(priors.concentration), X.shape[1]))
    arguments = (np.ones(len(X)), *density_arguments(priors), np.empty_like(u))
    return lambda: log_posterior(u, X, *arguments)


def microseconds(function: Callable[[], object]) -> float:
    function()
    start = time.perf_counter()
    count = 0
    while time.perf_counter() - start < 0.2:
        function()
        count += 1
    return 1e6 * (time.perf_counter() - start) / count


def main() -> None:
    print(describe_machine("bayesgmm", "pymc", "pytensor", "numba"))
    print(f"{'N, D, K':>18} {'density (us)':>13} {'our model':>10} {'pm.Mixture':>11} {'ratio to model':>15} {'to density':>11}")
    for case in CASES:
        n_samples, n_features, n_components = case
        rng = np.random.default_rng(0)
        centres = rng.normal(scale=3.0, size=(n_components, n_features))
        X = centres[rng.integers(n_components, size=n_samples)] + rng.normal(size=(n_samples, n_features))
        priors = Priors().resolved(X, n_components)
        functions = [own_density(X, priors), compiled(assemble(validate(X), priors)), compiled(pymc_mixture(X, priors))]
        rounds = [[microseconds(function) for function in functions] for _ in range(ROUNDS)]
        density, model, mixture = (statistics.median(column) for column in zip(*rounds, strict=True))
        to_model = statistics.median(row[2] / row[1] for row in rounds)
        to_density = statistics.median(row[2] / row[0] for row in rounds)
        print(f"{case!s:>18} {density:13.1f} {model:10.1f} {mixture:11.1f} {to_model:15.1f} {to_density:11.1f}")


if __name__ == "__main__":
    main()
