"""Claim: one log-posterior with gradient is faster than that of `pm.Mixture`, and costs little more than an E-step.

All by the C functions that nutpie calls: the library's own density, which `sample` uses by default; the model of `build_model`;
and the faster of two ways to write the same mixture with `pm.Mixture`, of K `MvNormal`s or of one with a batch. Same data, same
priors, at the parameters that the data come from. Aims: 5 times faster than `pm.Mixture` at N = 1000, 10 times at N = 50000,
and at most 1.5 times one E-step on one thread.
Run: uv run python benchmarks/one_gradient_is_faster_than_pymc_mixture.py
"""

import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
from clusters import clusters
from machine import describe_machine, processors, table_head
from peers import compiled_at, gradient_of, microseconds, mixture_of_a_batch, mixture_of_components, show, values_at

from bayesgmm import Priors, build_model
from bayesgmm.kernels.moments import compute_moments
from bayesgmm.kernels.rows import rows_of
from bayesgmm.model.native import Place
from bayesgmm.model.target import Target

CASES = [(272, 2, 2), (1_000, 2, 3), (50_000, 4, 5)]
ROUNDS = 7


def functions_of(case: tuple[int, int, int]) -> list[Callable[[], object]]:
    """Our density, an E-step, our model, and `pm.Mixture` in two ways."""
    n_samples, n_features, n_components = case
    X, params = clusters(n_samples, n_features, n_components)
    target = Target(X, Priors().resolved(X, n_components), np.zeros(n_features))
    u = target.coordinates_of(params)
    ours = target.native_model(Place(np.zeros_like(u), np.eye(len(u)), u))
    e_step = partial(compute_moments, rows_of(X), params.weights, params.means, params.scale_trils, n_threads=1)
    values = values_at(params, target.priors)
    models = [
        build_model(X, n_components, resolution=0),
        mixture_of_components(X, target.priors),
        mixture_of_a_batch(X, target.priors),
    ]
    compiled = [compiled_at(model, values) for model in models]
    return [gradient_of(ours, u), e_step, *(gradient_of(model, model.initial_point_func(0)) for model in compiled)]


def main() -> None:
    print(describe_machine("bayesgmm", "pymc", "pytensor", "nutpie", "numba"), end="\n\n")
    columns = (
        "ours (us)",
        "E-step",
        "our model",
        "K components",
        "one batch",
        "best pm.Mixture / ours",
        "/ our model",
        "ours / E-step",
    )
    print(table_head("N, D, K", *columns))
    for case in CASES:
        functions = functions_of(case)
        rounds = [[microseconds(function) for function in functions] for _ in range(ROUNDS)]
        medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
        best = 3 + medians[3:].index(min(medians[3:]))
        ratios = [statistics.median(row[i] / row[j] for row in rounds) for i, j in ((best, 0), (best, 2), (0, 1))]
        show(", ".join(map(str, case)), *(f"{value:.1f}" for value in medians), *(f"{ratio:.2f}" for ratio in ratios))


if __name__ == "__main__":
    with processors(1):
        main()
